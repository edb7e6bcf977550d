package raid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestBitmapNeverPromisesTooMuch follows an internal bitmap through the life of an array: every bit is set and durable before data is written,
// cleared only when all members agree, and never while one is out, so that Linux brings a member that comes back up to date.
func TestBitmapNeverPromisesTooMuch(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}, {Level: 10, Chunk: 4096, Layout: 0x102}} {
		spec.Bitmap = true
		g := newRig(t, spec, 4)
		bits := func(i int) *md.Bitmap {
			e, err := md.Examine(ctx, "m", g.disks[i])
			require.NoError(t, err)
			require.NoError(t, e.BitmapErr)
			require.NotNil(t, e.Bitmap)
			require.False(t, e.Bitmap.Stale(e.SB.Events), "a bitmap behind its superblock is taken for all dirty")
			return e.Bitmap
		}
		a := g.open()
		early := 0
		for i, f := range g.faulty {
			f.Before(func(r block.Request) error {
				if r.Op == block.Write && r.Off >= 1<<20 && bits(i).Dirty() != bits(i).Total() {
					early++
				}
				return nil
			})
		}
		require.NoError(t, write(a, 0, 64<<10, 1))
		require.Zero(t, early)
		a.settle(true)
		require.Zero(t, bits(0).Dirty())
		cleared := bits(0).EventsCleared
		require.Equal(t, g.super(0).Events, cleared)

		require.NoError(t, a.Fail(ctx, "m3"))
		require.NoError(t, write(a, 0, 64<<10, 2))
		a.settle(true)
		require.True(t, g.super(0).Clean())
		require.Equal(t, bits(0).Total(), bits(0).Dirty(), "nothing is cleared while a member is out")
		require.Equal(t, cleared, bits(0).EventsCleared)
		require.NoError(t, a.Close())
	}
}

// TestBitmapIsDurableBeforeTheSuperblock, as md writes them: a superblock that says clean relies on a bitmap that says so.
func TestBitmapIsDurableBeforeTheSuperblock(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1, Bitmap: true}, 2)
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	a.settle(true)
	require.NoError(t, a.Close())
	sb := g.super(0)
	bitmap := (int64(sb.SuperOffset) + int64(sb.BitmapOffset)) * md.Sector
	for i, f := range g.faulty {
		written := 0
		log := f.Log()
		for n, r := range log {
			if r.Op != block.Write || r.Off != int64(sb.SuperOffset)*md.Sector {
				continue
			}
			written++
			require.Greater(t, n, 1)
			require.Equal(t, block.Flush, log[n-1].Op, "member %d: %v", i, log[:n+1])
			require.Equal(t, bitmap, log[n-2].Off, "member %d: %v", i, log[:n+1])
		}
		require.GreaterOrEqual(t, written, 2)
	}
}
