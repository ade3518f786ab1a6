//go:build unix

package reward

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used of the CPUs: other than the wall's, this clock stands still while other programs have them.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
