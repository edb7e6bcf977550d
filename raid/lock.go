package raid

import (
	"sync"

	"graid/raid/plan"
	"graid/sched"
)

// spanLock locks spans of a level's lock space, first come first served among those that overlap. Shared holders do not
// exclude each other. The mutex is held for list surgery only; waiting is done in the Sched.
//
// NB: O(held+waiting) for each call; shard by row when a profile shows it.
type spanLock struct {
	mu    sync.Mutex
	held  []*hold
	queue []*hold // waiting, in order of arrival
}

// hold is one claim on a span. It may be used again after unlock.
type hold struct {
	span   plan.Span
	shared bool
	ready  sched.Event
}

func (h *hold) excludes(o *hold) bool {
	return h.span.Lo < o.span.Hi && o.span.Lo < h.span.Hi && !(h.shared && o.shared)
}

// covers says whether what h holds is enough for span.
func (h *hold) covers(span plan.Span, shared bool) bool {
	return h.span.Lo <= span.Lo && span.Hi <= h.span.Hi && (!h.shared || shared)
}

// lock waits until h has its span. With noWait it says false instead.
func (l *spanLock) lock(h *hold, noWait bool) bool {
	l.mu.Lock()
	if l.free(h, len(l.queue)) {
		l.held = append(l.held, h)
		l.mu.Unlock()
		return true
	}
	if noWait {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, h)
	l.mu.Unlock()
	h.ready.Wait()
	return true
}

// unlock gives h's span back and wakes whom that frees.
func (l *spanLock) unlock(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.held {
		if o == h {
			last := len(l.held) - 1
			l.held[i], l.held[last] = l.held[last], nil
			l.held = l.held[:last]
			break
		}
	}
	// One pass is enough: granting only ever takes away from those behind.
	for i := 0; i < len(l.queue); {
		w := l.queue[i]
		if !l.free(w, i) {
			i++
			continue
		}
		copy(l.queue[i:], l.queue[i+1:])
		l.queue[len(l.queue)-1] = nil
		l.queue = l.queue[:len(l.queue)-1]
		l.held = append(l.held, w)
		w.ready.Set()
	}
}

// free says whether h may have its span: nobody holds it, and none of the first n waiters is to have it earlier.
func (l *spanLock) free(h *hold, n int) bool {
	for _, o := range l.held {
		if o.excludes(h) {
			return false
		}
	}
	for _, o := range l.queue[:n] {
		if o.excludes(h) {
			return false
		}
	}
	return true
}
