package parity

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate go run gen/main.go gen/amd64.go gen/arm64.go

func available() []level {
	have := []level{generic, sse2}
	if cpu.X86.HasAVX2 {
		have = append(have, avx2)
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ {
			have = append(have, avx512)
			if cpu.X86.HasAVX512GFNI {
				have = append(have, gfni)
			}
		}
	}
	return have
}

// aligned says whether streaming stores, which want whole vectors in place, can be used.
func aligned(b *byte) bool { return uintptr(unsafe.Pointer(b))%64 == 0 }

func xorVectors(dst []byte, srcs [][]byte, stream bool) int {
	n := len(dst) &^ 63
	if n == 0 {
		return 0
	}
	d := &dst[0]
	stream = stream && aligned(d)
	switch used {
	case sse2:
		if stream {
			xorSSE2Stream(d, srcs, n)
		} else {
			xorSSE2(d, srcs, n)
		}
	case avx2:
		if stream {
			xorAVX2Stream(d, srcs, n)
		} else {
			xorAVX2(d, srcs, n)
		}
	case avx512, gfni:
		if stream {
			xorAVX512Stream(d, srcs, n)
		} else {
			xorAVX512(d, srcs, n)
		}
	default:
		return 0
	}
	return n
}

func pqVectors(p, q []byte, data [][]byte, stream bool) int {
	n := len(p) &^ 63
	if n == 0 {
		return 0
	}
	a, b := &p[0], &q[0]
	stream = stream && aligned(a) && aligned(b)
	switch used {
	case sse2:
		if stream {
			hornerSSE2Stream(a, b, data, n)
		} else {
			hornerSSE2(a, b, data, n)
		}
	case avx2:
		if stream {
			hornerAVX2Stream(a, b, data, n)
		} else {
			hornerAVX2(a, b, data, n)
		}
	case avx512:
		if stream {
			hornerAVX512Stream(a, b, data, n)
		} else {
			hornerAVX512(a, b, data, n)
		}
	case gfni:
		if stream {
			sumQGFNIStream(a, b, &powers[0], data, n, &matrices)
		} else {
			sumQGFNI(a, b, &powers[0], data, n, &matrices)
		}
	default:
		return 0
	}
	return n
}

func sumVectors(dst, coefs []byte, srcs [][]byte) int {
	n := len(dst) &^ 63
	if n == 0 || len(srcs) == 0 {
		return 0
	}
	switch used {
	case avx2:
		sumAVX2(&dst[0], &coefs[0], srcs, n, &halves)
	case avx512:
		sumAVX512(&dst[0], &coefs[0], srcs, n, &halves)
	case gfni:
		sumGFNI(&dst[0], &coefs[0], srcs, n, &matrices)
	default:
		return 0
	}
	return n
}

func sumQVectors(p, q, coefs []byte, srcs [][]byte) int {
	n := len(p) &^ 63
	if n == 0 || len(srcs) == 0 {
		return 0
	}
	switch used {
	case avx2:
		sumQAVX2(&p[0], &q[0], &coefs[0], srcs, n, &halves)
	case avx512:
		sumQAVX512(&p[0], &q[0], &coefs[0], srcs, n, &halves)
	case gfni:
		sumQGFNI(&p[0], &q[0], &coefs[0], srcs, n, &matrices)
	default:
		return 0
	}
	return n
}

func sumsVectors(a, acoefs, b, bcoefs []byte, srcs [][]byte) int {
	n := len(a) &^ 63
	if n == 0 || len(srcs) == 0 {
		return 0
	}
	switch used {
	case avx2:
		sumsAVX2(&a[0], &b[0], &acoefs[0], &bcoefs[0], srcs, n, &halves)
	case avx512:
		sumsAVX512(&a[0], &b[0], &acoefs[0], &bcoefs[0], srcs, n, &halves)
	case gfni:
		sumsGFNI(&a[0], &b[0], &acoefs[0], &bcoefs[0], srcs, n, &matrices)
	default:
		return 0
	}
	return n
}

func zeroVectors(b []byte) (done int, zero bool) {
	n := len(b) &^ 255
	if n == 0 {
		return 0, true
	}
	switch used {
	case sse2:
		return n, zeroSSE2(&b[0], n)
	case avx2:
		return n, zeroAVX2(&b[0], n)
	case avx512, gfni:
		return n, zeroAVX512(&b[0], n)
	}
	return 0, true
}

// matrices are the multiplications by every coefficient as GF2P8AFFINEQB takes them: row i, from the highest byte down, says which bits of
// the source make bit i of the product.
var matrices = func() (t [256]uint64) {
	for c := range t {
		for in := range 8 {
			x := mulSlow(byte(c), 1<<in)
			for out := range 8 {
				if x>>out&1 != 0 {
					t[c] |= 1 << ((7-out)*8 + in)
				}
			}
		}
	}
	return t
}()
