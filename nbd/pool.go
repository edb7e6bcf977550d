package nbd

import (
	"sync"
	"sync/atomic"

	"graid/sched"
)

// pool is a budget of bytes that connections share: those of one client, or all of a server. Taking and giving are one
// atomic operation each as long as there is room.
type pool struct {
	limit int64
	users int // connections; of a client's, guarded by Server.mu

	held    atomic.Int64
	waiters atomic.Int64

	mu    sync.Mutex // guards what follows
	queue []sched.Event
}

// take makes room for n bytes. Who is alone, or must, always gets it.
func (p *pool) take(n int64, must bool) bool {
	for {
		held := p.held.Load()
		if !must && held > 0 && held+n > p.limit {
			return false
		}
		if p.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// await has e set when there may be room. Whoever calls it must try once more before waiting.
func (p *pool) await(e sched.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, e)
	p.waiters.Store(int64(len(p.queue)))
}

// give gives n bytes back and lets all who wait try again. NB: not in order; who wants much may be overtaken.
func (p *pool) give(n int64) {
	p.held.Add(-n)
	if p.waiters.Load() == 0 {
		return
	}
	p.mu.Lock()
	queue := p.queue
	p.queue = nil
	p.waiters.Store(0)
	p.mu.Unlock()
	for _, e := range queue {
		e.Set()
	}
}

// over says whether more is held than there should be.
func (p *pool) over() bool { return p.held.Load() > p.limit }
