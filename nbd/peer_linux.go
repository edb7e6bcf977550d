package nbd

import (
	"net"
	"syscall"
	"time"
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

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not name.
const tcpUserTimeout = 18

// userTimeout bounds how long what was sent may go without being acknowledged.
func userTimeout(tcp *net.TCPConn, d time.Duration) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	bad := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	})
	if bad != nil {
		return bad
	}
	return err
}
