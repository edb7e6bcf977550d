// Package parity computes over bytes: sums of blocks with coefficients in GF(2^8), the field of Linux md's RAID 6 (polynomial 0x11d).
// It knows nothing of devices, stripes or arrays.
package parity

import (
	"crypto/subtle"
	"encoding/binary"
)

// poly is x^8+x^4+x^3+x^2+1, Linux md's choice (lib/raid6).
const poly = 0x11d

// products[c][x] is c*x in the field. 64 KiB, computed once at start: cheaper than carrying it in the source.
var products = func() (t [256][256]byte) {
	for c := range 256 {
		for x := range 256 {
			t[c][x] = mulSlow(byte(c), byte(x))
		}
	}
	return t
}()

func mulSlow(a, b byte) (p byte) {
	for x, y := int(a), int(b); y != 0; y >>= 1 {
		if y&1 != 0 {
			p ^= byte(x)
		}
		if x <<= 1; x&0x100 != 0 {
			x ^= poly
		}
	}
	return p
}

// Mul is a*b in the field.
func Mul(a, b byte) byte { return products[a][b] }

// XOR makes dst the sum of dst and src, which are of one length.
func XOR(dst, src []byte) { subtle.XORBytes(dst, dst, src) }

// Sum2 makes dst the sum of a and b; all are of one length and dst may be one of them.
func Sum2(dst, a, b []byte) { subtle.XORBytes(dst, a, b) }

// MulAdd adds coef times src to dst, which is as long. A coef of 1 costs what XOR costs.
func MulAdd(dst, src []byte, coef byte) {
	switch coef {
	case 0:
	case 1:
		XOR(dst, src)
	default:
		row := &products[coef]
		dst = dst[:len(src)]
		for i, x := range src {
			dst[i] ^= row[x]
		}
	}
}

// MulTo makes dst coef times src, which is as long.
func MulTo(dst, src []byte, coef byte) {
	if coef == 1 {
		copy(dst, src)
		return
	}
	row := &products[coef]
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = row[x]
	}
}

// IsZero says whether every byte of b is zero.
func IsZero(b []byte) bool {
	for ; len(b) >= 32; b = b[32:] {
		w := b[:32]
		if binary.LittleEndian.Uint64(w)|binary.LittleEndian.Uint64(w[8:])|
			binary.LittleEndian.Uint64(w[16:])|binary.LittleEndian.Uint64(w[24:]) != 0 {
			return false
		}
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
