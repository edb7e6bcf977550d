package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"graid/block"
	"graid/nbd"
)

// drainTime is how long clients have to take their last answers when the array stops.
const drainTime = 10 * time.Second

// exports is the array's way out: one NBD server on every address asked for.
type exports struct {
	name   string
	log    *slog.Logger
	tls    TLS
	server *nbd.Server
	bound  []door   // complete before serve
	single net.Conn // the only client, served until it goes; nil = none
}

// door is one address and who listens there.
type door struct {
	at       Address
	listener net.Listener
	handed   bool // by who started this process, whose it stays
}

func newExports(name string, log *slog.Logger, t TLS) (*exports, error) {
	e := &exports{name: name, log: log, tls: t, server: &nbd.Server{Log: log, TLSOptional: t.Optional, Access: t.access, Admit: owner}}
	var err error
	e.server.TLS, err = t.config()
	return e, err
}

// owner lets in who may open the sockets that this process makes: its own user, and root. Their mode says the same, but not from the
// moment that they are there, and not on every system.
func owner(p nbd.Peer) error {
	if own := os.Geteuid(); p.UID > 0 && p.UID != own {
		return fmt.Errorf("user %d is not the one that serves, %d", p.UID, own)
	}
	return nil
}

// take serves at a socket that somebody else has opened, for whom that somebody decides.
func (e *exports) take(l net.Listener) error {
	a := Address{l.Addr().Network(), l.Addr().String()}
	if err := e.tls.Allows(a); err != nil {
		return err
	}
	if a.Network == "unix" {
		e.server.Admit = nil
	}
	e.bound = append(e.bound, door{a, l, true})
	return nil
}

// bind takes the address; clients that come before serve wait.
func (e *exports) bind(a Address) error {
	if err := e.tls.Allows(a); err != nil {
		return err
	}
	l, err := a.Listen()
	if err != nil {
		return err
	}
	e.bound = append(e.bound, door{bound(l, a), l, false})
	return nil
}

// serve lets clients in to dev. When the only client has gone, it calls gone.
func (e *exports) serve(dev block.Device, gone func()) {
	x := nbd.Export{Name: e.name, Description: "graid array " + e.name, Dev: dev}
	e.server.List = func() []nbd.Export { return []nbd.Export{x} }
	if e.single != nil {
		go func() {
			e.server.ServeConn(e.single)
			gone()
		}()
	}
	for _, d := range e.bound {
		go func() {
			if err := e.server.Serve(d.listener); err != nil {
				e.log.Error("serving ended", "address", d.at.At, "err", err)
			}
		}()
	}
}

// clients is how many connections are open on all addresses.
func (e *exports) clients() int {
	n := 0
	for _, c := range e.server.Clients() {
		n += c.Connections
	}
	return n
}

func (e *exports) describe(readonly bool) []Export {
	list := []Export{}
	n := e.clients()
	for _, d := range e.bound {
		list = append(list, Export{URI: d.at.URI(e.name, e.tls.required()), Clients: n, ReadOnly: readonly})
	}
	return list
}

// close answers what is in flight, cuts every client and takes the sockets away. It may be called before serve.
func (e *exports) close() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := e.server.Shutdown(ctx); err != nil {
		e.log.Warn("clients were cut off", "err", err)
	}
	for _, d := range e.bound {
		d.listener.Close()
		if d.at.Network == "unix" && !d.handed {
			os.Remove(d.at.At)
		}
	}
}
