package raid

import (
	"sync/atomic"
	"time"
)

// latency is how long requests of users take, measured only while there is a target: two clock readings and two additions each.
//
// It is their mean and not a percentile: on a disk the slowest of a hundred are so because of seeks whatever background work does, and would keep it
// at its minimum for good.
type latency struct {
	target atomic.Int64 // nanoseconds; 0 = nothing is measured
	sum    atomic.Int64 // nanoseconds that the requests took that ended since the last look
	n      atomic.Int64 // how many these are
	lately atomic.Int64 // nanoseconds: their mean at the last look; 0 = there were none
}

// LimitLatency has background work back off while requests take longer than target in the mean, but not below the least that Limit gives it; as long as
// they do not, it goes as fast as it can, also while the array is busy. 0 is the default: there is no target, and a busy array leaves background
// work a part of the time. It holds from the next piece of work on.
func (a *Array) LimitLatency(target time.Duration) {
	a.latency.target.Store(int64(max(0, target)))
	a.latency.lately.Store(0)
}

// take is what was measured since the last time.
func (l *latency) take() (sum, n int64) { return l.sum.Swap(0), l.n.Swap(0) }

// governor decides how much background work backs off.
type governor struct {
	at     time.Duration // when it last decided
	sum, n int64         // measured since
	yield  float64       // what is waited after a piece of work, in times of what that took
}

// How a governor goes about it: it backs off fast, and comes back slowly.
const (
	governStretch = 100 * time.Millisecond // how long is measured before it decides
	governHarder  = 2
	governSofter  = 0.75
	governLeast   = 0.25    // less is nothing
	governMost    = 1 << 20 // the minimum rate comes long before
)

// decide takes what was measured until now, and says how long to wait in times of what a piece of work took. decided says that it was time to.
func (g *governor) decide(now time.Duration, sum, n, target int64) (yield float64, decided bool) {
	g.sum, g.n = g.sum+sum, g.n+n
	if now-g.at < governStretch {
		return g.yield, false
	}
	switch {
	case g.n == 0:
		g.yield = 0 // nobody is there
	case g.sum/g.n > target:
		g.yield = min(max(1, g.yield*governHarder), governMost)
	default:
		if g.yield *= governSofter; g.yield < governLeast {
			g.yield = 0
		}
	}
	g.at, g.sum, g.n = now, 0, 0
	return g.yield, true
}

// backOff is how long background work waits after a piece that took so long, for users to have their target. Only the worker calls it.
func (a *Array) backOff(took time.Duration, target int64) time.Duration {
	sum, n := a.latency.take()
	g := &a.governor
	all, count := g.sum+sum, g.n+n
	yield, decided := g.decide(a.sched.Now(), sum, n, target)
	if decided {
		a.latency.lately.Store(all / max(count, 1))
	}
	return time.Duration(float64(took) * yield)
}
