package daemon

import (
	"os/exec"
	"syscall"
)

const detachedProcess = 0x00000008

// detach gives c no console, so that Ctrl-C and the end of the caller's do not reach it.
func detach(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP}
}
