package level10

import "graid/raid/plan"

func (l *level) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (n int64, err error) {
	var list [plan.MaxRoles]Copy
	end := min(span.Hi, (span.Lo/maxSync+1)*maxSync)
	for at := span.Lo; at < end && !p.Full(); {
		a := l.piece(list[:0], at, end-at)
		if k == plan.Check {
			l.check(p, a, v)
		} else if !l.copy(p, a, k, v) {
			break
		}
		at += a.n
		n = at - span.Lo
	}
	if n == 0 {
		return 0, plan.ErrFailed
	}
	return n, nil
}

// copy writes the first copy that can be read over the others: over all for Resync, over those that are not valid for Recover.
func (l *level) copy(p *plan.Plan, a piece, k plan.Kind, v *plan.View) bool {
	from := l.source(a, v)
	var into plan.RoleSet
	for i, c := range a.copies {
		if i != from && v.Writable.Has(c.Role) && (k == plan.Resync || v.MustFill(c.Role, c.Row+a.n)) {
			into = into.With(i)
		}
	}
	switch {
	case into == 0:
		return true
	case from < 0:
		return false
	}
	p.Hold(a.pos, a.pos+a.n)
	copied := p.Slot(a.n)
	p.ReadPos(a.copies[from].Role, a.copies[from].Row, a.pos, copied)
	for i, c := range a.copies {
		if into.Has(i) {
			p.WritePos(c.Role, c.Row, a.pos, copied)
		}
	}
	return true
}

// source is the number of the copy that counts where copies differ: the first in the map's order that can be read, and is preferred
// if any such is. -1 when none can be read.
func (l *level) source(a piece, v *plan.View) int {
	first := -1
	for i, c := range a.copies {
		switch {
		case !v.CanRead(c.Role, c.Row+a.n):
		case v.Prefer.Has(c.Role):
			return i
		case first < 0:
			first = i
		}
	}
	return first
}

// check compares every copy that can be read with the first of them.
func (l *level) check(p *plan.Plan, a piece, v *plan.View) {
	var here plan.RoleSet
	for i, c := range a.copies {
		if v.CanRead(c.Role, c.Row+a.n) {
			here = here.With(i)
		}
	}
	if here.Count() < 2 {
		return
	}
	p.Hold(a.pos, a.pos+a.n)
	scratch, first := p.Slot(a.n), p.Slot(a.n)
	for i, c := range a.copies {
		switch {
		case !here.Has(i):
		case i == here.First():
			p.ReadPos(c.Role, c.Row, a.pos, first)
		default:
			other := p.Slot(a.n)
			p.ReadPos(c.Role, c.Row, a.pos, other)
			p.Expect(scratch)
			p.Add(1, first)
			p.Add(1, other)
		}
	}
}
