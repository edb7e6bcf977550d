package raid

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// TestBadList compares the list with a bit for each sector.
func TestBadList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var l badList
		var model [64]bool
		for range 40 {
			s := plan.Span{Lo: rng.Int64N(60)}
			s.Hi = s.Lo + 1 + rng.Int64N(4)
			add := rng.IntN(3) > 0
			old := append(badList(nil), l...)
			was := l
			if add {
				l = l.with(s)
			} else {
				l = l.without(s)
			}
			require.Equal(t, old, append(badList(nil), was...), "a list is never changed")
			for i := s.Lo; i < s.Hi; i++ {
				model[i] = add
			}
			for i, bad := range model {
				require.Equal(t, bad, l.meets(plan.Span{Lo: int64(i), Hi: int64(i) + 1}), "%v at %d", l, i)
			}
			for i := 1; i < len(l); i++ {
				require.Less(t, l[i-1].Hi, l[i].Lo, "%v", l)
			}
		}
	}
}

// badAt records a bad block in the log of member i, as Linux would, row bytes from the start of its data, and makes the sector there read as junk.
func badAt(g *rig, i int, row, n int64) {
	e, err := md.Examine(ctx, "m", g.disks[i])
	require.NoError(g.t, err)
	sb := e.SB
	e.BadBlocks = append(e.BadBlocks, md.BadBlock{Offset: 1<<20 + row, Length: n})
	require.NoError(g.t, md.WriteBadBlocks(ctx, g.disks[i], sb, e.BadBlocks))
	sb.Features |= md.FeatureBadBlocks
	require.NoError(g.t, md.WriteSuperblock(ctx, g.disks[i], sb, 0))
	require.NoError(g.t, block.WriteAt(ctx, g.disks[i], bytes.Repeat([]byte{0xBB}, int(n)), 1<<20+row))
}

// logOf is the bad block log of member i as it is on it.
func logOf(g *rig, i int) []md.BadBlock {
	e, err := md.Examine(ctx, "m", g.disks[i])
	require.NoError(g.t, err)
	require.NoError(g.t, e.Err)
	return e.BadBlocks
}

// TestBadBlocksAreHonoured: what a log names is not read, neither by users nor by resync or recovery; whoever writes there strikes it off.
func TestBadBlocksAreHonoured(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		if l.spec.Level <= 0 {
			continue
		}
		want := fill(t, g)
		badAt(g, 0, 8192, 1024)
		badAt(g, 1, 64<<10, 512)
		a := g.open()
		require.Empty(t, a.Status().ReadOnlyWhy)
		holds(t, a, want)
		for _, r := range g.faulty[0].Log() {
			require.False(t, r.Op == block.Read && data(r) && r.Off < 1<<20+9216 && r.End() > 1<<20+8192 && !rewritten(g, 0), "%s: %v", l.name, r)
		}
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Zero(t, a.Status().MismatchSectors)
		require.NoError(t, a.Close())
		for i := range 2 {
			require.Empty(t, logOf(g, i), l.name)
			require.Zero(t, g.super(i).Features&md.FeatureBadBlocks, l.name)
		}
		a = g.open()
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// rewritten says whether member i has had its bad sectors written.
func rewritten(g *rig, i int) bool {
	for _, r := range g.faulty[i].Log() {
		if r.Op == block.Write && data(r) {
			return true
		}
	}
	return false
}

// TestRecoveryGoesPastABadSector fills a spare from sources of which one cannot read a sector, or has it in its log: that sector is recorded as bad on the spare
// too, durably, everything else is there, and the array says what is lost. Writing it anew makes it good.
func TestRecoveryGoesPastABadSector(t *testing.T) {
	for _, tc := range []struct {
		spec     md.Spec
		recorded bool
	}{
		{md.Spec{Level: 1}, false}, {md.Spec{Level: 5, Chunk: 4096}, false}, {md.Spec{Level: 5, Chunk: 4096}, true},
		{md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}, false}, {md.Spec{Level: 10, Chunk: 4096, Layout: 0x201}, true},
	} {
		n := 4
		if tc.spec.Level == 1 {
			n = 2
		}
		g := newRig(t, tc.spec, n)
		want := fill(t, g)
		if tc.recorded {
			badAt(g, 0, 8192+512, 512)
		}
		g.opts.Run = true
		a := g.open(1)
		if !tc.recorded {
			unreadable(g, 0, 1<<20+8192+512)
		}
		require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
		require.NoError(t, a.Wait(ctx))
		require.Zero(t, a.Status().Degraded, "recovery does not give up for a sector")
		require.EqualValues(t, 1, g.count(EventBadBlock))
		require.Len(t, logOf(g, n), 1)
		bad := logOf(g, n)[0]
		require.EqualValues(t, 512, bad.Length)
		require.NotZero(t, g.super(n).Features&md.FeatureBadBlocks)

		listed := map[int64]bool{}
		for _, b := range a.BadBlocks() {
			for _, r := range b.Array {
				for off := r[0]; off < r[1]; off += 512 {
					listed[off] = b.Lost
				}
			}
		}
		lost, named := 0, false
		got := make([]byte, 512)
		for off := int64(0); off < int64(len(want)); off += 512 {
			if err := block.ReadAt(ctx, a, got, off); err != nil {
				require.ErrorIs(t, err, block.ErrMedia)
				lost++
				if lost, ok := listed[off]; ok && tc.recorded {
					require.True(t, lost, "at %d", off)
				}
				named = named || strings.Contains(g.detail(EventBadBlock), fmt.Sprintf(" [%d,%d)", off, off+512))
				require.NoError(t, block.WriteAt(ctx, a, want[off:off+512], off))
			} else {
				require.Equal(t, want[off:off+512], got, "raid%d at %d", tc.spec.Level, off)
				require.False(t, listed[off], "raid%d: %d is not lost", tc.spec.Level, off)
			}
		}
		said := g.detail(EventBadBlock)
		require.True(t, named || strings.Contains(said, "parity"), said)
		require.Positive(t, lost)
		require.LessOrEqual(t, lost, 2, "raid%d: what the spare should have, and what the source cannot read", tc.spec.Level)
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Zero(t, a.Status().MismatchSectors)
		holds(t, a, want)
		require.NoError(t, a.Close())
		require.Empty(t, logOf(g, n), "raid%d %v", tc.spec.Level, tc.recorded)
		require.Empty(t, logOf(g, 0))
	}
}

// detail is what the last event of a kind said.
func (g *rig) detail(kind string) (s string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.Kind == kind {
			s = e.Detail
		}
	}
	return s
}
