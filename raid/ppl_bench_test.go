//go:build !race

package raid

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestLoggedWriteAllocatesNothing: nor does a write that has a record made.
func TestLoggedWriteAllocatesNothing(t *testing.T) {
	a := inlineArray(t, md.Spec{Level: 5, Chunk: 64 << 10, PPL: true, AssumeClean: true}, 4, memberSize)
	buf, off := block.Alloc(4096), int64(0)
	n := testing.AllocsPerRun(500, func() {
		if err := a.Do(ctx, block.Request{Op: block.Write, Off: off, Len: 4096, Buf: buf}); err != nil {
			t.Fatal(err)
		}
		off = (off + 12<<10) % (1 << 20)
	})
	require.Zero(t, n)
	require.NoError(t, a.Close())
}

// BenchmarkLoggedWrite is random writes to a raid5 of four, by one writer and by sixteen, with a partial parity log and without. Members are memory: what is
// measured is the processor's part. On files and disks the record and the flushes that it needs cost more than that.
func BenchmarkLoggedWrite(b *testing.B) {
	for _, c := range []struct {
		name    string
		size    int64
		writers int
	}{{"4K", 4 << 10, 1}, {"64K", 64 << 10, 1}, {"4Kx16", 4 << 10, 16}, {"64Kx16", 64 << 10, 16}} {
		for _, ppl := range []bool{false, true} {
			name := c.name + "/resync"
			if ppl {
				name = c.name + "/ppl"
			}
			b.Run(name, func(b *testing.B) {
				a := inlineArray(b, md.Spec{Level: 5, Chunk: 64 << 10, PPL: ppl, AssumeClean: true}, 4, 16<<20)
				defer a.Close()
				require.NoError(b, block.WriteAt(ctx, a, make([]byte, a.Info().Size), 0))
				b.SetBytes(c.size)
				b.ReportAllocs()
				b.SetParallelism(c.writers)
				var seed atomic.Uint64
				write := func(next func() bool) {
					rng, buf := rand.New(rand.NewPCG(seed.Add(1), 1)), block.Alloc(c.size)
					for next() {
						if err := block.WriteAt(ctx, a, buf, rng.Int64N((a.Info().Size-c.size)/c.size)*c.size); err != nil {
							b.Error(err)
						}
					}
				}
				if c.writers == 1 {
					write(b.Loop)
				} else {
					b.RunParallel(func(pb *testing.PB) { write(pb.Next) })
				}
			})
		}
	}
}
