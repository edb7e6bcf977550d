package level6

import (
	"graid/block"
	"graid/parity"
	"graid/raid/plan"
)

// way is how a rectangle comes to its new parities.
type way uint8

const (
	never way = iota // what is written could not be read afterwards, or parity would not be true
	bare             // neither parity's member takes writes: only data is written
	rmw              // new parity = old parity + old data + new data, each data with its coefficient
	rcw              // new parity = new data + the data that is not written
	solve            // rcw, with one chunk that is not written and cannot be read computed from everything that can
)

// write writes the data of a, and the parities of its rows, rectangle by rectangle. Nothing is planned unless all of it can be.
func (l *level) write(p *plan.Plan, a plan.Part, v *plan.View) bool {
	base, t := a.Base(), l.turn(a.Stripe)
	rects, n := a.Cover()
	var ways [len(rects)]way
	for i, r := range rects[:n] {
		if ways[i] = l.choose(r, base, t, v); ways[i] == never {
			return false
		}
	}
	for i, r := range rects[:n] {
		p.Hold(base+r.Lo, base+r.Hi)
		if ways[i] != bare {
			l.sums(p, a, r, ways[i], v)
		}
	}
	first, last := a.Span()
	for i := first; i <= last; i++ {
		role := t.role[i]
		lo, hi := a.Within(i)
		switch {
		case !v.Writable.Has(role): // the parities carry it
		case a.Zero:
			p.Clear(block.WriteZeroes, role, base+lo, base+lo, hi-lo)
		default:
			p.Write(role, base+lo, a.Ref(i, lo, hi))
		}
	}
	return true
}

// choose decides how r comes to its parities: the way that is possible and reads less.
func (l *level) choose(r plan.Rect, base int64, t *turn, v *plan.View) way {
	hi := base + r.Hi
	written, rest, gone := 0, 0, 0 // data chunks that cannot be read now, and of those written, that cannot be read afterwards
	for i, role := range t.role {
		readable := v.CanRead(role, hi)
		switch {
		case !r.Has(i) && !readable:
			rest++
		case r.Has(i) && !readable:
			written++
		}
		if r.Has(i) && !v.Keeps(role, hi) {
			gone++
		}
	}
	believed := hi <= v.Synced
	canRMW, canRCW := believed && written == 0, rest == 0
	made, kept := 0, 0 // parities
	for _, role := range [...]int{t.p, t.q} {
		if v.Keeps(role, hi) {
			kept++
		}
		if v.Writable.Has(role) {
			made++
			canRMW = canRMW && v.CanRead(role, hi)
		}
	}
	switch {
	case gone > kept:
		return never
	case made == 0:
		return bare
	case canRMW && (!canRCW || r.Chunks()+made <= l.Data-r.Chunks()):
		return rmw
	case canRCW:
		return rcw
	case believed && rest == 1 && l.unreadable(v, hi).Count() <= parities:
		return solve
	}
	return never
}

// sums plans the parities of r: one sum after the other, of the same terms.
func (l *level) sums(p *plan.Plan, a plan.Part, r plan.Rect, way way, v *plan.View) {
	base, rows, t := a.Base(), r.Hi-r.Lo, l.turn(a.Stripe)
	var made [parities]int // roles
	n := 0
	for _, role := range [...]int{t.p, t.q} {
		if v.Writable.Has(role) {
			made[n] = role
			n++
		}
	}
	if a.Zero && way == rcw && r.Chunks() == l.Data {
		for _, role := range made[:n] {
			p.Clear(block.WriteZeroes, role, base+r.Lo, base+r.Lo, rows)
		}
		return
	}
	s := sum{turn: t, rect: r, way: way}
	if way == solve {
		lost := l.unreadable(v, base+r.Hi)
		for i, role := range t.role {
			if lost.Has(role) && !r.Has(i) {
				s.lost, s.equation = i, t.solve(role, other(lost, role))
			}
		}
	}
	dst := len(p.Slots)
	for range n {
		p.Slot(rows)
	}
	for k, target := range made[:n] {
		p.Sum(plan.Ref{Slot: dst + k, Len: rows})
		slot := dst + n
		for m := range l.Roles {
			role := t.nth(m)
			i := t.chunk[role]
			if s.old(role, made[0]) != 0 || s.old(role, made[n-1]) != 0 {
				ref := plan.Ref{Slot: slot, Len: rows}
				if slot++; k == 0 {
					p.Slot(rows)
					p.Read(role, base+r.Lo, ref)
				}
				if c := s.old(role, target); c != 0 || i != none {
					p.Add(c, ref)
				}
			}
			if i != none && r.Has(i) && !a.Zero {
				p.Add(s.weight(i, target), a.Ref(i, r.Lo, r.Hi))
			}
		}
		p.Write(target, base+r.Lo, plan.Ref{Slot: dst + k, Len: rows})
	}
}

// sum says what the new parities of a rectangle are made of.
type sum struct {
	*turn
	rect     plan.Rect
	way      way
	lost     int // the data chunk that is computed by solve
	equation equation
}

// weight is the coefficient of data chunk i in the parity that role target has.
func (s *sum) weight(i, target int) byte {
	if target == s.p {
		return 1
	}
	return s.coef[i]
}

// old is the coefficient, in the new parity that role target gets, of what a role has now.
func (s *sum) old(role, target int) byte {
	i := s.chunk[role]
	switch {
	case s.way == rmw && role == target:
		return 1
	case s.way == solve:
		c := parity.Mul(s.weight(s.lost, target), s.equation.of(s.turn, role))
		if i != none && !s.rect.Has(i) {
			c ^= s.weight(i, target) // which takes the lost chunk itself out again
		}
		return c
	case i != none && s.rect.Has(i) == (s.way == rmw):
		return s.weight(i, target)
	}
	return 0
}
