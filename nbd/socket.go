package nbd

import (
	"net"
	"syscall"
	"time"

	"graid/sched"
)

// socket writes to a connection, waiting or not.
type socket struct {
	nc    net.Conn
	s     sched.Sched
	stall time.Duration

	raw  syscall.RawConn // nil where the system has no write that does not wait
	once func(fd uintptr) bool
	b    []byte // of the call in progress
	n    int
	err  error
}

func (k *socket) open() {
	k.once = k.attempt
	if u, ok := k.nc.(*net.UnixConn); ok {
		_ = u.SetWriteBuffer(unixBuffer) // as much of it as the system allows
	}
	if sc, ok := k.nc.(syscall.Conn); ok && canTry {
		k.raw, _ = sc.SyscallConn()
	}
}

// try sends what the socket takes at once; errWouldBlock when that was not all of b.
func (k *socket) try(b []byte) (int, error) {
	if k.raw == nil {
		return k.write(b)
	}
	k.b, k.n, k.err = b, 0, nil
	err := k.raw.Write(k.once)
	k.b = nil
	if err == nil {
		err = k.err
	}
	return k.n, err
}

// attempt is called with the descriptor; it never asks to be called again.
func (k *socket) attempt(fd uintptr) bool {
	for k.n < len(k.b) && k.err == nil {
		var n int
		n, k.err = tryWrite(fd, k.b[k.n:])
		k.n += max(n, 0)
	}
	return true
}

// write sends all of b, or what the client took in the time that a stall may last.
func (k *socket) write(b []byte) (int, error) {
	if err := k.nc.SetWriteDeadline(k.s.Wall().Add(k.stall)); err != nil {
		return 0, err
	}
	n, err := k.nc.Write(b)
	if err == nil {
		err = k.nc.SetWriteDeadline(time.Time{})
	}
	return n, err
}
