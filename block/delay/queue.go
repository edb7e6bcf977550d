// Package delay is how long a device takes: a queue with a latency, a width and a rate, and a Device that keeps requests waiting by one.
//
// A Queue is arithmetic on times and waits for nothing. The package knows lengths and times; it knows nothing of faults.
package delay

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// Model is what a device is like. The zero value takes no time.
type Model struct {
	Latency time.Duration // what a request takes at least
	Jitter  time.Duration // and at most so much more, each its own
	Rate    int64         // bytes a second, of all requests together; 0: any number
	Depth   int           // requests at work at a time, the others wait in the order they came; 0: any number
}

// Queue is a device's timeline:
//
//	request ──▶ one of Depth slots, when one is free ──▶ Latency and Jitter ──▶ the one wire, Rate bytes a second ──▶ done, slot free
//
// It is not for use by several goroutines at once.
type Queue struct {
	m    Model
	rng  *rand.Rand
	free []time.Duration // when each slot is
	wire time.Duration   // when it is free
}

// NewQueue is an idle device. The seed is of its jitter.
func NewQueue(m Model, seed uint64) *Queue {
	return &Queue{m: m, rng: rand.New(rand.NewPCG(seed, 0x64656c6179)), free: make([]time.Duration, m.Depth)}
}

// Take takes in a request that comes at now and moves n bytes, and says when it will be done. Calls are in the order of now.
func (q *Queue) Take(now time.Duration, n int64) (done time.Duration) {
	slot := -1
	for i, at := range q.free {
		if slot < 0 || at < q.free[slot] {
			slot = i
		}
	}
	done = now
	if slot >= 0 {
		done = max(now, q.free[slot])
	}
	done += q.m.Latency
	if q.m.Jitter > 0 {
		done += time.Duration(q.rng.Int64N(int64(q.m.Jitter) + 1))
	}
	if q.m.Rate > 0 && n > 0 {
		done = max(done, q.wire) + transfer(n, q.m.Rate)
		q.wire = done
	}
	if slot >= 0 {
		q.free[slot] = done
	}
	return done
}

// longest bounds a transfer, so that sums of times do not overflow.
const longest = 1 << 50 // thirteen days

// transfer is how long n bytes take at rate bytes a second.
func transfer(n, rate int64) time.Duration {
	hi, lo := bits.Mul64(uint64(n), uint64(time.Second))
	if hi >= uint64(rate) {
		return longest
	}
	t, _ := bits.Div64(hi, lo, uint64(rate))
	return time.Duration(min(t, longest))
}
