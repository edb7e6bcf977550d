package multipath

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"graid/block"
	"graid/sched"
	"graid/sim"
)

// medium is what servers share. Each block is what was made durable, and what the machine of the servers caches on top of it.
type medium struct {
	w      *sim.World
	data   []byte
	cache  map[int64][]byte // by block: lost when the machine of all servers loses power
	fenced map[string]bool  // sessions of which nothing is executed any more
	bad    map[int64]bool   // blocks that cannot be read
}

const unit = 512

// server serves a medium. It is graid's own if it tells who it is: then it has sessions that can be fenced, a cache of its own that dies with it,
// and drops its sessions after a pause. Any other executes what it has received, however late.
type server struct {
	m       *medium
	x       *world
	name    string
	tells   bool
	private bool // caches writes itself
	full    bool // has no room for writes
	run     int
	dead    bool
	paused  bool
	gate    []sched.Event // requests that arrived during a pause
	cache   map[int64][]byte
	serial  int
	wires   []*wire
	runs    map[string]int // by session
	h       *sim.Host
	done    int // requests executed
}

func (s *server) instance() string {
	if !s.tells {
		return ""
	}
	return fmt.Sprintf("%s/%d", s.name, s.run)
}

// link is one way to a server.
type link struct {
	w       *sim.World
	h       *sim.Host
	s       *server
	rng     *rand.Rand
	latency time.Duration
	spread  time.Duration
	down    bool // nothing gets through
	half    bool // replies do not
	refuse  bool // connects fail
	loss    int  // one request in so many is lost
	open    int  // sessions
}

// wire is a session over a link: a block.Device.
type wire struct {
	l       *link
	id      string
	run     string
	reset   bool
	closed  bool
	waiting []*call
	dead    time.Duration // its deadline
}

// call is a request on its way.
type call struct {
	e    sched.Event
	over bool
	err  error
	data []byte
}

func (l *link) dial(context.Context) (block.Device, error) {
	l.h.Sleep(2 * l.latency)
	if l.down || l.half || l.refuse || l.s.dead || l.s.paused {
		l.h.Sleep(time.Second)
		return nil, fmt.Errorf("dial %s: %w", l.s.name, block.ErrPath)
	}
	l.s.serial++
	l.open++
	w := &wire{l: l, id: fmt.Sprintf("%s#%d", l.s.name, l.s.serial), run: l.s.instance(), dead: 40 * time.Second}
	l.s.wires = append(l.s.wires, w)
	l.s.runs[w.id] = l.s.run
	return w, nil
}

func (w *wire) Info() block.Info {
	return block.Info{Name: w.id, Size: int64(len(w.l.s.m.data)), Block: unit, Writable: true, Discard: true, Zeroes: true}
}

func (w *wire) Session() string {
	if w.l.s.tells {
		return w.id
	}
	return ""
}
func (w *wire) Lease() time.Duration { return w.l.s.x.lease }
func (w *wire) Instance() string     { return w.run }

func (w *wire) Close() error {
	w.l.open--
	w.closed = true // nobody hears what comes now
	return nil
}

// Do sends r with a copy of its memory, and waits for the answer until the deadline.
func (w *wire) Do(_ context.Context, r block.Request) error {
	data := append([]byte(nil), r.Buf...)
	c, err := w.exchange(func(c *call) { c.data, c.err = w.l.s.execute(w, r, data) })
	if err == nil && r.Op == block.Read {
		copy(r.Buf, c.data)
	}
	return err
}

func (w *wire) Fence(_ context.Context, session string) error {
	_, err := w.exchange(func(*call) {
		w.l.s.h.Sleep(w.l.s.x.fencing)
		w.l.s.fence(session)
	})
	return err
}

func (w *wire) exchange(do func(c *call)) (*call, error) {
	l := w.l
	if w.reset {
		return nil, fmt.Errorf("reset: %w", block.ErrPath)
	}
	c := &call{e: l.h.NewEvent()}
	w.waiting = append(w.waiting, c)
	if !l.down && (l.loss == 0 || l.rng.IntN(l.loss) > 0) {
		go_, back := l.takes(), l.takes()
		l.s.h.Go(func() {
			l.s.h.Sleep(go_)
			if l.down {
				return // lost on the way
			}
			if !l.s.admit(w) {
				return
			}
			do(c)
			l.s.h.Sleep(back)
			if !l.down && !l.half && !c.over && !w.closed {
				c.over = true
				c.e.Set()
			}
		})
	}
	answered := c.e.WaitFor(w.dead)
	for i, x := range w.waiting {
		if x == c {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			break
		}
	}
	if !answered {
		c.over = true
		return nil, fmt.Errorf("deadline: %w", block.ErrPath)
	}
	return c, c.err
}

func (l *link) takes() time.Duration {
	return l.latency + time.Duration(l.rng.Int64N(int64(l.spread)+1))
}

// admit waits while the server is paused, and says whether it then still executes what w sent.
func (s *server) admit(w *wire) bool {
	run := s.run
	for s.paused {
		e := s.h.NewEvent()
		s.gate = append(s.gate, e)
		e.Wait()
	}
	return !s.dead && !w.reset && run == s.run && (!s.tells || !s.m.fenced[w.id])
}

// execute does what arrived.
func (s *server) execute(w *wire, r block.Request, data []byte) ([]byte, error) {
	s.done++
	cache := s.m.cache
	if s.private {
		cache = s.cache
	}
	switch r.Op {
	case block.Flush:
		s.destage(cache)
		return nil, nil
	case block.Read:
		out := make([]byte, r.Len)
		for off := r.Off; off < r.End(); off += unit {
			if s.m.bad[off] {
				return nil, block.ErrMedia
			}
			from := s.m.data[off:]
			if c, ok := s.m.cache[off]; ok {
				from = c
			}
			if c, ok := s.cache[off]; ok {
				from = c
			}
			copy(out[off-r.Off:][:unit], from)
		}
		return out, nil
	}
	if s.full {
		return nil, block.ErrNoSpace
	}
	if r.Op != block.Write {
		data = make([]byte, r.Len)
	}
	for off := r.Off; off < r.End(); off += unit {
		b := append([]byte(nil), data[off-r.Off:][:unit]...)
		delete(s.m.bad, off)
		if r.Flags&block.FUA != 0 {
			copy(s.m.data[off:], b)
			delete(cache, off)
			continue
		}
		cache[off] = b
	}
	return nil, nil
}

func (s *server) destage(cache map[int64][]byte) {
	for off, b := range cache {
		copy(s.m.data[off:], b)
	}
	clear(cache)
}

// fence ends a session for good. One of another server ends that server's run with it: what it cached is never written.
func (s *server) fence(session string) {
	s.m.fenced[session] = true
	for _, o := range s.x.servers {
		if run, known := o.runs[session]; known && o != s && run == o.run {
			o.forget()
		}
	}
}

// forget ends a run of the server: who was connected is no longer, and what it cached is lost.
func (s *server) forget() {
	s.run++
	clear(s.cache)
	s.drop()
}

// drop resets every session.
func (s *server) drop() {
	for _, w := range s.wires {
		w.reset = true
		for _, c := range w.waiting {
			if !c.over {
				c.over = true
				c.err = fmt.Errorf("reset by the server: %w", block.ErrPath)
				c.e.Set()
			}
		}
	}
	s.wires = nil
}

func (s *server) pause() { s.paused = true }

// resume goes on. A server of graid's notices, and drops what it has not read.
func (s *server) resume() {
	if !s.paused {
		return
	}
	s.paused = false
	if s.tells {
		s.forget()
	}
	for _, e := range s.gate {
		e.Set()
	}
	s.gate = nil
}

// kill ends the server's process; begin starts another.
func (s *server) kill() {
	s.dead = true
	s.resume()
	s.forget()
}
func (s *server) begin() { s.dead = false }

// world is a map over servers in a world.
type world struct {
	w       *sim.World
	h       *sim.Host
	m       *medium
	servers []*server
	links   []*link
	rng     *rand.Rand
	lease   time.Duration // of sessions
	fencing time.Duration // what it takes
}

func newWorld(seed uint64, blocks int64) *world {
	w := sim.New(seed)
	x := &world{w: w, h: w.Host("map"), rng: w.Rand("world", "faults")}
	x.m = &medium{w: w, data: make([]byte, blocks*unit), cache: map[int64][]byte{}, fenced: map[string]bool{}, bad: map[int64]bool{}}
	return x
}

func (x *world) close() { x.w.Close() }

func (x *world) server(tells, private bool) *server {
	s := &server{m: x.m, x: x, name: string(rune('A' + len(x.servers))), tells: tells, private: private, cache: map[int64][]byte{}, runs: map[string]int{}}
	s.h = x.w.Host(s.name)
	x.servers = append(x.servers, s)
	return s
}

func (x *world) link(s *server) *link {
	name := fmt.Sprintf("link%d", len(x.links))
	l := &link{w: x.w, h: x.h, s: s, rng: x.w.Rand(name, "link"), latency: 500 * time.Microsecond, spread: time.Millisecond}
	x.links = append(x.links, l)
	return l
}

// paths are the links as paths, the first of the highest priority if ranked.
func (x *world) paths(ranked bool) []Path {
	var list []Path
	for i, l := range x.links {
		p := Path{Name: fmt.Sprintf("p%d", i), Host: l.s.name, Open: l.dial}
		if ranked {
			p.Priority = 10 * (len(x.links) - i)
		}
		list = append(list, p)
	}
	return list
}
