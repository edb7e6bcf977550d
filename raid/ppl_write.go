package raid

import (
	"context"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// run writes records of l for as long as there is one to write. Whoever calls it has made l busy.
func (p *ppl) run(l *pplLog) {
	for {
		p.mu.Lock()
		l.busy = false
		if p.broken != nil || !l.ready() {
			p.mu.Unlock()
			return
		}
		l.busy = true
		rec, before := l.queue[0], l.newest
		copy(l.queue, l.queue[1:])
		l.queue = l.queue[:len(l.queue)-1]
		p.mu.Unlock()

		written, err := p.succeed(l, rec, before)
		p.mu.Lock()
		if before != nil && p.broken == nil {
			p.recycle(before)
		}
		if l.newest = rec; !written {
			l.newest = nil
		}
		rec.wake(err)
		if err != nil {
			p.stop(err)
		}
		p.mu.Unlock()
	}
}

// succeed makes rec the newest record of l. What was written under the one before it is made durable first: from here on a crash forgets that it was.
//
// It says whether it wrote it: a member that has failed meanwhile needs no record, because the rows that have their parity there have none any more.
func (p *ppl) succeed(l *pplLog, rec, before *pplRecord) (written bool, err error) {
	if before != nil && before.touched != 0 {
		if err := p.settle(before.touched); err != nil {
			return false, err
		}
	}
	o := p.a.getOp()
	defer p.a.putOp(o)
	for {
		v := p.a.view.Load()
		m, at, b := p.encode(l, rec)
		if v.broken != nil || m == nil || !v.Writable.Has(l.role) {
			return false, v.broken
		}
		err := m.dev.Do(context.Background(), block.Request{Op: block.Write, Flags: block.FUA, Off: at, Len: int64(len(b)), Buf: b})
		if err == nil && p.holds(l, m) {
			return true, nil
		} // else somebody may have taken over meanwhile, who has not got this one
		if err == nil {
			continue
		}
		m.writeErrors.Add(1)
		o.view = *v
		if err := p.a.lose(o, plan.RoleSet(0).With(l.role), err, true); err != nil {
			return false, err
		}
	}
}

// holds says whether l is still the log of m.
func (p *ppl) holds(l *pplLog, m *member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.holder == m
}

// settle makes what was written to roles durable. Members that cannot do that are lost.
func (p *ppl) settle(roles plan.RoleSet) error {
	o := p.a.getOp()
	defer p.a.putOp(o)
	v := p.a.view.Load()
	if v.broken != nil {
		return v.broken
	}
	if dead, why := o.flush(v, roles&v.Writable); dead != 0 {
		if err := p.a.lose(o, dead, why, false); err != nil {
			return err
		}
	}
	return p.a.view.Load().broken
}

// encode finds rec its place in l, and makes its bytes. m is whom they are for, and at where on it; nil where no log has been begun.
func (p *ppl) encode(l *pplLog, rec *pplRecord) (m *member, at int64, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m = l.holder; m == nil {
		return nil, 0, nil
	}
	b = rec.buf[:md.PPLHeaderSize+rec.size]
	if at = l.next; !p.ring || at+int64(len(b)) > l.size {
		at = 0
	}
	l.next = at + int64(len(b))
	entries := rec.entries[:rec.count]
	if p.unsynced {
		entries = append(entries, md.PPLUnsynced)
	}
	p.generation++
	h := md.PPLHeader{Signature: p.signature, Generation: p.generation, Entries: entries}
	h.EncodeTo(b)
	return m, l.off + at, b
}

// recycle keeps rec's memory. The caller holds mu.
func (p *ppl) recycle(rec *pplRecord) {
	rec.count, rec.size, rec.touched = 0, 0, 0
	p.unused = append(p.unused, rec)
}

// prepare empties the log of m, unless that was done since m has its role in this life: before superblocks say that the array is being written to, and
// before they say that m has a role in it, no record from an earlier life may be there that somebody could take for one of this. If m takes over from
// another whose parity was true, what is under way there goes into its log. The caller holds meta.
func (p *ppl) prepare(m *member) error {
	ctx := context.Background()
	carry := p.a.view.Load().Writable.Has(m.role)
	for {
		p.mu.Lock()
		l, unsynced := p.logs[m.role], p.unsynced
		fresh, newest := l.holder == m, l.newest
		var under []byte
		if carry && newest != nil && (newest.users > 0 || newest.touched != 0) {
			under = block.Alloc(md.PPLHeaderSize + newest.size)
			copy(under, newest.buf)
		}
		p.mu.Unlock()
		if fresh {
			return nil
		}
		if err := md.WriteEmptyPPL(ctx, m.dev, m.sb, unsynced); err != nil {
			return err
		}
		off, size := m.sb.PPLPlace()
		next := int64(0)
		if p.ring {
			next = md.PPLHeaderSize // behind the empty header: if the first record is cut short, there is still that
		}
		if under != nil {
			if err := block.WriteAt(ctx, m.dev, under, off+next); err != nil {
				return err
			}
			next += int64(len(under))
		}
		if err := block.Sync(ctx, m.dev); err != nil {
			return err
		}
		p.mu.Lock()
		same := l.newest == newest
		if same {
			l.holder, l.off, l.size, l.next = m, off, size, next
		}
		p.mu.Unlock()
		if same {
			return nil
		}
	}
}

// pplAgreed is called when a resync has come to its end.
func (a *Array) pplAgreed() {
	if a.ppl != nil && !a.sync.given.Load() {
		_ = a.ppl.agreed() // whoever writes next meets it again
	}
}

// agreed is called when parity has become true everywhere: records say so from now on, and every log gets one that does. What made it true is
// flushed first.
func (p *ppl) agreed() error {
	p.mu.Lock()
	was := p.unsynced
	p.mu.Unlock()
	if !was {
		return nil
	}
	if err := p.settle(^plan.RoleSet(0)); err != nil {
		return err
	}
	p.mu.Lock()
	p.unsynced = false
	p.mu.Unlock()
	o := p.a.getOp()
	defer p.a.putOp(o)
	o.logged.parts, o.logged.wrote = o.logged.parts[:0], 0
	if o.logged.durable == nil {
		o.logged.durable = p.a.sched.NewEvent()
	}
	if err := p.enter(o, plan.Roles(p.a.geo.Roles)); err != nil {
		return err
	}
	defer p.release(o, nil)
	return p.commit(o)
}
