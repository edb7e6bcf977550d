package parity

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestField(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			require.Equal(t, product(byte(a), byte(b)), Mul(byte(a), byte(b)))
			if b != 0 {
				require.Equal(t, byte(a), product(Div(byte(a), byte(b)), byte(b)))
			}
		}
	}
	for e, want := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232} {
		require.Equal(t, want, Power(e))
		require.Equal(t, want, Power(e-MaxData))
		require.Equal(t, want, Power(e+MaxData))
	}
	require.Panics(t, func() { Div(1, 0) })
}

// TestRefusals has blocks of different lengths, and coefficients for other sources.
func TestRefusals(t *testing.T) {
	a, b := make([]byte, 64), make([]byte, 63)
	for name, do := range map[string]func(){
		"XOR short source":  func() { XOR(a, a, b) },
		"XOR long source":   func() { XOR(b, b, a) },
		"XOR of one":        func() { XOR(a, b) },
		"Sum":               func() { Sum(a, []byte{1, 2}, [][]byte{a, b}) },
		"Sum coefficients":  func() { Sum(a, []byte{1}, [][]byte{a, a}) },
		"Sums":              func() { Sums(a, nil, b, []byte{2, 3}, [][]byte{a, a}) },
		"Sums plain":        func() { Sums(a, nil, b, nil, [][]byte{a, a}) },
		"Sums coefficients": func() { Sums(a, nil, a, []byte{2, 3, 4}, [][]byte{a, a}) },
		"PQ":                func() { PQ(a, b, a, a) },
		"PQ of one":         func() { PQ(a, b, a) },
		"PQ data":           func() { PQ(a, a, a, b) },
		"PQ with a hole":    func() { PQ(a, a, a, nil, b) },
		"Locate":            func() { Locate(a, b, a, a) },
		"RecoverTwo":        func() { RecoverTwo(0, 1, a, a, a, b) },
		"RecoverTwo same":   func() { RecoverTwo(1, 1, a, a, a, a) },
	} {
		require.Panics(t, do, name)
	}
}

// TestNothingAllocated calls everything as the engine does.
func TestNothingAllocated(t *testing.T) {
	b := make([][]byte, 8)
	for i := range b {
		b[i] = filled(4096, uint64(i))
	}
	coefs := []byte{1, 2, 3}
	everyLevel(t, func(t *testing.T) {
		for name, do := range map[string]func(){
			"XOR":          func() { XOR(b[0], b[0], b[1], b[2]) },
			"XORStream":    func() { XORStream(b[0], b[1], b[2]) },
			"Sum":          func() { Sum(b[0], coefs, b[1:4]) },
			"Sums":         func() { Sums(b[0], nil, b[1], coefs, b[2:5]) },
			"Sums of two":  func() { Sums(b[0], coefs, b[1], coefs, b[2:5]) },
			"MulAdd":       func() { MulAdd(b[0], b[1], coefs[2]) },
			"MulTo":        func() { MulTo(b[0], b[1], coefs[2]) },
			"PQ":           func() { PQ(b[0], b[1], b[2], b[3], b[4]) },
			"PQ with nil":  func() { PQ(b[0], b[1], b[2], nil, b[4]) },
			"UpdatePQ":     func() { UpdatePQ(b[0], b[1], 3, b[2], b[3]) },
			"RecoverData":  func() { RecoverData(1, b[0], b[2:]...) },
			"RecoverDataP": func() { RecoverDataP(1, b[0], b[1], b[2:]...) },
			"RecoverDataQ": func() { RecoverDataQ(1, b[0], b[1], b[2:]...) },
			"RecoverTwo":   func() { RecoverTwo(1, 2, b[0], b[1], b[2:]...) },
			"Locate":       func() { Locate(b[0], b[1], b[2:]...) },
			"IsZero":       func() { IsZero(b[0]) },
		} {
			require.Zero(t, testing.AllocsPerRun(10, do), name)
		}
	})
}

// TestChoose forces what there is and ignores the rest.
func TestChoose(t *testing.T) {
	have := []level{generic, sse2, avx2}
	for name, want := range map[string]level{"": avx2, "generic": generic, "sse2": sse2, "avx2": avx2, "gfni": avx2, "AVX2": avx2, "fast": avx2} {
		require.Equal(t, want, choose(name, have), name)
	}
	names, inUse := Kernels()
	require.Equal(t, "generic", names[0])
	require.Contains(t, names, inUse)
	require.Len(t, names, len(available()))
}

// TestIsZero has one bit set at every place in turn, and bytes that are not zero all around.
func TestIsZero(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		whole := filled(2048, 1)
		for i := range whole {
			whole[i] |= 1
		}
		for n := 0; n <= 1100; n += 1 + n/70 {
			at := n * 7 % 64
			b := whole[at : at+n]
			was := append([]byte(nil), b...)
			clear(b)
			require.True(t, IsZero(b), "length %d, alignment %d", n, at)
			for i := range b {
				b[i] = 1 << (i % 8)
				if IsZero(b) {
					require.Fail(t, "not zero", "length %d, alignment %d, byte %d", n, at, i)
				}
				b[i] = 0
			}
			copy(b, was)
		}
	})
}

// TestSums compares sums with random coefficients, 0 and 1 among them, with the byte loop.
func TestSums(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		coefs := func(k int) []byte {
			c := make([]byte, k)
			for i := range c {
				c[i] = []byte{0, 1, 2, 0x8e, byte(r.Uint32()), byte(r.Uint32())}[r.IntN(6)]
			}
			return c
		}
		for round := range 400 {
			k, n := r.IntN(21), r.IntN(1200)
			srcs := make([][]byte, k)
			for i := range srcs {
				srcs[i] = filled(n, r.Uint64())
			}
			a, b := make([]byte, n), make([]byte, n)
			if k > 2 && round%3 == 0 {
				a, b = srcs[r.IntN(k/2)], srcs[k/2+r.IntN(k-k/2)] // in place
			}
			ca, cb := coefs(k), coefs(k)
			if round%4 == 0 {
				ca = nil
			}
			if round%5 == 0 {
				cb = nil
			}
			wanta, wantb := slowSum(ca, srcs, n), slowSum(cb, srcs, n)
			was := copies(srcs)
			Sums(a, ca, b, cb, srcs)
			what := fmt.Sprintf("round %d: %d sources of %d, coefficients %v %v", round, k, n, ca, cb)
			require.Equal(t, wanta, a, what)
			require.Equal(t, wantb, b, what)
			Sum(a, cb, was)
			require.Equal(t, wantb, a, what)
		}
	})
}
