package blocktest

import (
	"context"
	"sync"

	"graid/block"
	"graid/sched"
)

// FaultyOptions of a Faulty. The zero value misbehaves only as told.
type FaultyOptions struct {
	Name     string      // the next device's, if empty
	Sched    sched.Sched // where held requests wait; sched.Real if nil
	Inline   bool        // claim to be Inline, as far as the next device is; then hold nothing, or the caller hangs
	Volatile bool        // have a write cache that a power cut loses: see Crash
}

// Faulty is a device that fails when a test wants it to. Between the caller and the next device a request passes, in order:
// the log and the counters, the holds, the rule of Before, and the write cache.
//
// It is for tests on one machine's clock and on a next device that does not wait (block/mem): a request to a Volatile one
// is done under a mutex.
type Faulty struct {
	next block.Device
	info block.Info
	s    sched.Sched

	mu     sync.Mutex // guards what follows
	before func(block.Request) error
	log    []block.Request
	counts [block.WriteZeroes + 1]int
	holds  []*Hold
	off    bool // after a power cut

	cache *cache // nil if not Volatile; has a mutex of its own
}

// NewFaulty is next, faulty.
func NewFaulty(next block.Device, o FaultyOptions) *Faulty {
	f := &Faulty{next: next, info: next.Info(), s: o.Sched}
	f.info.Inline = f.info.Inline && o.Inline
	if o.Name != "" {
		f.info.Name = o.Name
	}
	if f.s == nil {
		f.s = sched.Real
	}
	if o.Volatile {
		f.cache = newCache(f.info.Name)
	}
	return f
}

// Info is the next device's, not Inline unless that was asked for.
func (f *Faulty) Info() block.Info { return f.info }

// Unwrap is the next device.
func (f *Faulty) Unwrap() block.Device { return f.next }

// Close closes the next device. It does not wait for held requests: release them first.
func (f *Faulty) Close() error { return f.next.Close() }

// Before sets what is asked about every request before it is done; what it returns is the request's error, and then the
// request does not reach the next device. nil takes the rule away. It runs on the caller's task and may call Faulty.
func (f *Faulty) Before(rule func(r block.Request) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = rule
}

// Log is every request since the start or the last Forget, in order of arrival, without their memory.
func (f *Faulty) Log() []block.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]block.Request(nil), f.log...)
}

// Count is how many requests of that kind arrived since the start or the last Forget.
func (f *Faulty) Count(op block.Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Forget empties the log and the counters.
func (f *Faulty) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.counts = nil, [len(f.counts)]int{}
}

// Do performs r on the next device, or what the test wants instead.
func (f *Faulty) Do(ctx context.Context, r block.Request) error {
	rule, held := f.arrive(r)
	for _, wait := range held {
		wait.Wait()
	}
	if rule != nil {
		if err := rule(r); err != nil {
			return block.Blame(f.info.Name, r, err)
		}
	}
	if f.dead() {
		return block.Blame(f.info.Name, r, block.ErrGone)
	}
	if f.cache == nil {
		return f.next.Do(ctx, r)
	}
	return f.cache.do(ctx, f.next, r)
}

// arrive records r and returns the rule that applies to it and what it has to wait for.
func (f *Faulty) arrive(r block.Request) (rule func(block.Request) error, held []sched.Event) {
	noted := r
	noted.Buf = nil
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, noted)
	if int(r.Op) < len(f.counts) {
		f.counts[r.Op]++
	}
	for _, h := range f.holds {
		if h.match(noted) {
			held = append(held, h.add(f.s.NewEvent()))
		}
	}
	return f.before, held
}

func (f *Faulty) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.off
}

// Extents asks the next device.
func (f *Faulty) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, f.next, off, n, list)
}
