//go:build !race

package raid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
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
