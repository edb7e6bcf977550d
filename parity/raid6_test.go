package parity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVector is P and Q of three blocks, as Linux computes them.
func TestVector(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		var data [][]byte
		for i := range 3 {
			d := make([]byte, 8)
			for j := range d {
				d[j] = byte((i+1)<<4 + j)
			}
			data = append(data, d)
		}
		p, q := filled(8, 1), filled(8, 2)
		PQ(p, q, data...)
		require.Equal(t, []byte{0, 1, 2, 3, 4, 5, 6, 7}, p)
		require.Equal(t, []byte{0x90, 0x97, 0x9e, 0x99, 0x8c, 0x8b, 0x82, 0x85}, q)
	})
}

// stripe is data with its P and Q, by the byte loop. Blocks listed in holes are nil.
func stripe(data, n int, holes ...int) (p, q []byte, blocks [][]byte) {
	full := make([][]byte, data)
	blocks = make([][]byte, data)
	for i := range full {
		full[i] = make([]byte, n)
		if !slices.Contains(holes, i) {
			full[i] = filled(n, uint64(i+1))
			blocks[i] = full[i]
		}
	}
	return slowSum(nil, full, n), slowQ(full, n), blocks
}

func copies(blocks [][]byte) [][]byte {
	c := slices.Clone(blocks)
	for i := range c {
		c[i] = slices.Clone(c[i])
	}
	return c
}

// ruin is what is in a lost block's memory.
func ruin(b []byte) {
	for i := range b {
		b[i] = 0xA5
	}
}

var stripes = []struct {
	data  int
	holes []int
}{{1, nil}, {2, nil}, {3, nil}, {4, nil}, {5, []int{2}}, {6, []int{0, 3}}, {10, nil}, {20, []int{19}}}

// TestPQ has P and Q wanted together and alone, with and without holes, up to the most data blocks there can be.
func TestPQ(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		const n = 1000
		for _, s := range append(stripes, struct {
			data  int
			holes []int
		}{MaxData, []int{100, 200}}, struct {
			data  int
			holes []int
		}{MaxData, nil}) {
			wantp, wantq, data := stripe(s.data, n, s.holes...)
			for _, do := range []func(p, q []byte, data ...[]byte){PQ, PQStream} {
				p, q := make([]byte, n), make([]byte, n)
				do(p, q, data...)
				require.Equal(t, wantp, p)
				require.Equal(t, wantq, q)
				ruin(p)
				do(p, nil, data...)
				require.Equal(t, wantp, p)
				ruin(q)
				do(nil, q, data...)
				require.Equal(t, wantq, q)
			}
		}
		require.Panics(t, func() { PQ(make([]byte, 1), make([]byte, 1), make([][]byte, MaxData+1)...) })
		p, q := []byte{1}, []byte{2}
		PQ(p, q)
		require.Equal(t, []byte{0, 0}, append(p, q...))
	})
}

// TestUpdatePQ writes to every block of a stripe in turn.
func TestUpdatePQ(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		const n = 700
		p, q, data := stripe(7, n)
		ponly, qonly := slices.Clone(p), slices.Clone(q)
		for x := range data {
			now := filled(n, uint64(100+x))
			UpdatePQ(p, q, x, data[x], now)
			UpdatePQ(ponly, nil, x, data[x], now)
			UpdatePQ(nil, qonly, x, data[x], now)
			data[x] = now
			require.Equal(t, slowSum(nil, data, n), p)
			require.Equal(t, slowQ(data, n), q)
			require.Equal(t, p, ponly)
			require.Equal(t, q, qonly)
		}
	})
}

// TestRecover loses every block and every pair of blocks that a stripe survives losing.
func TestRecover(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		const n = 333
		for _, s := range stripes {
			p, q, data := stripe(s.data, n, s.holes...)
			lose := func(lost ...int) (lp, lq []byte, ld [][]byte) {
				lp, lq, ld = slices.Clone(p), slices.Clone(q), copies(data)
				for _, x := range lost {
					switch x {
					case -1:
						ruin(lp)
					case -2:
						ruin(lq)
					default:
						ruin(ld[x])
					}
				}
				return lp, lq, ld
			}
			whole := func(what string, lp, lq []byte, ld [][]byte) {
				require.Equal(t, p, lp, what)
				require.Equal(t, q, lq, what)
				require.Equal(t, data, ld, what)
			}
			for x := range data {
				if data[x] == nil {
					continue
				}
				what := fmt.Sprintf("%d of %d", x, s.data)
				lp, lq, ld := lose(x)
				RecoverData(x, lp, ld...)
				whole(what, lp, lq, ld)

				lp, lq, ld = lose(x, -1)
				RecoverDataP(x, lp, lq, ld...)
				whole(what+" and P", lp, lq, ld)
				lp, lq, ld = lose(x)
				RecoverDataP(x, nil, lq, ld...)
				whole(what+" from Q", lp, lq, ld)

				lp, lq, ld = lose(x, -2)
				RecoverDataQ(x, lp, lq, ld...)
				whole(what+" and Q", lp, lq, ld)
				lp, lq, ld = lose(x)
				RecoverDataQ(x, lp, nil, ld...)
				whole(what+" from P", lp, lq, ld)
				for y := range data {
					if x == y || data[y] == nil {
						continue
					}
					lp, lq, ld = lose(x, y)
					RecoverTwo(x, y, lp, lq, ld...)
					whole(fmt.Sprintf("%s and %d", what, y), lp, lq, ld)
				}
			}
			lp, lq, ld := lose(-1, -2)
			PQ(lp, lq, ld...)
			whole("P and Q", lp, lq, ld)
		}
	})
}

// TestLocate makes every block wrong, at one byte or several, then two blocks.
func TestLocate(t *testing.T) {
	everyLevel(t, func(t *testing.T) {
		const n = 1300
		r := rand.New(rand.NewPCG(1, 2))
		for _, s := range stripes {
			p, q, data := stripe(s.data, n, s.holes...)
			blocks := append(copies(data), slices.Clone(p), slices.Clone(q))
			d, lp, lq := blocks[:s.data], blocks[s.data], blocks[s.data+1]
			require.Equal(t, Nothing, Locate(lp, lq, d...))
			name := func(i int) Wrong {
				switch i {
				case s.data:
					return WrongP
				case s.data + 1:
					return WrongQ
				}
				return Wrong(i)
			}
			for x, b := range blocks {
				if b == nil {
					continue
				}
				for range 20 {
					was := slices.Clone(b)
					for range 1 + r.IntN(3) {
						b[r.IntN(n)] ^= byte(1 + r.IntN(255))
					}
					if slices.Equal(b, was) {
						continue
					}
					require.Equal(t, name(x), Locate(lp, lq, d...))
					// Another block as well, at other bytes: never to be taken for one.
					y := r.IntN(len(blocks))
					if y != x && blocks[y] != nil {
						other := slices.Clone(blocks[y])
						for i := range blocks[y] {
							if b[i] == was[i] && r.IntN(9) == 0 {
								blocks[y][i] ^= byte(1 + r.IntN(255))
							}
						}
						require.Equal(t, Several, Locate(lp, lq, d...))
						copy(blocks[y], other)
					}
					copy(b, was)
				}
			}
		}
		// Wrong as a block would be that is not there: a third of two, and a hole.
		p, q, data := stripe(2, n)
		p[9] ^= 1
		q[9] ^= Power(2)
		require.Equal(t, Several, Locate(p, q, data...))
		p, q, data = stripe(3, n, 1)
		p[9] ^= 1
		q[9] ^= Power(1)
		require.Equal(t, Several, Locate(p, q, data...))
		// P and Q both wrong, at different bytes.
		p, q, data = stripe(3, n)
		p[9] ^= 1
		q[1200] ^= 1
		require.Equal(t, Several, Locate(p, q, data...))
	})
}
