// Package netif knows the machine's network interfaces, learns at once when they change, and decides which one a connection is to use.
//
// It knows names, addresses and whether a link is up. It knows nothing of connections, paths or devices.
package netif

import (
	"net"
	"net/netip"
	"slices"
)

// Interface is what is known of one network interface at a moment.
type Interface struct {
	Name  string
	Up    bool // administratively up and with carrier: what is sent may arrive
	Addrs []netip.Addr
}

// List is the interfaces of this machine as they are now, by the system's order.
func List() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var list []Interface
	for _, i := range all {
		n := Interface{Name: i.Name, Up: i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away between the two questions
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.Addrs = append(n.Addrs, p.Addr().Unmap())
			}
		}
		list = append(list, n)
	}
	return list, nil
}

// Equal says whether two answers of List are the same.
func Equal(a, b []Interface) bool {
	return slices.EqualFunc(a, b, func(x, y Interface) bool {
		return x.Name == y.Name && x.Up == y.Up && slices.Equal(x.Addrs, y.Addrs)
	})
}

// Find is the interface that has that name or that address.
func Find(list []Interface, nameOrAddr string) (Interface, bool) {
	addr, err := netip.ParseAddr(nameOrAddr)
	for _, i := range list {
		if i.Name == nameOrAddr || err == nil && slices.Contains(i.Addrs, addr.Unmap()) {
			return i, true
		}
	}
	return Interface{}, false
}
