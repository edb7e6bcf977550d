package raid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestUnreadableNotes: a member whose bitmap, or partial parity log, has a sector that cannot be read is a member all the same: the others have what
// is in it, or it is made good.
func TestUnreadableNotes(t *testing.T) {
	for _, c := range []struct {
		name string
		make func() *rig
		at   func(sb *md.Superblock) int64
	}{
		{"bitmap", func() *rig { return newRig(t, md.Spec{Level: 5, Chunk: 4096, Bitmap: true, AssumeClean: true}, 4) },
			func(sb *md.Superblock) int64 { return int64(sb.SuperOffset+uint64(sb.BitmapOffset)) * md.Sector }},
		{"partial parity log", func() *rig { return newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, 528) },
			func(sb *md.Superblock) int64 { off, _ := sb.PPLPlace(); return off }},
	} {
		g := c.make()
		a := g.open()
		want := noise(1, 64<<10)
		require.NoError(t, block.WriteAt(ctx, a, want, 0), c.name)
		require.NoError(t, a.Close(), c.name)
		at, healed := c.at(g.super(2)), false
		members := g.wrap()
		g.faulty[2].Before(func(r block.Request) error {
			switch touched := r.Op != block.Flush && r.Off <= at && at < r.End(); {
			case touched && r.Op == block.Read && !healed:
				return block.ErrMedia
			case touched && r.Op.Mutates():
				healed = true
			}
			return nil
		})
		a, err := Assemble(ctx, members, g.opts)
		require.NoError(t, err, c.name)
		require.Zero(t, a.Status().Degraded, c.name)
		require.Empty(t, a.Status().ReadOnlyWhy, c.name)
		require.False(t, a.busy(), c.name)
		got := make([]byte, len(want))
		require.NoError(t, block.ReadAt(ctx, a, got, 0), c.name)
		require.Equal(t, want, got, c.name)
		require.NoError(t, write(a, 4096, 4096, 7), c.name)
		require.True(t, healed, "%s: it is to be written before it is needed", c.name)
		require.NoError(t, a.Close(), c.name)
	}
}
