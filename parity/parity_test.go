package parity

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxLen   = 257
	maxAlign = 16
	guard    = 0xA5 // around what may be written
)

// each calls do for every length and every alignment of two buffers: the first of both kinds of misalignment together, then apart.
func each(do func(n, a, b int)) {
	for n := 0; n <= maxLen; n++ {
		for a := range maxAlign {
			do(n, a, a)
			do(n, a, (a*7+3)%maxAlign)
		}
	}
}

func filled(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// guarded is n bytes at an alignment within memory whose rest must not change.
func guarded(n, align int) (whole, piece []byte) {
	whole = bytes.Repeat([]byte{guard}, maxAlign+n+64)
	return whole, whole[align : align+n : align+n]
}

func untouched(t *testing.T, whole []byte, n, align int) {
	for i, x := range whole {
		if (i < align || i >= align+n) && x != guard {
			require.Fail(t, "wrote outside its buffer", "length %d, alignment %d, byte %d", n, align, i-align)
		}
	}
}

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

func TestMul(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			require.Equal(t, product(byte(a), byte(b)), Mul(byte(a), byte(b)))
		}
	}
	power := byte(1)
	for _, want := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232} {
		require.Equal(t, want, power)
		power = Mul(power, 2)
	}
}

// TestVector is Q of three blocks, as Linux computes it.
func TestVector(t *testing.T) {
	q := make([]byte, 8)
	for i, coef := range []byte{1, 2, 4} {
		d := make([]byte, 8)
		for j := range d {
			d[j] = byte((i+1)<<4 + j)
		}
		MulAdd(q, d, coef)
	}
	require.Equal(t, []byte{0x90, 0x97, 0x9e, 0x99, 0x8c, 0x8b, 0x82, 0x85}, q)
}

// TestAgainstBytes compares every function with a loop over bytes, at all lengths and alignments.
func TestAgainstBytes(t *testing.T) {
	a, b := filled(maxLen, 1), filled(maxLen, 2)
	coefs := []byte{0, 1, 2, 0x8e, 0xff}
	times, plus := map[byte][]byte{}, map[byte][]byte{} // coef*a, b+coef*a
	for _, coef := range coefs {
		for i := range a {
			times[coef] = append(times[coef], product(coef, a[i]))
			plus[coef] = append(plus[coef], b[i]^product(coef, a[i]))
		}
	}
	each(func(n, at, bt int) {
		_, src := guarded(n, bt)
		copy(src, a)
		for _, coef := range coefs {
			whole, dst := guarded(n, at)
			copy(dst, b)
			MulAdd(dst, src, coef)
			require.True(t, bytes.Equal(plus[coef][:n], dst), "MulAdd by %d, length %d, alignments %d %d", coef, n, at, bt)
			untouched(t, whole, n, at)

			whole, dst = guarded(n, at)
			MulTo(dst, src, coef)
			require.True(t, bytes.Equal(times[coef][:n], dst), "MulTo by %d, length %d, alignments %d %d", coef, n, at, bt)
			untouched(t, whole, n, at)
		}
		want := plus[1][:n]
		whole, dst := guarded(n, at)
		copy(dst, b)
		XOR(dst, src)
		require.True(t, bytes.Equal(want, dst), "XOR, length %d, alignments %d %d", n, at, bt)
		untouched(t, whole, n, at)

		whole, dst = guarded(n, at)
		Sum2(dst, src, b[:n])
		require.True(t, bytes.Equal(want, dst), "Sum2, length %d, alignments %d %d", n, at, bt)
		untouched(t, whole, n, at)
		copy(dst, b)
		Sum2(dst, dst, src)
		require.True(t, bytes.Equal(want, dst), "Sum2 in place, length %d, alignments %d %d", n, at, bt)
		copy(dst, b)
		Sum2(dst, src, dst)
		require.True(t, bytes.Equal(want, dst), "Sum2 in place of the second, length %d, alignments %d %d", n, at, bt)
	})
}

// TestIsZero has one bit set at every place in turn, and bytes that are not zero all around.
func TestIsZero(t *testing.T) {
	each(func(n, at, _ int) {
		_, b := guarded(n, at)
		clear(b)
		require.True(t, IsZero(b), "length %d, alignment %d", n, at)
		for i := range b {
			b[i] = 1 << (i % 8)
			if IsZero(b) {
				require.Fail(t, "not zero", "length %d, alignment %d, byte %d", n, at, i)
			}
			b[i] = 0
		}
	})
}

func BenchmarkMulAdd(b *testing.B) {
	for _, c := range []struct {
		name string
		coef byte
	}{{"xor", 1}, {"two", 2}} {
		b.Run(c.name, func(b *testing.B) {
			dst, src := make([]byte, 4096), filled(4096, 1)
			b.SetBytes(4096)
			b.ReportAllocs()
			for b.Loop() {
				MulAdd(dst, src, c.coef)
			}
		})
	}
}
