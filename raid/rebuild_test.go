package raid

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/raid/md"
)

// another is one more device for the rig, which the next open offers too.
func (g *rig) another(size int64) Member {
	d := mem.New(size, mem.Options{})
	f := blocktest.NewFaulty(keepOpen{d}, blocktest.FaultyOptions{Name: fmt.Sprintf("m%d", len(g.disks)), Volatile: true})
	g.disks, g.faulty = append(g.disks, d), append(g.faulty, f)
	return Member{Path: fmt.Sprintf("m%d", len(g.disks)-1), Dev: f}
}

func (a *Array) stateOf(path string) string {
	for _, m := range a.Status().Members {
		if m.Path == path {
			return m.State
		}
	}
	return ""
}

// TestNewMemberTakesOver loses a member and adds another, with and without I/O beside that: it has all that it should have, and the array then
// lives without any other one.
func TestNewMemberTakesOver(t *testing.T) {
	for i, l := range levels {
		if l.spec.Level < 1 || blocktest.Race && i%2 == 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			g := newRig(t, l.spec, l.n)
			a := g.open()
			m := newModel(a)
			require.NoError(t, m.run(rand.New(rand.NewPCG(1, uint64(i))), 0, a.Info().Size/512*512, fewer(200)))
			require.NoError(t, a.Fail(ctx, "m1"))
			m.storm(t, uint64(i), fewer(60), func() {
				require.NoError(t, a.Add(ctx, g.another(memberSize+1<<20), AddOptions{}))
				require.NoError(t, a.Wait(ctx))
			})
			require.NoError(t, a.Wait(ctx))
			fresh := fmt.Sprintf("m%d", l.n)
			require.Equal(t, MemberInSync, a.stateOf(fresh))
			require.Equal(t, MemberFaulty, a.stateOf("m1"))
			require.Zero(t, a.Status().Degraded)
			require.Equal(t, 1, g.count(EventSpareActive))
			require.Zero(t, g.super(l.n).Features&md.FeatureRecovery, "written down already")
			agrees(t, a)
			m.same(t)
			require.NoError(t, a.Remove(ctx, "m1"))
			require.Empty(t, a.stateOf("m1"))
			require.NoError(t, a.Close())

			a = g.open(1)
			require.Zero(t, a.Status().Degraded, "%v", a.Status().Findings)
			require.False(t, a.Status().Dirty)
			m.a = a
			m.same(t)
			require.NoError(t, a.Fail(ctx, "m0"))
			m.same(t)
			require.NoError(t, a.Close())
			a = g.open() // the old ones are not believed
			require.Equal(t, 1, a.Status().Degraded)
			m.a = a
			m.same(t)
			require.NoError(t, a.Close())
		})
	}
}

// TestRecoveryGoesOn stops, or cuts the power of, an array in mid-recovery: what is left is done by the next start, from where superblocks say.
func TestRecoveryGoesOn(t *testing.T) {
	for _, cut := range []bool{false, true} {
		for _, spec := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}, {Level: 6, Chunk: 4096}, {Level: 10, Chunk: 4096, Layout: 0x102},
			{Level: 10, Chunk: 4096, Layout: 0x201}, {Level: 10, Chunk: 4096, Layout: 0x10201}} {
			g := newRig(t, spec, 4)
			want := fill(t, g)
			a := g.open()
			require.NoError(t, a.Fail(ctx, "m2"))
			fresh := g.another(memberSize)
			middle := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off >= 1<<20 && r.End() > 2<<20+300<<10 })
			require.NoError(t, a.Add(ctx, fresh, AddOptions{}))
			middle.Await(1)
			require.Equal(t, "recover", a.Status().Sync.Action)
			progress := a.view.Load().Recovered[2]
			if cut {
				a.meta.Lock()
				require.EqualValues(t, 0, g.super(4).RecoveryOffset)
				a.meta.Unlock()
				a.checkpoint()
				for _, f := range g.faulty {
					f.PowerOff()
				}
			}
			closed := make(chan error)
			go func() { closed <- a.Close() }()
			for !a.closing.Load() {
				a.sched.Sleep(1)
			}
			middle.Release()
			if err := <-closed; !cut {
				require.NoError(t, err)
			}
			far := spec.Layout == 0x201
			sb := g.super(4)
			require.NotZero(t, sb.Features&md.FeatureRecovery)
			require.Equal(t, !far, sb.RecoveryOffset > 0, "raid%d %#x", spec.Level, spec.Layout)
			if cut {
				require.LessOrEqual(t, int64(sb.RecoveryOffset*512), progress)
			}

			// What is below that is not done again.
			members := g.wrap()
			members[2].Dev = nil
			a, err := Assemble(ctx, members, g.opts)
			require.NoError(t, err)
			require.NoError(t, a.Wait(ctx))
			require.Zero(t, a.Status().Degraded)
			for _, r := range g.faulty[4].Log() {
				require.False(t, r.Op == block.Write && r.Off >= 1<<20 && r.End() <= 1<<20+int64(sb.RecoveryOffset)*512-64<<10, "%v was there already", r)
			}
			agrees(t, a)
			got := make([]byte, len(want))
			require.NoError(t, block.ReadAt(ctx, a, got, 0))
			require.Equal(t, want, got)
			require.NoError(t, a.Close())
			require.Zero(t, g.super(4).Features&md.FeatureRecovery)
		}
	}
}

// TestSpareTakesOverByItself: also when the first one fails while it is being filled.
func TestSpareTakesOverByItself(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	want := fill(t, g)
	a := g.open()
	require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
	require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
	require.NoError(t, a.Wait(ctx))
	require.Equal(t, MemberSpare, a.stateOf("m3"))
	g.faulty[3].Before(errWrites(block.ErrPath))
	g.faulty[0].Before(errWrites(block.ErrPath))
	require.NoError(t, block.WriteAt(ctx, a, want[:64<<10], 0))
	g.faulty[0].Before(nil) // a member that failed is no spare, even if it would work again
	require.NoError(t, a.Wait(ctx))
	require.Equal(t, MemberFaulty, a.stateOf("m0"))
	require.Equal(t, MemberFaulty, a.stateOf("m3"))
	require.Equal(t, MemberInSync, a.stateOf("m4"))
	require.Zero(t, a.Status().Degraded)
	agrees(t, a)
	require.NoError(t, a.Close())
	a = g.open()
	require.Zero(t, a.Status().Degraded)
	got := make([]byte, len(want))
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, want, got)
	require.NoError(t, a.Close())
}

// TestAddRefuses: nothing is written to a device that cannot become a member, or must not.
func TestAddRefuses(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	defer a.Close()
	other := newRig(t, md.Spec{Level: 1}, 2)
	short := mem.New(memberSize-1<<20, mem.Options{})
	for _, c := range []struct {
		m    Member
		says string
	}{
		{Member{Path: "m0", Dev: other.disks[0]}, "already"},
		{Member{Path: "x", Dev: other.disks[0]}, "--force"},
		{Member{Path: "x", Dev: g.disks[1]}, "copy of m1"},
		{Member{Path: "x", Dev: short}, "too few"},
	} {
		before := bytes.Clone(content(t, c.m.Dev))
		require.ErrorContains(t, a.Add(ctx, c.m, AddOptions{}), c.says)
		require.Equal(t, before, content(t, c.m.Dev))
	}
	require.NoError(t, a.Add(ctx, Member{Path: "x", Dev: other.disks[0]}, AddOptions{Force: true}))
	require.ErrorContains(t, a.Remove(ctx, "m0"), "fail it first")
	require.ErrorIs(t, a.Remove(ctx, "nobody"), ErrNotMember)
	require.NoError(t, a.Remove(ctx, "x"))
}

func content(t testing.TB, d block.Device) []byte {
	b := make([]byte, d.Info().Size)
	require.NoError(t, block.ReadAt(ctx, d, b, 0))
	return b
}

// TestScrub spoils copies, parity and data, and has them counted as md counts, found and mended.
func TestScrub(t *testing.T) {
	for _, c := range []struct {
		name  string
		spec  md.Spec
		n     int
		count int64 // md's, of one sector spoilt on m1
	}{
		{"raid1", md.Spec{Level: 1}, 2, 128},
		{"raid1x3", md.Spec{Level: 1}, 3, 128},
		{"raid1x3", md.Spec{Level: 1}, 3, 256},
		{"raid4", md.Spec{Level: 4, Chunk: 4096}, 3, 8},
		{"raid5", md.Spec{Level: 5, Chunk: 16384}, 4, 8},
		{"raid6", md.Spec{Level: 6, Chunk: 4096}, 5, 8},
		{"raid10", md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}, 4, 8},
	} {
		g := newRig(t, c.spec, c.n)
		want := fill(t, g)
		require.NoError(t, block.WriteAt(ctx, g.disks[1], bytes.Repeat([]byte{0xEE}, 512), 1<<20+64<<10+1024))
		if c.count == 256 {
			require.NoError(t, block.WriteAt(ctx, g.disks[2], bytes.Repeat([]byte{0xEF}, 512), 1<<20+64<<10+1024))
		}
		a := g.open()
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, c.count, a.Status().MismatchSectors, c.name)
		require.Equal(t, 1, g.count(EventMismatch), c.name)
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, c.count, a.Status().MismatchSectors, "%s: a check changes nothing", c.name)
		require.NoError(t, a.Repair())
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, c.count, a.Status().MismatchSectors, c.name)
		agrees(t, a)
		require.NoError(t, a.Check())
		require.NoError(t, a.Wait(ctx))
		require.Zero(t, a.Status().MismatchSectors, c.name)
		got := make([]byte, len(want))
		require.NoError(t, block.ReadAt(ctx, a, got, 0))
		require.LessOrEqual(t, len(diffs(got, want)), 512, c.name)
		require.NoError(t, a.Close())
	}
}

func diffs(a, b []byte) (at []int) {
	for i := range a {
		if a[i] != b[i] {
			at = append(at, i)
		}
	}
	return at
}

// TestScrubBesideWrites finds nothing where nothing is wrong, and mends what it cannot read.
func TestScrubBesideWrites(t *testing.T) {
	for i, l := range levels {
		if l.spec.Level < 1 {
			continue
		}
		g := newRig(t, l.spec, l.n)
		a := g.open()
		m := newModel(a)
		require.NoError(t, m.run(rand.New(rand.NewPCG(3, uint64(i))), 0, a.Info().Size/512*512, fewer(100)))
		rewritten := unreadable(g, 1, a.members[1].offset+8192)
		m.storm(t, uint64(i), fewer(80), func() {
			require.NoError(t, a.Check())
			require.ErrorIs(t, a.Repair(), ErrBusy)
			require.NoError(t, a.Wait(ctx))
		})
		require.Zero(t, a.Status().MismatchSectors, l.name)
		require.True(t, rewritten(), "%s: what it could not read was rewritten", l.name)
		m.same(t)
		require.NoError(t, a.Close())
	}
}

// TestLateErrorOfTheOldMember: a write is still on its way to a member when another takes over its role. That it fails then is not the new one's fault.
func TestLateErrorOfTheOldMember(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	want := fill(t, g)
	a := g.open()
	held := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && data(r) })
	g.faulty[1].Before(errWrites(block.ErrPath))
	wrote := make(chan error, 1)
	go func() { wrote <- block.WriteAt(ctx, a, want[:4096], 0) }()
	held.Await(1)
	require.NoError(t, a.Fail(ctx, "m1"))
	require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
	for a.stateOf("m2") == MemberSpare {
		a.sched.Sleep(1000)
	}
	held.Release()
	require.NoError(t, <-wrote)
	require.NoError(t, a.Wait(ctx))
	require.Equal(t, MemberInSync, a.stateOf("m2"))
	agrees(t, a)
	require.NoError(t, a.Close())
}

// TestLimit holds background work to a rate.
func TestLimit(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	a.Limit(0, 16<<20)
	began := a.sched.Now()
	require.NoError(t, a.Check())
	require.NoError(t, a.Wait(ctx))
	require.Greater(t, float64(a.sched.Now()-began), 0.9*float64(stretch(a.geo.SyncSize, 16<<20)))
	require.NoError(t, a.Close())
}

// TestGivenUpIsNotAgreed: a resync that is given up because a member is lost has made nothing agree. When all members are here again it goes over everything
// that the bitmap says, and does not forget it.
func TestGivenUpIsNotAgreed(t *testing.T) {
	g := newRig(t, md.Spec{Level: 6, Chunk: 4096, Size: 1 << 20, Bitmap: true, BitmapChunk: 4096}, 4)
	data := int64(g.super(0).DataOffset) * md.Sector
	for i, d := range g.disks {
		require.NoError(t, block.WriteAt(ctx, d, noise(uint64(i), 1<<20), data))
		require.NoError(t, md.Wipe(ctx, d))
	}
	_, err := Create(ctx, g.spec, g.wrap(), Options{}) // again: what is not all holes is to be resynced
	require.NoError(t, err)
	members := g.wrap()
	g.faulty[3].Before(func(r block.Request) error {
		if r.Op == block.Write && r.Off >= data {
			return block.ErrGone
		}
		return nil
	})
	g.opts.Quiet = time.Millisecond // bits are cleared as soon as may be
	a, err := Assemble(ctx, members, g.opts)
	require.NoError(t, err)
	require.NoError(t, a.Wait(ctx))
	require.Equal(t, 1, a.Status().Degraded)
	require.NoError(t, a.Add(ctx, Member{Path: "spare", Dev: mem.New(memberSize, mem.Options{})}, AddOptions{}))
	require.NoError(t, a.Wait(ctx))
	require.Zero(t, a.Status().Degraded)
	agrees(t, a)
	require.NoError(t, a.Close())
}
