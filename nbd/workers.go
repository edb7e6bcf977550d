package nbd

import (
	"sync"

	"graid/sched"
)

// workers answer the requests that may wait for hardware, at most max at a time; more wait in a queue that the budget
// bounds. They are started when needed and stay until the connection ends.
type workers struct {
	tasks *sched.Group
	sched sched.Sched
	max   int
	run   func(*slot)

	mu      sync.Mutex // guards what follows; never held across a wait
	count   int
	queue   []*slot
	idle    []*worker // longest idle first
	stopped bool
}

type worker struct {
	w    *workers
	next *slot // set by whoever takes it out of idle; nil tells it to end
	wake sched.Event
}

func (w *workers) do(s *slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		k := w.idle[n-1] // the warmest
		w.idle = w.idle[:n-1]
		k.next = s
		k.wake.Set()
		return
	}
	if w.count == w.max {
		w.queue = append(w.queue, s)
		return
	}
	w.count++
	k := &worker{w: w, next: s, wake: w.sched.NewEvent()}
	w.tasks.Go(k.loop)
}

func (k *worker) loop() {
	for k.next != nil {
		k.w.run(k.next)
		if !k.w.more(k) {
			k.wake.Wait()
		}
	}
}

// more makes k.next the next request in the queue; false when k must wait to be woken.
func (w *workers) more(k *worker) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.next = nil
	if len(w.queue) > 0 {
		k.next = w.queue[0]
		w.queue = append(w.queue[:0], w.queue[1:]...)
		return true
	}
	if w.stopped {
		return true
	}
	w.idle = append(w.idle, k)
	return false
}

// stop lets the workers end once the queue is empty.
func (w *workers) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, k := range w.idle {
		k.next = nil
		k.wake.Set()
	}
	w.idle = nil
}
