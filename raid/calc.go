package raid

import (
	"graid/parity"
	"graid/raid/plan"
)

// sumSlice is how much of a sum is computed at a time, so that all its terms fit the second level cache together. Bytes.
const sumSlice = 32 << 10

// sums is the memory that calc needs, kept from plan to plan.
type sums struct {
	coefs, more []byte
	srcs        [][]byte
}

// calc computes the plan's sums in order and says how many bytes of those that were expected to be zero are in pieces that are not.
//
// Two sums in a row over the same terms, as P and Q are, are computed in one pass over them.
func (o *op) calc() (mismatch int64) {
	o.diffs = o.diffs[:0]
	calcs := o.plan.Calcs
	for len(calcs) > 0 {
		n := 1
		if len(calcs) > 1 && o.sameTerms(&calcs[0], &calcs[1]) {
			n = 2
		}
		mismatch += o.sum(calcs[:n])
		calcs = calcs[n:]
	}
	return mismatch
}

// sameTerms says whether a and b sum up the same memory, if with other coefficients, and b needs nothing of what a makes.
func (o *op) sameTerms(a, b *plan.Calc) bool {
	if a.Hi-a.Lo != b.Hi-b.Lo || a.Dst.Len != b.Dst.Len || a.Dst.Slot == b.Dst.Slot {
		return false
	}
	for i := range a.Hi - a.Lo {
		if t := o.plan.Terms[a.Lo+i].Ref; t != o.plan.Terms[b.Lo+i].Ref || t.Slot == a.Dst.Slot {
			return false
		}
	}
	return true
}

// sum computes one calc, or two over the same terms.
func (o *op) sum(calcs []plan.Calc) (mismatch int64) {
	s, first := &o.sums, calcs[0]
	s.coefs, s.more = o.coefs(s.coefs[:0], first), o.coefs(s.more[:0], calcs[len(calcs)-1])
	for lo := int64(0); lo < first.Dst.Len; lo += sumSlice {
		n := min(sumSlice, first.Dst.Len-lo)
		s.srcs = s.srcs[:0]
		for _, t := range o.plan.Terms[first.Lo:first.Hi] {
			s.srcs = append(s.srcs, o.mem(t.Ref.At(lo, n)))
		}
		if len(calcs) == 1 {
			parity.Sum(o.mem(first.Dst.At(lo, n)), s.coefs, s.srcs)
		} else {
			parity.Sums(o.mem(first.Dst.At(lo, n)), s.coefs, o.mem(calcs[1].Dst.At(lo, n)), s.more, s.srcs)
		}
		wrong := false
		for i := range calcs {
			if c := &calcs[i]; c.Expect && !parity.IsZero(o.mem(c.Dst.At(lo, n))) {
				wrong = true
				o.differ(c, lo, n)
			}
		}
		if wrong {
			mismatch += n
		}
	}
	clear(s.srcs[:cap(s.srcs)]) // hold on to nobody's buffer
	return mismatch
}

// differ notes which sectors of c's sum, in [lo, lo+n) of it, are not zero.
func (o *op) differ(c *plan.Calc, lo, n int64) {
	at := o.posOf(c)
	for end := lo + n; lo < end; lo += sectorSize {
		n := min(sectorSize, end-lo)
		if !parity.IsZero(o.mem(c.Dst.At(lo, n))) {
			o.diffs = append(o.diffs, diff{c.Lo, plan.Span{Lo: at + lo, Hi: at + lo + n}})
		}
	}
}

// diff is a sector that a sum says is wrong. The sum goes by where its terms begin in the plan.
type diff struct {
	sum int
	pos plan.Span // in the sync space
}

// posOf is where in the sync space the sum c begins: where what it sums up was read from.
func (o *op) posOf(c *plan.Calc) int64 {
	term := o.plan.Terms[c.Lo].Ref
	for i := range o.plan.Reads {
		if io := &o.plan.Reads[i]; io.Ref.Slot == term.Slot && io.Ref.Off <= term.Off && term.Off < io.Ref.Off+io.Ref.Len {
			return io.Pos + term.Off - io.Ref.Off
		}
	}
	return 0
}

func (o *op) coefs(dst []byte, c plan.Calc) []byte {
	for _, t := range o.plan.Terms[c.Lo:c.Hi] {
		dst = append(dst, t.Coef)
	}
	return dst
}
