package parity

import (
	"math/rand/v2"
	"testing"
)

// product is coef*x by the definition: shift and add, reducing by x^8+x^4+x^3+x^2+1.
func product(coef, x byte) (p byte) {
	for bit := 7; bit >= 0; bit-- {
		carry := p & 0x80
		if p <<= 1; carry != 0 {
			p ^= 0x1d
		}
		if coef>>bit&1 != 0 {
			p ^= x
		}
	}
	return p
}

// table is product, looked up: the sweeps ask for a thousand million of them.
var table = func() (t [256][256]byte) {
	for c := range 256 {
		for x := range 256 {
			t[c][x] = product(byte(c), byte(x))
		}
	}
	return t
}()

// slowSum is the byte loop that every kernel must agree with.
func slowSum(coefs []byte, srcs [][]byte, n int) []byte {
	sum := make([]byte, n)
	for i, s := range srcs {
		row := &table[1]
		if coefs != nil {
			row = &table[coefs[i]]
		}
		for j := range sum {
			sum[j] ^= row[s[j]]
		}
	}
	return sum
}

// slowQ is Q by the definition: the sum of 2^i times block i.
func slowQ(data [][]byte, n int) []byte {
	var coefs []byte
	c := byte(1)
	for range data {
		coefs = append(coefs, c)
		c = product(c, 2)
	}
	return slowSum(coefs, data, n)
}

func filled(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// everyLevel runs a test once for each set of instructions that this machine has.
func everyLevel(t *testing.T, do func(t *testing.T)) {
	for _, l := range available() {
		t.Run(l.String(), func(t *testing.T) {
			defer func(was level) { used = was }(used)
			used = l
			do(t)
		})
	}
}
