//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"
)

var be = binary.BigEndian

// client is one connection with simple replies, on a blocking socket of its own: no runtime poller between.
type client struct {
	fd   int
	size uint64
	rng  *rand.Rand
	in   []byte
	out  []byte
}

func dial(network, address, export string, seed uint64) (*client, error) {
	fd, err := connect(network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	c := &client{fd: fd, rng: rand.New(rand.NewPCG(1, seed)), in: make([]byte, 512<<10)}
	if err := c.full(c.in[:18]); err != nil {
		return nil, err
	}
	hello := append([]byte{0, 0, 0, 3}, "IHAVEOPT"...)
	hello = be.AppendUint32(hello, 1) // EXPORT_NAME
	hello = be.AppendUint32(hello, uint32(len(export)))
	if err := c.write(append(hello, export...)); err != nil {
		return nil, err
	}
	if err := c.full(c.in[:10]); err != nil {
		return nil, err
	}
	c.size = be.Uint64(c.in)
	return c, nil
}

// connect returns a blocking socket.
func connect(network, address string) (fd int, err error) {
	var to syscall.Sockaddr = &syscall.SockaddrUnix{Name: address}
	family := syscall.AF_UNIX
	if network == "tcp" {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return 0, err
		}
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	if fd, err = syscall.Socket(family, syscall.SOCK_STREAM, 0); err != nil {
		return 0, err
	}
	if network == "tcp" {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return 0, err
		}
	}
	return fd, syscall.Connect(fd, to)
}

// fill writes the whole export once, so that no run finds holes.
func (c *client) fill() error {
	b := make([]byte, 28+1<<20)
	rand.NewChaCha8([32]byte{}).Read(b[28:])
	for off := uint64(0); off+1<<20 <= c.size; off += 1 << 20 {
		header(b, 1, off, 1<<20)
		if err := c.write(b); err != nil {
			return err
		}
		if err := c.full(c.in[:16]); err != nil {
			return err
		}
		if e := be.Uint32(c.in[4:]); e != 0 {
			return fmt.Errorf("write at %d: errno %d", off, e)
		}
	}
	return nil
}

func header(b []byte, cmd uint16, off uint64, n int) {
	be.PutUint32(b, 0x25609513)
	be.PutUint16(b[4:], 0)
	be.PutUint16(b[6:], cmd)
	be.PutUint64(b[8:], off)
	be.PutUint64(b[16:], off)
	be.PutUint32(b[24:], uint32(n))
}

// run keeps w.depth requests in flight for span, lets them end, and counts them. It is the i-th of w.conns that do so.
func (c *client) run(w workload, i int, span time.Duration) (done int, err error) {
	cmd, request, reply := uint16(0), 28, 16+w.size
	if w.write {
		cmd, request, reply = 1, 28+w.size, 16
	}
	if n := w.depth * request; len(c.out) < n {
		c.out = make([]byte, n)
		rand.NewChaCha8([32]byte{}).Read(c.out)
	}
	blocks := c.size / uint64(w.size)
	next := blocks / uint64(w.conns) * uint64(i)
	flying, stop := 0, time.Now().Add(span)
	within := 0 // bytes of the reply being received
	for stopping := false; ; {
		if n := w.depth - flying; n > 0 && !stopping {
			for i := range n {
				at := next % blocks
				if w.random {
					at = c.rng.Uint64N(blocks)
				}
				next++
				header(c.out[i*request:], cmd, at*uint64(w.size), w.size)
			}
			if err := c.write(c.out[:n*request]); err != nil {
				return done, err
			}
			flying += n
		}
		if flying == 0 {
			return done, nil
		}
		m, err := syscall.Read(c.fd, c.in)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			return done, fmt.Errorf("connection lost: %v", err)
		}
		n, err := c.take(c.in[:m], reply, &within)
		if err != nil {
			return done, err
		}
		flying -= n
		done += n
		stopping = stopping || !time.Now().Before(stop)
	}
}

// take goes through received bytes reply by reply and counts those that end; every reply must be a success, all are of
// one length.
func (c *client) take(b []byte, reply int, within *int) (ended int, err error) {
	for len(b) > 0 {
		if *within == 0 && len(b) >= 8 && (be.Uint32(b) != 0x67446698 || be.Uint32(b[4:]) != 0) {
			return ended, fmt.Errorf("reply % x", b[:8])
		}
		n := min(len(b), reply-*within)
		b = b[n:]
		if *within += n; *within == reply {
			*within = 0
			ended++
		}
	}
	return ended, nil
}

func (c *client) write(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(c.fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (c *client) full(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(c.fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return fmt.Errorf("connection lost: %v", err)
		}
		b = b[n:]
	}
	return nil
}
