package level5

import "graid/raid/plan"

func (l *level) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (int64, error) {
	lo, hi := span.Lo, min(span.Hi, l.window(span.Lo))
	switch k {
	case plan.Resync:
		return l.resync(p, lo, hi, v)
	case plan.Recover:
		return l.recover(p, lo, hi, v)
	}
	// The sum of a stripe is zero whichever role has its parity.
	for role := range l.roles {
		if !v.CanRead(role, hi) {
			return hi - lo, nil
		}
	}
	p.Hold(lo, hi)
	p.Expect(p.Slot(hi - lo))
	for role := range l.roles {
		l.old(p, role, lo, hi-lo)
	}
	return hi - lo, nil
}

// window is where a Sync plan from row lo ends at the latest: within plan.MaxBytes of slots, but never less than 4 KiB.
func (l *level) window(lo int64) int64 {
	n := int64(maxSync)
	for n > 4096 && n*int64(l.roles) > plan.MaxBytes {
		n /= 2
	}
	return (lo/n + 1) * n
}

// recover makes rows of one role the sum of the others': which of them are parity makes no difference, unless that is untrue.
func (l *level) recover(p *plan.Plan, lo, hi int64, v *plan.View) (int64, error) {
	if hi > v.Synced {
		hi = min(hi, (lo/l.chunk+1)*l.chunk)
	}
	fill := -1
	for role := range l.roles {
		if v.MustFill(role, hi) {
			fill = role
		}
	}
	if fill < 0 {
		return hi - lo, nil
	}
	for role := range l.roles {
		if role != fill && !v.CanRead(role, hi) {
			return 0, plan.ErrFailed
		}
	}
	if hi > v.Synced && l.parity(lo/l.chunk) != fill {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, hi)
	sum := p.Slot(hi - lo)
	p.Sum(sum)
	for role := range l.roles {
		if role != fill {
			l.old(p, role, lo, hi-lo)
		}
	}
	p.Write(fill, lo, sum)
	return hi - lo, nil
}

// resync makes parity the sum of the data. Each role has one slot for all the rows: what it has of data is read into it in as few
// requests as its turns at parity allow, and its parity is computed and written there.
func (l *level) resync(p *plan.Plan, lo, hi int64, v *plan.View) (int64, error) {
	// A stripe costs a write and, as parity moves, another read.
	hi = min(hi, (lo/l.chunk+max(1, int64(plan.MaxIO-l.roles)/2))*l.chunk)
	end := lo
	for end < hi {
		next := min(hi, (end/l.chunk+1)*l.chunk)
		if !l.resyncable(end/l.chunk, next, v) {
			break
		}
		end = next
	}
	if end == lo {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, end)
	slots := len(p.Slots)
	for range l.roles {
		p.Slot(end - lo)
	}
	for at, next := lo, int64(0); at < end; at = next {
		next = min(end, (at/l.chunk+1)*l.chunk)
		parity := l.parity(at / l.chunk)
		if !v.Writable.Has(parity) {
			continue
		}
		p.Sum(plan.Ref{Slot: slots + parity, Off: at - lo, Len: next - at})
		for role := range l.roles {
			if role != parity {
				p.Add(1, plan.Ref{Slot: slots + role, Off: at - lo, Len: next - at})
			}
		}
	}
	for role := range l.roles {
		l.runs(p, role, slots+role, lo, end, v)
	}
	return end - lo, nil
}

// resyncable says whether the parity of a stripe can be computed up to row hi, or needs not be: its member takes no writes.
func (l *level) resyncable(stripe, hi int64, v *plan.View) bool {
	parity := l.parity(stripe)
	if !v.Writable.Has(parity) {
		return true
	}
	for role := range l.roles {
		if role != parity && !v.CanRead(role, hi) {
			return false
		}
	}
	return true
}

// runs reads the data and writes the parity that role has in rows [lo, hi), into and from slot, neighbours in one request.
func (l *level) runs(p *plan.Plan, role, slot int, lo, hi int64, v *plan.View) {
	const nothing, data, sums = 0, 1, 2
	at, kind := lo, nothing
	flush := func(to int64) {
		ref := plan.Ref{Slot: slot, Off: at - lo, Len: to - at}
		switch kind {
		case data:
			p.Read(role, at, ref)
		case sums:
			p.Write(role, at, ref)
		}
		at = to
	}
	for row := lo; row < hi; row = (row/l.chunk + 1) * l.chunk {
		now := nothing
		switch parity := l.parity(row / l.chunk); {
		case !v.Writable.Has(parity):
		case parity == role:
			now = sums
		default:
			now = data
		}
		if now != kind {
			flush(row)
			kind = now
		}
	}
	flush(hi)
}
