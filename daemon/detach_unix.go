//go:build unix

package daemon

import (
	"os/exec"
	"syscall"
)

// detach makes c the leader of a session of its own: no terminal, no signals meant for the caller's.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
