package nbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"graid/sched"
)

// Reasons to end a connection in good order.
var (
	errDisconnect = errors.New("client disconnected")
	errDrained    = errors.New("server shut down")
)

// past is a deadline that has passed: it wakes a reader.
var past = time.Unix(1, 0)

// conn is one client. Its fields belong to the task that reads, unless they say otherwise.
type conn struct {
	srv  *Server
	raw  net.Conn // as it was accepted
	nc   net.Conn // raw, or TLS on it; changes in the handshake, and others than the reader do with raw
	lim  Limits
	ctx  context.Context
	in   inbox
	vol  *volume // nil until the handshake is over
	peer Peer

	lower *lower // under TLS; nil without

	answer     []byte // of the handshake, not yet sent
	listed     int    // names told by LIST
	noZeroes   bool
	structured bool
	allocation bool // base:allocation was chosen
	metaName   string
	rules      rules // of the export

	joined    []request // writes that are carried out as one; memory for that
	batch     *slot     // replies answered in place, gathered; nil while there is none
	batchLen  int       // of the next one
	out       int       // bytes of batch.mem that are replies
	flushFunc func()
	misses    atomic.Int32 // large reads since the last that was a hole

	tasks    *sched.Group // workers and the outbox's drain
	outbox   outbox
	workers  workers
	budget   budget
	draining atomic.Bool
	paused   atomic.Bool           // what it asked is not begun any more: it is older than a pause of the process, or fenced
	reason   atomic.Pointer[error] // why it was cut
	opened   bool                  // vol is set; guarded by srv.mu

	sessionID uint64        // 0 = it is none
	fencing   []sched.Event // of those of its requests that wait for the end of other sessions; guarded by srv.mu
}

func newConn(s *Server, nc net.Conn) *conn {
	t := s.sched()
	c := &conn{srv: s, raw: nc, nc: nc, lim: s.Limits.withDefaults(), ctx: context.Background(), tasks: sched.NewGroup(t), peer: peerOf(nc), batchLen: leanLen}
	c.in = inbox{nc: nc, buf: make([]byte, 4096)}
	c.outbox = outbox{c: c, sock: socket{nc: nc, s: t, stall: c.lim.Stall}}
	c.budget = budget{requests: c.lim.Requests, bytes: c.lim.Bytes, quiet: c.quiet, room: t.NewEvent()}
	c.workers = workers{tasks: c.tasks, sched: t, max: c.lim.Workers, run: func(s *slot) { c.work(s, 0) }}
	c.flushFunc = c.flush
	return c
}

// run is the life of a connection.
func (c *conn) run() {
	defer c.srv.ended(c)
	err := c.talk()
	switch {
	case err == nil, errors.Is(err, errDisconnect), errors.Is(err, errDrained), errors.Is(err, io.EOF):
		c.flush() // what was asked is answered before the connection ends
	default:
		c.cut(err)
	}
	c.workers.stop()
	c.tasks.Wait()
	c.nc.Close()
	if c.batch != nil {
		c.batch.recycle()
	}
	if c.vol != nil {
		c.srv.release(c.vol)
	}
	c.report(err)
}

// talk goes through both phases and returns why it ended.
func (c *conn) talk() error {
	defer c.contain()
	c.raw.SetDeadline(c.srv.sched().Wall().Add(c.lim.Handshake))
	if c.draining.Load() {
		return errDrained
	}
	if err := c.handshake(); err != nil {
		return err
	}
	c.raw.SetDeadline(time.Time{})
	if c.lower != nil {
		c.lower.stall = c.lim.Stall
	}
	c.in.grow(leanLen)
	c.in.most = inboxLen
	c.outbox.sock.open()
	c.srv.opened(c)
	if c.draining.Load() {
		return errDrained
	}
	return c.serve()
}

// fill makes sure that n bytes are buffered. Before it waits, what was answered leaves.
func (c *conn) fill(n int) error {
	for c.in.buffered() < n {
		c.flush()
		if err := c.in.more(n); err != nil {
			if err = c.interrupted(err); err != nil {
				return err
			}
		}
		if c.srv.pulse.slept() > 0 && c.resumed() {
			return errPaused
		}
	}
	return nil
}

// full fills p from what is buffered and then from the socket, without a copy between.
func (c *conn) full(p []byte) error {
	p = p[c.in.take(p):]
	if len(p) > 0 {
		c.flush()
	}
	for len(p) > 0 {
		n, err := c.nc.Read(p)
		p = p[n:]
		if n == 0 && err != nil {
			if err = c.interrupted(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// skip reads past n bytes.
func (c *conn) skip(n int64) error {
	for n > 0 {
		if err := c.fill(1); err != nil {
			return err
		}
		m := min(n, int64(c.in.buffered()))
		c.in.next(int(m))
		n -= m
	}
	return nil
}

// interrupted says what a failed read means: nothing if it was only a shutdown that woke the reader, and requests are
// still in flight; the last of them wakes it again.
func (c *conn) interrupted(err error) error {
	if c.vol == nil || !c.draining.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if !c.budget.idle() {
		c.raw.SetReadDeadline(time.Time{})
		if !c.budget.idle() {
			return nil
		}
	}
	return errDrained
}

// drain is called by Shutdown: from now on requests are refused, and the connection ends when none is in flight.
func (c *conn) drain() {
	c.draining.Store(true)
	c.raw.SetReadDeadline(past)
}

// quiet is called when the last request in flight has ended.
func (c *conn) quiet() {
	if c.draining.Load() {
		c.raw.SetReadDeadline(past)
	}
}

// flush sends the replies gathered in the batch.
func (c *conn) flush() {
	if c.out == 0 {
		return
	}
	b := c.batch.mem[:c.out]
	c.out = 0
	if c.outbox.sendBatch(b, c.batch) {
		c.batch = nil
		c.budget.settle() // a client that takes no replies is not read from either
	}
}

// room is memory for a reply of n bytes in the batch; advance c.out to keep it.
func (c *conn) room(n int) []byte {
	if c.batch == nil || c.out+n > len(c.batch.mem) {
		c.widen(n)
	}
	return c.batch.mem[c.out : c.out+n : c.out+n]
}

// widen sends what was gathered and has room for n bytes more. Who has filled the small batch gets a large one from then on.
func (c *conn) widen(n int) {
	if c.batch != nil || n > leanLen {
		c.batchLen = batchLen
	}
	c.flush()
	if c.batch != nil && len(c.batch.mem) < c.batchLen {
		c.batch.recycle()
		c.batch = nil
	}
	if c.batch == nil {
		c.batch = newSlot(c, c.batchLen)
	}
}

// cut ends the connection at once. The first reason given is the one that is logged.
func (c *conn) cut(err error) {
	c.reason.CompareAndSwap(nil, &err)
	c.raw.Close()
}

// contain keeps a bug to the connection that met it.
func (c *conn) contain() {
	if v := recover(); v != nil {
		c.bug(v)
	}
}

func (c *conn) bug(v any) {
	c.srv.panics.Add(1)
	c.log().Error("bug in serving a client; its connection is closed", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.cut(fmt.Errorf("panic: %v", v))
}

func (c *conn) report(err error) {
	if r := c.reason.Load(); r != nil {
		err = *r
	}
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
	case errors.Is(err, errDisconnect), errors.Is(err, errDrained), errors.Is(err, errAborted):
	default:
		c.log().Warn("closed a connection", "err", err)
	}
}

func (c *conn) log() *slog.Logger { return c.srv.log().With("client", c.peer.String()) }
