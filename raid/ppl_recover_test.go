package raid

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/raid/md"
)

// TestEveryCrashPoint cuts the power after each request that a write makes to members, in each with some of what their caches may keep, and loses each
// member, and none: what was not written to is intact, and nothing has to be resynced nor forced.
func TestEveryCrashPoint(t *testing.T) {
	for i, size := range logSizes {
		if blocktest.Race && i > 0 {
			break // more of the same for ten times the price
		}
		for _, c := range loggedWrites {
			for cut := 1; ; cut++ {
				g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, size)
				a := g.open()
				want := noise(1, 64<<10)
				require.NoError(t, block.WriteAt(ctx, a, want, 0))
				require.NoError(t, write(a, 12288*4, 512, 5)) // the same parity as stripe 0, so that its log has been used
				copy(want[12288*4:], bytes5(512))
				require.NoError(t, block.Sync(ctx, a))
				g.cutAfter(cut, -1, 0)
				r := block.Request{Op: block.Write, Off: c.off, Len: c.len, Buf: noise(2, c.len)}
				if c.zero {
					r.Op, r.Buf = block.WriteZeroes, nil
				}
				done := a.Do(ctx, r) == nil
				for _, f := range g.faulty {
					f.PowerOff()
				}
				_ = a.Close()
				saved := g.disks
				for seed := range uint64(fewer(2)) {
					for missing := -1; missing < 4; missing++ {
						g.disks, g.opts.Run = clones(saved), true
						rng := rand.New(rand.NewPCG(seed, uint64(cut)))
						for i, f := range g.faulty {
							require.NoError(t, f.Survivors(rng, g.disks[i]))
						}
						faulty := g.faulty
						says := fmt.Sprintf("%s, cut after %d, without m%d", c.name, cut, missing)
						var b *Array
						var err error
						if missing < 0 {
							b, err = g.tryOpen()
						} else {
							b, err = g.tryOpen(missing)
						}
						require.NoError(t, err, says)
						got := make([]byte, len(want))
						require.NoError(t, block.ReadAt(ctx, b, got, 0), says)
						require.Equal(t, want[:c.off], got[:c.off], says)
						require.Equal(t, want[c.off+c.len:], got[c.off+c.len:], says)
						if missing < 0 && size != 24 {
							require.False(t, b.busy(), "%s: a record cut short leaves the one before it: %v", says, b.Status().Findings)
							agrees(t, b)
						}
						require.NoError(t, b.Close())
						g.faulty = faulty
					}
				}
				if done {
					break
				}
			}
		}
	}
}

func bytes5(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 5
	}
	return b
}

// killed is an array that was killed while everything it wrote was on its members, but for part of the last write, whose parity did not come through.
func killed(t *testing.T, size uint16) (g *rig, want []byte) {
	g = newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, size)
	a := g.open()
	want = noise(1, 64<<10)
	require.NoError(t, block.WriteAt(ctx, a, want, 0))
	require.NoError(t, block.Sync(ctx, a))
	g.faulty[3].Before(func(r block.Request) error {
		if r.Op == block.Write && g.inData(r) {
			for _, f := range g.faulty {
				f.PowerOff()
			}
		}
		return nil
	})
	require.Error(t, write(a, 4096, 4096, 9))
	_ = a.Close()
	return g, want
}

// TestCleanByItsLog: an array that recovers by its log is clean at once, durably, and its logs are empty then.
func TestCleanByItsLog(t *testing.T) {
	g, want := killed(t, 2048)
	require.Len(t, g.record(3).Entries, 1)
	a := g.open()
	require.False(t, a.busy())
	require.Contains(t, strings.Join(a.Status().Findings, " "), "recovered, 0 entries or logs unusable")
	agrees(t, a)
	require.True(t, g.super(0).Clean())
	require.Empty(t, g.record(3).Entries)
	got := make([]byte, 4096)
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, want[:4096], got)
	require.NoError(t, a.Close())
}

// TestUnusableRecords: what the log cannot vouch for is resynced, and said.
func TestUnusableRecords(t *testing.T) {
	for _, name := range []string{"no header at all", "the partial parity"} {
		g, _ := killed(t, 2048)
		off, _ := g.super(3).PPLPlace()
		_, pp, err := md.ReadPPL(ctx, g.disks[3], g.super(3))
		require.NoError(t, err)
		if name == "the partial parity" {
			off = pp
		}
		require.NoError(t, block.WriteAt(ctx, g.disks[3], make([]byte, 512), off))
		a := g.open()
		require.True(t, a.busy(), name)
		require.Contains(t, strings.Join(a.Status().Findings, " "), "1 entries or logs unusable", name)
		require.NoError(t, a.Wait(ctx))
		agrees(t, a)
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean())
	}
}

// TestReadOnlyLog: an array that must not be written to cannot be recovered. What would be computed from parity that may not be true is an error then.
func TestReadOnlyLog(t *testing.T) {
	g, want := killed(t, 2048)
	g.opts.ReadOnly = true
	a := g.open(0)
	got := make([]byte, 4096)
	require.Error(t, block.ReadAt(ctx, a, got, 0), "its parity is not known to be true")
	require.NoError(t, block.ReadAt(ctx, a, got, 12288+4096*2))
	require.Equal(t, want[12288+4096*2:][:4096], got, "elsewhere it is")
	require.NoError(t, a.Close())
	require.Len(t, g.record(3).Entries, 1, "nothing was written")
	a = g.open()
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, want[:4096], got)
	require.NoError(t, a.Close())
}

// TestUnsyncedIsNotClean: while parity is not known to be true everywhere, no log makes the array one that is clean, nor one that can do without a member;
// from the end of the resync on it does.
func TestUnsyncedIsNotClean(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, Size: 1 << 20}, 2048)
	for i, d := range g.disks { // content that does not agree anywhere
		require.NoError(t, block.WriteAt(ctx, d, noise(uint64(i), 1<<20), int64(g.super(0).DataOffset)*md.Sector))
		sb := g.super(i)
		sb.ResyncOffset = 0
		require.NoError(t, md.WriteSuperblock(ctx, d, sb, 0))
	}
	members := g.wrap()
	held := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Read && g.inData(r) && r.Len > 64<<10 }) // resync
	a, err := Assemble(ctx, members, g.opts)
	require.NoError(t, err)
	held.Await(1)
	require.NoError(t, write(a, 5<<19, 4096, 1)) // beyond what resync holds
	saved := g.disks
	g.disks = clones(saved)
	require.Equal(t, 4, g.unsynced())
	g.opts.Run = true
	_, err = g.tryOpen(2)
	require.ErrorContains(t, err, "--force")
	b := g.open()
	require.True(t, b.busy(), "%v", b.Status().Findings)
	require.NoError(t, b.Wait(ctx))
	agrees(t, b)
	require.NoError(t, b.Close())

	g.disks = saved
	held.Release()
	require.NoError(t, a.Wait(ctx))
	require.NoError(t, write(a, 0, 512, 1))
	require.Zero(t, g.unsynced())
	g.disks = clones(saved)
	b = g.open(2) // dirty, but for a resync that is done
	agreesDegraded(t, b)
	require.NoError(t, b.Close())
	g.disks = saved
	require.NoError(t, a.Close())
}

func (g *rig) unsynced() (n int) {
	for i := range g.disks {
		if h := g.record(i); h != nil && h.Unsynced() {
			n++
		}
	}
	return n
}

// agreesDegraded reads all of an array.
func agreesDegraded(t *testing.T, a *Array) { newModel(a).load(t) }

// TestLogOfASpare: whoever takes a role over has an empty log before it, whatever it brought along; and from then on a crash is as good as any.
func TestLogOfASpare(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, 2048)
	want := noise(1, 1<<20)
	a := g.open()
	require.NoError(t, block.WriteAt(ctx, a, want, 0))
	require.NoError(t, write(a, 0, 4096, 1)) // in the log of m3
	copy(want, noise(1, 0))
	for i := range 4096 {
		want[i] = 1
	}
	require.NoError(t, a.Fail(ctx, "m3"))
	require.NoError(t, write(a, 4096, 4096, 2)) // not logged: the parity is gone
	for i := range 4096 {
		want[4096+i] = 2
	}
	old := g.disks[3].Clone()
	require.NoError(t, a.Remove(ctx, "m3"))
	require.NoError(t, a.Add(ctx, Member{Path: "m3", Dev: keepOpen{old}}, AddOptions{Force: true}))
	require.NoError(t, a.Wait(ctx))
	require.Zero(t, a.Status().Degraded)
	g.disks[3] = old
	require.Empty(t, g.record(3).Entries)
	// The process is killed.
	saved := g.disks
	for missing := range 4 {
		g.disks, g.opts.Run = clones(saved), true
		b := g.open(missing)
		got := make([]byte, len(want))
		require.NoError(t, block.ReadAt(ctx, b, got, 0))
		require.Equal(t, want, got, "without m%d", missing)
		require.NoError(t, b.Close())
	}
}

// TestLogThatCannotBeWritten: a member that does not take its record is out of the array; of a second one the array breaks, and nobody waits for ever.
func TestLogThatCannotBeWritten(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, 2048)
	a := g.open()
	want := noise(1, 96<<10)
	require.NoError(t, block.WriteAt(ctx, a, want, 0))
	bad := func(r block.Request) error {
		if r.Op == block.Write && g.inLog(r) {
			return block.ErrMedia
		}
		return nil
	}
	g.faulty[3].Before(bad)
	require.NoError(t, write(a, 0, 4096, 1))
	require.Equal(t, 1, a.Status().Degraded)
	got := make([]byte, 92<<10)
	require.NoError(t, block.ReadAt(ctx, a, got, 4096))
	require.Equal(t, want[4096:], got)
	g.faulty[2].Before(bad)
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() { require.Error(t, write(a, 12288+i*48<<10, 4096, 1)) })
	}
	wg.Wait()
	require.Error(t, write(a, 0, 4096, 1))
	_ = a.Close()
}

// TestOneRecordBecomesARing: an array of mdadm's says that there is one record, and its members all say otherwise from the first write on, as with Linux.
func TestOneRecordBecomesARing(t *testing.T) {
	for _, size := range logSizes {
		g := newLoggedRig(t, 3, md.Spec{Chunk: 4096, AssumeClean: true}, size)
		for i := range g.disks {
			require.NotZero(t, g.super(i).Features&md.FeaturePPL)
		}
		a := g.open()
		require.NoError(t, write(a, 0, 512, 1))
		require.NoError(t, a.Close())
		want := md.FeatureMultiPPL
		if size == 24 {
			want = md.FeaturePPL
		}
		for i := range g.disks {
			require.Equal(t, want, g.super(i).Features&(md.FeaturePPL|md.FeatureMultiPPL))
		}
	}
}

// TestOutBeforeLogsAreEmptied: a member was missing when the array recovered by its logs, that recovery was cut, and now the member is back: either
// superblocks say that it is out, or the logs say still what was under way.
func TestOutBeforeLogsAreEmptied(t *testing.T) {
	g := newLoggedRig(t, 4, md.Spec{Chunk: 4096, AssumeClean: true}, 24)
	a := g.open()
	require.NoError(t, block.WriteAt(ctx, a, noise(1, 64<<10), 0))
	require.NoError(t, block.Sync(ctx, a))
	require.NoError(t, write(a, 0, 4096, 9))      // onto m0, in the log of m3
	require.NoError(t, write(a, 4*4096, 4096, 9)) // onto m0, in the log of m2
	data := int64(g.super(0).DataOffset) * md.Sector
	for _, row := range []struct {
		member int
		at     int64
	}{{3, 0}, {2, 4096}} { // the parities did not come through
		require.NoError(t, block.WriteAt(ctx, g.disks[row.member], noise(1, 4096), data+row.at))
	}
	for _, f := range g.faulty {
		f.PowerOff()
	}
	_ = a.Close()
	saved := g.disks
	for cut := 1; ; cut++ {
		g.disks, g.opts.Run = clones(saved), true
		members := g.wrap()
		members[0].Dev = nil
		g.cutAfter(cut, -1, 0)
		a, err := Assemble(ctx, members, g.opts)
		for i, f := range g.faulty {
			f.PowerOff()
			require.NoError(t, f.Survivors(rand.New(rand.NewPCG(uint64(cut), 1)), g.disks[i]))
		}
		if err == nil {
			_ = a.Close()
		}
		b := g.open()
		require.NoError(t, b.Wait(ctx))
		if b.Status().Degraded == 0 {
			agrees(t, b)
		}
		require.NoError(t, b.Close())
		if err == nil {
			break
		}
	}
}
