package level5

import (
	"graid/block"
	"graid/raid/plan"
)

// way is how a rectangle comes to its new parity.
type way uint8

const (
	never way = iota // what is written could not be read afterwards, or the parity would not be true
	bare             // the parity's member takes no writes: only data is written
	rmw              // new parity = old parity + old data + new data
	rcw              // new parity = new data + the data that is not written
)

// write writes the data of a, and the parity of its rows, rectangle by rectangle. Nothing is planned unless all of it can be.
func (l *level) write(p *plan.Plan, a plan.Part, v *plan.View) bool {
	base, parity := a.Base(), l.parity(a.Stripe)
	rects, n := a.Cover()
	var ways [len(rects)]way
	for i, r := range rects[:n] {
		if ways[i] = l.choose(r, base, parity, v); ways[i] == never {
			return false
		}
	}
	for i, r := range rects[:n] {
		l.sum(p, a, r, parity, ways[i])
	}
	first, last := a.Span()
	for i := first; i <= last; i++ {
		role := l.role(parity, i)
		lo, hi := a.Within(i)
		switch {
		case !v.Writable.Has(role): // the parity carries it
		case a.Zero:
			p.Clear(block.WriteZeroes, role, base+lo, base+lo, hi-lo)
		default:
			p.Write(role, base+lo, a.Ref(i, lo, hi))
		}
	}
	return true
}

// choose decides how r comes to its parity: the way that is possible and reads less.
func (l *level) choose(r plan.Rect, base int64, parity int, v *plan.View) way {
	hi := base + r.Hi
	canRMW := hi <= v.Synced && v.CanRead(parity, hi)
	canRCW := true
	lost := 0
	for i := range l.Data {
		role := l.role(parity, i)
		if r.Has(i) && !v.Keeps(role, hi) {
			lost++
		}
		if !v.CanRead(role, hi) {
			canRMW = canRMW && !r.Has(i)
			canRCW = canRCW && r.Has(i)
		}
	}
	switch {
	case lost > 1 || lost == 1 && !v.Keeps(parity, hi):
		return never
	case !v.Writable.Has(parity):
		return bare
	case canRMW && (!canRCW || r.Chunks()+1 <= l.Data-r.Chunks()):
		return rmw
	case canRCW:
		return rcw
	}
	return never
}

// sum plans the parity of r.
func (l *level) sum(p *plan.Plan, a plan.Part, r plan.Rect, parity int, way way) {
	base, rows := a.Base(), r.Hi-r.Lo
	p.Hold(base+r.Lo, base+r.Hi)
	if way == bare {
		return
	}
	if a.Zero && way == rcw && r.Chunks() == l.Data {
		p.Clear(block.WriteZeroes, parity, base+r.Lo, base+r.Lo, rows)
		return
	}
	sum := p.Slot(rows)
	p.Sum(sum)
	if way == rmw {
		l.old(p, parity, base+r.Lo, rows)
	}
	for i := range l.Data {
		if r.Has(i) == (way == rmw) {
			l.old(p, l.role(parity, i), base+r.Lo, rows)
		}
		if r.Has(i) && !a.Zero {
			p.Add(1, a.Ref(i, r.Lo, r.Hi))
		}
	}
	p.Write(parity, base+r.Lo, sum)
}

// old adds to the sum what a role has now.
func (l *level) old(p *plan.Plan, role int, row, n int64) {
	s := p.Slot(n)
	p.Read(role, row, s)
	p.Add(1, s)
}
