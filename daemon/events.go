package daemon

import (
	"sync"
	"time"
)

// Event is something that happened to a running array, by the names that mdadm --monitor has for it. Keys are never renamed or dropped.
type Event struct {
	Number int64     `json:"number"` // of those of this process, from 0
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
	Array  string    `json:"array"`
	Member string    `json:"member,omitempty"` // path
	Detail string    `json:"detail,omitempty"`
}

// ringLen is how many events a process remembers for who asks late.
const ringLen = 256

// ring remembers the last events and wakes those who follow.
type ring struct {
	mu   sync.Mutex // guards what follows; never held across a wait
	next int64      // number of the next event
	buf  []Event
	wake chan struct{} // closed, and replaced, when an event arrives
}

func newRing() *ring { return &ring{wake: make(chan struct{})} }

// add numbers e and remembers it.
func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buf) == ringLen {
		r.buf = append(r.buf[:0], r.buf[1:]...)
	}
	e.Number = r.next
	r.buf = append(r.buf, e)
	r.next++
	close(r.wake)
	r.wake = make(chan struct{})
}

// since is the events from number from on that are still known, and the number of the one after them, with a channel that is closed when
// that has come.
func (r *ring) since(from int64) (list []Event, next int64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.next - int64(len(r.buf))
	from = min(max(from, oldest), r.next)
	return append(list, r.buf[from-oldest:]...), r.next, r.wake
}
