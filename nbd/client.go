package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/sched"
)

// Options of a Client. The zero value works.
type Options struct {
	ReadOnly    bool // refuse changes even if the server would take them
	Connections int  // at most, if the server allows several. Default 1.
	Depth       int  // requests in flight on one connection. Default 128.

	Timeout   time.Duration // for a server that is connected to answer one request. Default 30 s.
	Handshake time.Duration // from dialling to an open export. Default 10 s.
	Reconnect time.Duration // that requests wait for a lost connection to come back; negative = not at all. Default 10 s.
	Silence   time.Duration // that what was sent over TCP may stay unacknowledged, and an idle peer unheard. Default 10 s.

	// Verify says whether a new connection, the first one too, leads to the device that is meant. Without it the size must be the same.
	Verify func(ctx context.Context, dev block.Device) error
	// Trust has a reconnected server believed to be the one that was lost, with all that it acknowledged, and writes sent to it again that may
	// land twice, as the Linux client and qemu do. Without it a server that cannot prove this is Gone as soon as something could be lost.
	Trust bool

	Source    string      // address to connect from
	Interface string      // network interface to connect through (Linux)
	Multipath bool        // use MPTCP where both ends have it
	TLS       *tls.Config // for nbds; the URI's certificates come on top
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)

	Sched sched.Sched // nil is sched.Real
}

func (o Options) withDefaults() Options {
	set(&o.Connections, 1)
	set(&o.Depth, 128)
	o.Depth = min(o.Depth, maxDepth)
	set(&o.Timeout, 30*time.Second)
	set(&o.Handshake, 10*time.Second)
	set(&o.Reconnect, 10*time.Second)
	set(&o.Silence, 10*time.Second)
	if o.Sched == nil {
		o.Sched = sched.Real
	}
	return o
}

// Limits of a client that are not configurable.
const (
	maxDepth       = 1 << 12
	maxConnections = 16
	maxPayload     = 32 << 20 // of a server that does not say how much it takes: the protocol's advice
	maxRange       = 1 << 30  // of a request without payload, bytes
	maxDoubts      = 4096
)

// Client is an export of an NBD server as a Device. Any number of requests are in flight at once.
//
// A request is answered, or fails with a Path error when its time is over; the memory of its buffer is the client's until then and no
// longer, whatever arrives late. Connections that are lost come back when requests want them. Requests are sent again only where that
// is safe: reads always; changes, and on with what was acknowledged but never flushed, only if the server proves that it is the same
// instance and that what it was sent before cannot land any more.
type Client struct {
	uri   URI
	opt   Options
	s     sched.Sched
	info  block.Info
	caps  export // what the server said first
	gate  *sched.Gate
	tasks *sched.Group
	calls sync.Pool // *call

	links   []atomic.Pointer[link] // nil = not connected
	probing atomic.Pointer[link]   // whose device is being verified
	width   int                    // how many of the links are used; constant once the first is up
	turn    atomic.Uint32
	serial  atomic.Uint64 // of the last link

	life context.Context // until Close
	end  context.CancelFunc

	busy    atomic.Int64 // calls under way
	resting atomic.Bool  // the watch sleeps
	rouse   sched.Event  // wakes it
	clock   atomic.Int64 // ns, as of the watch's last look

	changed atomic.Int64 // changes that were acknowledged and not durable then
	flushed atomic.Int64 // how many of them a flush made durable

	mu       sync.Mutex // guards what follows; never held across a wait
	waiting  []*call    // for a connection
	dialing  bool
	closed   bool
	lastErr  error    // of the last attempt to connect, or why the last connection was lost
	attempts int      // in a row that failed
	retryAt  int64    // on the clock: not before then, unless somebody waits
	gone     error    // why it never comes back
	instance [16]byte // of the server last connected to, if that is one of graid's
	doubts   []Doubt
	vague    bool // there were too many doubts to tell them apart
	rng      *rand.Rand
	wakeDial sched.Event
}

// Dial connects to the export that a URI names.
func Dial(ctx context.Context, uri string, o Options) (*Client, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	return Open(ctx, u, o)
}

// Open connects to an export.
func Open(ctx context.Context, u URI, o Options) (*Client, error) {
	o = o.withDefaults()
	if o.Connections < 0 || o.Connections > maxConnections {
		return nil, fmt.Errorf("%s: %d connections: give 1 to %d", u, o.Connections, maxConnections)
	}
	c := &Client{
		uri: u, opt: o, s: o.Sched, gate: sched.NewGate(o.Sched), tasks: sched.NewGroup(o.Sched),
		links: make([]atomic.Pointer[link], o.Connections), width: 1,
		rouse: o.Sched.NewEvent(), wakeDial: o.Sched.NewEvent(),
	}
	c.life, c.end = context.WithCancel(context.Background())
	wall := uint64(c.s.Wall().UnixNano())
	c.rng = rand.New(rand.NewPCG(wall, wall>>17))
	c.calls.New = func() any { return &call{wake: c.s.NewEvent()} }
	c.clock.Store(int64(c.s.Now()))
	c.tasks.Go(c.watch)
	l, err := c.dial(ctx, 0)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.install(l)
	if l.export.can(exportMultiConn) || l.export.can(exportReadOnly) {
		c.width = len(c.links)
	}
	for i := 1; i < c.width; i++ { // what does not come about now is tried again when there is need
		if l, err := c.dial(ctx, i); err == nil {
			c.install(l)
		}
	}
	return c, nil
}

// dial makes connection number i and learns, or checks, what is behind it.
func (c *Client) dial(ctx context.Context, i int) (*link, error) {
	nc, err := c.connect(ctx)
	if err != nil {
		return nil, c.named(fmt.Errorf("cannot be reached: %w", err))
	}
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(past) })() // a caller who gives up is not kept waiting
	nc.SetDeadline(c.s.Wall().Add(c.opt.Handshake))
	l := newLink(c, i, nc)
	if err := l.handshake(); err != nil {
		l.nc.Close()
		return nil, c.named(err)
	}
	l.nc.SetDeadline(time.Time{})
	if c.info.Size == 0 {
		err = c.learn(l)
	} else {
		err = c.same(l)
	}
	if err != nil {
		l.nc.Close()
		return nil, c.named(err)
	}
	l.open()
	if c.opt.Verify != nil {
		c.probing.Store(l)
		err := c.opt.Verify(ctx, &probe{l})
		c.probing.Store(nil)
		if err != nil {
			l.die(errReplaced)
			return nil, c.named(err)
		}
	}
	if err := ctx.Err(); err != nil {
		l.die(err)
		return nil, c.named(err)
	}
	return l, nil
}

func (c *Client) named(err error) error { return fmt.Errorf("%s: %w", c.uri, err) }

// learn makes what the first server says the truth about the device.
func (c *Client) learn(l *link) error {
	e := l.export
	unit := int64(max(e.least, 1))
	size := int64(e.size) / unit * unit
	if size <= 0 {
		return fmt.Errorf("an export of %d bytes is none that can be used", e.size)
	}
	c.caps = e
	c.info = block.Info{
		Name: c.uri.Short(), Size: size, Block: unit, Optimal: int64(e.preferred),
		Writable: !e.can(exportReadOnly) && !c.opt.ReadOnly, Discard: e.can(exportTrim), Zeroes: e.can(exportWriteZeroes),
	}
	return nil
}

// same refuses a server that is not as the first one was: an address may come to mean another device.
func (c *Client) same(l *link) error {
	e, old := l.export, c.caps
	switch {
	case e.size != old.size:
		return fmt.Errorf("%w: the export had %d bytes and has %d now", errReplaced, old.size, e.size)
	case e.least > old.least || e.most < old.most:
		return fmt.Errorf("%w: the export takes blocks of %d to %d bytes now, and took %d to %d", errReplaced, e.least, e.most, old.least, old.most)
	case e.flags&exportReadOnly != old.flags&exportReadOnly && c.info.Writable:
		return fmt.Errorf("%w: the export is read-only now", errReplaced)
	case needed(old.flags)&^e.flags != 0:
		return fmt.Errorf("%w: the export lacks what it could do before (flags %#x, and %#x now)", errReplaced, old.flags, e.flags)
	}
	return nil
}

// needed are the flags that requests rely on.
func needed(flags uint16) uint16 {
	return flags & (exportFlush | exportFUA | exportTrim | exportWriteZeroes | exportFastZero)
}

// Info is what the server said when it was connected to first.
func (c *Client) Info() block.Info { return c.info }

// URI is what the client connects to.
func (c *Client) URI() URI { return c.uri }

// Connected is how many connections there are now.
func (c *Client) Connected() (n int) {
	for i := range c.links {
		if l := c.links[i].Load(); l != nil && !l.lost() {
			n++
		}
	}
	return n
}

// Width is how many connections there are when none is lost.
func (c *Client) Width() int { return c.width }

// Close waits for requests in flight, which end by being answered or by their deadlines, and takes leave of the server.
func (c *Client) Close() error {
	if !c.gate.Close() {
		return nil
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.wakeDial.Set()
	c.rouse.Set()
	for i := range c.links {
		if l := c.links[i].Load(); l != nil {
			l.leave()
		}
	}
	c.tasks.Wait()
	return nil
}

// Do performs r.
func (c *Client) Do(ctx context.Context, r block.Request) error {
	if err := c.do(ctx, r); err != nil {
		return block.Blame(c.info.Name, r, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, r block.Request) error {
	if err := c.info.Check(r); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !c.gate.Enter() {
		return block.ErrClosed
	}
	defer c.gate.Leave()
	if r.Flags&block.NoWait != 0 && (r.Op == block.Read || r.Op == block.Write) {
		return block.ErrWouldBlock
	}
	return c.obey(r)
}

// obey turns a request that was checked into commands of the protocol.
func (c *Client) obey(r block.Request) error {
	var flags uint16
	durable := r.Flags&block.FUA != 0 && r.Len > 0
	if durable && c.caps.can(exportFUA) {
		flags, durable = cmdFUA, false
	}
	var err error
	switch r.Op {
	case block.Read:
		return c.pieces(r, cmdRead, 0)
	case block.Flush:
		return c.flush()
	case block.Write:
		err = c.pieces(r, cmdWrite, flags)
	case block.Discard:
		if !c.caps.can(exportTrim) {
			return nil
		}
		err = c.pieces(r, cmdTrim, flags)
	case block.WriteZeroes:
		err = c.zero(r, flags)
	}
	if err == nil && durable {
		return c.flush()
	}
	return err
}

// pieces performs r in as few commands as the server takes.
func (c *Client) pieces(r block.Request, cmd, flags uint16) error {
	most := int64(maxRange)
	if r.Buf != nil {
		most = int64(c.caps.most)
	}
	for done := int64(0); done < r.Len; done += most {
		p := r.Slice(done, min(done+most, r.Len))
		if err := c.perform(order{cmd: cmd, flags: flags, off: p.Off, len: p.Len, buf: p.Buf}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) zero(r block.Request, flags uint16) error {
	fast := r.Flags&block.Fast != 0
	switch {
	case fast && !c.caps.can(exportFastZero):
		return block.ErrUnsupported
	case !c.caps.can(exportWriteZeroes):
		for done := int64(0); done < r.Len; {
			n := min(r.Len-done, int64(len(zeroes)), int64(c.caps.most))
			if err := c.perform(order{cmd: cmdWrite, flags: flags, off: r.Off + done, len: n, buf: zeroes[:n]}, nil); err != nil {
				return err
			}
			done += n
		}
		return nil
	}
	if fast {
		flags |= cmdFastZero
	}
	if r.Flags&block.NoHole != 0 {
		flags |= cmdNoHole
	}
	return c.pieces(r, cmdWriteZeroes, flags)
}

// zeroes is what is written to servers that cannot zero by themselves. It is a multiple of every block size that makes sense.
var zeroes [1 << 20]byte

// flush makes durable what was acknowledged before it. A server without the command has nothing to flush.
func (c *Client) flush() error {
	if !c.caps.can(exportFlush) {
		return nil
	}
	before := c.changed.Load()
	if err := c.perform(order{cmd: cmdFlush}, nil); err != nil {
		return err
	}
	for {
		old := c.flushed.Load()
		if old >= before || c.flushed.CompareAndSwap(old, before) {
			return nil
		}
	}
}

// dirty says whether something was acknowledged that a server which starts anew may have lost.
func (c *Client) dirty() bool { return c.changed.Load() > c.flushed.Load() }

// perform has an order carried out, on whatever connection, as often as that is safe.
func (c *Client) perform(o order, list *[]block.Extent) error {
	k := c.calls.Get().(*call)
	defer c.calls.Put(k)
	c.enter()
	defer c.busy.Add(-1)
	k.begin(o, list, c.clock.Load()+int64(c.opt.Timeout))
	for {
		l, err := c.pick(k)
		if err != nil {
			return err
		}
		if err = l.carry(k); !errors.Is(err, errLost) {
			return err
		}
		if k.sent && o.changes() && !c.opt.Trust && !c.settled(l, k.due) {
			return err
		}
	}
}

// enter counts a call in, and sees to it that somebody looks after its deadline.
func (c *Client) enter() {
	c.busy.Add(1)
	if c.resting.CompareAndSwap(true, false) {
		c.clock.Store(int64(c.s.Now()))
		c.rouse.Set()
	}
}
