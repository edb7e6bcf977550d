package level5

import "graid/raid/plan"

// read reads every chunk of a from its own member, without a lock. A chunk that cannot be read is the sum of the others.
func (l *level) read(p *plan.Plan, a part, v *plan.View) bool {
	base := a.stripe * l.chunk
	first, last := l.span(a)
	for i := first; i <= last; i++ {
		_, hi := l.within(a, i)
		if !v.CanRead(l.role(a.parity, i), base+hi) && !l.others(a, i, base+hi, v) {
			return false
		}
	}
	for i := first; i <= last; i++ {
		lo, hi := l.within(a, i)
		if role := l.role(a.parity, i); v.CanRead(role, base+hi) {
			p.Read(role, base+lo, l.ref(a, i, lo, hi))
		} else {
			l.reconstruct(p, a, i)
		}
	}
	return true
}

// others says whether chunk i can be computed up to row hi: everything else can be read, and the parity is to be believed.
func (l *level) others(a part, i int, hi int64, v *plan.View) bool {
	if hi > v.Synced {
		return false
	}
	lost := l.role(a.parity, i)
	for role := range l.roles {
		if role != lost && !v.CanRead(role, hi) {
			return false
		}
	}
	return true
}

// reconstruct computes chunk i of a into the caller's buffer. Chunks that the caller asked for anyway are not read twice.
func (l *level) reconstruct(p *plan.Plan, a part, i int) {
	base := a.stripe * l.chunk
	lo, hi := l.within(a, i)
	p.Hold(base+lo, base+hi)
	p.Sum(l.ref(a, i, lo, hi))
	for j := range l.data {
		if j == i {
			continue
		}
		if from, to := l.within(a, j); from <= lo && hi <= to {
			p.Add(1, l.ref(a, j, lo, hi))
			continue
		}
		s := p.Slot(hi - lo)
		p.Read(l.role(a.parity, j), base+lo, s)
		p.Add(1, s)
	}
	s := p.Slot(hi - lo)
	p.Read(a.parity, base+lo, s)
	p.Add(1, s)
}
