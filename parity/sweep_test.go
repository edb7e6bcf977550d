package parity

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

var full = flag.Bool("full", false, "sweep over every length with every alignment and every number of sources instead of a sample")

const (
	maxLen     = 4096 + 64
	maxAlign   = 64
	maxSources = 20
	guard      = 0xA5 // around what may be written
)

// kernel is what one function makes of the first so many sources, of which the byte loop made wants before.
type kernel struct {
	name   string
	two    bool // it has two destinations
	do     func(a, b []byte, srcs [][]byte)
	wanta  [maxSources + 1][]byte
	wantb  [maxSources + 1][]byte
	coefsa []byte // nil: all 1
	coefsb []byte
}

// kernels are all there is to sweep, with the sums of the sources computed by the byte loop.
func kernels(srcs [][]byte) []*kernel {
	ca, cb := filled(maxSources, 7), filled(maxSources, 8)
	ca[3], cb[4], ca[5], cb[5] = 1, 1, 0, 0
	doubling := make([]byte, maxSources)
	c := byte(1)
	for i := range doubling {
		doubling[i], c = c, product(c, 2)
	}
	all := []*kernel{
		{name: "XOR", do: func(a, _ []byte, s [][]byte) { XOR(a, s...) }},
		{name: "XORStream", do: func(a, _ []byte, s [][]byte) { XORStream(a, s...) }},
		{name: "Sum", coefsa: ca, do: func(a, _ []byte, s [][]byte) { Sum(a, ca[:len(s)], s) }},
		{name: "PQ", two: true, coefsb: doubling, do: func(a, b []byte, s [][]byte) { PQ(a, b, s...) }},
		{name: "PQStream", two: true, coefsb: doubling, do: func(a, b []byte, s [][]byte) { PQStream(a, b, s...) }},
		{name: "Sums, one plain", two: true, coefsb: cb, do: func(a, b []byte, s [][]byte) { Sums(a, nil, b, cb[:len(s)], s) }},
		{name: "Sums", two: true, coefsa: ca, coefsb: cb, do: func(a, b []byte, s [][]byte) { Sums(a, ca[:len(s)], b, cb[:len(s)], s) }},
	}
	for _, k := range all {
		for n := range maxSources + 1 {
			k.wanta[n] = slowSum(k.coefsa, srcs[:n], maxLen)
			k.wantb[n] = slowSum(k.coefsb, srcs[:n], maxLen)
		}
	}
	return all
}

// sample is every number up to max, or the first ones and about six more.
func sample(from, max, first int, r *rand.Rand) (all []int) {
	many := 6
	if slow {
		many, first = 2, (first+3)/4
	}
	for i := from; i <= max; i++ {
		if *full || i < first || r.IntN(max/many) == 0 {
			all = append(all, i)
		}
	}
	return all
}

// sweep is what the sweeps share: the contents of the sources and what is to come out.
type sweep struct {
	content [][]byte
	kernels []*kernel
}

func newSweep() sweep {
	var s sweep
	for i := range maxSources {
		s.content = append(s.content, filled(maxLen, uint64(i+1)))
	}
	s.kernels = kernels(s.content)
	return s
}

// TestKernels compares everything with the byte loop over lengths, alignments (of each block another) and numbers of sources, and looks
// for writes outside of the destinations.
func TestKernels(t *testing.T) {
	s := newSweep()
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(uint64(used), 1))
		memory := make([][]byte, maxSources+2)
		for i := range memory {
			memory[i] = make([]byte, maxLen+3*maxAlign)
		}
		for _, at := range sample(0, maxAlign-1, 2, r) {
			base := func(i int) int { return maxAlign + (at+i*at*7)%maxAlign } // all alike at 0
			for i, c := range s.content {
				copy(memory[i][base(i):], c)
			}
			outa, outb := memory[maxSources], memory[maxSources+1]
			ata, atb := base(maxSources), base(maxSources+1)
			for _, n := range append(sample(0, maxLen, 70, r), 127, 128, 129, 255, 256, 257, 511, 512, 513, 4096, maxLen) {
				srcs := make([][]byte, maxSources)
				for i := range srcs {
					srcs[i] = memory[i][base(i):][:n:n]
				}
				some := []int{1 + (n+7*at)%maxSources} // in the full sweep: every two of length, alignment and number meet
				if !*full {
					some = sample(0, maxSources, 4, r)
				}
				for _, k := range some {
					for _, x := range s.kernels {
						for i := range outa {
							outa[i], outb[i] = guard, guard
						}
						x.do(outa[ata:ata+n:ata+n], outb[atb:atb+n:atb+n], srcs[:k])
						if !right(outa, ata, x.wanta[k][:n]) || x.two && !right(outb, atb, x.wantb[k][:n]) {
							require.Fail(t, "not what the byte loop says", "%s: length %d, alignment %d, %d sources", x.name, n, at, k)
						}
					}
				}
			}
		}
	})
}

var guards = bytes.Repeat([]byte{guard}, maxLen+3*maxAlign)

// right says whether want is at a place in b, and guards are all around it.
func right(b []byte, at int, want []byte) bool {
	end := at + len(want)
	return bytes.Equal(b[at:end], want) && bytes.Equal(b[:at], guards[:at]) && bytes.Equal(b[end:], guards[:len(b)-end])
}

// TestInPlace has every destination be every one of the sources.
func TestInPlace(t *testing.T) {
	s := newSweep()
	everyLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(uint64(used), 2))
		for _, n := range []int{1, 31, 64, 127, 300, 513, 1024 + 17} {
			for _, k := range sample(1, maxSources, 6, r) {
				for _, x := range s.kernels {
					for i := range k {
						j := (i + 1 + r.IntN(k)) % k // the other destination, if there is one and it can be another source
						srcs := make([][]byte, k)
						for i := range srcs {
							srcs[i] = bytes.Clone(s.content[i][:n])
						}
						a, b := srcs[i], srcs[j]
						if i == j {
							b = make([]byte, n)
						}
						x.do(a, b, srcs)
						require.True(t, bytes.Equal(x.wanta[k][:n], a), "%s in place of %d of %d, length %d", x.name, i, k, n)
						if x.two {
							require.True(t, bytes.Equal(x.wantb[k][:n], b), "%s in place of %d and %d of %d, length %d", x.name, i, j, k, n)
						}
						for at := range srcs {
							if at != i && (at != j || !x.two) {
								require.True(t, bytes.Equal(s.content[at][:n], srcs[at]), "%s changed source %d", x.name, at)
							}
						}
						// The same block several times is as good as a block.
						srcs[0], srcs[k-1] = srcs[k/2], srcs[k/2]
						want := slowSum(x.coefsa, srcs, n)
						x.do(make([]byte, n), make([]byte, n), srcs)
						x.do(a, make([]byte, n), srcs)
						require.True(t, bytes.Equal(want, a), "%s of equal blocks", x.name)
					}
				}
			}
		}
	})
}

// TestFences has every block end where memory ends, then begin where it begins: a touch outside is a fault.
func TestFences(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	s := newSweep()
	memory := make([][]byte, maxSources+2)
	for i := range memory {
		memory[i] = fenced(t, maxLen)
	}
	everyLevel(t, func(t *testing.T) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		r := rand.New(rand.NewPCG(uint64(used), 3))
		for _, n := range append(sample(0, maxLen, 260, r), 4096, maxLen) {
			for _, end := range []bool{true, false} {
				var blocks [][]byte
				for i, m := range memory {
					b := m[:n:n]
					if end {
						b = m[len(m)-n:]
					}
					if i < maxSources {
						copy(b, s.content[i])
					}
					blocks = append(blocks, b)
				}
				a, b := blocks[maxSources], blocks[maxSources+1]
				for _, k := range []int{0, 1, 2, 3, 1 + r.IntN(maxSources), maxSources} {
					for _, x := range s.kernels {
						x.do(a, b, blocks[:k])
						if !bytes.Equal(a, x.wanta[k][:n]) || x.two && !bytes.Equal(b, x.wantb[k][:n]) {
							require.Fail(t, "not what the byte loop says", "%s: length %d, %d sources", x.name, n, k)
						}
					}
				}
				clear(a)
				require.True(t, IsZero(a))
			}
		}
	})
}
