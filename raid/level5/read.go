package level5

import "graid/raid/plan"

// read reads every chunk of a from its own member, without a lock. A chunk that cannot be read is the sum of the others.
func (l *level) read(p *plan.Plan, a plan.Part, v *plan.View) bool {
	base, parity := a.Base(), l.parity(a.Stripe)
	first, last := a.Span()
	for i := first; i <= last; i++ {
		_, hi := a.Within(i)
		if !v.CanRead(l.role(parity, i), base+hi) && !l.others(parity, i, base+hi, v) {
			return false
		}
	}
	for i := first; i <= last; i++ {
		lo, hi := a.Within(i)
		if role := l.role(parity, i); v.CanRead(role, base+hi) {
			p.Read(role, base+lo, a.Ref(i, lo, hi))
		} else {
			l.reconstruct(p, a, i)
		}
	}
	return true
}

// others says whether chunk i can be computed up to row hi: everything else can be read, and the parity is to be believed.
func (l *level) others(parity, i int, hi int64, v *plan.View) bool {
	if hi > v.Synced {
		return false
	}
	lost := l.role(parity, i)
	for role := range l.Roles {
		if role != lost && !v.CanRead(role, hi) {
			return false
		}
	}
	return true
}

// reconstruct computes chunk i of a into the caller's buffer. Chunks that the caller asked for anyway are not read twice.
func (l *level) reconstruct(p *plan.Plan, a plan.Part, i int) {
	base, parity := a.Base(), l.parity(a.Stripe)
	lo, hi := a.Within(i)
	p.Hold(base+lo, base+hi)
	p.Sum(a.Ref(i, lo, hi))
	for j := range l.Data {
		if j == i {
			continue
		}
		if from, to := a.Within(j); from <= lo && hi <= to {
			p.Add(1, a.Ref(j, lo, hi))
			continue
		}
		s := p.Slot(hi - lo)
		p.Read(l.role(parity, j), base+lo, s)
		p.Add(1, s)
	}
	s := p.Slot(hi - lo)
	p.Read(parity, base+lo, s)
	p.Add(1, s)
}
