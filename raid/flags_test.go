package raid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestFlags sets and clears a member's flags while the array runs: reads follow at once, and the superblock remembers.
func TestFlags(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	want := fill(t, g)
	a := g.open()
	reads := func(i int) (n int) {
		for _, r := range g.faulty[i].Log() {
			if r.Op == block.Read && data(r) {
				n++
			}
		}
		return n
	}
	for i := range 2 {
		path := []string{"m0", "m1"}[i]
		require.NoError(t, a.SetWriteMostly(path, true))
		before := reads(i)
		for range 5 {
			holds(t, a, want)
		}
		require.Equal(t, before, reads(i))
		require.Equal(t, md.WriteMostly, g.super(i).DevFlags)
		require.NoError(t, a.SetFailFast(path, true))
		require.NoError(t, a.SetWriteMostly(path, false))
		require.Equal(t, md.FailFast, g.super(i).DevFlags)
	}
	require.ErrorIs(t, a.SetWriteMostly("m7", true), ErrNotMember)
	require.NoError(t, a.Close())
	a = g.open()
	require.Equal(t, md.FailFast, g.super(0).DevFlags)
	require.NoError(t, a.Close())
}
