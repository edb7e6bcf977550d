//go:build unix

package fuzz

import (
	"syscall"
	"time"
)

// cpuTime is what this process has used, of all processors together.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
