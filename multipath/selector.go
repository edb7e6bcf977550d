package multipath

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"graid/block"
)

// Selector chooses the path of a request among those that can be used. Calls of one Selector are one at a time. Paths are numbers; there may be
// new ones at any time.
type Selector interface {
	Select(live []int, r block.Request) int            // one of live, which is not empty
	Start(path int, r block.Request)                   // r goes to path
	End(path int, r block.Request, took time.Duration) // r is over; took is 0 if it failed, or Timed is false
	Timed() bool                                       // whether End needs to know how long it took
}

// The selectors.
const (
	RoundRobin = "round-robin" // the next one
	Weighted   = "weighted"    // the next one, by weight
	LeastQueue = "least-queue" // the one with the fewest requests under way
	LeastBytes = "least-bytes" // the one with the fewest bytes under way for its weight: dm-multipath's service-time
	EWMA       = "ewma"        // the one that will be done first, by how long it took lately: historical-service-time
	P2C        = "p2c"         // the better of two by that measure: cheap for many paths
	Failover   = "failover"    // the first
)

// Selectors are the names NewSelector knows.
var Selectors = []string{RoundRobin, Weighted, LeastQueue, LeastBytes, EWMA, P2C, Failover}

// NewSelector is the selector of that name. Weight is asked for a path's weight: below 1, it is used only if no other can be; rng is for choices.
func NewSelector(name string, weight func(path int) int, rng *rand.Rand) (Selector, error) {
	switch name {
	case RoundRobin:
		return &roundRobin{}, nil
	case Weighted:
		return &weighted{weight: weight}, nil
	case LeastQueue:
		return &leastQueue{}, nil
	case LeastBytes:
		return &leastBytes{weight: weight}, nil
	case EWMA:
		return &ewma{}, nil
	case P2C:
		return &p2c{rng: rng}, nil
	case Failover:
		return failover{}, nil
	}
	return nil, fmt.Errorf("unknown selector %q: one of %s", name, strings.Join(Selectors, ", "))
}

// untimed is what selectors have in common that keep no count.
type untimed struct{}

func (untimed) Start(int, block.Request)              {}
func (untimed) End(int, block.Request, time.Duration) {}
func (untimed) Timed() bool                           { return false }

type failover struct{ untimed }

func (failover) Select(live []int, _ block.Request) int { return live[0] }

// turn remembers whose turn it was, to break ties: the next one after that.
type turn struct{ last int }

// from calls see with each of live, beginning with the one after the last.
func (t *turn) from(live []int, see func(path int)) {
	first := 0
	for first < len(live) && live[first] <= t.last {
		first++
	}
	for i := range live {
		see(live[(first+i)%len(live)])
	}
}

type roundRobin struct {
	untimed
	turn
}

func (s *roundRobin) Select(live []int, _ block.Request) int {
	for _, p := range live {
		if p > s.last {
			s.last = p
			return p
		}
	}
	s.last = live[0]
	return live[0]
}

// weighted spreads the turns of a heavy path among those of the others: each gains its weight in every round, and the one that has most pays for all.
type weighted struct {
	untimed
	weight func(int) int
	have   []int
}

func (s *weighted) Select(live []int, _ block.Request) int {
	best, all := -1, 0
	for _, p := range live {
		s.have = grown(s.have, p)
		w := max(s.weight(p), 0)
		s.have[p] += w
		all += w
		if w > 0 && (best < 0 || s.have[p] > s.have[best]) {
			best = p
		}
	}
	if best < 0 {
		return live[0]
	}
	s.have[best] -= all
	return best
}

type leastQueue struct {
	turn
	queue []int
}

func (s *leastQueue) Select(live []int, _ block.Request) int {
	best := -1
	s.from(live, func(p int) {
		s.queue = grown(s.queue, p)
		if best < 0 || s.queue[p] < s.queue[best] {
			best = p
		}
	})
	s.last = best
	return best
}

func (s *leastQueue) Start(p int, _ block.Request)                { s.queue = grown(s.queue, p); s.queue[p]++ }
func (s *leastQueue) End(p int, _ block.Request, _ time.Duration) { s.queue[p]-- }
func (s *leastQueue) Timed() bool                                 { return false }

type leastBytes struct {
	turn
	weight func(int) int
	bytes  []int64
}

// Select compares (bytes under way + bytes of r) / weight, without dividing. Of equals the heavier path is better.
func (s *leastBytes) Select(live []int, r block.Request) int {
	best := -1
	var load, heft int64
	s.from(live, func(p int) {
		s.bytes = grown(s.bytes, p)
		w, n := int64(max(s.weight(p), 0)), s.bytes[p]+r.Len
		var better bool
		switch {
		case best < 0:
			better = true
		case w == 0 || heft == 0:
			better = w > heft || w == heft && n < load
		case n*heft != load*w:
			better = n*heft < load*w
		default:
			better = w > heft
		}
		if better {
			best, load, heft = p, n, w
		}
	})
	s.last = best
	return best
}

func (s *leastBytes) Start(p int, r block.Request)                { s.bytes = grown(s.bytes, p); s.bytes[p] += r.Len }
func (s *leastBytes) End(p int, r block.Request, _ time.Duration) { s.bytes[p] -= r.Len }
func (s *leastBytes) Timed() bool                                 { return false }

// service is what is known of a path's service time.
type service struct {
	mean    float64 // ns of one request alone; 0: not known
	queue   int
	skipped int // selections since the path was last chosen
}

// staleAfter is after how many selections a path that nothing is sent to is tried again: at thirty times the service time of
// the others, that costs three requests in a hundred.
const staleAfter = 1024

// expected is how long a request sent now will take.
func (p *service) expected() float64 { return p.mean * float64(1+p.queue) }

func (p *service) end(took time.Duration) {
	alone := float64(took) / float64(p.queue) // it shared the path with what was under way
	p.queue--
	switch {
	case took == 0:
	case p.mean == 0 || alone < p.mean/2 && p.skipped == 0 && p.queue == 0: // unknown, or has recovered
		p.mean = alone
	default:
		p.mean += (alone - p.mean) / 8
	}
}

type services struct{ list []service }

func (s *services) Start(p int, _ block.Request) {
	s.list = grown(s.list, p)
	s.list[p].queue++
	s.list[p].skipped = 0
}
func (s *services) End(p int, _ block.Request, took time.Duration) { s.list[p].end(took) }
func (s *services) Timed() bool                                    { return true }

type ewma struct {
	turn
	services
}

func (s *ewma) Select(live []int, _ block.Request) int {
	best, stale := -1, -1
	s.from(live, func(p int) {
		s.list = grown(s.list, p)
		x := &s.list[p]
		if x.skipped++; x.skipped > staleAfter && x.queue == 0 {
			stale = p
		}
		if best < 0 || x.expected() < s.list[best].expected() {
			best = p
		}
	})
	if stale >= 0 {
		best = stale
	}
	s.last = best
	return best
}

type p2c struct {
	services
	rng *rand.Rand
}

func (s *p2c) Select(live []int, _ block.Request) int {
	s.list = grown(s.list, slices.Max(live))
	i := s.rng.IntN(len(live))
	j := (i + 1 + s.rng.IntN(max(len(live)-1, 1))) % len(live) // another one
	a, b := live[i], live[j]
	if s.list[b].expected() < s.list[a].expected() {
		a, b = b, a
	}
	if x := &s.list[b]; a != b && x.queue == 0 {
		if x.skipped++; x.skipped > staleAfter {
			return b
		}
	}
	return a
}

// grown is list, long enough for path.
func grown[T any](list []T, path int) []T {
	for len(list) <= path {
		var none T
		list = append(list, none)
	}
	return list
}
