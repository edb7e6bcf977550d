package netif

import (
	"fmt"
	"os"
	"syscall"
)

// Groups of rtnetlink(7), as bits of the address that a socket is bound to.
const (
	groupLink = 0x1
	groupIP4  = 0x10
	groupIP6  = 0x100
)

// netlink is a socket on which the kernel tells of links and addresses. What it says is not parsed: that it says something is reason enough to look.
type netlink struct {
	f   *os.File
	buf []byte
}

func listen() (source, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groupLink | groupIP4 | groupIP6}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &netlink{os.NewFile(uintptr(fd), "netlink"), make([]byte, 64<<10)}, nil
}

func (n *netlink) wait() error {
	_, err := n.f.Read(n.buf)
	if pe, ok := err.(*os.PathError); ok && pe.Err == syscall.ENOBUFS {
		return nil // more happened than the socket could hold
	}
	return err
}

func (n *netlink) Close() error { return n.f.Close() }
