package parity

// The kernels of this machine do as much as they have instructions for, in whole vectors from the start; words do the rest.

func xor(dst []byte, srcs [][]byte, stream bool) {
	check(len(dst), srcs)
	switch len(srcs) {
	case 0:
		clear(dst)
	case 1:
		copy(dst, srcs[0])
	default:
		if done := xorVectors(dst, srcs, stream); done < len(dst) {
			xorWords(dst, srcs, done)
		}
	}
}

func horner(p, q []byte, data [][]byte, stream bool) {
	if done := pqVectors(p, q, data, stream); done < len(p) {
		hornerWords(p, q, data, done)
	}
}

func sum(dst, coefs []byte, srcs [][]byte) {
	if done := sumVectors(dst, coefs, srcs); done < len(dst) {
		sumWords(dst, coefs, srcs, done)
	}
}

func sumQ(p, q, coefs []byte, srcs [][]byte) {
	if done := sumQVectors(p, q, coefs, srcs); done < len(p) {
		sumQWords(p, q, coefs, srcs, done)
	}
}

func sums(a, acoefs, b, bcoefs []byte, srcs [][]byte) {
	if done := sumsVectors(a, acoefs, b, bcoefs, srcs); done < len(a) {
		sumsWords(a, acoefs, b, bcoefs, srcs, done)
	}
}

// IsZero says whether every byte of b is zero.
func IsZero(b []byte) bool {
	done, zero := zeroVectors(b)
	return zero && zeroWords(b[done:])
}
