package raid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestResyncLeavesBehindWhatNobodyKnows gives a dirty raid5 a data sector that cannot be read before parity can be believed, and a mirror one that
// no member can read: resync says so once for each block, goes on to the end, and the rest agrees.
func TestResyncLeavesBehindWhatNobodyKnows(t *testing.T) {
	for _, tc := range []struct {
		spec md.Spec
		bad  []int
	}{{md.Spec{Level: 5, Chunk: 64 << 10}, []int{0}}, {md.Spec{Level: 1}, []int{0, 1, 2}}} {
		g := newRig(t, tc.spec, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 256<<10, 7))
		require.NoError(t, a.Close())
		dirty(t, g)
		members := g.wrap()
		for _, m := range tc.bad {
			g.faulty[m].Before(func(r block.Request) error {
				if r.Op == block.Read && r.Off < 1<<20+12288 && r.End() > 1<<20+8192 {
					return block.ErrMedia
				}
				return nil
			})
		}
		opts := g.opts
		said := 0
		opts.OnEvent = func(e Event) {
			if e.Kind == EventUncorrectable {
				said++
			}
		}
		a, err := Assemble(ctx, members, opts)
		require.NoError(t, err)
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, 8*len(tc.bad), said, "512-byte blocks")
		require.EqualValues(t, 4096, a.sync.errors.Load())
		require.Equal(t, a.geo.SyncSize, a.view.Load().Synced)
		for _, f := range g.faulty {
			f.Before(nil)
		}
		agrees(t, a)
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean())
	}
}
