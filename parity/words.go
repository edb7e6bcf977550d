package parity

import "encoding/binary"

// The portable kernels: 32 bytes at a time in 64-bit words, the rest in bytes. They work from offset lo to the end, so that they also finish
// what a kernel of whole vectors leaves over.

const wordBlock = 32

// load4 is 32 bytes of b from i.
func load4(b []byte, i int) (w0, w1, w2, w3 uint64) {
	b = b[i : i+wordBlock : i+wordBlock]
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
}

func store4(b []byte, i int, w0, w1, w2, w3 uint64) {
	b = b[i : i+wordBlock : i+wordBlock]
	binary.LittleEndian.PutUint64(b, w0)
	binary.LittleEndian.PutUint64(b[8:], w1)
	binary.LittleEndian.PutUint64(b[16:], w2)
	binary.LittleEndian.PutUint64(b[24:], w3)
}

// double is eight bytes times 2. The high bits, one to a byte, become 0x1d each: 2^8 in the field.
func double(w uint64) uint64 {
	high := w & 0x8080808080808080
	return (w&0x7f7f7f7f7f7f7f7f)<<1 ^ (high>>7)*(poly&0xff)
}

func xorWords(dst []byte, srcs [][]byte, lo int) {
	for ; lo+wordBlock <= len(dst); lo += wordBlock {
		var a0, a1, a2, a3 uint64
		for _, s := range srcs {
			w0, w1, w2, w3 := load4(s, lo)
			a0, a1, a2, a3 = a0^w0, a1^w1, a2^w2, a3^w3
		}
		store4(dst, lo, a0, a1, a2, a3)
	}
	for ; lo < len(dst); lo++ {
		var a byte
		for _, s := range srcs {
			a ^= s[lo]
		}
		dst[lo] = a
	}
}

// hornerWords is P and Q of all of data, from the last block to the first, doubling Q on the way.
func hornerWords(p, q []byte, data [][]byte, lo int) {
	for ; lo+wordBlock <= len(p); lo += wordBlock {
		var p0, p1, p2, p3, q0, q1, q2, q3 uint64
		for i := len(data) - 1; i >= 0; i-- {
			w0, w1, w2, w3 := load4(data[i], lo)
			p0, p1, p2, p3 = p0^w0, p1^w1, p2^w2, p3^w3
			q0, q1, q2, q3 = double(q0)^w0, double(q1)^w1, double(q2)^w2, double(q3)^w3
		}
		store4(p, lo, p0, p1, p2, p3)
		store4(q, lo, q0, q1, q2, q3)
	}
	for ; lo < len(p); lo++ {
		var a, b byte
		for i := len(data) - 1; i >= 0; i-- {
			a ^= data[i][lo]
			b = products[2][b] ^ data[i][lo]
		}
		p[lo], q[lo] = a, b
	}
}

// sumBlock is 32 bytes of a sum. It goes through the bits of all coefficients together, from the highest to the lowest, and so doubles seven
// times however many sources there are.
func sumBlock(coefs []byte, srcs [][]byte, lo int) (a0, a1, a2, a3 uint64) {
	var all byte
	for _, c := range coefs {
		all |= c
	}
	for bit := byte(0x80); bit != 0; bit >>= 1 {
		if all >= bit {
			a0, a1, a2, a3 = double(a0), double(a1), double(a2), double(a3)
		}
		if all&bit == 0 {
			continue
		}
		for i, c := range coefs {
			if c&bit != 0 {
				w0, w1, w2, w3 := load4(srcs[i], lo)
				a0, a1, a2, a3 = a0^w0, a1^w1, a2^w2, a3^w3
			}
		}
	}
	return a0, a1, a2, a3
}

func sumByte(coefs []byte, srcs [][]byte, lo int) (a byte) {
	for i, c := range coefs {
		a ^= products[c][srcs[i][lo]]
	}
	return a
}

func sumWords(dst, coefs []byte, srcs [][]byte, lo int) {
	for ; lo+wordBlock <= len(dst); lo += wordBlock {
		a0, a1, a2, a3 := sumBlock(coefs, srcs, lo)
		store4(dst, lo, a0, a1, a2, a3)
	}
	for ; lo < len(dst); lo++ {
		dst[lo] = sumByte(coefs, srcs, lo)
	}
}

// sumQWords is a plain sum p and a sum q with coefficients.
func sumQWords(p, q, coefs []byte, srcs [][]byte, lo int) {
	for ; lo+wordBlock <= len(p); lo += wordBlock {
		q0, q1, q2, q3 := sumBlock(coefs, srcs, lo)
		var p0, p1, p2, p3 uint64
		for _, s := range srcs {
			w0, w1, w2, w3 := load4(s, lo)
			p0, p1, p2, p3 = p0^w0, p1^w1, p2^w2, p3^w3
		}
		store4(p, lo, p0, p1, p2, p3)
		store4(q, lo, q0, q1, q2, q3)
	}
	for ; lo < len(p); lo++ {
		b := sumByte(coefs, srcs, lo)
		var a byte
		for _, s := range srcs {
			a ^= s[lo]
		}
		p[lo], q[lo] = a, b
	}
}

// sumsWords is two sums with coefficients.
func sumsWords(a, acoefs, b, bcoefs []byte, srcs [][]byte, lo int) {
	for ; lo+wordBlock <= len(a); lo += wordBlock {
		a0, a1, a2, a3 := sumBlock(acoefs, srcs, lo)
		b0, b1, b2, b3 := sumBlock(bcoefs, srcs, lo)
		store4(a, lo, a0, a1, a2, a3)
		store4(b, lo, b0, b1, b2, b3)
	}
	for ; lo < len(a); lo++ {
		x, y := sumByte(acoefs, srcs, lo), sumByte(bcoefs, srcs, lo)
		a[lo], b[lo] = x, y
	}
}

func zeroWords(b []byte) bool {
	lo := 0
	for ; lo+wordBlock <= len(b); lo += wordBlock {
		if w0, w1, w2, w3 := load4(b, lo); w0|w1|w2|w3 != 0 {
			return false
		}
	}
	for ; lo < len(b); lo++ {
		if b[lo] != 0 {
			return false
		}
	}
	return true
}
