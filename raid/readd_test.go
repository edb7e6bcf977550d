package raid

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/mem"
	"graid/raid/md"
)

// away is an array whose member m3 failed, was removed, and missed some writes.
func away(t *testing.T, spec md.Spec) (g *rig, a *Array, want []byte) {
	g = newRig(t, spec, 4)
	want = fill(t, g)
	a = g.open()
	require.NoError(t, write(a, 0, 512, want[0])) // dirty, as usual
	require.NoError(t, a.Fail(ctx, "m3"))
	require.NoError(t, a.Remove(ctx, "m3"))
	for _, off := range []int64{100 << 10, 652 << 10} {
		require.NoError(t, write(a, off, 10<<10, 0xCC))
		copy(want[off:], bytes.Repeat([]byte{0xCC}, 10<<10))
	}
	return g, a, want
}

// holds checks what the array has.
func holds(t *testing.T, a *Array, want []byte) {
	got := make([]byte, len(want))
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.True(t, bytes.Equal(want, got))
}

// TestReAdd gives a member that was away its role back, in the same life of the array and in another one: only what it missed is copied to it.
func TestReAdd(t *testing.T) {
	for _, spec := range some(bitmapped) {
		for _, restart := range []bool{false, true} {
			g, a, want := away(t, spec)
			if restart {
				require.NoError(t, a.Close())
				a = g.open(3)
			}
			dev := g.faulty[3]
			var wrote atomic.Int64
			dev.Before(func(r block.Request) error {
				if data(r) && r.Op.Mutates() {
					wrote.Add(r.Len)
				}
				return nil
			})
			require.NoError(t, a.Add(ctx, Member{Path: "back", Dev: dev}, AddOptions{ReAdd: true}))
			require.NoError(t, a.Wait(ctx))
			require.Zero(t, a.Status().Degraded)
			require.Positive(t, wrote.Load(), "%v %v", spec, restart)
			require.Less(t, wrote.Load(), int64(512<<10), "what it missed, and no more")
			holds(t, a, want)
			agrees(t, a)
			sb := g.super(3)
			require.Zero(t, sb.Features&(md.FeatureRecovery|md.FeatureRecoveryBitmap))
			require.Equal(t, 3, sb.Role())
			require.NoError(t, a.Close())
			require.Zero(t, g.bits(0).Dirty())
			a = g.open()
			require.Zero(t, a.Status().Degraded)
			require.NoError(t, a.Close())
		}
	}
}

// TestReAddGoesOn kills the process while a member that is back is brought up to date: the next one goes on by the bits.
func TestReAddGoesOn(t *testing.T) {
	g, a, want := away(t, bitmapped[1])
	dev := g.faulty[3]
	held := dev.Hold(func(r block.Request) bool { return data(r) && r.Op == block.Write })
	require.NoError(t, a.Add(ctx, Member{Path: "back", Dev: dev}, AddOptions{}))
	held.Await(1)
	a.settle(true)
	sb := g.super(3)
	require.Equal(t, md.FeatureRecovery|md.FeatureRecoveryBitmap, sb.Features&(md.FeatureRecovery|md.FeatureRecoveryBitmap))
	require.Zero(t, sb.RecoveryOffset)
	dev.Before(nil)
	b := g.open()
	require.NoError(t, b.Wait(ctx))
	require.Zero(t, b.Status().Degraded)
	holds(t, b, want)
	agrees(t, b)
	require.NoError(t, b.Close())
	held.Release()
	_ = a.Close()
}

// TestReAddRefused: what the bitmap cannot tell is not brought up to date by it.
func TestReAddRefused(t *testing.T) {
	for _, tc := range []struct {
		why  string
		make func(t *testing.T, g *rig, a *Array)
	}{
		{"has been taken over by", func(t *testing.T, g *rig, a *Array) {
			require.NoError(t, a.Add(ctx, Member{Path: "new", Dev: keepOpen{mem.New(memberSize, mem.Options{})}}, AddOptions{}))
			require.NoError(t, a.Wait(ctx))
		}},
		{"the bitmap has been cleared", func(t *testing.T, g *rig, a *Array) {
			require.NoError(t, a.Add(ctx, Member{Path: "new", Dev: keepOpen{mem.New(memberSize, mem.Options{})}}, AddOptions{}))
			require.NoError(t, a.Wait(ctx))
			a.tidy(true)
			require.NoError(t, a.Fail(ctx, "new"))
		}},
		{"a life of its own", func(t *testing.T, g *rig, _ *Array) {
			sb := g.super(3)
			sb.Events += 1000
			require.NoError(t, md.WriteSuperblock(ctx, g.disks[3], sb, 0))
		}},
		{"was used without it", func(t *testing.T, g *rig, _ *Array) {
			sb := g.super(3)
			sb.Roles[g.super(0).DevNumber] = md.EntryFaulty
			require.NoError(t, md.WriteSuperblock(ctx, g.disks[3], sb, 0))
		}},
		{"not in sync when it left", func(t *testing.T, g *rig, _ *Array) {
			sb := g.super(3)
			sb.Features |= md.FeatureRecovery
			require.NoError(t, md.WriteSuperblock(ctx, g.disks[3], sb, 0))
		}},
	} {
		g, a, want := away(t, bitmapped[1])
		tc.make(t, g, a)
		old := g.super(3)
		err := a.Add(ctx, Member{Path: "back", Dev: g.faulty[3]}, AddOptions{ReAdd: true})
		require.ErrorContains(t, err, tc.why)
		require.Equal(t, old, g.super(3), "untouched")
		require.NoError(t, a.Add(ctx, Member{Path: "back", Dev: g.faulty[3]}, AddOptions{}), "as a spare")
		require.NoError(t, a.Wait(ctx))
		holds(t, a, want)
		require.NoError(t, a.Close())
	}
}

// TestSuccessorHasNothingYet has a spare fail in the middle of its recovery, and the member whose role it took come back meanwhile: that one has nothing
// of what the spare was given.
func TestSuccessorHasNothingYet(t *testing.T) {
	g, a, want := away(t, bitmapped[1])
	spare := g.another(memberSize)
	held := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 3<<20 })
	require.NoError(t, a.Add(ctx, spare, AddOptions{Anew: true}))
	held.Await(1)
	require.NoError(t, a.Fail(ctx, spare.Path))
	require.NoError(t, a.Add(ctx, Member{Path: "back", Dev: g.faulty[3]}, AddOptions{ReAdd: true}))
	held.Release()
	require.NoError(t, a.Wait(ctx))
	require.Zero(t, a.Status().Degraded)
	holds(t, a, want)
	agrees(t, a)
	require.NoError(t, a.Close())
}

// TestRemovedWhileItIsCorrected removes a member between a read that it could not answer and the rewriting of what was bad.
func TestRemovedWhileItIsCorrected(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	want := fill(t, g)
	a := g.open()
	unreadable(g, 0, 1<<20+8192)
	again := make(chan struct{})
	reads := new(atomic.Int64)
	bad := g.faulty[0]
	go func() {
		for reads.Load() == 0 {
			a.sched.Sleep(1)
		}
		_ = a.Fail(ctx, "m0")
		_ = a.Remove(ctx, "m0")
		close(again)
	}()
	bad.Before(func(r block.Request) error {
		switch {
		case r.Op != block.Read || !data(r):
			return nil
		case r.Len < 64<<10: // narrowing down
			reads.Add(1)
			<-again
		}
		return block.ErrMedia
	})
	holds(t, a, want[:64<<10])
	<-again
	require.Equal(t, 1, a.Status().Degraded)
	require.NoError(t, a.Close())
}

// TestReAddInAnyOrder: a member that left after another one says that the other failed. When that one is back, this is history that the array shares.
func TestReAddInAnyOrder(t *testing.T) {
	for _, order := range [][2]string{{"m3", "m2"}, {"m2", "m3"}} {
		g := newRig(t, md.Spec{Level: 6, Chunk: 4096, Bitmap: true, BitmapChunk: 16 << 10}, 4)
		want := fill(t, g)
		a := g.open()
		for _, m := range []string{"m3", "m2"} {
			require.NoError(t, a.Fail(ctx, m))
			require.NoError(t, write(a, 0, 4096, 0x77))
			require.NoError(t, a.Remove(ctx, m))
		}
		copy(want, bytes.Repeat([]byte{0x77}, 4096))
		for _, m := range order {
			require.NoError(t, a.Add(ctx, Member{Path: m, Dev: g.faulty[m[1]-'0']}, AddOptions{ReAdd: true}), "%v", order)
			require.NoError(t, a.Wait(ctx))
		}
		require.Zero(t, a.Status().Degraded)
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}
