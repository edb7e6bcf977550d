package parity

// n is a multiple of 64 in all of these, and there are at least two sources in xor and horner, one in the others.

//go:noescape
func xorSSE2(dst *byte, srcs [][]byte, n int)

//go:noescape
func xorSSE2Stream(dst *byte, srcs [][]byte, n int)

//go:noescape
func xorAVX2(dst *byte, srcs [][]byte, n int)

//go:noescape
func xorAVX2Stream(dst *byte, srcs [][]byte, n int)

//go:noescape
func xorAVX512(dst *byte, srcs [][]byte, n int)

//go:noescape
func xorAVX512Stream(dst *byte, srcs [][]byte, n int)

//go:noescape
func hornerSSE2(p, q *byte, srcs [][]byte, n int)

//go:noescape
func hornerSSE2Stream(p, q *byte, srcs [][]byte, n int)

//go:noescape
func hornerAVX2(p, q *byte, srcs [][]byte, n int)

//go:noescape
func hornerAVX2Stream(p, q *byte, srcs [][]byte, n int)

//go:noescape
func hornerAVX512(p, q *byte, srcs [][]byte, n int)

//go:noescape
func hornerAVX512Stream(p, q *byte, srcs [][]byte, n int)

//go:noescape
func sumAVX2(dst, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumAVX512(dst, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumGFNI(dst, coefs *byte, srcs [][]byte, n int, matrices *[256]uint64)

//go:noescape
func sumQAVX2(p, q, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumQAVX512(p, q, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumQGFNI(p, q, coefs *byte, srcs [][]byte, n int, matrices *[256]uint64)

//go:noescape
func sumQGFNIStream(p, q, coefs *byte, srcs [][]byte, n int, matrices *[256]uint64)

//go:noescape
func sumsAVX2(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumsAVX512(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, tables *[256][32]byte)

//go:noescape
func sumsGFNI(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, matrices *[256]uint64)

//go:noescape
func zeroSSE2(b *byte, n int) bool

//go:noescape
func zeroAVX2(b *byte, n int) bool

//go:noescape
func zeroAVX512(b *byte, n int) bool
