package nbd

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Peer is who a client is, as far as that is known.
type Peer struct {
	Addr  net.Addr // nil if it has none
	PID   int      // of the process at the other end of a unix socket, and whose it is; -1 is not known
	UID   int
	TLS   bool
	Names []string // what its certificate says it is, most telling first
}

// peerOf is what a connection itself tells.
func peerOf(nc net.Conn) Peer {
	p := Peer{Addr: nc.RemoteAddr(), PID: -1, UID: -1}
	if u, ok := nc.(*net.UnixConn); ok {
		p.PID, p.UID = credentials(u)
	}
	return p
}

// key is the same for all connections of one client.
func (p Peer) key() string {
	switch {
	case len(p.Names) > 0:
		return "name " + p.Names[0]
	case p.PID > 0:
		return fmt.Sprint("process ", p.PID)
	case p.Addr == nil:
		return ""
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return host
	}
	return p.Addr.String()
}

// String is for logs.
func (p Peer) String() string {
	var list []string
	if p.Addr != nil && p.Addr.String() != "" && p.Addr.String() != "@" {
		list = append(list, p.Addr.String())
	}
	if p.PID > 0 {
		list = append(list, fmt.Sprintf("process %d of user %d", p.PID, p.UID))
	}
	if len(p.Names) > 0 {
		list = append(list, fmt.Sprintf("%.80q", p.Names[0]))
	}
	return strings.Join(list, " ")
}

// watch has a TCP connection end whose peer's machine has gone: one that is idle as well as one that has replies to take.
func watch(nc net.Conn, silence time.Duration) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	step := max(silence/4, time.Second)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: step, Interval: step, Count: 3})
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = userTimeout(fd, silence) })
	}
}
