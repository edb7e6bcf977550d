package multipath

import (
	"context"
	"fmt"
	"time"

	"graid/block"
)

// attempt is a request sent on a session, in a task and with memory of its own: its caller may give it up.
type attempt struct {
	d    *Device
	z    *session
	r    block.Request
	mem  *chunk
	hold *hold // of a change: nil for others
	run  func()

	// Guarded by the map's mu.
	o        *op           // who waits for it; nil: nobody any more
	due      time.Duration // when its caller is to look at it
	began    time.Duration
	took     time.Duration
	returned bool
	overdue  bool
	counted  bool // by the selector, as under way
	err      error
}

// launch sends r on z for o. The map's mu is held.
func (d *Device) launch(o *op, z *session, r block.Request) *attempt {
	a := &attempt{}
	if n := len(d.spare); n > 0 {
		a, d.spare = d.spare[n-1], d.spare[:n-1]
	} else {
		a.d = d
		a.run = a.perform
	}
	now := d.s.Now()
	a.z, a.r, a.o, a.began, a.returned, a.overdue, a.err = z, r, o, now, false, false, nil
	switch {
	case r.Op == block.Write:
		a.mem = o.mem
		a.mem.refs++
		a.r.Buf = a.mem.b[:r.Len:r.Len]
	case r.Op == block.Read:
		a.mem = d.chunks.get(r.Len)
		a.r.Buf = a.mem.b[:r.Len:r.Len]
	}
	if r.Op.Mutates() && o.hold != nil {
		a.hold = o.hold
		a.hold.open++
		z.writes = append(z.writes, a)
	}
	a.due = now + d.o.Suspect
	if o.hedge {
		a.due = min(a.due, now+d.hedgeAfter(z))
	}
	if a.counted = !o.probe; a.counted {
		d.selector.Start(z.path.i, r)
	}
	z.inflight++
	z.attempts = append(z.attempts, a)
	o.sent = append(o.sent, a)
	if a.due < d.watching {
		d.watching = a.due
		d.tick.Set()
	}
	d.s.Go(a.run)
	return a
}

// perform does the request, and tells whoever still wants to know. An answer after its caller has gone is a witness: the request has ended.
func (a *attempt) perform() {
	err := a.z.dev.Do(context.Background(), a.r)
	d, z := a.d, a.z
	d.mu.Lock()
	now := d.s.Now()
	a.returned, a.err, a.took = true, err, now-a.began
	z.attempts = remove(z.attempts, a)
	z.inflight--
	v := judge(err)
	if v != broken {
		z.heard = now
	}
	d.counted(a, a.took)
	if !z.lands(err) {
		d.end(a)
	}
	if a.overdue {
		a.overdue = false
		if !z.dead {
			d.saw(z.path, sawLate, "")
		}
	}
	if v == broken {
		d.lose(z, reason(err), sawBroken)
	}
	if a.o != nil {
		a.o.wake.Set()
	} else {
		d.recycle(a)
	}
	if z.dead {
		d.stir() // its burial waits for this
	}
	d.unlock()
}

// end says that a will not land any more: it has, or never will. The map's mu is held.
func (d *Device) end(a *attempt) {
	if a.hold == nil {
		return
	}
	h := a.hold
	a.hold = nil
	a.z.writes = remove(a.z.writes, a)
	h.open--
	if d.spans.drop(h) {
		d.stir()
	}
}

// recycle keeps a for later if nobody needs it: neither its task, nor its caller, nor the burial of its session. The map's mu is held.
func (d *Device) recycle(a *attempt) {
	if !a.returned || a.o != nil {
		return
	}
	d.chunks.drop(a.mem)
	a.mem, a.r.Buf = nil, nil
	if a.hold == nil && len(d.spare) < 256 {
		a.z = nil
		d.spare = append(d.spare, a)
	}
}

// forsake is the end of an o's interest in a. The map's mu is held.
func (o *op) forsake(a *attempt) {
	o.sent = remove(o.sent, a)
	a.o = nil
	o.d.recycle(a)
}

// send does r on z, in a task, and waits for it for at most IOTimeout. A read that takes long is also sent on another path, and what answers first is
// the answer.
func (d *Device) send(o *op, z *session, r block.Request) (*session, error) {
	d.mu.Lock()
	o.hedge = r.Op == block.Read && d.o.HedgeBudget > 0 && !o.probe && len(d.table.live) > 1
	if o.hedge {
		d.budget = min(d.budget+d.o.HedgeBudget, hedgeBurst)
	}
	d.launch(o, z, r)
	for {
		d.unlock()
		o.wake.Wait()
		d.mu.Lock()
		if z, err, over := d.look(o, r); over {
			for len(o.sent) > 0 {
				o.forsake(o.sent[0])
			}
			d.unlock()
			return z, err
		}
	}
}

// hedgeBurst is how many reads may be sent twice in a row.
const hedgeBurst = 8

// look is at the attempts of o: whether one has answered, or all have failed. The map's mu is held.
func (d *Device) look(o *op, r block.Request) (by *session, err error, over bool) {
	now := d.s.Now()
	for i := 0; i < len(o.sent); {
		a := o.sent[i]
		z := a.z
		switch {
		case a.returned && judge(a.err) != broken:
			if a.err == nil && r.Op == block.Read {
				copy(r.Buf, a.r.Buf)
			}
			return z, a.err, true
		case a.returned:
			err = a.err
		case z.dead:
			err = fmt.Errorf("%s: %w: %w", z.name, errBroken, block.ErrPath)
		case now >= a.began+d.o.IOTimeout:
			err = fmt.Errorf("%s: %w: %w", z.name, errLate, block.ErrPath)
			d.lose(z, "no answer within "+d.o.IOTimeout.String(), sawBroken)
		default:
			d.overdue(a, now)
			i++
			continue
		}
		by = z
		d.counted(a, 0)
		o.forsake(a)
	}
	if len(o.sent) == 0 {
		return by, err, true
	}
	a := o.sent[0]
	a.due = a.began + d.o.IOTimeout
	if !a.overdue {
		a.due = a.began + d.o.Suspect
	}
	if o.hedge && len(o.sent) == 1 {
		d.hedgeRead(o, a, r, now)
	}
	if a.due < d.watching {
		d.watching = a.due
		d.tick.Set()
	}
	return nil, nil, false
}

// overdue makes the path of a suspect if that has waited for too long.
func (d *Device) overdue(a *attempt, now time.Duration) {
	if a.overdue || now < a.began+d.o.Suspect || a.z.dead {
		return
	}
	a.overdue = true
	d.saw(a.z.path, sawOverdue, fmt.Sprintf("a %s has waited for %v", a.r.Op, d.o.Suspect))
}

// hedgeAfter is when a read on z is worth a second one.
func (d *Device) hedgeAfter(z *session) time.Duration {
	l := &d.table.paths[z.path.i].latency
	if l.n < 16 {
		return d.o.Suspect / 4
	}
	return min(max(l.long(), time.Millisecond), d.o.Suspect)
}

// hedgeRead sends the read that a has waited for on another path, if there is one, and budget.
func (d *Device) hedgeRead(o *op, a *attempt, r block.Request, now time.Duration) {
	if at := a.began + d.hedgeAfter(a.z); now < at {
		a.due = min(a.due, at)
		return
	}
	if d.budget < 1 {
		return
	}
	i := d.table.another(a.z.path.i)
	if i < 0 {
		return
	}
	o.hedge = false // once
	d.budget--
	p := d.paths[i]
	p.hedges++
	d.count(p, r)
	d.launch(o, p.s, r)
}

// counted is the end of a as far as counts go: when it returns, or when its path is given up. The map's mu is held.
func (d *Device) counted(a *attempt, took time.Duration) {
	if !a.counted {
		return
	}
	a.counted = false
	d.took(a.z, a.r, took, a.err)
}
