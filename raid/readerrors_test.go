package raid

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

func TestDecayed(t *testing.T) {
	for _, c := range []struct {
		n     int64
		since time.Duration
		want  int64
	}{
		{20, 0, 20},
		{20, time.Hour - 1, 20},
		{20, time.Hour, 10},
		{20, 2*time.Hour + 59*time.Minute, 5},
		{20, 5 * time.Hour, 0},
		{1 << 40, 1000000 * time.Hour, 0},
		{20, -time.Hour, 20},
	} {
		require.Equal(t, c.want, decayed(c.n, c.since), "%d, %v ago", c.n, c.since)
	}
}

// badRead has m0 unable to read a sector that nobody has met yet, until it is written, and reads there.
func badRead(g *rig, a *Array, n int) error {
	row := int64(n) * 4096
	unreadable(g, 0, a.members[0].offset+row)
	return block.ReadAt(ctx, a, make([]byte, 4096), row)
}

// TestMirrorReadErrors: a member of a mirror fails with the 21st read error within about an hour, without another try, and with fewer, or slower ones,
// never. The last copy stays whatever comes.
func TestMirrorReadErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		every  time.Duration
		errors int
		fails  bool
	}{
		{"twenty", time.Second, 20, false},
		{"one more", time.Second, 21, true},
		{"twice as many, by the hour", time.Hour, 42, false},
		{"a burst every two hours", 0, 60, false},
	} {
		for _, spec := range []md.Spec{{Level: 1}, {Level: 10, Chunk: 1 << 20, Layout: 0x102}} {
			g := newRig(t, spec, 2)
			want := fill(t, g)
			clock := newClock()
			g.opts.Sched = clock
			a := g.open()
			require.NoError(t, badRead(g, a, 0))
			clock.pass(9 * time.Hour) // long forgotten
			for i := range c.errors {
				if clock.pass(c.every); c.every == 0 && i%10 == 0 {
					clock.pass(2 * time.Hour)
				}
				require.NoError(t, badRead(g, a, i))
			}
			require.Equal(t, c.fails, a.Status().Degraded == 1, c.name)
			require.EqualValues(t, min(c.errors, maxReadErrors)+max(0, c.errors-maxReadErrors)*bit(!c.fails)+1, a.members[0].corrected.Load(), "%s, level %d: who fails is not put right", c.name, spec.Level)
			if c.fails {
				require.True(t, strings.HasPrefix(g.told(EventFail)[0], "21 read errors within about an hour: "), g.told(EventFail)[0])
			}
			got := make([]byte, len(want))
			require.NoError(t, block.ReadAt(ctx, a, got, 0))
			require.Equal(t, want, got)
			require.NoError(t, a.Close())
		}
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestLookingCloserIsNoError: what makes out which of many sectors cannot be read is one error, until it is put right.
func TestLookingCloserIsNoError(t *testing.T) {
	var s strikes
	at := func(lo, hi int64) int64 { return s.nextDecayed(0, plan.Span{Lo: lo, Hi: hi}) }
	require.EqualValues(t, 1, at(0, 1<<20))
	require.EqualValues(t, 1, at(1<<19, 1<<20))
	require.EqualValues(t, 1, at(0, 512))
	require.EqualValues(t, 2, at(512, 1<<20+512))
	require.EqualValues(t, 3, at(0, 1024))
	require.EqualValues(t, 3, at(0, 1024))
	s.mended(true)
	require.EqualValues(t, 4, at(0, 1024))
}

// TestLastCopyHasNoLimit: whom the array cannot do without stays, however much of it cannot be read.
func TestLastCopyHasNoLimit(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}} {
		n := 2 + bit(spec.Level == 5)
		g := newRig(t, spec, n)
		fill(t, g)
		g.opts.Run, g.opts.ReadOnly = true, true
		a := g.open(n - 1)
		unreadable(g, 0, 1<<20)
		for range 300 {
			require.ErrorIs(t, block.ReadAt(ctx, a, make([]byte, 512), 0), block.ErrMedia)
		}
		require.Equal(t, 1, a.Status().Degraded)
		require.NoError(t, block.ReadAt(ctx, a, make([]byte, 512), 64<<10), "the rest can be read")
		require.NoError(t, a.Close())
	}
}

// TestParityReadErrors: a member of a parity array fails with the 257th read error in a row; one read that succeeds makes up for all before.
func TestParityReadErrors(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	want := fill(t, g)
	g.opts.ReadOnly = true // or what is read back after it is put right would succeed
	a := g.open()
	unreadable(g, 0, 1<<20)
	read := func(off int64) {
		got := make([]byte, 512)
		require.NoError(t, block.ReadAt(ctx, a, got, off))
		require.Equal(t, want[off:off+512], got)
	}
	bad, good := int64(0), int64(512) // of the same member
	for range maxReadStreak {
		read(bad)
	}
	require.Zero(t, a.Status().Degraded)
	read(good)
	for range maxReadStreak {
		read(bad)
	}
	require.Zero(t, a.Status().Degraded, "counted anew")
	read(bad)
	require.Equal(t, 1, a.Status().Degraded)
	require.NoError(t, a.Close())

	g.opts.ReadOnly = false
	a = g.open()
	for range maxReadStreak + 50 {
		require.NoError(t, badRead(g, a, 0))
	}
	require.EqualValues(t, maxReadStreak+50, a.members[0].corrected.Load())
	require.Zero(t, a.Status().Degraded, "each was put right and read back")
	require.NoError(t, a.Close())
}

// TestTooManyBesideAnother: who had too many read errors stays when another member fails in the same batch.
func TestTooManyBesideAnother(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	fill(t, g)
	a := g.open()
	a.members[0].strikes.n.Store(maxReadStreak)
	unreadable(g, 0, 1<<20)
	g.faulty[1].Before(func(r block.Request) error {
		if r.Op == block.Read && r.Off >= 1<<20 {
			return block.ErrPath
		}
		return nil
	})
	_ = block.ReadAt(ctx, a, make([]byte, 8192), 0)
	s := a.Status()
	require.Equal(t, MemberInSync, s.Members[0].State)
	require.Equal(t, MemberFaulty, s.Members[1].State)
	require.Equal(t, StateDegraded, s.State)
	require.NoError(t, a.Close())
}
