package crash

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"graid/block"
	"graid/raid"
	"graid/sched"
)

// A history is words, one request or step each, one after another:
//
//	a b c d e f g   writes: of one sector, within a chunk, across two, a stripe, across two stripes, a chunk, and one that overlaps some of these
//	z x             zeroes, a discard
//	F Q C L0 G0     a flush, a quiet second, close; member 0 fails by hand; it is gone and nobody knows yet
//	V0 M U          member 0 is replaced by a spare; a bitmap is added; it is removed
//	A A0 R0         a blank disk, or member 0, is added; member 0 is removed
//	W K P           the end of background work; a check, or a repair, until it is over
//	h               a write of the first sector of the second stripe
//	B               from now on member 2 cannot read its last sectors, until they are written: resync goes on in small steps there
//	a!              with FUA
//	+a              together with the word before
//	s1 s2 …         first of all: another schedule, in which some commands take much longer than others, and quiet comes soon
//	rot             first of all: some parity is not what it should be, and nobody knows
//	dirty           what follows begins on an array that went down with a stripe half written
//
// After so long without a write the array is marked clean. In other schedules than the first one that is shorter than a write may take.
const (
	quiet = 100 * time.Millisecond
	hasty = time.Millisecond
)

// request is what a client asked for, on the clock of the tape.
type request struct {
	v          uint8
	lo, hi     int // sectors of the array
	discard    bool
	fua        bool
	flush      bool
	start, end int // end: never, if it was not acknowledged
}

// lived is a history that has been run.
type lived struct {
	text       string
	from       *image
	initial    []uint8 // by sector: the versions it may have had before, as a set
	unsynced   uint64  // rows that did not agree
	schedule   uint64
	unreadable bool // some sectors are, while the history runs
	tape       *tape
	requests   []request
	failing    uint8  // the member that was failed by hand, as a set,
	failed     int    // and since when somebody was at it; never: nobody
	added      uint8  // disks that were added, as a set,
	filled     int    // and since when the role of who failed is known to be theirs; never: it is not
	replaced   uint8  // member 0 and who is to replace it, as a set
	rotten     uint64 // rows whose parity was spoilt before it began
}

// bounds is where a word writes, in sectors of the array.
func (g *ground) bounds(word byte) (lo, hi int) {
	stripe := perChunk
	switch g.Level {
	case 0:
		stripe *= g.Members
	case 4, 5:
		stripe *= g.Members - 1
	case 6:
		stripe *= g.Members - 2
	case 10:
		stripe *= max(g.Members/2, 1)
	}
	edge := stripe
	if g.Level == -1 {
		edge = g.sectors / 2
	}
	switch word {
	case 'a':
		return 0, 1
	case 'b':
		return 2, 5
	case 'c':
		return 6, 10
	case 'd':
		return 0, stripe
	case 'e':
		return edge - 2, edge + 2
	case 'f':
		return 0, 8
	case 'g':
		return 4, 7
	case 'h':
		return edge, edge + 1
	case 'z':
		return 1, 5
	case 'x':
		return 3, 8
	}
	return 0, 0
}

// live runs a history.
func (g *ground) live(text string) (*lived, error) {
	h := &lived{text: text, from: g.base, initial: make([]uint8, g.sectors), tape: &tape{}, failed: never, filled: never}
	for i := range h.initial {
		h.initial[i] = 1 << vBase
	}
	words := strings.Fields(text)
	if len(words) > 0 {
		if _, err := fmt.Sscanf(words[0], "s%d", &h.schedule); err == nil {
			words = words[1:]
		}
	}
	if len(words) > 0 && words[0] == "dirty" {
		words = words[1:]
		if err := g.earlier(h); err != nil {
			return nil, err
		}
	}
	if len(words) > 0 && words[0] == "rot" {
		words = words[1:]
		g.rot(h)
	}
	return h, g.act(h, words, vBase+1)
}

// act carries the words out.
func (g *ground) act(h *lived, words []string, v uint8) error {
	var wrong error
	g.world.Again(h.schedule)
	err := g.world.Run(1e6, func() {
		host := g.world.Host("host")
		members := g.offer(h.from, 0, h.tape)
		for i, d := range g.disks {
			d.latency, d.sched, d.uneven = g.world.Rand(memberName(i), "latency"), host, h.schedule > 0
		}
		o := raid.Options{Sched: host, Run: true, Quiet: quiet}
		if h.schedule > 0 {
			o.Quiet = hasty
		}
		o.OnEvent = func(e raid.Event) {
			if e.Kind == raid.EventSpareActive {
				h.filled = min(h.filled, h.tape.tick())
			}
		}
		a, err := raid.Assemble(ctx, members, o)
		if wrong = err; err != nil {
			return
		}
		p := player{ground: g, h: h, a: a, v: v}
		for i := 0; i < len(words); {
			group := sched.NewGroup(host)
			for first := i; i < len(words) && (i == first || words[i][0] == '+'); i++ {
				do := p.step(strings.TrimPrefix(words[i], "+"), host)
				group.Go(do)
			}
			if group.Wait(); p.wrong != nil {
				wrong = p.wrong
				return
			}
		}
		if !p.closed {
			wrong = p.readBack()
		}
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return fmt.Errorf("%s, %q, no crash: %w", g.Name, h.text, err)
	}
	h.tape.keys(g)
	return nil
}

// player is who carries a history out.
type player struct {
	*ground
	h      *lived
	a      *raid.Array
	v      uint8
	closed bool
	wrong  error
}

// step is what a word means. It is taken note of now, and begins when it is called.
func (p *player) step(word string, host sched.Sched) func() {
	h, t := p.h, p.h.tape
	name, fua := strings.CutSuffix(word, "!")
	switch {
	case name == "B":
		h.unreadable = true
		d := p.disks[2%p.Members]
		return func() { d.bad |= span(p.dataAt()+int(p.Chunks)*perChunk-4, 4) }
	case slices.Contains([]string{"A", "A0", "R0", "W", "K", "P", "V0", "M", "U"}, name):
		return func() { p.check(p.own(name)) }
	case name == "Q":
		return func() { host.Sleep(3 * quiet) }
	case len(name) == 2 && name[0] == 'G':
		m := int(name[1] - '0')
		return func() {
			h.failing, h.failed = h.failing|1<<m, min(h.failed, t.tick())
			p.disks[m].gone = true
		}
	case len(name) == 2 && name[0] == 'L':
		m := int(name[1] - '0')
		return func() {
			before, since := h.failing, h.failed
			h.failing, h.failed = h.failing|1<<m, min(h.failed, t.tick())
			err := p.a.Fail(ctx, memberName(m))
			if err != nil && bits.OnesCount8(h.failing) > p.Losses {
				h.failing, h.failed = before, since // rightly refused
			} else {
				p.check(err)
			}
			t.tick()
		}
	}
	i := len(h.requests)
	q := request{start: never, end: never, fua: fua, flush: name == "F" || name == "C", discard: name == "x"}
	r := block.Request{Op: block.Flush}
	if q.lo, q.hi = p.bounds(name[0]); q.hi > 0 {
		r = block.Request{Op: block.Write, Off: int64(q.lo * sector), Len: int64((q.hi - q.lo) * sector)}
		switch name {
		case "z":
			r.Op, q.v = block.WriteZeroes, vZero
		case "x":
			r.Op, q.v = block.Discard, vZero
		default:
			q.v = p.v
			p.v++
			r.Buf = append(r.Buf, p.content[q.v][q.lo*sector:q.hi*sector]...)
		}
		if fua {
			r.Flags = block.FUA
		}
	} else if !q.flush {
		return func() { p.check(errors.New("no such word: " + word)) }
	}
	h.requests = append(h.requests, q)
	return func() {
		h.requests[i].start = t.tick()
		if name == "C" {
			p.closed = true
			p.check(p.a.Close())
		} else {
			p.check(p.a.Do(ctx, r))
		}
		h.requests[i].end = t.tick()
	}
}

func (p *player) check(err error) {
	if err != nil && p.wrong == nil {
		p.wrong = err
	}
}

// readBack judges what the array reads as while it is still up.
func (p *player) readBack() error {
	ok := p.h.promised(p.ground, p.h.tape.clock, p.h.tape.clock, false)
	buf := make([]byte, p.sectors*sector)
	for lba := range p.sectors {
		b := buf[:sector]
		missing := uint8(0)
		if p.h.failed != never && p.h.filled == never {
			missing = p.h.failing
		}
		excused := p.excused(lba, missing, 0, p.h.unsynced, ok.fresh[lba])
		if err := block.ReadAt(ctx, p.a, b, int64(lba*sector)); err != nil {
			if !excused && !p.h.unreadable {
				return err
			}
			continue
		}
		if v := p.version(lba, b); !excused && (v >= versions || ok.allowed[lba]>>v&1 == 0) {
			return fmt.Errorf("sector %d reads as version %d while the array is up, and must be one of %08b", lba, v, ok.allowed[lba])
		}
	}
	return nil
}

// earlier makes h begin on an array that went down with a stripe half written.
func (g *ground) earlier(h *lived) error {
	e := &lived{text: "d, earlier", from: g.base, initial: h.initial, tape: &tape{}, failed: never, filled: never}
	if err := g.act(e, []string{"d", "+e"}, vEarlier-1); err != nil {
		return err
	}
	var most moment
	for _, m := range e.tape.moments() {
		if len(m.loose) > len(most.loose) {
			most = m
		}
	}
	keep := make([]uint64, len(most.loose))
	for i := range keep {
		if i%2 == 0 {
			keep[i] = ^uint64(0)
		}
	}
	ok := e.promised(g, most.from, most.to, true)
	g.materialize(e.from, e.tape, most, keep)
	h.from, h.initial = g.snapshot(&image{}, g.base), ok.allowed
	for at := range g.rows {
		if ok.rows>>at&1 != 0 {
			h.unsynced |= 1 << at
		}
	}
	return nil
}
