package nbd

import (
	"sync"

	"graid/sched"
)

// budget counts what one connection has in flight: requests at work and replies that wait for the socket. Only the
// reader takes, so only the reader waits: a connection over its budget is not read from, and its client feels that.
//
// What it takes, it takes from the pools of its client and of the server too. When those are empty, a connection with
// nothing in flight is still let have one small request: nobody is shut out by what others do.
type budget struct {
	requests int
	bytes    int64
	pools    [2]*pool // of the client, and of the server
	quiet    func()   // called when nothing is in flight any more

	mu      sync.Mutex // guards what follows; never held across a wait
	taken   int
	held    int64
	waiting bool
	room    sched.Event
}

// has says whether a request of n bytes fits. One always does, whatever its size.
func (b *budget) has(n int64) bool {
	return b.taken <= 0 || (b.taken < b.requests && b.held+n <= b.bytes)
}

// share takes n bytes from both pools, or none and has the reader woken when there may be some.
func (b *budget) share(n int64) bool {
	must := b.taken <= 0 && n <= smallCost
	for i, p := range b.pools {
		if p.take(n, must) {
			continue
		}
		p.await(b.room)
		if p.take(n, must) {
			continue
		}
		for _, p := range b.pools[:i] {
			p.give(n)
		}
		return false
	}
	return true
}

// take makes room for a request of n bytes, waiting for others to end if need be; before it waits it calls first.
func (b *budget) take(n int64, first func()) {
	b.mu.Lock()
	for !b.has(n) || !b.share(n) {
		if first != nil {
			b.mu.Unlock()
			first()
			first = nil
			b.mu.Lock()
			continue
		}
		b.waiting = true
		b.mu.Unlock()
		b.room.Wait()
		b.mu.Lock()
	}
	b.taken++
	b.held += n
	b.mu.Unlock()
}

// owe takes room for what is in flight already. The reader settles it afterwards.
func (b *budget) owe(n int64) {
	for _, p := range b.pools {
		p.take(n, true)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken++
	b.held += n
}

// settle waits until what is owed fits.
func (b *budget) settle() {
	b.mu.Lock()
	for b.taken > 0 && (b.taken >= b.requests || b.held > b.bytes || b.crowded()) {
		b.waiting = true
		b.mu.Unlock()
		b.room.Wait()
		b.mu.Lock()
	}
	b.mu.Unlock()
}

// crowded says whether a pool is over its limit, and has the reader woken when it may not be any more.
func (b *budget) crowded() bool {
	for _, p := range b.pools {
		if p.over() {
			p.await(b.room)
			if p.over() {
				return true
			}
		}
	}
	return false
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	b.taken--
	b.held -= n
	quiet := b.taken == 0
	if b.waiting {
		b.waiting = false
		b.room.Set()
	}
	b.mu.Unlock()
	for _, p := range b.pools {
		p.give(n)
	}
	if quiet {
		b.quiet()
	}
}

// idle says whether nothing is in flight.
func (b *budget) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken == 0
}
