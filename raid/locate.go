package raid

import (
	"bytes"

	"graid/parity"
	"graid/raid/plan"
)

// verdict is who is wrong where members do not agree.
type verdict struct {
	wrong plan.RoleSet // none = nobody can be named
	part  string       // what they have there: partP, …; or why nobody can be named
}

// Parts of a verdict.
const (
	partData  = ""
	partP     = "P"
	partQ     = "Q"
	partTie   = "no majority"
	partMore  = "more than one"
	partBlind = "too few" // with so many members there, nothing can tell which of them is wrong
)

// locates says whether a level has enough redundancy to say who is wrong: one unknown more than it can compute from the rest.
func locates(g plan.Geometry) bool { return g.Tolerates >= 2 }

// evidence is the members that a place was read from, as far as they say something about each other. Slots of the op hold what they have.
type evidence struct {
	copies []plan.Ref // of a mirror; else none
	p, q   plan.Ref
	data   []plan.Ref // by exponent in Q; Len 0 = no member has that one. None where P or Q is missing
}

// evidenceOf says what sums, which are all that a plan checks at one place, are about.
func (o *op) evidenceOf(sums []plan.Calc) (w evidence) {
	terms := func(c plan.Calc) []plan.Term { return o.plan.Terms[c.Lo:c.Hi] }
	switch {
	case o.a.mirror():
		w.copies = append(w.copies, terms(sums[0])[0].Ref)
		for _, c := range sums {
			w.copies = append(w.copies, terms(c)[1].Ref)
		}
	case len(sums) == 2:
		// The first has P and not Q, the second Q and not P, and both come before the data.
		w.p, w.q = terms(sums[0])[0].Ref, terms(sums[1])[0].Ref
		w.data = make([]plan.Ref, parity.MaxData)
		for _, t := range terms(sums[1])[1:] {
			for e := range w.data {
				if parity.Power(e) == t.Coef {
					w.data[e] = t.Ref
					break
				}
			}
		}
		for len(w.data) > 0 && w.data[len(w.data)-1].Len == 0 {
			w.data = w.data[:len(w.data)-1]
		}
	}
	return w
}

// judge says who is wrong in bytes [lo, lo+n) of what w read.
func (o *op) judge(w evidence, lo, n int64) verdict {
	at := func(r plan.Ref) []byte {
		if r.Len == 0 {
			return nil
		}
		return o.mem(r.At(lo, n))
	}
	var list [][]byte
	if w.data != nil {
		for _, r := range w.data {
			list = append(list, at(r))
		}
		switch found := parity.Locate(at(w.p), at(w.q), list...); {
		case found == parity.WrongP:
			return verdict{o.roleOf(w.p), partP}
		case found == parity.WrongQ:
			return verdict{o.roleOf(w.q), partQ}
		case found >= 0:
			return verdict{o.roleOf(w.data[found]), partData}
		}
		return verdict{0, partMore}
	}
	if len(w.copies) < 3 {
		return verdict{0, partBlind}
	}
	for _, r := range w.copies {
		list = append(list, at(r))
	}
	out, ok := outvoted(list)
	if !ok {
		return verdict{0, partTie}
	}
	v := verdict{part: partData}
	for _, i := range out {
		v.wrong |= o.roleOf(w.copies[i])
	}
	return v
}

// roleOf is who was read into r.
func (o *op) roleOf(r plan.Ref) plan.RoleSet {
	for i := range o.plan.Reads {
		if io := &o.plan.Reads[i]; io.Ref.Slot == r.Slot && io.Ref.Off <= r.Off && r.Off < io.Ref.Off+io.Ref.Len {
			return plan.RoleSet(0).With(io.Role)
		}
	}
	return 0
}

// outvoted is the numbers of the copies that are not what more than half of them are. It says no when there is no such half.
func outvoted(copies [][]byte) (wrong []int, ok bool) {
	for _, c := range copies {
		wrong = wrong[:0]
		for i, other := range copies {
			if !bytes.Equal(c, other) {
				wrong = append(wrong, i)
			}
		}
		if 2*len(wrong) < len(copies) {
			return wrong, true
		}
	}
	return nil, false
}
