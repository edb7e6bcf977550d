package raid

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/sched"
)

// clock is the machine's scheduler with a clock that a test can put forward.
type clock struct {
	sched.Sched
	ahead atomic.Int64
}

func newClock() *clock { return &clock{Sched: sched.Real} }

func (c *clock) Now() time.Duration { return c.Sched.Now() + time.Duration(c.ahead.Load()) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// sleeper is a clock that whoever sleeps puts forward.
type sleeper struct {
	*clock
	slept func(d time.Duration)
}

func (s sleeper) Sleep(d time.Duration) {
	s.pass(d)
	s.slept(d)
	s.Sched.Sleep(0)
}

// onRead calls do for every read of a member's data area, with the row.
func onRead(do func(row int64)) func(block.Request) error {
	return func(r block.Request) error {
		if r.Op == block.Read && r.Off >= 1<<20 {
			do(r.Off - 1<<20)
		}
		return nil
	}
}

// told is the details of the events of a kind.
func (g *rig) told(kind string) (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.Kind == kind {
			list = append(list, e.Detail)
		}
	}
	return list
}

// TestCheckForATime: a check stops when its time is over, the next goes on there, and what both found is counted together until one begins anew.
func TestCheckForATime(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	fill(t, g)
	for _, row := range []int64{4096, 400 << 10, 2 << 20} {
		spoil(g, 1, row)
	}
	c := newClock()
	g.opts.Sched = c
	a := g.open()
	var rows []int64
	g.faulty[0].Before(onRead(func(row int64) {
		rows = append(rows, row)
		c.pass(20 * time.Minute) // what differs is read twice
	}))
	s := work(t, a, a.CheckWith(CheckOptions{For: time.Hour}))
	require.EqualValues(t, 1<<20, s.CheckedTo)
	require.EqualValues(t, 16, s.MismatchSectors)
	require.Equal(t, []int64{0, 0, 512 << 10}, rows)
	require.Equal(t, []string{"check done for now at 1048576 of 3145728 bytes, mismatches in 16 sectors"}, g.told(EventRebuildEnd))

	rows = nil
	c.pass(time.Second)
	s = work(t, a, a.CheckWith(CheckOptions{Resume: true, For: 1}))
	require.Equal(t, []int64{1 << 20}, rows, "it begins where the other stopped, and does at least one piece")
	require.EqualValues(t, 1<<20+512<<10, s.CheckedTo)
	require.EqualValues(t, 16, s.MismatchSectors, "what the one before found is known still")

	rows = nil
	s = work(t, a, a.CheckWith(CheckOptions{Resume: true}))
	require.Equal(t, []int64{1<<20 + 512<<10, 2 << 20, 2 << 20, 2<<20 + 512<<10}, rows)
	require.Zero(t, s.CheckedTo, "the next begins at the beginning")
	require.EqualValues(t, 24, s.MismatchSectors)
	require.Len(t, s.Mismatches, 3, "what was looked at again is not listed twice")

	spoil(g, 1, 4096)
	s = work(t, a, a.CheckWith(CheckOptions{Resume: true, For: time.Hour}))
	require.EqualValues(t, 8, s.MismatchSectors, "a new count")
	require.Len(t, s.Mismatches, 1)
	require.Error(t, a.CheckWith(CheckOptions{From: 4 << 20}))
	s = work(t, a, a.CheckWith(CheckOptions{From: 2<<20 + 5}))
	require.Equal(t, int64(2<<20), rows[len(rows)-2])
	require.NoError(t, a.Close())
}

// TestPatrolGoesRound: a continuous check begins anew at the end; what the pass before found stands until it is looked at again, and the count until
// the pass is over.
func TestPatrolGoesRound(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	fill(t, g)
	spoil(g, 1, 1<<20)
	a := g.open()
	seen := map[int][2]int64{} // what a Status says as the n-th piece is read: sectors, and places
	n := 0
	g.faulty[0].Before(onRead(func(row int64) {
		s := a.Status()
		seen[n] = [2]int64{s.MismatchSectors, int64(len(s.Mismatches))}
		if n++; n == 1+6+2 {
			spoil(g, 1, 1<<20) // right again
		}
		if n == 1+6+6+3 {
			a.Idle()
		}
	}))
	s := work(t, a, a.CheckWith(CheckOptions{Continuous: true}))
	require.Equal(t, [2]int64{0, 0}, seen[2])
	require.Equal(t, [2]int64{128, 1}, seen[4], "in the first pass")
	require.Equal(t, [2]int64{128, 1}, seen[7], "in the second, before it is there")
	require.Equal(t, [2]int64{128, 0}, seen[11], "it is not there any more")
	require.Equal(t, [2]int64{0, 0}, seen[13], "and not counted in the third")
	require.EqualValues(t, 1<<20+512<<10, s.CheckedTo)
	require.Equal(t, []string{"pass of the check, mismatches in 128 sectors", "pass of the check, mismatches in 0 sectors",
		"check stopped at 1572864 of 3145728 bytes"}, g.told(EventRebuildEnd))
	require.NoError(t, a.Close())
}

// TestCheckMakesWay: a recovery does not wait for the end of a check, which goes on afterwards where it was, or is over if nobody wants it any more.
func TestCheckMakesWay(t *testing.T) {
	for _, unwanted := range []bool{false, true} {
		g := newRig(t, md.Spec{Level: 1}, 3)
		fill(t, g)
		a := g.open()
		spare := g.another(memberSize)
		require.NoError(t, a.Fail(ctx, "m2"))
		var mu sync.Mutex // recovery has several pieces under way
		var rows []int64
		g.faulty[0].Before(onRead(func(row int64) {
			mu.Lock()
			defer mu.Unlock()
			rows = append(rows, row)
		}))
		read := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Read && r.Off == 2<<20 })
		filled := g.faulty[3].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off == 2<<20 })
		require.NoError(t, a.Check())
		read.Await(1)
		require.NoError(t, a.Add(ctx, spare, AddOptions{}))
		read.Release()
		filled.Await(1)
		if unwanted {
			a.Idle()
		}
		filled.Release()
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, MemberInSync, a.stateOf("m3"))
		starts, ends := g.told(EventRebuildStart), g.told(EventRebuildEnd)
		require.Equal(t, []string{"check", "recovery of role 2 from 0 of 3145728 bytes"}, starts[:2])
		if unwanted {
			require.Len(t, starts, 2)
			require.Equal(t, []string{"recovery of role 2 done", "check stopped at 1572864 of 3145728 bytes"}, ends)
		} else {
			require.Equal(t, []string{"check goes on at 1572864 of 3145728 bytes"}, starts[2:])
			require.Equal(t, []string{"recovery of role 2 done", "check done, mismatches in 0 sectors"}, ends)
			require.Equal(t, int64(2<<20+512<<10), rows[len(rows)-1])
			require.Equal(t, int64(1<<20+512<<10), rows[len(rows)-3])
		}
		require.NoError(t, a.Close())
	}
}

// TestStopsBetweenPieces: a check that is held to a crawl stops at once all the same.
func TestStopsBetweenPieces(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	var a *Array
	pauses := 0
	g.opts.Sched = sleeper{newClock(), func(d time.Duration) {
		if d == syncPauseMax {
			if pauses++; pauses == 3 {
				a.Idle()
			}
		}
	}}
	a = g.open()
	a.Limit(1, 1024)
	require.NoError(t, a.Check())
	require.Eventually(t, func() bool { return !a.busy() }, time.Minute, time.Millisecond) // Wait sleeps, and would put the clock forward
	require.Equal(t, 3, pauses)
	require.Equal(t, []string{"check stopped at 524288 of 3145728 bytes"}, g.told(EventRebuildEnd))
	require.NoError(t, a.Close())
}
