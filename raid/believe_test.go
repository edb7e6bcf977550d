package raid

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// data says whether r is about the data area.
func data(r block.Request) bool { return r.Off >= 1<<20 }

// fill gives the array content that differs from block to block, and stops it.
func fill(t testing.TB, g *rig) []byte {
	a := g.open()
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i>>9*7 + i>>16)
	}
	require.NoError(t, block.WriteAt(ctx, a, want, 0))
	require.NoError(t, a.Close())
	return want
}

// TestRefusedWriteIsAFailedWrite: a member that calls a write invalid has not done it, and must not be believed afterwards.
func TestRefusedWriteIsAFailedWrite(t *testing.T) {
	for _, why := range []error{block.ErrInvalid, block.ErrReadOnly, block.ErrUnsupported} {
		g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 1<<20, 1))
		g.faulty[1].Before(errWrites(why))
		require.NoError(t, write(a, 0, 64<<10, 2))
		require.Equal(t, 1, a.Status().Degraded, why.Error())
		got := make([]byte, 64<<10)
		require.NoError(t, block.ReadAt(ctx, a, got, 0))
		require.Equal(t, bytes.Repeat([]byte{2}, 64<<10), got)

		for _, f := range g.faulty {
			f.Before(errWrites(why))
		}
		require.ErrorIs(t, write(a, 0, 64<<10, 3), why, "refused by all is refused, and no member's fault")
		require.Equal(t, 1, a.Status().Degraded)
		for _, f := range g.faulty {
			f.Before(nil)
		}
		require.NoError(t, a.Close())
	}
}

// TestLateFlushFailureLooksForWritersAgain: while a failed flush costs a member, a write begins. The array must not be called clean beside it.
func TestLateFlushFailureLooksForWritersAgain(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	a := g.open()
	require.NoError(t, write(a, 0, 1<<20, 1))
	g.faulty[0].Before(func(r block.Request) error {
		if r.Op == block.Flush {
			return errors.New("cache lost")
		}
		return nil
	})
	super := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && !data(r) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.wrote.Store(false)
		a.settle(false)
	}()
	super.Await(1) // the loss is being written down
	held := g.faulty[2].Hold(func(r block.Request) bool { return r.Op == block.Write && data(r) })
	wrote := make(chan error, 1)
	go func() { wrote <- write(a, 8192, 4096, 9) }()
	held.Await(1)
	super.Release()
	<-done
	require.False(t, g.super(2).Clean(), "a write is under way")
	held.Release()
	require.NoError(t, <-wrote)
	require.NoError(t, a.Close())
	require.True(t, g.super(2).Clean())
}

// TestForcedMembersAreResynced: the freshest member calls itself clean, but that was without those that force brings in.
func TestForcedMembersAreResynced(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	fill(t, g)
	old := [2][]byte{}
	for i := range old {
		old[i] = make([]byte, memberSize)
		require.NoError(t, block.ReadAt(ctx, g.disks[i+1], old[i], 0))
	}
	for range 3 {
		a := g.open()
		require.NoError(t, write(a, 0, 1<<20, 0x5A))
		require.NoError(t, a.Close())
	}
	for i := range old {
		require.NoError(t, block.WriteAt(ctx, g.disks[i+1], old[i], 0))
	}
	_, err := g.tryOpen()
	require.ErrorContains(t, err, "--force")
	g.opts.Force = true
	a := g.open()
	require.True(t, a.Status().Dirty)
	require.NoError(t, a.Wait(ctx))
	agrees(t, a)
	require.NoError(t, a.Close())
	require.True(t, g.super(0).Clean())
}

// TestProgressIsRecordedBehindTheTruth loses a mirror while resync runs: what the superblocks then say of the resync must be on the media.
func TestProgressIsRecordedBehindTheTruth(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	fill(t, g)
	dirty(t, g)
	require.NoError(t, block.WriteAt(ctx, g.disks[1], bytes.Repeat([]byte{0xEE}, 2<<20), 1<<20))
	members := g.wrap()
	held := g.faulty[2].Hold(func(r block.Request) bool { return r.Op == block.Read && r.Off >= 2<<20 && r.Off < 3<<20 })
	a, err := Assemble(ctx, members, g.opts)
	require.NoError(t, err)
	held.Await(1)
	require.Positive(t, a.view.Load().Synced)
	require.NoError(t, a.Fail(ctx, "m2"))
	require.Zero(t, g.super(0).ResyncOffset, "nothing was flushed yet")
	held.Release()
	require.NoError(t, a.Wait(ctx))
	require.NoError(t, a.Close())
	require.True(t, g.super(0).Clean())
}

// TestTablesOfDifferentLengths: members that were added at different times may have tables of different lengths, and keep them.
func TestTablesOfDifferentLengths(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	sb := g.super(1)
	sb.MaxDev = 384
	for len(sb.Roles) < sb.MaxDev {
		sb.Roles = append(sb.Roles, md.EntrySpare)
	}
	require.NoError(t, md.WriteSuperblock(ctx, g.disks[1], sb, 0))
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	require.NoError(t, a.Close())
	require.Equal(t, 128, g.super(0).MaxDev)
	require.Equal(t, 384, g.super(1).MaxDev)
	require.Equal(t, g.super(0).Events, g.super(1).Events)
}

// TestLeftBehindIsNotBelieved: past what resync could not make agree, the rest is computed; that is not.
func TestLeftBehindIsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		level, first int
		parities     []int // of the first stripe
	}{{5, 0, []int{3}}, {6, 1, []int{3, 0}}} {
		level := c.level
		g := newRig(t, md.Spec{Level: level, Chunk: 64 << 10}, 4)
		want := fill(t, g)
		dirty(t, g)
		for _, role := range c.parities { // as if the stripe had been torn
			require.NoError(t, block.WriteAt(ctx, g.disks[role], bytes.Repeat([]byte{0xEE}, 8192), 1<<20))
		}
		bad := plan.Span{Lo: 4096, Hi: 4608}
		spans := []plan.Span{bad}
		g.opts.OnEvent = nil
		members := g.wrap()
		g.faulty[c.first].Before(func(r block.Request) error {
			for _, s := range spans {
				if r.Op == block.Read && r.Off < 1<<20+s.Hi && r.End() > 1<<20+s.Lo {
					return block.ErrMedia
				}
			}
			return nil
		})
		a, err := Assemble(ctx, members, g.opts)
		require.NoError(t, err)
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, a.geo.SyncSize, a.view.Load().Synced)
		got := make([]byte, 512)
		require.ErrorIs(t, block.ReadAt(ctx, a, got, 4096), block.ErrMedia, "raid%d", level)
		require.NoError(t, block.ReadAt(ctx, a, got, 8192))
		require.Equal(t, want[8192:8192+512], got)
		require.NoError(t, write(a, 4096-512, 512, 3), "beside it")
		spans = append(spans, plan.Span{Lo: 12288, Hi: 12800})
		require.NoError(t, block.ReadAt(ctx, a, got, 12288), "bad later, where parity agrees")
		require.Equal(t, want[12288:12288+512], got)
		_ = a.Close()
	}
}

// TestNoSpaceOnAllMembers: an array whose members take no writes any more can still be read, and is resynced when it starts again.
func TestNoSpaceOnAllMembers(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 1}, {Level: 5, Chunk: 4096}, {Level: 6, Chunk: 4096}, {Level: 10, Chunk: 4096, Layout: 0x102}} {
		g := newRig(t, spec, 4)
		want := fill(t, g)
		a := g.open()
		require.NoError(t, write(a, 0, 512, want[0]))
		for i, f := range g.faulty {
			f.Before(func(r block.Request) error {
				switch {
				case r.Op.Mutates() && data(r) && i > 1:
					return block.ErrNoSpace // some take it, some do not
				case r.Op == block.Read && i == 0 && r.Off < 1<<20+4096 && r.End() > 1<<20:
					return block.ErrMedia
				}
				return nil
			})
		}
		for off := int64(0); off < 60<<10; off += 12 << 10 { // whole stripes
			if err := write(a, off, 12<<10, 0xEE); err != nil {
				require.ErrorIs(t, err, block.ErrNoSpace, "raid%d", spec.Level)
			}
		}
		got := make([]byte, len(want))
		for off := int64(0); off < int64(len(got)); off += 4096 {
			err := block.ReadAt(ctx, a, got[off:off+4096], off)
			if err != nil && off < 64<<10 {
				continue // what was being written and is unreadable
			}
			require.NoError(t, err, "raid%d at %d", spec.Level, off)
			old, newer := want[off:off+4096], bytes.Repeat([]byte{0xEE}, 4096)
			if !bytes.Equal(got[off:off+4096], old) && (off >= 64<<10 || !bytes.Equal(got[off:off+4096], newer)) {
				t.Fatalf("raid%d: third value at %d", spec.Level, off)
			}
		}
		_ = a.Close()
		g.opts.Force = true
		a = g.open()
		require.NoError(t, a.Wait(ctx))
		require.NoError(t, write(a, 0, 64<<10, 5))
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestListenerMayAsk: an event's listener asks for the status.
func TestListenerMayAsk(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	var a *Array
	asked := 0
	opts := g.opts
	opts.OnEvent = func(e Event) {
		if e.Kind == EventFail {
			asked += a.Status().Degraded
		}
	}
	a, err := Assemble(ctx, g.wrap(), opts)
	require.NoError(t, err)
	require.NoError(t, a.Fail(ctx, "m1"))
	g.faulty[2].Before(errWrites(block.ErrPath))
	require.NoError(t, write(a, 0, 4096, 1))
	require.Equal(t, 1+2, asked)
	require.NoError(t, a.Close())
}

// TestForcedUnitAccessWithoutAMember: what a missing member should have is the sum of the others, which must be durable too.
func TestForcedUnitAccessWithoutAMember(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	a := g.open()
	require.NoError(t, a.Fail(ctx, "m0"))
	require.NoError(t, write(a, 0, 64<<10, 1))
	require.NoError(t, a.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: 4096, Len: 512, Buf: bytes.Repeat([]byte{2}, 512)}))
	require.Zero(t, g.faulty[1].Unflushed()+g.faulty[2].Unflushed())
	require.ErrorIs(t, a.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA | block.NoWait, Off: 4096, Len: 512, Buf: make([]byte, 512)}), block.ErrWouldBlock)
	require.NoError(t, a.Close())
}

// TestStatusWaitsForNothing: a superblock that cannot be written for a long time is when somebody asks.
func TestStatusWaitsForNothing(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 2)
	a := g.open()
	held := g.faulty[0].Hold(func(r block.Request) bool { return r.Op == block.Write })
	wrote := make(chan error, 1)
	go func() { wrote <- write(a, 0, 4096, 1) }()
	held.Await(1)
	require.Equal(t, StateClean, a.Status().State)
	held.Release()
	require.NoError(t, <-wrote)
	require.Equal(t, StateActive, a.Status().State)
	require.NoError(t, a.Close())
}

// TestTwoBadInOneRow are read around by raid6, and both are rewritten.
func TestTwoBadInOneRow(t *testing.T) {
	g := newRig(t, md.Spec{Level: 6, Chunk: 4096}, 5)
	want := fill(t, g)
	a := g.open()
	first, second := unreadable(g, 1, 1<<20+8192), unreadable(g, 2, 1<<20+8192)
	got := make([]byte, len(want))
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, want, got)
	require.True(t, first(), "rewritten")
	require.True(t, second(), "rewritten")
	require.Zero(t, g.count(EventUncorrectable))
	agrees(t, a)
	require.NoError(t, a.Close())
}

// TestNeighboursOfABadSector: where copies differ, only the sector that the first copy cannot read comes from another one, before resync and after
// it: what was read once stays. (World 20057: a read of 40 sectors took all of them from the second copy.)
func TestNeighboursOfABadSector(t *testing.T) {
	for i, spec := range []md.Spec{{Level: 1}, {Level: 10, Chunk: 64 << 10, Layout: 0x102}, {Level: 1}, {Level: 10, Chunk: 64 << 10, Layout: 0x102}} {
		g := newRig(t, spec, 2)
		fill(t, g)
		dirty(t, g)
		for i, d := range g.disks {
			require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{byte(0xA0 + i)}, 64<<10), 1<<20))
		}
		members := g.wrap()
		resync := make(chan struct{})
		opts := g.opts
		opts.OnEvent = func(e Event) {
			if e.Kind == EventRebuildStart {
				<-resync // it has locked nothing yet
			}
		}
		unreadable(g, 0, 1<<20+8192+512)
		a, err := Assemble(ctx, members, opts)
		require.NoError(t, err)
		want := bytes.Repeat([]byte{0xA0}, 16<<10)
		copy(want[8192+512:], bytes.Repeat([]byte{0xA1}, 512))
		got := make([]byte, len(want))
		if i < 2 { // otherwise resync is the first to meet it
			require.NoError(t, block.ReadAt(ctx, a, got, 0))
			require.Equal(t, want, got, "raid%d before", spec.Level)
		}
		close(resync)
		require.NoError(t, a.Wait(ctx))
		require.NoError(t, block.ReadAt(ctx, a, got, 0))
		require.Equal(t, want, got, "raid%d after", spec.Level)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// TestNeighboursInAForcedArray: the parity of an array that was forced need not be true, so that it stands in for the sector that cannot be read, and
// for none beside it: those would read as one thing now and as another when the sector has been rewritten.
func TestNeighboursInAForcedArray(t *testing.T) {
	g := newRig(t, md.Spec{Level: 6, Chunk: 16 << 10}, 4)
	fill(t, g)
	dirty(t, g)
	a := g.open()
	role := 0
	for ; ; role++ { // whoever has the first chunk
		got := make([]byte, 16<<10)
		require.NoError(t, block.ReadAt(ctx, g.disks[role], got, 1<<20))
		if got[0] == 0 && got[512] == 7 && got[1024] == 14 {
			break
		}
	}
	require.NoError(t, a.Wait(ctx))
	require.NoError(t, a.Close())
	dirty(t, g)
	newer := bytes.Repeat([]byte{0xAB}, 16<<10)
	require.NoError(t, block.WriteAt(ctx, g.disks[role], newer, 1<<20)) // and its parity was not written any more
	members := g.wrap()
	unreadable(g, role, 1<<20+8192)
	members[(role+2)%4].Dev = nil
	opts := g.opts
	opts.Force, opts.Run = true, true
	a, err := Assemble(ctx, members, opts)
	require.NoError(t, err)
	got := make([]byte, 16<<10)
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, newer[:8192], got[:8192])
	require.Equal(t, newer[8192+512:], got[8192+512:])
	require.NoError(t, a.Close())
}
