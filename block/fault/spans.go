package fault

import "math/rand/v2"

// span is the bytes [lo, hi).
type span struct{ lo, hi int64 }

// spans are some, lowest first, none of which touch.
type spans []span

// within is the parts of s in [lo, hi).
func (s spans) within(lo, hi int64) (parts spans) {
	for _, p := range s {
		if p.lo < hi && lo < p.hi {
			parts = append(parts, span{max(p.lo, lo), min(p.hi, hi)})
		}
	}
	return parts
}

// without is s without [lo, hi).
func (s spans) without(lo, hi int64) (rest spans) {
	if lo >= hi || len(s.within(lo, hi)) == 0 {
		return s
	}
	for _, p := range s {
		if p.lo < min(p.hi, lo) {
			rest = append(rest, span{p.lo, min(p.hi, lo)})
		}
		if max(p.lo, hi) < p.hi {
			rest = append(rest, span{max(p.lo, hi), p.hi})
		}
	}
	return rest
}

// whole is the sectors of d that [lo, hi) touches.
func (d *Device) whole(lo, hi int64) spans {
	lo, hi = lo/d.unit*d.unit, min((hi+d.unit-1)/d.unit*d.unit, d.info.Size)
	if lo >= hi {
		return nil
	}
	return spans{{lo, hi}}
}

// chance is a rule's own stream on one device.
type chance struct{ *rand.Rand }

// below is a number from 0 to n-1.
func (c chance) below(n int64) int64 {
	if n <= 1 {
		return 0
	}
	return c.Int64N(n)
}
