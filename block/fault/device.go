package fault

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/block/delay"
	"graid/sched"
)

// Device is the next device with the rules of a Set on it. Between the caller and the next device a request
//
//	meets the rules ──▶ waits for all that make it wait ──▶ is what the first of the other rules makes of it ──▶ next device
//
// Without rules it costs one atomic load. A request that meets a rule may allocate.
//
// A Device forgets its rules when it is closed: what waits goes on, and writes that are late never land. It keeps what it says
// about content (Bad, Rot) to itself: the next device holds, apart from what Lost, Shift, Torn and Late did to requests, what was written.
type Device struct {
	next  block.Device
	info  block.Info
	names []string // what a Rule's Member may be, best first
	more  []string // and after those; guarded by the Set's mu
	s     sched.Sched
	unit  int64  // bytes: what is torn, bad or rotten whole
	nth   uint64 // tells the streams of devices apart: "*" must not fail all in the same way
	set   *Set
	gate  *sched.Gate // requests that met rules, and late writes

	rules atomic.Pointer[[]*live] // nil: none

	mu sync.Mutex // guards all live rules
}

// live is a Rule on one Device, and how far it is.
type live struct {
	Rule
	id      int
	began   time.Duration
	seen    int64
	hit     int64
	over    bool  // of an effect that lasts: it has come over the member
	left    spans // and this is what is still so
	cleared bool
	chance  chance
	queue   *delay.Queue       // of Delay
	waiting map[*wait]struct{} // requests, and late writes
}

// wait is one task that a rule keeps waiting.
type wait struct {
	by   *live
	e    sched.Event
	time time.Duration // less than 0: until the rule is cleared
}

// Info is the next device's; not Inline if it was wrapped with Waits.
func (d *Device) Info() block.Info { return d.info }

// Unwrap is the next device.
func (d *Device) Unwrap() block.Device { return d.next }

// Close lets go of what waits, waits for requests in flight, and closes the next device.
func (d *Device) Close() error {
	d.set.forget(d)
	d.gate.Close()
	return d.next.Close()
}

// Extents asks the next device; no rule is about it.
func (d *Device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, d.next, off, n, list)
}

// Do performs r, or what the rules make of it.
func (d *Device) Do(ctx context.Context, r block.Request) error {
	rules := d.rules.Load()
	if rules == nil {
		return d.next.Do(ctx, r)
	}
	if d.info.Check(r) != nil || r.Op != block.Flush && r.Len == 0 || ctx.Err() != nil || !d.gate.Enter() {
		return d.next.Do(ctx, r) // refused there, or nothing to do
	}
	defer d.gate.Leave()
	if r.Flags&block.NoWait != 0 {
		return block.ErrWouldBlock // a rule may make it wait; and the next device might say so after it was counted, and then it comes again
	}
	hit, waits := d.meet(*rules, r)
	for _, w := range waits {
		d.await(w)
	}
	switch err := d.obey(ctx, r, hit); err {
	case block.ErrMedia, block.ErrPath, block.ErrNoSpace, block.ErrReadOnly, block.ErrGone:
		return block.Blame(d.info.Name, r, err) // ours; what the next device says has its name already
	default:
		return err
	}
}

// meet counts r in at every rule that is about it. It returns the first that does something to it, if any, and what it has to wait for.
func (d *Device) meet(rules []*live, r block.Request) (hit *live, waits []*wait) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.s.Now()
	for _, l := range rules {
		if l.over || l.cleared || !l.Due(now-l.began, r) {
			continue
		}
		if l.seen++; l.seen <= l.After || l.Count > 0 && l.hit >= l.Count || l.OneIn > 1 && l.chance.below(l.OneIn) != 0 {
			continue
		}
		switch {
		case l.Effect.Lasts():
			l.over, l.left = true, d.whole(l.Off, l.Off+l.Len)
			continue // what it hits is the reads of the range
		case l.Effect == Stuck:
			waits = append(waits, d.hold(l, -1))
		case l.Effect == Stall:
			waits = append(waits, d.hold(l, l.Wait+time.Duration(l.chance.below(int64(max(l.Upto-l.Wait, 0)+1)))))
		case l.Effect == Delay:
			waits = append(waits, d.hold(l, l.queue.Take(now, delay.Moves(r))-now))
		case hit != nil:
			continue
		default:
			if hit = l; l.Effect == Late {
				waits = append(waits, d.hold(l, l.Wait))
			}
		}
		l.hit++
	}
	return hit, waits
}

// hold makes a wait of l, which clearing l ends. The caller holds d.mu.
func (d *Device) hold(l *live, t time.Duration) *wait {
	w := &wait{l, d.s.NewEvent(), t}
	l.waiting[w] = struct{}{}
	return w
}

// await waits for w, and says whether its rule still holds afterwards.
func (d *Device) await(w *wait) bool {
	if w.time < 0 {
		w.e.Wait()
	} else {
		w.e.WaitFor(w.time)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(w.by.waiting, w)
	return !w.by.cleared
}

// clear ends l: nobody waits for it any more, and requests that met it are done as they are.
func (d *Device) clear(l *live) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.cleared, l.left = true, nil
	for w := range l.waiting {
		w.e.Set()
	}
}
