package raid

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/raid/md"
)

// replaceable are the arrays that tests of replacement run on.
var replaceable = []md.Spec{
	{Level: 1}, {Level: 5, Chunk: 4096}, {Level: 6, Chunk: 64 << 10},
	{Level: 10, Chunk: 4096, Layout: 0x102}, {Level: 10, Chunk: 8192, Layout: 0x201},
}

// some is all of list, or under the race detector, which has more of the same for ten times the price, a part of it.
func some(list []md.Spec) (part []md.Spec) {
	for i, spec := range list {
		if !blocktest.Race || i%2 == 1 {
			part = append(part, spec)
		}
	}
	return part
}

// TestReplace fills a spare from the member that it replaces, beside writes, and then has it take over: from that member alone, and with all redundancy all the time.
func TestReplace(t *testing.T) {
	for _, spec := range some(replaceable) {
		g := newRig(t, spec, 4)
		want := brim(t, g)
		a := g.open()
		require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
		require.NoError(t, a.Wait(ctx))
		before := len(g.faulty[2].Log())
		held := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 1<<20+100<<10 })
		require.NoError(t, a.Replace(ctx, "m1", ""))
		require.ErrorContains(t, a.Replace(ctx, "m1", ""), "already")
		held.Await(1)
		for _, r := range g.faulty[2].Log()[before:] {
			require.False(t, r.Op == block.Read && data(r), "raid%d: %v", spec.Level, r)
		}
		require.Zero(t, a.Status().Degraded)
		require.Equal(t, MemberReplacement, a.stateOf("m4"))
		sb := g.super(4)
		require.Equal(t, md.FeatureReplacement|md.FeatureRecovery, sb.Features&(md.FeatureReplacement|md.FeatureRecovery))
		require.Equal(t, 1, sb.Role())
		held.Release()
		for i := range int64(40) {
			require.NoError(t, write(a, i*16<<10, 5120, 0x5A))
			copy(want[i*16<<10:], bytes.Repeat([]byte{0x5A}, 5120))
		}
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, MemberFaulty, a.stateOf("m1"))
		require.Equal(t, MemberInSync, a.stateOf("m4"))
		for _, i := range []int{0, 2, 3, 4} {
			require.EqualValues(t, md.EntryFaulty, g.super(i).Roles[1])
			require.EqualValues(t, 1, g.super(i).Roles[4])
		}
		require.Zero(t, g.super(4).Features&(md.FeatureReplacement|md.FeatureRecovery))
		require.Greater(t, g.super(0).Events, g.super(1).Events+1)
		require.Zero(t, a.Status().Degraded)
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Remove(ctx, "m1"))
		require.NoError(t, write(a, 0, 4096, 1))
		copy(want, bytes.Repeat([]byte{1}, 4096))
		require.NoError(t, a.Close())
		sb = g.super(4)
		require.Zero(t, sb.Features&(md.FeatureReplacement|md.FeatureRecovery))
		a = g.open() // with m1, which is stale
		require.Zero(t, a.Status().Degraded)
		require.Equal(t, MemberInSync, a.stateOf("m4"))
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestReplaceUnreadable: what the member that is replaced cannot read comes from redundancy; and what that has not either is recorded as bad.
func TestReplaceUnreadable(t *testing.T) {
	for _, spec := range some(replaceable) {
		for _, degraded := range []bool{false, true} {
			g := newRig(t, spec, 4)
			want := brim(t, g)
			a := g.open()
			require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{Anew: true}))
			unreadable(g, 1, 1<<20+8192)
			left := 0
			if degraded && spec.Level != 1 && spec.Level != 6 {
				require.NoError(t, a.Fail(ctx, "m0")) // and m4 takes over
				require.NoError(t, a.Wait(ctx))
				require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
				left = 1
			}
			require.NoError(t, a.Replace(ctx, "m1", ""))
			require.NoError(t, a.Wait(ctx))
			require.Zero(t, a.Status().Degraded)
			require.Equal(t, MemberFaulty, a.stateOf("m1"), "raid%d", spec.Level)
			bad := g.count(EventBadBlock)
			require.LessOrEqual(t, bad, 8*2*left)
			if bad == 0 {
				holds(t, a, want)
				agrees(t, a)
			}
			require.NoError(t, a.Close())
		}
	}
}

// TestReplacedFailsHalfway: the twin succeeds the member that it was to replace, and recovery fills only what it lacks.
func TestReplacedFailsHalfway(t *testing.T) {
	for _, spec := range some(replaceable) {
		g := newRig(t, spec, 4)
		want := brim(t, g)
		a := g.open()
		require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
		held := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 3<<20 })
		require.NoError(t, a.Replace(ctx, "m1", "m4"))
		held.Await(1)
		require.NoError(t, a.Fail(ctx, "m1"))
		require.Equal(t, MemberRebuilding, a.stateOf("m4"))
		var again atomic.Int64
		g.faulty[4].Before(func(r block.Request) error {
			if r.Op == block.Write && data(r) && r.Off < 2<<20 {
				again.Add(1)
			}
			return nil
		})
		held.Release()
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, MemberInSync, a.stateOf("m4"))
		if spec.Layout != 0x201 { // whose rows are not filled in order
			require.Zero(t, again.Load(), "raid%d: what it has is not filled again", spec.Level)
		}
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
		a = g.open()
		holds(t, a, want)
		require.NoError(t, a.Close())
	}
}

// TestTwinFailsHalfway: nobody notices but its owner, and it is not believed at the next start.
func TestTwinFailsHalfway(t *testing.T) {
	for _, spec := range some(replaceable) {
		g := newRig(t, spec, 4)
		want := brim(t, g)
		a := g.open()
		require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
		held := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 2<<20 })
		require.NoError(t, a.Replace(ctx, "m1", ""))
		held.Await(1)
		g.faulty[4].Before(errWrites(block.ErrPath))
		held.Release()
		require.NoError(t, write(a, 0, 256<<10, 0x11))
		require.EqualValues(t, md.EntryFaulty, g.super(0).Roles[4], "before the write is acknowledged")
		copy(want, bytes.Repeat([]byte{0x11}, 256<<10))
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, MemberFaulty, a.stateOf("m4"))
		require.Equal(t, MemberInSync, a.stateOf("m1"))
		require.Zero(t, a.Status().Degraded)
		holds(t, a, want)
		agrees(t, a)
		require.NoError(t, a.Close())
		a = g.open()
		require.Equal(t, MemberInSync, a.stateOf("m1"))
		require.Empty(t, a.stateOf("m4"))
		holds(t, a, want)
		require.NoError(t, a.Close())
	}
}

// TestReplaceGoesOn stops the array, or kills its process, in the middle of a replacement: the next life goes on where superblocks say.
func TestReplaceGoesOn(t *testing.T) {
	for _, spec := range some(replaceable) {
		for _, kill := range []bool{false, true} {
			g := newRig(t, spec, 4)
			want := brim(t, g)
			a := g.open()
			require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
			held := g.faulty[4].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 3<<20 })
			require.NoError(t, a.Replace(ctx, "m1", ""))
			held.Await(1)
			closed := make(chan error)
			if !kill {
				go func() { closed <- a.Close() }()
				for !a.closing.Load() {
					a.sched.Sleep(1)
				}
				held.Release()
				require.NoError(t, <-closed)
			}
			b := g.open()
			require.NoError(t, b.Wait(ctx))
			require.Equal(t, MemberInSync, b.stateOf("m4"))
			require.Empty(t, b.Status().ReadOnlyWhy)
			holds(t, b, want)
			agrees(t, b)
			require.NoError(t, b.Close())
			if kill {
				held.Release()
				_ = a.Close()
			}
		}
	}
}

// brim fills the whole array with content that differs from block to block, and stops it.
func brim(t testing.TB, g *rig) []byte {
	a := g.open()
	want := make([]byte, a.Info().Size)
	for i := range want {
		want[i] = byte(i>>9*7 + i>>16 + 1)
	}
	require.NoError(t, block.WriteAt(ctx, a, want, 0))
	require.NoError(t, a.Close())
	return want
}

// TestCopyHoldsItsRows writes to rows that are just being copied: the copy must not overwrite what is newer.
func TestCopyHoldsItsRows(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	want := brim(t, g)
	a := g.open()
	require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
	held := g.faulty[2].Hold(func(r block.Request) bool { return r.Op == block.Write && data(r) && r.Len > 4096 })
	require.NoError(t, a.Replace(ctx, "m1", ""))
	held.Await(1)
	written := make(chan error)
	go func() { written <- write(a, 0, 4096, 0x99) }()
	copy(want, bytes.Repeat([]byte{0x99}, 4096))
	select {
	case err := <-written: // it must not, but what counts is what is there at the end
		require.NoError(t, err)
		written = nil
	case <-time.After(50 * time.Millisecond):
	}
	held.Release()
	if written != nil {
		require.NoError(t, <-written)
	}
	require.NoError(t, a.Wait(ctx))
	require.NoError(t, a.Fail(ctx, "m0"))
	holds(t, a, want)
	require.NoError(t, a.Close())
}
