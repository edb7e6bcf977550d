package raid

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/raid/md"
	"graid/raid/plan"
)

// errWrites is a rule that refuses data writes with err, and lets superblocks through.
func errWrites(err error) func(block.Request) error {
	return func(r block.Request) error {
		if r.Op.Mutates() && r.Off >= 1<<20 {
			return err
		}
		return nil
	}
}

func write(a *Array, off, n int64, b byte) error {
	return block.WriteAt(ctx, a, bytes.Repeat([]byte{b}, int(n)), off)
}

// TestFailureIsDurableBeforeTheWriteIsAcknowledged makes a member refuse a write. When the write returns, the other members must say so
// even if the power goes out that instant, and the array that is left must hold what was written.
func TestFailureIsDurableBeforeTheWriteIsAcknowledged(t *testing.T) {
	for _, l := range levels {
		for seed := range uint64(3) {
			g := newRig(t, l.spec, l.n)
			a := g.open()
			if !a.geo.Redundant() {
				g.faulty[0].Before(errWrites(block.ErrMedia))
				require.Error(t, write(a, 0, 64<<10, 7), "%s has nobody to stand in", l.name)
				require.NoError(t, a.Close())
				continue
			}
			bad := int(seed) % l.n
			g.faulty[bad].Before(errWrites(block.ErrPath))
			require.NoError(t, a.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Len: 64 << 10, Buf: bytes.Repeat([]byte{7}, 64<<10)}))
			require.Equal(t, 1, a.Status().Degraded)
			rng := rand.New(rand.NewPCG(seed, 1))
			for _, f := range g.faulty {
				require.NoError(t, f.Crash(rng))
			}
			for i := range l.n {
				if i != bad {
					require.EqualValues(t, md.EntryFaulty, g.super(i).Roles[bad], "%s: member %d", l.name, i)
					require.GreaterOrEqual(t, g.super(i).Events, g.super(bad).Events+2)
				}
			}
			_ = a.Close()

			// A degraded parity array that was not marked clean needs force; what was acknowledged is there all the same.
			g.opts.Force = true
			a = g.open()
			require.Equal(t, 1, a.Status().Degraded, "%s: the one that failed is not believed", l.name)
			got := make([]byte, 64<<10)
			require.NoError(t, block.ReadAt(ctx, a, got, 0))
			require.Equal(t, bytes.Repeat([]byte{7}, 64<<10), got)
			require.NoError(t, a.Close())
		}
	}
}

// TestDirtyIsDurableBeforeData looks at the order of requests on every member: superblock, flush, and only then data.
func TestDirtyIsDurableBeforeData(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		a := g.open()
		var early atomic.Int32
		for i, f := range g.faulty {
			f.Before(func(r block.Request) error {
				if r.Op.Mutates() && r.Off >= 1<<20 {
					for j := range g.faulty {
						if g.super(j).Clean() || g.faulty[i].Unflushed() > 0 && g.faulty[i].Count(block.Flush) == 0 {
							early.Add(1)
						}
					}
				}
				return nil
			})
		}
		require.NoError(t, write(a, 0, 4096, 1))
		if a.geo.Redundant() {
			require.Zero(t, early.Load(), l.name)
		} else {
			require.True(t, g.super(0).Clean(), "%s is never marked", l.name)
		}
		for _, f := range g.faulty {
			f.Before(nil)
		}
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean())
	}
}

// TestQuietArrayBecomesClean waits for the mark, and sees the next write take it back.
func TestQuietArrayBecomesClean(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	g.opts.Quiet = 5 * time.Millisecond
	a := g.open()
	for range 5 {
		require.NoError(t, write(a, 0, 4096, 1))
		require.Eventually(t, func() bool { return g.super(0).Clean() && g.super(2).Clean() }, 5*time.Second, time.Millisecond)
	}
	require.NoError(t, a.Close())
}

// TestReadErrorIsAnsweredAndRewritten gives every member one unreadable sector in turn.
func TestReadErrorIsAnsweredAndRewritten(t *testing.T) {
	for _, l := range levels {
		for bad := range l.n {
			g := newRig(t, l.spec, l.n)
			a := g.open()
			m := newModel(a)
			require.NoError(t, m.run(rand.New(rand.NewPCG(9, 9)), 0, 1<<20, 100))
			a.change(func(v *view) { v.Prefer = plan.RoleSet(0).With(bad) }) // mirrors shall ask the bad one
			row, asked := rowRead(t, a, bad)
			if !asked {
				require.Equal(t, 4, a.geo.Level, "only raid4 has a member without data")
				require.NoError(t, a.Close())
				continue
			}
			rewritten := unreadable(g, bad, a.members[bad].offset+row)
			err := block.ReadAt(ctx, a, make([]byte, a.Info().Size), 0)
			if !a.geo.Redundant() {
				require.Equal(t, block.Media, block.Classify(err))
				require.NoError(t, a.Close())
				continue
			}
			require.NoError(t, err)
			require.True(t, rewritten(), "%s member %d", l.name, bad)
			require.Zero(t, a.Status().Degraded)
			require.EqualValues(t, 1, a.Status().Members[bad].Corrected)
			m.same(t)
			agrees(t, a)
			require.NoError(t, a.Close())
		}
	}
}

// rowRead is a row that a read of the array asks of role.
func rowRead(t testing.TB, a *Array, role int) (row int64, asked bool) {
	var p plan.Plan
	v := a.view.Load().View
	for off := int64(0); off < a.Info().Size; off += 4096 {
		p.Reset()
		_, err := a.level.Plan(&p, block.Request{Op: block.Read, Off: off, Len: 512}, &v)
		require.NoError(t, err)
		for _, io := range p.Reads {
			if io.Role == role {
				return io.Row, true
			}
		}
	}
	return 0, false
}

// unreadable makes one sector of a member fail reads until it is written, and tells whether it was.
func unreadable(g *rig, member int, sector int64) (rewritten func() bool) {
	var healed atomic.Bool
	g.faulty[member].Before(func(r block.Request) error {
		if r.Off <= sector && sector < r.End() && !healed.Load() {
			if r.Op == block.Read {
				return block.ErrMedia
			}
			healed.Store(true)
		}
		return nil
	})
	return healed.Load
}

// TestTwoBadSectorsInDifferentRows are both survivable, although no member can read the whole stripe.
func TestTwoBadSectorsInDifferentRows(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 64 << 10}, 3)
	a := g.open()
	m := newModel(a)
	require.NoError(t, m.run(rand.New(rand.NewPCG(5, 5)), 0, 1<<20, 100))
	unreadable(g, 0, a.members[0].offset)
	unreadable(g, 1, a.members[1].offset+32<<10)
	m.same(t)
	require.Zero(t, a.Status().Degraded)
	for role := range 2 {
		require.EqualValues(t, 1, a.Status().Members[role].Corrected, "only the bad sector is rewritten, and it can be")
	}
	require.Zero(t, g.count(EventUncorrectable))
	require.NoError(t, a.Close())
}

// TestUnreadableEverywhereIsOneError loses one row of a mirror on both members: that sector fails, nothing else does.
func TestUnreadableEverywhereIsOneError(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	require.NoError(t, write(a, 0, 64<<10, 3))
	bad := a.members[0].offset + 8192
	for _, f := range g.faulty {
		f.Before(func(r block.Request) error {
			if r.Op == block.Read && r.Off <= bad && bad < r.End() {
				return block.ErrMedia
			}
			return nil
		})
	}
	for off := int64(0); off < 64<<10; off += 512 {
		err := block.ReadAt(ctx, a, make([]byte, 512), off)
		if off == 8192 {
			require.Equal(t, block.Media, block.Classify(err))
		} else {
			require.NoError(t, err, "at %d", off)
		}
	}
	require.Zero(t, a.Status().Degraded)
	require.NoError(t, a.Close())
}

// TestBrokenArrayAnswers kills more members than raid5 tolerates with requests in flight: each must end, and those that need the dead must
// fail. What is on the living can still be read.
func TestBrokenArrayAnswers(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 4)
	a := g.open()
	require.NoError(t, write(a, 0, 1<<20, 1))
	for _, f := range g.faulty[:2] {
		f.Before(func(block.Request) error { return block.ErrGone })
	}
	var failed int
	for off := int64(0); off < 256<<10; off += 4096 {
		if write(a, off, 4096, 2) != nil {
			failed++
		}
	}
	require.Positive(t, failed)
	require.Error(t, write(a, 0, 4096, 2), "once broken, no write is taken")
	require.Equal(t, StateFailed, a.Status().State)
	require.Equal(t, 1, g.count(EventBroken))
	read := 0
	for off := int64(512 << 10); off < 1<<20; off += 4096 {
		if block.ReadAt(ctx, a, make([]byte, 4096), off) == nil {
			read++
		}
	}
	require.Positive(t, read)
	require.Error(t, a.Close(), "that it was not marked clean is said")
	require.False(t, g.super(3).Clean())
}

// TestLastMirrorIsKept: an error of the only copy is told, and the array goes on.
func TestLastMirrorIsKept(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	require.NoError(t, a.Fail(ctx, "m1"))
	require.Error(t, a.Fail(ctx, "m0"), "the last one is not failed by hand either")
	g.faulty[0].Before(errWrites(block.ErrMedia))
	require.Error(t, write(a, 0, 4096, 1))
	g.faulty[0].Before(nil)
	require.NoError(t, write(a, 0, 4096, 1))
	require.NoError(t, a.Close())
}

// TestFlushFailureLosesTheMember: what its cache held is not known any more.
func TestFlushFailureLosesTheMember(t *testing.T) {
	g := newRig(t, md.Spec{Level: 10, Chunk: 4096, Layout: 0x102}, 4)
	a := g.open()
	require.NoError(t, write(a, 0, 1<<20, 1))
	g.faulty[2].Before(func(r block.Request) error {
		if r.Op == block.Flush {
			return errors.New("cache lost")
		}
		return nil
	})
	require.NoError(t, block.Sync(ctx, a))
	require.Equal(t, MemberFaulty, a.Status().Members[2].State)
	require.NoError(t, a.Close())
}

// TestSuperblockFailureCascades: writing down that one member failed meets another that cannot be written; both are lost, or the array is.
func TestSuperblockFailureCascades(t *testing.T) {
	for _, l := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}} {
		g := newRig(t, l, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 64<<10, 1))
		g.faulty[0].Before(errWrites(block.ErrGone))
		g.faulty[1].Before(func(r block.Request) error {
			if r.Op.Mutates() && r.Off < 1<<20 {
				return block.ErrGone
			}
			return nil
		})
		err := write(a, 0, 64<<10, 2)
		if l.Level == 1 {
			require.NoError(t, err)
			require.Equal(t, 2, a.Status().Degraded)
			require.EqualValues(t, md.EntryFaulty, g.super(2).Roles[0])
			require.EqualValues(t, md.EntryFaulty, g.super(2).Roles[1])
		} else {
			require.Error(t, err, "not acknowledged: nothing says durably that m0 failed")
			require.Equal(t, StateFailed, a.Status().State)
		}
		_ = a.Close()
	}
}

// TestUncleanStopIsResynced tears stripes by hand, marks nothing clean, and opens again.
func TestUncleanStopIsResynced(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		a := g.open()
		if !a.geo.Redundant() {
			require.NoError(t, a.Close())
			continue
		}
		m := newModel(a)
		m.storm(t, 3, 40, nil)
		disks := clones(g.disks) // as a kill leaves them
		require.NoError(t, a.Close())
		g.disks = disks
		require.False(t, g.super(0).Clean())
		for range 20 { // parity, or the second copy, of some rows is torn
			role := l.n - 1
			require.NoError(t, block.WriteAt(ctx, g.disks[role], bytes.Repeat([]byte{0xEE}, 512), a.members[role].offset+rand.Int64N(1<<20)/512*512))
		}
		a = g.open()
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, 1, g.count(EventRebuildEnd), l.name)
		agrees(t, a)
		before := newModel(a).load(t)
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean(), l.name)

		a = g.open() // nothing left to do
		require.Equal(t, "idle", a.Status().Sync.Action)
		before.a = a
		before.same(t)
		require.NoError(t, a.Close())
	}
}

func clones(disks []*mem.Disk) (copies []*mem.Disk) {
	for _, d := range disks {
		copies = append(copies, d.Clone())
	}
	return copies
}

// TestResyncBesideWrites runs clients while resync is under way.
func TestResyncBesideWrites(t *testing.T) {
	for i, l := range levels {
		g := newRig(t, l.spec, l.n)
		for j, d := range g.disks { // content that does not agree anywhere
			b := bytes.Repeat([]byte{byte(j + 1)}, 2<<20)
			require.NoError(t, block.WriteAt(ctx, d, b, 1<<20))
		}
		dirty(t, g)
		a := g.open()
		if a.geo.Redundant() {
			m := newModel(a).load(t)
			m.storm(t, uint64(i), 80, nil)
			require.NoError(t, a.Wait(ctx))
			m.same(t)
			agrees(t, a)
		}
		require.NoError(t, a.Close())
	}
}

// dirty rewrites the superblocks as if the array had been writing when the power went.
func dirty(t testing.TB, g *rig) {
	for i, d := range g.disks {
		sb := g.super(i)
		if sb.Level > 0 {
			sb.ResyncOffset = 0
		}
		require.NoError(t, md.WriteSuperblock(ctx, d, sb, 0))
	}
}

// TestDirtyDegradedParityNeedsForce: what the missing member held cannot be told from torn stripes.
func TestDirtyDegradedParityNeedsForce(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	dirty(t, g)
	g.opts.Run = true
	_, err := g.tryOpen(1)
	require.ErrorContains(t, err, "--force")
	g.opts.Force = true
	require.NoError(t, g.open(1).Close())
	require.True(t, g.super(0).Clean(), "that it was forced is written down")
	g.opts.Force = false
	a := g.open(1)
	require.NoError(t, write(a, 0, 4096, 1))
	require.NoError(t, a.Close())
	a = g.open() // the one that was left out then is not believed now
	require.Equal(t, MemberMissing, a.Status().Members[1].State)
	require.NoError(t, a.Close())
}

// TestMemberThatTurnsReadOnly is how flash dies: reads go on, writes are refused. It has missed a write, so it must go.
func TestMemberThatTurnsReadOnly(t *testing.T) {
	for _, cause := range []error{block.ErrReadOnly, syscall.EROFS, syscall.EPERM} {
		g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 64<<10, 1))
		g.faulty[1].Before(errWrites(cause))
		require.NoError(t, write(a, 0, 64<<10, 2))
		require.Equal(t, MemberFaulty, a.Status().Members[1].State)
		got := make([]byte, 64<<10)
		require.NoError(t, block.ReadAt(ctx, a, got, 0))
		require.Equal(t, bytes.Repeat([]byte{2}, 64<<10), got)
		require.NoError(t, a.Close())
	}
}

// TestResyncRewritesWhatCannotBeRead gives a dirty array a sector that one member cannot read: resync knows what belongs there.
func TestResyncRewritesWhatCannotBeRead(t *testing.T) {
	for _, tc := range []struct {
		spec md.Spec
		bad  int // for raid5 the parity of the first stripe: data that is unreadable before parity can be believed is lost
	}{{md.Spec{Level: 1}, 0}, {md.Spec{Level: 1}, 2}, {md.Spec{Level: 5, Chunk: 64 << 10}, 2}} {
		g := newRig(t, tc.spec, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 256<<10, 7))
		require.NoError(t, a.Close())
		dirty(t, g)
		members := g.wrap()
		rewritten := unreadable(g, tc.bad, 1<<20+8192)
		require.EqualValues(t, 1<<20, g.super(tc.bad).DataOffset*md.Sector)
		a, err := Assemble(ctx, members, g.opts)
		require.NoError(t, err)
		require.NoError(t, a.Wait(ctx))
		require.True(t, rewritten(), "level %d member %d", tc.spec.Level, tc.bad)
		agrees(t, a)
		require.Zero(t, a.Status().Degraded)
		require.NoError(t, a.Close())
	}
}

// TestNewArraysResyncUnlessTheyAreHoles: what the members held before agrees with nothing.
func TestNewArraysResyncUnlessTheyAreHoles(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		require.True(t, g.super(0).Clean(), "all holes")
		for i := range g.disks {
			g.disks[i] = mem.New(memberSize, mem.Options{})
			require.NoError(t, block.WriteAt(ctx, g.disks[i], bytes.Repeat([]byte{byte(i + 1)}, 4096), 2<<20))
		}
		_, err := Create(ctx, g.spec, g.wrap(), Options{})
		require.NoError(t, err)
		a := g.open()
		require.Equal(t, a.geo.Redundant(), !g.super(0).Clean(), l.name)
		require.NoError(t, a.Wait(ctx))
		agrees(t, a)
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean())
	}
}

// TestMemberLostBeforeParityAgrees: the array goes on with parity as it is, and goes on saying that it was never made to agree.
func TestMemberLostBeforeParityAgrees(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	a := g.open()
	require.NoError(t, write(a, 0, 64<<10, 1))
	a.settle(true)
	a.change(func(v *view) { v.Synced = 8192 })
	require.NoError(t, a.Fail(ctx, "m1"))
	require.NoError(t, write(a, 0, 64<<10, 2))
	got := make([]byte, 64<<10)
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, bytes.Repeat([]byte{2}, 64<<10), got)
	require.NoError(t, a.Close())
	require.EqualValues(t, 16, g.super(0).ResyncOffset, "sectors that did agree")
	_, err := g.tryOpen()
	require.ErrorContains(t, err, "--force")
}

// TestFastIsAnsweredForAllMembersAlike: a member that refuses what the others do would make them disagree.
func TestFastIsAnsweredForAllMembersAlike(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	require.NoError(t, write(a, 0, 64<<10, 1))
	g.faulty[1].Before(func(r block.Request) error {
		if r.Flags&block.Fast != 0 {
			return block.ErrUnsupported
		}
		return nil
	})
	require.NoError(t, a.Do(ctx, block.Request{Op: block.WriteZeroes, Flags: block.Fast, Len: 64 << 10}))
	agrees(t, a)
	require.Zero(t, a.Status().Degraded)
	require.NoError(t, a.Close())
}
