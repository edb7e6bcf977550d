package daemon

import (
	"sync"

	"graid/raid"
)

// ringLen is how many events a process remembers for who asks late.
const ringLen = 256

// ring remembers the last events and wakes those who follow.
type ring struct {
	mu   sync.Mutex // guards what follows; never held across a wait
	next int64      // number of the next event
	buf  []raid.Event
	wake chan struct{} // closed, and replaced, when an event arrives
}

func newRing() *ring { return &ring{wake: make(chan struct{})} }

func (r *ring) add(e raid.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buf) == ringLen {
		r.buf = append(r.buf[:0], r.buf[1:]...)
	}
	r.buf = append(r.buf, e)
	r.next++
	close(r.wake)
	r.wake = make(chan struct{})
}

// since is the events from number from on that are still known, the number of the first of them, and a channel that is
// closed when there are more.
func (r *ring) since(from int64) (list []raid.Event, first int64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.next - int64(len(r.buf))
	first = min(max(from, oldest), r.next)
	return append(list, r.buf[first-oldest:]...), first, r.wake
}
