//go:build !unix

package reward

import "os/exec"

const canLimitMemory = false

func command(c ProcessConfig) *exec.Cmd { return exec.Command(c.Path, c.Args...) }

// killGroup kills the program; there are no process groups here.
func killGroup(cmd *exec.Cmd) { cmd.Process.Kill() }
