package nbd

import (
	"net"
	"syscall"
)

// credentials are the process and the user at the other end, as they were when it connected.
func credentials(u *net.UnixConn) (pid, uid int) {
	pid, uid = -1, -1
	raw, err := u.SyscallConn()
	if err != nil {
		return pid, uid
	}
	_ = raw.Control(func(fd uintptr) {
		if c, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil && c.Pid > 0 {
			pid, uid = int(c.Pid), int(c.Uid)
		}
	})
	return pid, uid
}
