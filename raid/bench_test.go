//go:build !race

package raid

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestHotPathAllocatesNothing keeps 4 KiB requests on memory members free of allocations, at every level, whole and degraded.
func TestHotPathAllocatesNothing(t *testing.T) {
	for _, l := range levels {
		a := inlineArray(t, l.spec, l.n, memberSize)
		buf := block.Alloc(4096)
		for _, degraded := range []bool{false, true} {
			if degraded {
				if !a.geo.Redundant() {
					break
				}
				require.NoError(t, a.Fail(ctx, "a"))
				a.LimitLatency(time.Second) // measuring costs no memory either
			}
			for _, op := range []block.Op{block.Read, block.Write} {
				off := int64(0)
				n := testing.AllocsPerRun(500, func() {
					if err := a.Do(ctx, block.Request{Op: op, Off: off, Len: 4096, Buf: buf}); err != nil {
						t.Fatal(err)
					}
					off = (off + 12<<10) % (1 << 20)
				})
				require.Zero(t, n, "%s %s degraded=%v", l.name, op, degraded)
			}
		}
		require.NoError(t, a.Close())
	}
}

func benchmark(b *testing.B, op block.Op) {
	for _, l := range levels {
		b.Run(l.name, func(b *testing.B) {
			a := inlineArray(b, l.spec, l.n, memberSize)
			defer a.Close()
			buf := block.Alloc(4096)
			require.NoError(b, block.WriteAt(ctx, a, block.Alloc(2<<20), 0))
			b.SetBytes(4096)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if err := a.Do(ctx, block.Request{Op: op, Off: off, Len: 4096, Buf: buf}); err != nil {
					b.Fatal(err)
				}
				off = (off + 12<<10) % (1 << 20)
			}
		})
	}
}

func BenchmarkRead4K(b *testing.B)  { benchmark(b, block.Read) }
func BenchmarkWrite4K(b *testing.B) { benchmark(b, block.Write) }

// BenchmarkWriteStripes1M writes whole stripes, 1 MiB at a time: what parity costs when nothing has to be read. Run it with
// GRAID_PARITY=generic, and with -cpuprofile, to see the share of the kernels.
func BenchmarkWriteStripes1M(b *testing.B) {
	for _, l := range []struct {
		name string
		n    int
		spec md.Spec
	}{{"raid0", 4, md.Spec{Level: 0, Chunk: 64 << 10}}, {"raid5", 5, md.Spec{Level: 5, Chunk: 64 << 10}}, {"raid6", 6, md.Spec{Level: 6, Chunk: 64 << 10}}} {
		b.Run(l.name, func(b *testing.B) {
			a := inlineArray(b, l.spec, l.n, 32<<20)
			defer a.Close()
			buf := block.Alloc(1 << 20)
			for i := range buf {
				buf[i] = byte(i * 7)
			}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if err := block.WriteAt(ctx, a, buf, off); err != nil {
					b.Fatal(err)
				}
				off = (off + 1<<20) % (16 << 20)
			}
		})
	}
}
