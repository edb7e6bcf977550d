package crash

import (
	"fmt"
	"math/bits"
)

// learn finds out from the members' images which sector of the array lies where: every sector of the array has a content of its own, so the
// image of a filled array is its layout. What none of it explains is parity, and must be what parity is.
func (g *ground) learn() error {
	g.places = make([][]place, g.sectors)
	copies := map[int]int{1: g.Members, 10: 2}[g.Level]
	for at := g.dataAt(); at < 64; at++ {
		for m := range g.Members {
			b := g.base.m[m][at*sector : (at+1)*sector]
			if lba := int(b[1]); lba < g.sectors && g.version(lba, b) == vBase {
				g.places[lba] = append(g.places[lba], place{m, at})
				g.rows[at] = append(g.rows[at], lba)
				g.data[at] |= 1 << m
			}
		}
	}
	for lba, p := range g.places {
		if len(p) != max(copies, 1) {
			return fmt.Errorf("sector %d lies at %v: %d places are expected", lba, p, max(copies, 1))
		}
	}
	if !g.parity() {
		return nil
	}
	for at := g.dataAt(); at < g.dataAt()+int(g.Chunks)*perChunk; at++ {
		rest := ^g.data[at] & (1<<g.Members - 1)
		g.q[at] = -1
		if g.Level == 6 && bits.OnesCount8(rest) == 2 {
			lo, hi := bits.TrailingZeros8(rest), 7-bits.LeadingZeros8(rest)
			if g.q[at] = lo; !g.agrees(at, g.base.m[:g.Members]) {
				g.q[at] = hi
			}
		} else if bits.OnesCount8(rest) != 1 {
			return fmt.Errorf("row %d: members %b have no data of the array", at, rest)
		}
		if !g.agrees(at, g.base.m[:g.Members]) {
			return fmt.Errorf("row %d of a filled array: the parity is not the sum", at)
		}
	}
	return nil
}

// agrees says whether the parity of a row of the members' images is what it must be.
func (g *ground) agrees(at int, m [][]byte) bool {
	var sum, second [sector]byte
	lo, hi := at*sector, (at+1)*sector
	q := g.q[at]
	for i := range m {
		if i != q {
			xor(sum[:], m[i][lo:hi])
		}
	}
	if sum != [sector]byte{} {
		return false
	}
	if q < 0 {
		return true
	}
	// Horner's rule over the data, the last first. The first is the member after Q.
	for i := g.Members - 1; i > 0; i-- {
		if k := (q + i) % g.Members; g.data[at]>>k&1 != 0 {
			double(second[:])
			xor(second[:], m[k][lo:hi])
		}
	}
	return string(second[:]) == string(m[q][lo:hi])
}

func xor(dst, src []byte) {
	for i := range dst {
		dst[i] ^= src[i]
	}
}

// double multiplies by 2 in the field of md's Q.
func double(b []byte) {
	for i, x := range b {
		b[i] = x<<1 ^ x>>7*0x1d
	}
}
