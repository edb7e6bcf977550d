package deadline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/sched"
)

// How a read is.
const (
	underWay int32 = iota
	over
	abandoned
)

// Late is a read that was not done in time, and the error that says so. It goes on: who wants to know Waits.
type Late struct {
	d     *Device
	req   block.Request // without Buf
	limit time.Duration
	began time.Duration
	buf   []byte // as long as req
	state atomic.Int32
	done  sched.Event
	task  func() // perform, made once

	err  error         // written before the state is over, or ended is set
	took time.Duration // as err is

	mu      sync.Mutex // guards what follows
	ended   bool
	waiting []sched.Event
}

// keep is how large a buffer may be that is kept for the next read, bytes.
const keep = 1 << 20

// begin begins a read like r.
func (d *Device) begin(r block.Request, limit time.Duration) *Late {
	l, ok := d.idle.Get().(*Late)
	if !ok {
		l = &Late{d: d, done: d.s.NewEvent()}
		l.task = l.perform
	}
	if int64(cap(l.buf)) < r.Len {
		l.buf = block.Alloc(r.Len)
	}
	r.Buf = nil
	l.req, l.buf, l.limit, l.began, l.err = r, l.buf[:r.Len], limit, d.s.Now(), nil
	l.state.Store(underWay)
	d.s.Go(l.task)
	return l
}

// end keeps l for the next read.
func (d *Device) end(l *Late) {
	if cap(l.buf) > keep {
		l.buf = nil
	}
	d.idle.Put(l)
}

// perform is l's task.
func (l *Late) perform() {
	r := l.req
	r.Buf = l.buf
	l.err = l.d.next.Do(context.Background(), r) // ctx had its say before
	if l.state.CompareAndSwap(underWay, over) {
		l.done.Set()
		return
	}
	l.d.late.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took, l.ended = l.d.s.Now()-l.began, true
	for _, e := range l.waiting {
		e.Set()
	}
	l.waiting = nil
}

// Error says that it is late.
func (l *Late) Error() string {
	return fmt.Sprintf("%s: %v: no answer within %v", l.d.info.Name, l.req, l.limit)
}

// Unwrap is block.ErrSlow.
func (l *Late) Unwrap() error { return block.ErrSlow }

// Wait returns what became of the read, once it has ended: by the next device's word, and not counting that it was late.
func (l *Late) Wait() error {
	if e := l.event(); e != nil {
		e.Wait()
	}
	return l.err
}

// WaitFor waits for the end of the read, but not longer than d, and says whether it came.
func (l *Late) WaitFor(d time.Duration) bool {
	e := l.event()
	return e == nil || e.WaitFor(d)
}

// event is set at the end of the read; nil: it has ended.
func (l *Late) event() sched.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	e := l.d.s.NewEvent()
	l.waiting = append(l.waiting, e)
	return e
}

// Took is how long the read took, once it has ended.
func (l *Late) Took() time.Duration { return l.took }

// Bytes is what was read, once it has ended without an error: the Late's memory, to be looked at.
func (l *Late) Bytes() []byte { return l.buf }
