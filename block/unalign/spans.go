package unalign

import (
	"sync"
	"sync/atomic"

	"graid/sched"
)

// spans keeps changes of whole blocks and changes of parts of blocks apart.
//
// As long as nobody changes a part, changes of whole blocks are only counted. Who changes a part announces itself, waits
// until those counted before have left, and from its announcement on everybody else takes a span in the queue, where
// overlapping spans wait in order of arrival. When the last one who changes a part has left, counting is enough again.
type spans struct {
	s     sched.Sched
	quick atomic.Int64 // changes of whole blocks that were only counted
	parts atomic.Int64 // changes of parts, from announcement to end

	mu      sync.Mutex // guards what follows; never held across a wait
	queue   []*span    // in order of arrival, those that hold their span and those that wait for it
	waiters []sched.Event
}

// span is bytes [lo, hi) held or waited for.
type span struct {
	lo, hi int64
	part   bool
	blocks int         // earlier spans in its way
	ready  sched.Event // set when blocks falls to zero
}

func newSpans(s sched.Sched) *spans { return &spans{s: s} }

// enter counts a change of whole blocks in, unless somebody changes a part of a block anywhere; then it must lock.
func (l *spans) enter() bool {
	if l.parts.Load() != 0 {
		return false
	}
	l.quick.Add(1)
	if l.parts.Load() == 0 {
		return true
	}
	l.leave()
	return false
}

func (l *spans) leave() {
	if l.quick.Add(-1) > 0 || l.parts.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.waiters {
		e.Set()
	}
	l.waiters = l.waiters[:0]
}

// lock holds [lo, hi) against overlapping spans; two changes of whole blocks do not exclude each other.
func (l *spans) lock(lo, hi int64, part bool) *span {
	if part {
		l.parts.Add(1)
		l.quiet()
	}
	w := &span{lo: lo, hi: hi, part: part}
	l.mu.Lock()
	for _, q := range l.queue {
		if w.conflicts(q) {
			w.blocks++
		}
	}
	if w.blocks > 0 {
		w.ready = l.s.NewEvent()
	}
	l.queue = append(l.queue, w)
	l.mu.Unlock()
	if w.ready != nil {
		w.ready.Wait()
	}
	return w
}

func (l *spans) unlock(w *span) {
	l.mu.Lock()
	at := 0
	for l.queue[at] != w {
		at++
	}
	for _, q := range l.queue[at+1:] {
		if q.conflicts(w) {
			if q.blocks--; q.blocks == 0 {
				q.ready.Set()
			}
		}
	}
	l.queue = append(l.queue[:at], l.queue[at+1:]...)
	l.mu.Unlock()
	if w.part {
		l.parts.Add(-1)
	}
}

// quiet waits until every change that was only counted has left.
func (l *spans) quiet() {
	for {
		l.mu.Lock()
		if l.quick.Load() == 0 {
			l.mu.Unlock()
			return
		}
		e := l.s.NewEvent()
		l.waiters = append(l.waiters, e)
		l.mu.Unlock()
		e.Wait()
	}
}

func (w *span) conflicts(q *span) bool {
	return w.lo < q.hi && q.lo < w.hi && (w.part || q.part)
}
