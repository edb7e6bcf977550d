package raid

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/raid/md"
)

// TestWhatStartsEnds: work that is cut short says so, by the event that its end has.
func TestWhatStartsEnds(t *testing.T) {
	for _, c := range []struct {
		want  string
		begin func(g *rig, a *Array) error
	}{
		{"resync stopped at ", func(_ *rig, a *Array) error {
			a.change(func(v *view) { v.Synced = 0 })
			a.rouse()
			return nil
		}},
		{"recovery of role 1 stopped at ", func(_ *rig, a *Array) error { return a.Fail(ctx, "m1") }},
		{"replacement of role 1 stopped at ", func(_ *rig, a *Array) error { return a.Replace(ctx, "m1", "") }},
		{"check stopped at ", func(_ *rig, a *Array) error { return a.Check() }},
	} {
		g := newRig(t, md.Spec{Level: 1}, 2)
		fill(t, g)
		a := g.open()
		require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
		require.NoError(t, a.Wait(ctx))
		a.Limit(1, 1024)
		require.NoError(t, c.begin(g, a))
		require.Eventually(t, func() bool { return g.count(EventRebuildStart) == 1 }, time.Minute, time.Millisecond)
		require.NoError(t, a.Close())
		ends := g.told(EventRebuildEnd)
		require.Len(t, ends, 1, c.want)
		require.True(t, strings.HasPrefix(ends[0], c.want), "%s: %s", c.want, ends[0])
	}
}
