package sched

import (
	"math"
	"sync/atomic"
)

// Gate counts requests in and out of something that will be closed. It costs a request two atomic additions.
type Gate struct {
	inside atomic.Int64 // plus shut once it is closed
	empty  Event
}

const shut = math.MinInt64

// NewGate is an open Gate whose Close waits in s.
func NewGate(s Sched) *Gate { return &Gate{empty: s.NewEvent()} }

// Enter says whether the gate is open; who was let in must Leave.
func (g *Gate) Enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.Leave()
	return false
}

// Leave is the end of what an Enter began.
func (g *Gate) Leave() {
	if g.inside.Add(-1) == shut {
		g.empty.Set()
	}
}

// Close lets nobody in any more and returns when all have left. It is false, at once, if the gate was closed before.
func (g *Gate) Close() bool {
	for {
		n := g.inside.Load()
		if n < 0 {
			return false
		}
		if g.inside.CompareAndSwap(n, n+shut) {
			if n > 0 {
				g.empty.Wait()
			}
			return true
		}
	}
}
