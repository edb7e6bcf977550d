package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Address is where an export is served: a unix socket or a TCP port.
type Address struct {
	Network string // "unix" or "tcp"
	At      string // path, or host:port
}

// ParseAddress reads "unix:PATH" or "tcp:HOST:PORT". Whether it may be served at, TLS.Allows decides.
func ParseAddress(s string) (Address, error) {
	const form = "write unix:/run/user/me/md0.nbd or tcp:127.0.0.1:10809"
	kind, at, _ := strings.Cut(s, ":")
	switch {
	case kind == "unix" && at != "":
		path, err := filepath.Abs(at)
		if err != nil {
			return Address{}, err
		}
		if len(path) > maxSocketPath {
			return Address{}, fmt.Errorf("%s: too long for a unix socket: %d bytes, the most is %d", path, len(path), maxSocketPath)
		}
		return Address{"unix", path}, nil
	case kind == "tcp" && at != "":
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			return Address{}, fmt.Errorf("%q is no address to serve at: %s", s, form)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
			return Address{}, fmt.Errorf("%q: %q is no port: %s", s, port, form)
		}
		if !isHost(host) {
			return Address{}, fmt.Errorf("%q: %q is no host: %s", s, host, form)
		}
		return Address{"tcp", net.JoinHostPort(host, port)}, nil
	}
	return Address{}, fmt.Errorf("%q is no address to serve at: %s", s, form)
}

// isHost says whether it is an address, a name as DNS has them, or nothing, which is all addresses of this machine.
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		s = a.Zone()
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// URI is what a client of the export is told, in the form of the NBD URI specification; nbds is with TLS.
func (a Address) URI(export string, tls bool) string {
	u, scheme := url.URL{Path: "/" + export}, "nbd"
	if tls {
		scheme = "nbds"
	}
	if a.Network == "unix" {
		return scheme + "+unix://" + u.EscapedPath() + "?socket=" + escapeQuery(a.At)
	}
	return scheme + "://" + strings.ReplaceAll(a.At, "%", "%25") + u.EscapedPath() // a zone may be behind an IPv6 address
}

// escapeQuery escapes what would end or change a query, and leaves slashes alone: the socket's path stays readable.
func escapeQuery(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(path), "%2F", "/"), "+", "%20")
}

// Listen binds the address. A socket left by a dead process is replaced; one that answers is not.
func (a Address) Listen() (net.Listener, error) {
	if a.Network == "unix" {
		return listenUnix(a.At)
	}
	l, err := net.Listen("tcp", a.At)
	if err != nil {
		return nil, fmt.Errorf("tcp:%s: %w", a.At, bindError(err))
	}
	return l, nil
}

func listenUnix(path string) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("unix:%s: a file is in the way: name another path", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("unix:%s: somebody serves there already: name another path", path)
		}
		os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("unix:%s: %w", path, bindError(err))
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("unix: %w", plainPath(err))
	}
	return l, nil
}

// bindError keeps what the system said and drops how Go asked.
func bindError(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// bound is the address of l: the port is known once it is bound.
func bound(l net.Listener, a Address) Address {
	if a.Network == "tcp" {
		return Address{"tcp", l.Addr().String()}
	}
	return a
}

// String is the form that ParseAddress reads.
func (a Address) String() string { return a.Network + ":" + a.At }
