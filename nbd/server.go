package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/sched"
)

// Server serves exports to any number of clients on any number of listeners. The zero value serves nothing, correctly.
type Server struct {
	// Exports finds the export that a client names; nil and no error when there is none. It is asked during each
	// handshake, so exports may come and go. Without it, List is searched and "" is the first of it.
	Exports func(name string) (*Export, error)
	// List is what clients that ask for a list are told; without it they are told that listing is not allowed.
	List func() []Export

	// TLS has clients go on encrypted, from 1.2 on; it has the server's certificate, and says whether clients need one. Without it
	// there is no TLS. It is not changed.
	TLS *tls.Config
	// TLSOptional lets clients go on without TLS too, to the exports that are not for TLS alone.
	TLSOptional bool
	// Access is what a client may do with an export; without it, all that the export lets anybody do. It is asked in each
	// handshake, about the name that the export has.
	Access func(p Peer, export string) Access
	// Admit refuses clients before they are greeted, by what their connection tells. Without it all are let in.
	Admit func(p Peer) error

	Limits Limits
	Log    *slog.Logger // what went wrong with connections; nil discards
	Sched  sched.Sched  // nil is sched.Real

	panics atomic.Int64
	pulse  *pulse // set before the first connection runs
	total  *pool  // what all connections have in flight; set before the first is made

	mu        sync.Mutex // guards what follows; never held across a wait
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	wrapped   map[block.Device]*wrapper
	young     []*conn // in their handshake, the oldest first
	clients   map[string]*pool
	sessions  sessions
	stopping  bool
	beating   bool        // the pulse's task runs
	alone     sched.Event // its to wait for: set when the last connection has gone
	empty     sched.Event // set when the last connection has gone while stopping
}

// ClientInfo counts the connections of one export.
type ClientInfo struct {
	Export      string
	Connections int
}

// Serve accepts clients on l until Shutdown or Close, and then returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.listen(l) {
		return nil
	}
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.start(nc)
		case !s.listening(l):
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept nbd clients on %s: %w", l.Addr(), err)
		default:
			// Out of descriptors, or a client that left at once: both pass.
			s.log().Warn("accept", "address", l.Addr().String(), "err", err)
			s.sched().Sleep(50 * time.Millisecond)
		}
	}
}

// Shutdown stops accepting, refuses new requests with ESHUTDOWN, lets those in flight finish and be answered, and closes
// every connection. When ctx is done first it does what Close does and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.drain()
	}
	defer context.AfterFunc(ctx, s.event().Set)()
	for s.connected() {
		if err := ctx.Err(); err != nil {
			s.Close()
			return fmt.Errorf("drain nbd clients: %w", err)
		}
		s.event().Wait()
	}
	return nil
}

// Close stops accepting and cuts every connection. Requests in flight end on their devices, unanswered; it does not
// wait for them.
func (s *Server) Close() error {
	for _, c := range s.stop() {
		c.raw.Close()
	}
	return nil
}

// Clients are the connections that are past their handshake, by export name.
func (s *Server) Clients() []ClientInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[string]int{}
	for c := range s.conns {
		if c.opened {
			count[c.vol.Name]++
		}
	}
	list := make([]ClientInfo, 0, len(count))
	for name, n := range count {
		list = append(list, ClientInfo{Export: name, Connections: n})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Export < list[j].Export })
	return list
}

// Panics counts connections that were closed because answering them went wrong in a way that is a bug.
func (s *Server) Panics() int64 { return s.panics.Load() }

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if s.listeners == nil {
		s.listeners = map[net.Listener]bool{}
	}
	s.listeners[l] = true
	return true
}

func (s *Server) listening(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listeners[l]
}

// start gives nc a task of its own, if there is room for one more.
func (s *Server) start(nc net.Conn) {
	if c := s.admit(nc); c != nil {
		s.sched().Go(c.run)
	}
}

// ServeConn serves one client, on a connection that it closes, until the client has gone or Shutdown or Close is called.
func (s *Server) ServeConn(nc net.Conn) {
	if c := s.admit(nc); c != nil {
		c.run()
	}
}

// admit makes nc a connection, or closes it if there are too many or it is not let in.
func (s *Server) admit(nc net.Conn) *conn {
	c := newConn(s, nc)
	if s.Admit != nil {
		if err := s.Admit(c.peer); err != nil {
			s.log().Warn("refused a client", "client", c.peer.String(), "err", err)
			nc.Close()
			return nil
		}
	}
	s.mu.Lock()
	if old := s.outlived(); old != nil {
		s.mu.Unlock()
		s.drop(old)
		s.mu.Lock()
	}
	full := len(s.conns) >= c.lim.Connections
	if full || s.stopping {
		s.mu.Unlock()
		if full {
			s.log().Warn("refused a client: too many connections", "limit", c.lim.Connections, "client", c.peer.String())
		}
		nc.Close()
		return nil
	}
	if s.conns == nil {
		s.conns, s.clients, s.total = map[*conn]bool{}, map[string]*pool{}, &pool{limit: c.lim.ServerBytes}
	}
	s.conns[c] = true
	c.budget.pools = [2]*pool{s.client(c.peer.key(), c.lim.ClientBytes), s.total}
	s.beats(c.lim.Pause)
	var oldest *conn
	if s.young = append(s.young, c); len(s.young) > c.lim.Handshakes {
		oldest = s.young[0]
		s.young = s.young[1:]
	}
	s.mu.Unlock()
	if oldest != nil {
		oldest.cut(errCrowd)
	}
	watch(nc, c.lim.Silence)
	return c
}

// client is the pool of all connections of one client, with one user more. s.mu is held.
func (s *Server) client(key string, limit int64) *pool {
	p := s.clients[key]
	if p == nil {
		p = &pool{limit: limit}
		s.clients[key] = p
	}
	p.users++
	return p
}

// forget takes a user off a pool. s.mu is held.
func (s *Server) forget(p *pool, key string) {
	if p.users--; p.users == 0 {
		delete(s.clients, key)
	}
}

// known has c count as the client that it turned out to be. Nothing is in flight.
func (s *Server) known(c *conn, p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(c.budget.pools[0], c.peer.key())
	c.peer = p
	c.budget.pools[0] = s.client(p.key(), c.lim.ClientBytes)
}

// grown takes c out of those that are in their handshake. s.mu is held.
func (s *Server) grown(c *conn) {
	if i := slices.Index(s.young, c); i >= 0 {
		s.young = slices.Delete(s.young, i, i+1)
	}
}

func (s *Server) opened(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.opened = true
	s.grown(c)
}

func (s *Server) ended(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.sessions.discharge(c)
	s.grown(c)
	s.forget(c.budget.pools[0], c.peer.key())
	if len(s.conns) > 0 {
		return
	}
	s.alone.Set()
	if s.stopping {
		s.empty.Set()
	}
}

// stop closes the listeners and says who is still connected.
func (s *Server) stop() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.empty == nil {
		s.empty = s.sched().NewEvent()
	}
	for l := range s.listeners {
		l.Close()
		delete(s.listeners, l)
	}
	return slices.Collect(maps.Keys(s.conns))
}

func (s *Server) event() sched.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.empty
}

func (s *Server) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0
}

func (s *Server) sched() sched.Sched {
	if s.Sched == nil {
		return sched.Real
	}
	return s.Sched
}

var discard = slog.New(slog.DiscardHandler)

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return discard
	}
	return s.Log
}
