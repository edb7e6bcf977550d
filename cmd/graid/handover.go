package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// firstHanded is the descriptor of the first socket that a service manager hands over, and mostHanded how many it may be.
const (
	firstHanded = 3
	mostHanded  = 64
)

// handedOver are the listening sockets that whoever started this process opened for it, as sd_listen_fds(3) has it. The environment no
// longer tells of them afterwards: they are not for processes that this one starts.
func handedOver() (list []net.Listener, err error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostHanded {
		return nil, fmt.Errorf("LISTEN_FDS=%q: not a number of sockets", count)
	}
	for fd := firstHanded; fd < firstHanded+n; fd++ {
		f := os.NewFile(uintptr(fd), "LISTEN_FDS")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("descriptor %d of LISTEN_FDS: %w", fd, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// stdio is the client at the other end of standard input and output: one socket, or two pipes.
func stdio(in, out *os.File) (net.Conn, error) {
	a, err := in.Stat()
	if err != nil {
		return nil, err
	}
	b, err := out.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case a.Mode()&os.ModeSocket != 0 && os.SameFile(a, b):
		return net.FileConn(in)
	case a.Mode()&os.ModeCharDevice != 0 || b.Mode()&os.ModeCharDevice != 0:
		return nil, errors.New("standard input and output are no NBD client: let one start this, such as nbd_connect_command of libnbd")
	}
	r, w := pollable(in), pollable(out)
	return &pipes{r, w}, nil
}

// pipes is a connection of two of them.
type pipes struct{ in, out *os.File }

func (p *pipes) Read(b []byte) (int, error)         { return p.in.Read(b) }
func (p *pipes) Write(b []byte) (int, error)        { return p.out.Write(b) }
func (p *pipes) LocalAddr() net.Addr                { return stdioAddr{} }
func (p *pipes) RemoteAddr() net.Addr               { return stdioAddr{} }
func (p *pipes) SetReadDeadline(t time.Time) error  { return p.in.SetReadDeadline(t) }
func (p *pipes) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }

func (p *pipes) Close() error {
	err := p.in.Close()
	if e := p.out.Close(); err == nil {
		err = e
	}
	return err
}

func (p *pipes) SetDeadline(t time.Time) error {
	if err := p.in.SetReadDeadline(t); err != nil {
		return err
	}
	return p.out.SetWriteDeadline(t)
}

type stdioAddr struct{}

func (stdioAddr) Network() string { return "stdio" }
func (stdioAddr) String() string  { return "stdio" }
