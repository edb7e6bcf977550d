package parity

// n is a multiple of 64 in all of these (of 128 in xor) and not 0, and there are at least two sources in xor and horner, one in the others.

//go:noescape
func xorNEON(dst *byte, srcs [][]byte, n int)

//go:noescape
func hornerNEON(p, q *byte, srcs [][]byte, n int)

//go:noescape
func sumNEON(dst, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumQNEON(p, q, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumsNEON(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func zeroNEON(b *byte, n int) bool
