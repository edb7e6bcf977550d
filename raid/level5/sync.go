package level5

import "graid/raid/plan"

func (l *level) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (int64, error) {
	lo, hi := span.Lo, min(span.Hi, l.Window(span.Lo))
	switch k {
	case plan.Resync:
		return l.resync(p, lo, hi, v)
	case plan.Recover:
		return l.recover(p, lo, hi, v)
	}
	// The sum of a stripe is zero whichever role has its parity.
	for role := range l.Roles {
		if !v.CanRead(role, hi) {
			return hi - lo, nil
		}
	}
	p.Hold(lo, hi)
	p.Expect(p.Slot(hi - lo))
	for role := range l.Roles {
		l.old(p, role, lo, hi-lo)
	}
	return hi - lo, nil
}

// recover makes rows of one role the sum of the others': which of them are parity makes no difference, unless that is untrue.
func (l *level) recover(p *plan.Plan, lo, hi int64, v *plan.View) (int64, error) {
	if hi > v.Synced {
		hi = min(hi, (lo/l.Chunk+1)*l.Chunk)
	}
	fill := -1
	for role := range l.Roles {
		if v.MustFill(role, hi) {
			fill = role
		}
	}
	if fill < 0 {
		return hi - lo, nil
	}
	for role := range l.Roles {
		if role != fill && !v.CanRead(role, hi) {
			return 0, plan.ErrFailed
		}
	}
	if hi > v.Synced && l.parity(lo/l.Chunk) != fill {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, hi)
	sum := p.Slot(hi - lo)
	p.Sum(sum)
	for role := range l.Roles {
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
	hi = min(hi, (lo/l.Chunk+max(1, int64(plan.MaxIO-l.Roles)/2))*l.Chunk)
	end := lo
	for end < hi {
		next := min(hi, (end/l.Chunk+1)*l.Chunk)
		if !l.resyncable(end/l.Chunk, next, v) {
			break
		}
		end = next
	}
	if end == lo {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, end)
	slots := len(p.Slots)
	for range l.Roles {
		p.Slot(end - lo)
	}
	for at, next := lo, int64(0); at < end; at = next {
		next = min(end, (at/l.Chunk+1)*l.Chunk)
		parity := l.parity(at / l.Chunk)
		if !v.Writable.Has(parity) {
			continue
		}
		p.Sum(plan.Ref{Slot: slots + parity, Off: at - lo, Len: next - at})
		for role := range l.Roles {
			if role != parity {
				p.Add(1, plan.Ref{Slot: slots + role, Off: at - lo, Len: next - at})
			}
		}
	}
	use := func(role int, stripe int64) plan.Use {
		switch parity := l.parity(stripe); {
		case !v.Writable.Has(parity):
			return plan.Unused
		case parity == role:
			return plan.Result
		}
		return plan.Source
	}
	for role := range l.Roles {
		l.Runs(p, role, slots+role, lo, end, use)
	}
	return end - lo, nil
}

// resyncable says whether the parity of a stripe can be computed up to row hi, or needs not be: its member takes no writes.
func (l *level) resyncable(stripe, hi int64, v *plan.View) bool {
	parity := l.parity(stripe)
	if !v.Writable.Has(parity) {
		return true
	}
	for role := range l.Roles {
		if role != parity && !v.CanRead(role, hi) {
			return false
		}
	}
	return true
}
