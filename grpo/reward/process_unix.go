//go:build unix

package reward

import (
	"os/exec"
	"strconv"
	"syscall"
)

const canLimitMemory = true

// command makes the program's command in a process group of its own. A shell sets the limit of memory and becomes the program.
func command(c ProcessConfig) *exec.Cmd {
	cmd := exec.Command(c.Path, c.Args...)
	if c.Memory > 0 {
		script := "ulimit -v " + strconv.FormatInt(max(1, c.Memory>>10), 10) + ` && exec "$0" "$@"`
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, c.Path}, c.Args...)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// killGroup kills the program and its children.
func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
