package nbd_test

import (
	"net"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"graid/block/mem"
	"graid/nbd"
)

// deaf drops everything that arrives for c from now on, as if its machine had gone: nothing is acknowledged any more.
func deaf(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	drop := []syscall.SockFilter{{Code: syscall.BPF_RET}}
	require.NoError(t, raw.Control(func(fd uintptr) {
		p := syscall.SockFprog{Len: 1, Filter: &drop[0]}
		_, _, no := syscall.Syscall6(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, uintptr(unsafe.Pointer(&p)), unsafe.Sizeof(p), 0)
		require.Zero(t, no)
	}))
}

// TestHalfOpen: a client whose machine has gone is found out, whether it is idle or has replies to take.
func TestHalfOpen(t *testing.T) {
	s := one(mem.New(8<<20, mem.Options{}))
	s.Limits = nbd.Limits{Silence: 2 * time.Second, Stall: time.Hour}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go s.Serve(l)
	defer s.Close()
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		handshake(t, c)
		_, err = c.Write(encode(t, "req:0:DISC:1:0:0")[:20]) // idle, as far as the server knows, in the middle of a header
		require.NoError(t, err)
		deaf(t, c)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	handshake(t, c)
	deaf(t, c)
	_, err = c.Write(encode(t, "req:0:READ:1:0:0x100000"))
	require.NoError(t, err)
	alive, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer alive.Close()
	handshake(t, alive)
	require.Eventually(t, func() bool { return s.Clients()[0].Connections <= 1 }, 60*time.Second, 20*time.Millisecond)
	_, err = alive.Write(encode(t, "req:0:FLUSH:1:0:0"))
	require.NoError(t, err)
	expect(t, alive, "simple:OK:1")
}
