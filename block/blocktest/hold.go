package blocktest

import (
	"graid/block"
	"graid/sched"
)

// Hold keeps requests from being done until it is released.
type Hold struct {
	f     *Faulty
	match func(block.Request) bool

	waiting []sched.Event // guarded by f.mu, as is what follows
	arrived int
	want    int
	enough  sched.Event
}

// Hold holds every request from now on that match says yes to (match gets no Buf, and must not call the Faulty).
// A power cut does not release them.
func (f *Faulty) Hold(match func(r block.Request) bool) *Hold {
	h := &Hold{f: f, match: match, enough: f.s.NewEvent()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = append(f.holds, h)
	return h
}

// add counts one more request in and returns what it waits for. The caller holds f.mu.
func (h *Hold) add(e sched.Event) sched.Event {
	h.waiting = append(h.waiting, e)
	h.arrived++
	if h.want > 0 && h.arrived >= h.want {
		h.enough.Set()
	}
	return e
}

// Await returns once n requests have been held since the Hold began. One task awaits at a time.
func (h *Hold) Await(n int) {
	h.f.mu.Lock()
	if h.arrived >= n {
		h.f.mu.Unlock()
		return
	}
	h.want = n
	h.f.mu.Unlock()
	h.enough.Wait()
}

// Arrived is how many requests have been held since the Hold began.
func (h *Hold) Arrived() int {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.arrived
}

// Release lets the held requests go on and holds no more.
func (h *Hold) Release() {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	for i, other := range h.f.holds {
		if other == h {
			h.f.holds = append(h.f.holds[:i:i], h.f.holds[i+1:]...)
			break
		}
	}
	for _, e := range h.waiting {
		e.Set()
	}
	h.waiting = nil
}
