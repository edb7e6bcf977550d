package level5

import (
	"graid/block"
	"graid/raid/plan"
)

// rect is data chunks first to last × rows [lo, hi) of a stripe, counted from its first row.
type rect struct {
	first, last int
	lo, hi      int64
	way         way
}

// way is how a rectangle comes to its new parity.
type way uint8

const (
	bare way = iota // the parity's member takes no writes: only data is written
	rmw             // new parity = old parity + old data + new data
	rcw             // new parity = new data + the data that is not written
)

// write writes the data of a, and the parity of its rows, rectangle by rectangle. Nothing is planned unless all of it can be.
func (l *level) write(p *plan.Plan, a part, v *plan.View) bool {
	rects, n := l.cover(a)
	for i := range n {
		if !l.choose(&rects[i], a, v) {
			return false
		}
	}
	base := a.stripe * l.chunk
	for _, r := range rects[:n] {
		l.sum(p, a, r)
	}
	first, last := l.span(a)
	for i := first; i <= last; i++ {
		role := l.role(a.parity, i)
		lo, hi := l.within(a, i)
		switch {
		case !v.Writable.Has(role): // the parity carries it
		case a.zero:
			p.Clear(block.WriteZeroes, role, base+lo, base+lo, hi-lo)
		default:
			p.Write(role, base+lo, l.ref(a, i, lo, hi))
		}
	}
	return true
}

// cover cuts a into rectangles: its first chunk may begin, and its last may end, in the middle.
func (l *level) cover(a part) (rects [3]rect, n int) {
	first, last := l.span(a)
	begin, end := a.lo-int64(first)*l.chunk, a.hi-int64(last)*l.chunk
	cuts := [...]int64{0, min(begin, end), max(begin, end), l.chunk}
	for i := range 3 {
		r := rect{first: first, last: last, lo: cuts[i], hi: cuts[i+1]}
		if r.lo < begin {
			r.first++
		}
		if r.hi > end {
			r.last--
		}
		if r.lo < r.hi && r.first <= r.last {
			rects[n] = r
			n++
		}
	}
	return rects, n
}

// choose decides how r comes to its parity: the way that is possible and reads less. It says no when what is written could not
// be read afterwards, or when the parity would not be true.
func (l *level) choose(r *rect, a part, v *plan.View) bool {
	hi := a.stripe*l.chunk + r.hi
	canRMW := hi <= v.Synced && v.CanRead(a.parity, hi)
	canRCW := true
	lost := 0
	for i := range l.data {
		role := l.role(a.parity, i)
		written := r.first <= i && i <= r.last
		if written && !v.Keeps(role, hi) {
			lost++
		}
		if !v.CanRead(role, hi) {
			canRMW = canRMW && !written
			canRCW = canRCW && written
		}
	}
	if lost > 1 || lost == 1 && !v.Keeps(a.parity, hi) {
		return false
	}
	written := r.last - r.first + 1
	switch {
	case !v.Writable.Has(a.parity):
		r.way = bare
	case canRMW && (!canRCW || written+1 <= l.data-written):
		r.way = rmw
	case canRCW:
		r.way = rcw
	default:
		return false
	}
	return true
}

// sum plans the parity of r.
func (l *level) sum(p *plan.Plan, a part, r rect) {
	base, rows := a.stripe*l.chunk, r.hi-r.lo
	p.Hold(base+r.lo, base+r.hi)
	if r.way == bare {
		return
	}
	if a.zero && r.way == rcw && r.last-r.first+1 == l.data {
		p.Clear(block.WriteZeroes, a.parity, base+r.lo, base+r.lo, rows)
		return
	}
	sum := p.Slot(rows)
	p.Sum(sum)
	if r.way == rmw {
		l.old(p, a.parity, base+r.lo, rows)
	}
	for i := range l.data {
		written := r.first <= i && i <= r.last
		if written == (r.way == rmw) {
			l.old(p, l.role(a.parity, i), base+r.lo, rows)
		}
		if written && !a.zero {
			p.Add(1, l.ref(a, i, r.lo, r.hi))
		}
	}
	p.Write(a.parity, base+r.lo, sum)
}

// old adds to the sum what a role has now.
func (l *level) old(p *plan.Plan, role int, row, n int64) {
	s := p.Slot(n)
	p.Read(role, row, s)
	p.Add(1, s)
}
