// Package parity computes over bytes: sums of blocks with coefficients in GF(2^8), the field of Linux md's RAID 6 (polynomial 0x11d),
// and what follows from them: P and Q, their repair, and which block of a stripe is wrong. It knows nothing of devices, stripes or arrays.
//
// Every function reads all its sources once, a few cache lines of each at a time, and allocates nothing. A destination may be one of the
// sources, from its first byte to its last; other overlaps of a destination with anything are not allowed. All blocks of one call are of
// one length, or the call panics. Which instructions do the work is chosen once, at start; see Kernels.
package parity

import "fmt"

// XOR makes dst the sum of srcs, however many. The sum of none is zero.
func XOR(dst []byte, srcs ...[]byte) { xor(dst, srcs, false) }

// XORStream is XOR for a dst that will not be read soon: it goes past the cache where that is faster.
func XORStream(dst []byte, srcs ...[]byte) { xor(dst, srcs, true) }

// Sum makes dst the sum of each of srcs times its coefficient. A coefficient of 1 costs no more than XOR;
// coefs of nil means that all are 1.
func Sum(dst, coefs []byte, srcs [][]byte) {
	if plain(coefs, len(srcs)) {
		xor(dst, srcs, false)
		return
	}
	check(len(dst), srcs)
	sum(dst, coefs, srcs)
}

// Sums makes a and b two sums of the same srcs, each with coefficients of its own (nil: all 1), reading them once. a and b may each be one
// of the srcs, but not the same one.
func Sums(a, acoefs, b, bcoefs []byte, srcs [][]byte) {
	check(len(a), srcs)
	if len(a) != len(b) {
		panic(fmt.Sprintf("parity: destinations of %d and %d bytes", len(a), len(b)))
	}
	switch onea, oneb := plain(acoefs, len(srcs)), plain(bcoefs, len(srcs)); {
	case onea && oneb:
		xor(a, srcs, false)
		copy(b, a)
	case onea:
		sumQ(a, b, bcoefs, srcs)
	case oneb:
		sumQ(b, a, acoefs, srcs)
	default:
		sums(a, acoefs, b, bcoefs, srcs)
	}
}

// MulAdd adds coef times src to dst.
func MulAdd(dst, src []byte, coef byte) {
	Sum(dst, []byte{1, coef}, [][]byte{dst, src})
}

// MulTo makes dst coef times src.
func MulTo(dst, src []byte, coef byte) {
	Sum(dst, []byte{coef}, [][]byte{src})
}

// plain says whether all coefficients are 1.
func plain(coefs []byte, srcs int) bool {
	if coefs == nil {
		return true
	}
	if len(coefs) != srcs {
		panic(fmt.Sprintf("parity: %d coefficients for %d sources", len(coefs), srcs))
	}
	for _, c := range coefs {
		if c != 1 {
			return false
		}
	}
	return true
}

// check holds every source to the length of the destination: what follows reads without looking.
func check(n int, srcs [][]byte) {
	for i, s := range srcs {
		if len(s) != n {
			panic(fmt.Sprintf("parity: source %d of %d has %d bytes, not %d", i, len(srcs), len(s), n))
		}
	}
}
