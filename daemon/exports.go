package daemon

import (
	"context"
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
	server *nbd.Server
	bound  []door // complete before serve
}

// door is one address and who listens there.
type door struct {
	at       Address
	listener net.Listener
}

func newExports(name string, log *slog.Logger) *exports {
	return &exports{name: name, log: log, server: &nbd.Server{Log: log}}
}

// bind takes the address; clients that come before serve wait.
func (e *exports) bind(a Address) error {
	l, err := a.Listen()
	if err != nil {
		return err
	}
	e.bound = append(e.bound, door{bound(l, a), l})
	return nil
}

// serve lets clients in to dev.
func (e *exports) serve(dev block.Device) {
	x := nbd.Export{Name: e.name, Description: "graid array " + e.name, Dev: dev}
	e.server.List = func() []nbd.Export { return []nbd.Export{x} }
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
		list = append(list, Export{URI: d.at.URI(e.name), Clients: n, ReadOnly: readonly})
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
		if d.at.Network == "unix" {
			os.Remove(d.at.At)
		}
	}
}
