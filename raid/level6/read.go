package level6

import "graid/raid/plan"

// read reads every chunk of a from its own member, without a lock. A chunk that cannot be read is a sum of others.
func (l *level) read(p *plan.Plan, a plan.Part, v *plan.View) bool {
	base, t := a.Base(), l.turn(a.Stripe)
	first, last := a.Span()
	for i := first; i <= last; i++ {
		_, hi := a.Within(i)
		if !v.CanRead(t.role[i], base+hi) && !l.computable(v, base+hi) {
			return false
		}
	}
	var have sources
	for i := first; i <= last; i++ {
		lo, hi := a.Within(i)
		if v.CanRead(t.role[i], base+hi) {
			p.Read(t.role[i], base+lo, a.Ref(i, lo, hi))
		} else {
			l.reconstruct(p, a, i, v, &have)
		}
	}
	return true
}

// computable says whether what cannot be read up to row hi is a sum of what can: there is enough of it, and parity is to be believed.
func (l *level) computable(v *plan.View, hi int64) bool {
	return hi <= v.Synced && l.unreadable(v, hi).Count() <= parities
}

// sources are the slots that rows of some roles were read into: two chunks that are lost come from the same others.
type sources struct {
	lo, hi int64
	roles  plan.RoleSet
	refs   [plan.MaxRoles]plan.Ref
}

// reconstruct computes chunk i of a into the caller's buffer. Chunks that the caller asked for anyway are not read twice.
func (l *level) reconstruct(p *plan.Plan, a plan.Part, i int, v *plan.View, have *sources) {
	base, t := a.Base(), l.turn(a.Stripe)
	lo, hi := a.Within(i)
	if have.lo != lo || have.hi != hi {
		have.lo, have.hi, have.roles = lo, hi, 0
	}
	e := t.solve(t.role[i], other(l.unreadable(v, base+hi), t.role[i]))
	p.Hold(base+lo, base+hi)
	p.Sum(a.Ref(i, lo, hi))
	for n := range l.Roles {
		role := t.nth(n)
		c := e.of(t, role)
		if c == 0 || role == t.role[i] {
			continue
		}
		if j := t.chunk[role]; j != none {
			if from, to := a.Within(j); from <= lo && hi <= to && v.CanRead(role, base+to) {
				p.Add(c, a.Ref(j, lo, hi))
				continue
			}
		}
		if !have.roles.Has(role) {
			have.roles, have.refs[role] = have.roles.With(role), p.Slot(hi-lo)
			p.Read(role, base+lo, have.refs[role])
		}
		p.Add(c, have.refs[role])
	}
}
