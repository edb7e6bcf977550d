package nbd

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 0x12

// userTimeout has the kernel give a TCP connection up when what was sent is not acknowledged for that long; its own patience is a quarter
// of an hour.
func userTimeout(fd uintptr, d time.Duration) error {
	return syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
}

// bindTo has a socket use that network interface alone.
func bindTo(fd uintptr, name string) error { return syscall.BindToDevice(int(fd), name) }
