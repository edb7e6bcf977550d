package raid

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/deadline"
	"graid/block/fault"
	"graid/block/mem"
	"graid/raid/md"
	"graid/raid/plan"
	"graid/sched"
	"graid/sim"
)

// slowRig is an array on a virtual timeline whose members are under rules, and answer reads within a second or are late.
type slowRig struct {
	*testing.T
	h      sched.Sched
	set    *fault.Set
	a      *Array
	disks  []*mem.Disk
	want   []byte
	events []Event
}

// slowly runs story in a world with an array of n members that is full of something, and not dirty.
func slowly(t *testing.T, spec md.Spec, n int, story func(g *slowRig)) {
	w := sim.New(1)
	defer w.Close()
	h := w.Host("h")
	g := &slowRig{T: t, h: h, set: fault.NewSet(h)}
	if spec.Level != 10 {
		spec.Layout = -1
	}
	spec.Name, spec.RaidDevices, spec.Created = "t", n, time.Unix(1_700_000_000, 0)
	require.NoError(t, w.Run(1e7, func() {
		var members []Member
		for range n {
			g.disks = append(g.disks, mem.New(memberSize, mem.Options{}))
			members = append(members, Member{Path: fmt.Sprintf("m%d", len(members)), Dev: keepOpen{g.disks[len(members)]}})
		}
		_, err := Create(ctx, spec, members, Options{Sched: h})
		require.NoError(t, err)
		for i := range members {
			members[i].Dev = g.set.Wrap(members[i].Dev, true, members[i].Path)
		}
		g.a, err = Assemble(ctx, members, Options{Sched: h, Quiet: time.Second, ReadDeadline: time.Second, OnEvent: func(e Event) { g.events = append(g.events, e) }})
		require.NoError(t, err)
		g.want = make([]byte, 1<<20)
		for i := range g.want {
			g.want[i] = byte(i>>9*7 + i>>16)
		}
		require.NoError(t, block.WriteAt(ctx, g.a, g.want, 0))
		h.Sleep(10 * time.Second)
		story(g)
		g.set.Release()
		require.NoError(t, g.a.Close())
	}))
}

// inject adds a rule, and returns its number.
func (g *slowRig) inject(text string) int {
	rules, err := fault.Parse(text)
	require.NoError(g, err)
	added, err := g.set.Add(rules...)
	require.NoError(g, err)
	return added[0].ID
}

// reads reads [off, off+n), which must be right, and returns how long it took.
func (g *slowRig) reads(off, n int64) time.Duration {
	began := g.h.Now()
	got := bytes.Repeat([]byte{0xA5}, int(n))
	require.NoError(g, block.ReadAt(ctx, g.a, got, off))
	took := g.h.Now() - began
	require.True(g, bytes.Equal(g.want[off:off+n], got), "wrong data")
	return took
}

func (g *slowRig) told(kind string) (list []string) {
	for _, e := range g.events {
		if e.Kind == kind {
			list = append(list, e.Member+": "+e.Detail)
		}
	}
	return list
}

// written is how often member m was written to in its data area.
func (g *slowRig) hits(id int) int64 {
	for _, e := range g.set.List() {
		if e.ID == id {
			return e.Hits
		}
	}
	return 0
}

var slowSpecs = []md.Spec{
	{Level: 1}, {Level: 4, Chunk: 4096}, {Level: 5, Chunk: 4096}, {Level: 6, Chunk: 4096}, {Level: 10, Chunk: 4096, Layout: 0x102}, {Level: 10, Chunk: 4096, Layout: 0x201},
}

// TestSlowReadIsAnsweredByOthers: at the deadline, once; while the read is overdue the member is not asked at all, and afterwards it is again. It does not fail,
// nothing is counted as an error, and nothing is rewritten.
func TestSlowReadIsAnsweredByOthers(t *testing.T) {
	for _, spec := range slowSpecs {
		slowly(t, spec, 4, func(g *slowRig) {
			role := g.roleOf(0)
			writes := g.inject(fmt.Sprintf("m%d write delay=1us", role))
			stuck := g.inject(fmt.Sprintf("m%d read stuck", role))
			require.Equal(g, time.Second, g.reads(0, 4096))
			require.Zero(g, g.reads(0, 1<<20), "nobody waits for whom an earlier read is overdue from")
			require.EqualValues(g, 1, g.hits(stuck))
			s := g.a.Status()
			require.Equal(g, StateClean, s.State)
			require.Equal(g, time.Second, s.ReadDeadline)
			m := s.Members[role]
			require.EqualValues(g, [4]int64{1, 1, 0, 0}, [4]int64{m.SlowReads, m.Overdue, m.ReadErrors, m.Corrected})
			require.Equal(g, []string{fmt.Sprintf("m%d: 4096 bytes at 0: no answer within 1s", role)}, g.told(EventSlow))

			g.h.Sleep(time.Minute)
			require.NoError(g, g.set.Clear(stuck))
			g.h.Sleep(time.Millisecond)
			again := g.inject(fmt.Sprintf("m%d read delay=1ms", role))
			require.Equal(g, time.Millisecond, g.reads(0, 4096))
			require.Positive(g, g.hits(again))
			require.Equal(g, fmt.Sprintf("m%d: 4096 bytes at 0: answered after 1m1s", role), g.told(EventSlow)[1])
			m = g.a.Status().Members[role]
			require.EqualValues(g, [4]int64{1, 0, 0, 0}, [4]int64{m.SlowReads, m.Overdue, m.ReadErrors, m.Corrected})
			require.Equal(g, 61*time.Second, m.Slowest)
			require.Zero(g, g.hits(writes), "nothing is rewritten")
			require.Empty(g, g.told(EventFail))
		})
	}
}

// roleOf is who is read at off when nothing is wrong.
func (g *slowRig) roleOf(off int64) int {
	var p plan.Plan
	p.Reset()
	_, err := g.a.level.Plan(&p, block.Request{Op: block.Read, Off: off, Len: 4096}, &g.a.view.Load().View)
	require.NoError(g, err)
	require.Len(g, p.Reads, 1)
	return p.Reads[0].Role
}

// TestSlowWithoutRedundancyIsWaitedFor: where nobody else can answer the read takes what it takes, and no second one is sent.
func TestSlowWithoutRedundancyIsWaitedFor(t *testing.T) {
	for _, spec := range slowSpecs {
		n := 4
		if spec.Level == 1 {
			n = 2
		}
		slowly(t, spec, n, func(g *slowRig) {
			role := g.roleOf(0)
			for i := range n {
				if i != role && (spec.Level != 10 || slowTwin(g, role) == i) && g.a.level.Enough(g.a.view.Load().Readable.Without(i)) {
					require.NoError(g, g.a.Fail(ctx, fmt.Sprintf("m%d", i)))
				}
			}
			id := g.inject(fmt.Sprintf("m%d read stall=30s count=1", role))
			require.Equal(g, 30*time.Second, g.reads(0, 4096), "level %d", spec.Level)
			require.EqualValues(g, 1, g.hits(id))
			require.EqualValues(g, 1, g.a.Status().Members[role].SlowReads)
			require.Zero(g, g.reads(0, 4096))
			failed := len(g.told(EventFail))
			g.inject(fmt.Sprintf("m%d read stuck", role))
			g.h.Go(func() { _ = block.ReadAt(ctx, g.a, make([]byte, 4096), 0) })
			g.h.Sleep(time.Hour)
			require.Len(g, g.told(EventFail), failed, "whom the array cannot do without stays")
		})
	}
}

// slowTwin is who else has what role has at the beginning of a raid10.
func slowTwin(g *slowRig, role int) int {
	var p plan.Plan
	p.Reset()
	_, err := g.a.level.Plan(&p, block.Request{Op: block.Write, Len: 4096, Buf: make([]byte, 4096)}, &g.a.view.Load().View)
	require.NoError(g, err)
	for _, io := range p.Writes {
		if io.Role != role {
			return io.Role
		}
	}
	return -1
}

// TestSlowWhereCopiesMayDiffer: a mirror that is not resynced yet is read from the first copy, however slow that is.
func TestSlowWhereCopiesMayDiffer(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 10, Chunk: 4096, Layout: 0x102}} {
		slowly(t, spec, 2, func(g *slowRig) {
			g.a.change(func(v *view) { v.Synced = 0 })
			for off := range int64(1 << 20) { // the other copy is not what this one is
				if off%(64<<10) == 0 {
					require.NoError(g, block.WriteAt(ctx, g.disks[1], make([]byte, 64<<10), g.a.members[1].offset+off))
				}
			}
			g.inject("m0 read stall=20s count=1")
			require.Equal(g, 20*time.Second, g.reads(0, 4096))
			g.inject("m0 read stall=20s count=1")
			g.h.Go(func() { g.reads(0, 4096) })
			g.h.Sleep(5 * time.Second)
			require.Zero(g, g.reads(8192, 4096), "while one is overdue")
			g.h.Sleep(time.Minute)
			g.a.change(func(v *view) { v.Synced = g.a.geo.SyncSize })
		})
	}
}

// TestSlowInTheEndUnreadable: a read that was given up and fails in the end is a read error, and what could not be read is rewritten.
func TestSlowInTheEndUnreadable(t *testing.T) {
	slowly(t, md.Spec{Level: 5, Chunk: 4096}, 3, func(g *slowRig) {
		role := g.roleOf(0)
		at := g.a.members[role].offset
		g.inject(fmt.Sprintf("m%d read [%d,+4K) stall=1m count=1", role, at))
		g.inject(fmt.Sprintf("m%d [%d,+512) bad", role, at))
		require.Equal(g, time.Second, g.reads(0, 4096))
		g.h.Sleep(30 * time.Second)
		m := g.a.Status().Members[role]
		require.EqualValues(g, [2]int64{0, 0}, [2]int64{m.ReadErrors, m.Corrected})
		g.h.Sleep(time.Minute)
		m = g.a.Status().Members[role]
		require.EqualValues(g, [2]int64{1, 1}, [2]int64{m.ReadErrors, m.Corrected})
		require.Zero(g, g.reads(0, 4096))
		require.EqualValues(g, 1, g.a.Status().Members[role].ReadErrors)
	})
}

// TestSlowForTooLong: a member fails when a read has been overdue for too long, or all that were asked of it were late for as long; not before, and not
// when one in time comes between.
func TestSlowForTooLong(t *testing.T) {
	slowly(t, md.Spec{Level: 1}, 2, func(g *slowRig) {
		g.inject("m0 read stuck")
		g.reads(0, 4096)
		g.h.Sleep(slowTooLong - time.Second)
		require.Zero(g, g.a.Status().Degraded)
		g.h.Sleep(2 * time.Second)
		require.Equal(g, MemberFaulty, g.a.Status().Members[0].State)
		require.Contains(g, g.told(EventFail)[0], "m0: a read is overdue for 5m0s: ")
		require.NoError(g, g.a.Remove(ctx, "m0"), "its device is closed when the read has ended")
		g.reads(0, 1<<20)
	})
	for _, between := range []bool{false, true} {
		slowly(t, md.Spec{Level: 1}, 2, func(g *slowRig) {
			id := g.inject("m0 read stall=40s")
			for i := range 2 * slowTooMany {
				g.reads(0, 4096)
				g.h.Sleep(59 * time.Second)
				if between && i == slowTooMany-2 {
					require.NoError(g, g.set.Clear(id))
					require.Zero(g, g.reads(0, 4096))
					id = g.inject("m0 read stall=40s")
				}
				require.Equal(g, !between && i >= slowTooMany-1 || between && i >= 2*slowTooMany-2, g.a.Status().Degraded == 1, "read %d", i)
			}
			require.True(g, strings.HasPrefix(g.told(EventFail)[0], "m0: 10 reads in a row were late, for 9m0s: "), g.told(EventFail)[0])
		})
	}
}

// TestSlowWritesAndWork: what writes have to read comes from elsewhere, too; recovery and replacement go on without a slow source; a check waits.
func TestSlowWritesAndWork(t *testing.T) {
	slowly(t, md.Spec{Level: 5, Chunk: 4096}, 5, func(g *slowRig) {
		role := g.roleOf(0)
		g.inject(fmt.Sprintf("m%d read stall=1m count=1", role))
		began := g.h.Now()
		require.NoError(g, block.WriteAt(ctx, g.a, bytes.Repeat([]byte{7}, 512), 0))
		copy(g.want, bytes.Repeat([]byte{7}, 512))
		require.Equal(g, time.Second, g.h.Now()-began)
		g.h.Sleep(2 * time.Minute)
		g.reads(0, 1<<20)
		g.inject("m1 read stall=1m count=1")
		began = g.h.Now()
		require.NoError(g, g.a.Check())
		require.NoError(g, g.a.Wait(ctx))
		require.GreaterOrEqual(g, g.h.Now()-began, time.Minute)
		require.Zero(g, g.a.Status().MismatchSectors)
		require.Zero(g, g.a.Status().Members[1].SlowReads)
	})
	for _, verb := range []string{"fail", "replace"} {
		spec, n := md.Spec{Level: 1}, 3
		if verb == "replace" {
			spec, n = md.Spec{Level: 6, Chunk: 4096}, 5
		}
		slowly(t, spec, n, func(g *slowRig) {
			spare := Member{Path: "m5", Dev: keepOpen{mem.New(memberSize, mem.Options{})}}
			require.NoError(g, g.a.Add(ctx, spare, AddOptions{}))
			g.h.Sleep(time.Second)
			g.inject("m1 read stuck")
			began := g.h.Now()
			if verb == "fail" {
				require.NoError(g, g.a.Fail(ctx, "m0"))
			} else {
				require.NoError(g, g.a.Replace(ctx, "m1", ""))
			}
			require.NoError(g, g.a.Wait(ctx))
			require.Less(g, g.h.Now()-began, 20*time.Second)
			require.Equal(g, MemberInSync, g.a.stateOf("m5"))
			g.reads(0, 1<<20)
			g.set.Release()
			agrees(t, g.a)
		})
	}
}

// TestSlowOfRaid6 is computed by one parity, and not by both: nobody knows whether they agree.
func TestSlowOfRaid6(t *testing.T) {
	slowly(t, md.Spec{Level: 6, Chunk: 4096}, 5, func(g *slowRig) {
		role := g.roleOf(0)
		for i := range g.disks { // Q of the first stripe is wrong: of its members it is the one that no sum by P alone misses
			if i != role && i != g.roleOf(4096) && i != g.roleOf(8192) {
				at := g.a.members[i].offset
				old := make([]byte, 4096)
				require.NoError(g, block.ReadAt(ctx, g.disks[i], old, at))
				require.NoError(g, block.WriteAt(ctx, g.disks[i], make([]byte, 4096), at))
				g.inject(fmt.Sprintf("m%d read stall=30s count=1", role))
				began, got := g.h.Now(), make([]byte, 4096)
				require.NoError(g, block.ReadAt(ctx, g.a, got, 0))
				require.Equal(g, time.Second, g.h.Now()-began)
				if g.h.Sleep(time.Minute); bytes.Equal(got, g.want[:4096]) {
					continue // this is Q, and stays wrong
				}
				require.NoError(g, block.WriteAt(ctx, g.disks[i], old, at))
			}
		}
		g.inject(fmt.Sprintf("m%d read stall=30s", role))
		require.NoError(g, g.a.Fail(ctx, fmt.Sprintf("m%d", g.roleOf(4096))))
		require.Equal(g, 30*time.Second, g.reads(0, 4096))
		require.Equal(g, 30*time.Second, g.reads(0, 4096))
	})
}

// TestLateReadsAreForgottenWithTheirRows: once others may have written where an op has read, what comes late is not what is there.
func TestLateReadsAreForgottenWithTheirRows(t *testing.T) {
	slowly(t, md.Spec{Level: 1}, 2, func(g *slowRig) {
		o := g.a.getOp()
		defer g.a.putOp(o)
		l := overdue{Late: new(deadline.Late), m: g.a.members[0], row: plan.Span{Hi: 4096}}
		o.plan.Reset()
		o.plan.Hold(0, 4096)
		_, err := o.lock(false, false)
		require.NoError(g, err)
		o.late = append(o.late, l)
		_, err = o.lock(false, false)
		require.NoError(g, err)
		require.Len(g, o.late, 1, "it holds them")
		o.plan.Hold(0, 8192)
		_, err = o.lock(false, false)
		require.NoError(g, err)
		require.Empty(g, o.late)
	})
}

// TestReadDeadlineNeedsRedundancy: elsewhere nobody could answer.
func TestReadDeadlineNeedsRedundancy(t *testing.T) {
	slowly(t, md.Spec{Level: 0, Chunk: 4096}, 2, func(g *slowRig) {
		require.ErrorContains(g, g.a.SetReadDeadline(time.Second), "raid0 has no redundancy")
		require.NoError(g, g.a.SetReadDeadline(0))
		require.Zero(g, g.a.Status().ReadDeadline)
		g.inject("m0 read stall=10s count=1")
		require.Equal(g, 10*time.Second, g.reads(0, 8192))
	})
	slowly(t, md.Spec{Level: 1}, 2, func(g *slowRig) {
		require.NoError(g, g.a.SetReadDeadline(3*time.Second))
		g.inject("m0 read stall=10s count=1")
		require.Equal(g, 3*time.Second, g.reads(0, 8192))
	})
}

// TestSlowBesideOthers: on the machine's own clock, with a member that hangs now and then, users and a check have what they wrote.
func TestSlowBesideOthers(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	g.opts.ReadDeadline = 2 * time.Millisecond
	a := g.open()
	m := newModel(a)
	m.storm(t, 1, 30, func() {
		for range 5 {
			hold := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Read && data(r) }) // m1 is not Inline
			time.Sleep(20 * time.Millisecond)
			hold.Release()
		}
		_ = a.Check()
	})
	require.NoError(t, a.Wait(ctx))
	m.same(t)
	require.Zero(t, a.Status().Degraded)
	require.Zero(t, a.Status().MismatchSectors)
	require.NoError(t, a.Close())
}

// TestLateReadsAreOlderThanOwnWrites: a write that has waited for a late read, loses a member and is planned again reads what it has written itself by then.
func TestLateReadsAreOlderThanOwnWrites(t *testing.T) {
	for which := range 2 {
		slowly(t, md.Spec{Level: 6, Chunk: 4096}, 4, func(g *slowRig) {
			role, other := g.roleOf(0), g.roleOf(4096)
			require.NoError(g, g.a.Fail(ctx, fmt.Sprintf("m%d", other)))
			var parities []int
			for i := range g.disks {
				if i != role && i != other {
					parities = append(parities, i)
				}
			}
			g.inject(fmt.Sprintf("m%d write [%d,+4K) path count=1", parities[which], g.a.members[parities[which]].offset))
			g.inject(fmt.Sprintf("m%d read stall=30s count=1", role))
			require.NoError(g, block.WriteAt(ctx, g.a, bytes.Repeat([]byte{7}, 512), 0))
			copy(g.want, bytes.Repeat([]byte{7}, 512))
			require.Equal(g, 2, g.a.Status().Degraded)
			g.reads(0, 8192)
		})
	}
}

// TestOtherCopiesAreReadUnderTheirRows: what somebody has read of a write that is under way is not taken back by who reads another copy.
func TestOtherCopiesAreReadUnderTheirRows(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 10, Chunk: 4096, Layout: 0x102}} {
		slowly(t, spec, 2, func(g *slowRig) {
			g.inject(fmt.Sprintf("m1 write [%d,+4K) stall=10s count=1", g.a.members[1].offset))
			g.h.Go(func() { require.NoError(g, block.WriteAt(ctx, g.a, bytes.Repeat([]byte{7}, 4096), 0)) })
			copy(g.want, bytes.Repeat([]byte{7}, 4096))
			g.h.Sleep(time.Second)
			require.Zero(g, g.reads(0, 4096), "from m0")
			g.inject("m0 read stuck")
			require.Equal(g, 9*time.Second, g.reads(0, 4096).Round(time.Second), "from m1")
		})
	}
}
