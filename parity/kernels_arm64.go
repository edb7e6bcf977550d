package parity

// available: every arm64 has NEON.
func available() []level { return []level{generic, neon} }

// whole is how much of n bytes the vectors do, in blocks of a power of two; 0 if they are not to.
func whole(n, block, srcs int) int {
	if used != neon || srcs == 0 {
		return 0
	}
	return n &^ (block - 1)
}

// Streaming stores (STNP) are a hint on arm64, which the cores at hand ignore: there are none.

func xorVectors(dst []byte, srcs [][]byte, _ bool) int {
	n := whole(len(dst), 128, len(srcs))
	if n > 0 {
		xorNEON(&dst[0], srcs, n)
	}
	return n
}

func pqVectors(p, q []byte, data [][]byte, _ bool) int {
	n := whole(len(p), 64, len(data))
	if n > 0 {
		hornerNEON(&p[0], &q[0], data, n)
	}
	return n
}

func sumVectors(dst, coefs []byte, srcs [][]byte) int {
	n := whole(len(dst), 64, len(srcs))
	if n > 0 {
		sumNEON(&dst[0], &coefs[0], srcs, n, &halves)
	}
	return n
}

func sumQVectors(p, q, coefs []byte, srcs [][]byte) int {
	n := whole(len(p), 64, len(srcs))
	if n > 0 {
		sumQNEON(&p[0], &q[0], &coefs[0], srcs, n, &halves)
	}
	return n
}

func sumsVectors(a, acoefs, b, bcoefs []byte, srcs [][]byte) int {
	n := whole(len(a), 64, len(srcs))
	if n > 0 {
		sumsNEON(&a[0], &b[0], &acoefs[0], &bcoefs[0], srcs, n, &halves)
	}
	return n
}

func zeroVectors(b []byte) (done int, zero bool) {
	n := whole(len(b), 64, 1)
	if n == 0 {
		return 0, true
	}
	return n, zeroNEON(&b[0], n)
}
