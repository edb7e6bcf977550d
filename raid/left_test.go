package raid

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// TestResyncLeavesBehindWhatNobodyKnows gives a dirty raid5 a data sector that cannot be read before parity can be believed, and a mirror one that
// no member can read: resync says so once for each block, goes on to the end, and the rest agrees.
func TestResyncLeavesBehindWhatNobodyKnows(t *testing.T) {
	for _, tc := range []struct {
		spec md.Spec
		bad  []int
	}{{md.Spec{Level: 5, Chunk: 64 << 10}, []int{0}}, {md.Spec{Level: 1}, []int{0, 1, 2}}} {
		g := newRig(t, tc.spec, 3)
		a := g.open()
		require.NoError(t, write(a, 0, 256<<10, 7))
		require.NoError(t, a.Close())
		dirty(t, g)
		members := g.wrap()
		for _, m := range tc.bad {
			g.faulty[m].Before(func(r block.Request) error {
				if r.Op == block.Read && r.Off < 1<<20+12288 && r.End() > 1<<20+8192 {
					return block.ErrMedia
				}
				return nil
			})
		}
		opts := g.opts
		said := 0
		opts.OnEvent = func(e Event) {
			if e.Kind == EventUncorrectable {
				said++
			}
		}
		a, err := Assemble(ctx, members, opts)
		require.NoError(t, err)
		require.NoError(t, a.Wait(ctx))
		require.Equal(t, 8*len(tc.bad), said, "512-byte blocks")
		require.EqualValues(t, 4096, a.sync.errors.Load())
		require.Equal(t, a.geo.SyncSize, a.view.Load().Synced)
		for _, f := range g.faulty {
			f.Before(nil)
		}
		agrees(t, a)
		require.True(t, a.Status().Dirty)
		require.NoError(t, a.Close())
		require.EqualValues(t, 16, g.super(0).ResyncOffset, "the sector that nobody could read")
		a = g.open()
		require.NoError(t, a.Wait(ctx))
		require.NoError(t, a.Close())
		require.True(t, g.super(0).Clean(), "it can be read now")
	}
}

// TestUnevenCopiesAreNotClean has a write fail on a member that stays because it has the only copy of something, while the other copy takes
// it: the array must not be called clean, so that the next start makes them agree.
func TestUnevenCopiesAreNotClean(t *testing.T) {
	g := newRig(t, md.Spec{Level: 10, Chunk: 4096, Layout: 0x201}, 3)
	a := g.open()
	require.NoError(t, write(a, 0, 64<<10, 1))
	require.NoError(t, a.Fail(ctx, "m1"))
	failed := 0
	g.faulty[0].Before(func(r block.Request) error {
		if r.Op == block.Write && r.Off >= 1<<20 && failed == 0 {
			failed++
			return block.ErrPath
		}
		return nil
	})
	require.ErrorIs(t, write(a, 0, 64<<10, 2), block.ErrPath)
	require.Equal(t, 1, failed)
	a.settle(true)
	require.False(t, g.super(0).Clean())
	require.ErrorContains(t, a.Close(), "not marked clean")
	require.False(t, g.super(2).Clean())
	a = g.open()
	require.NoError(t, a.Wait(ctx))
	agrees(t, a)
	require.NoError(t, a.Close())
	require.True(t, g.super(0).Clean())
}

// TestTwoInterruptedCommits: a member that an interrupted commit left one event behind is brought level before the next commit begins, or
// interrupting that one too would leave it two behind: a good member that nobody believes.
func TestTwoInterruptedCommits(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	sb := g.super(1)
	events := sb.Events
	for _, i := range []int{0, 2} {
		sb := g.super(i)
		sb.Events++
		require.NoError(t, md.WriteSuperblock(ctx, g.disks[i], sb, 0))
	}
	a := g.open()
	require.Zero(t, a.Status().Degraded)
	var mu sync.Mutex
	var said [3][]uint64 // the events of every superblock written, by member
	level := true
	for i, f := range g.faulty {
		f.Before(func(r block.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if r.Op == block.Write && r.Off == 4096 {
				said[i] = append(said[i], binary.LittleEndian.Uint64(r.Buf[200:]))
				level = level && (i == 1 || len(said[1]) > 0) // m1 first
			}
			return nil
		})
	}
	require.NoError(t, write(a, 0, 4096, 1))
	require.Equal(t, [3][]uint64{{events + 2}, {events + 1, events + 2}, {events + 2}}, said)
	require.True(t, level)
	require.NoError(t, a.Close())
	require.Equal(t, g.super(0).Events, g.super(1).Events)
}

// TestWriteBesideALossBeforeParityAgrees writes to a member that is being lost, where resync has not been yet: as long as the member can be
// read the parity is not believed, so that what was written is what the parity then says.
func TestWriteBesideALossBeforeParityAgrees(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 4)
	dirty(t, g)
	for _, d := range g.disks {
		require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{d.Info().Name[0] ^ 0x5A}, 64<<10), 3<<20)) // agrees with nothing
	}
	require.NoError(t, block.WriteAt(ctx, g.disks[2], bytes.Repeat([]byte{1}, 64<<10), 3<<20))
	members := g.wrap()
	resync := g.faulty[3].Hold(func(r block.Request) bool { return r.Op == block.Read && r.Off >= 1<<20 && r.Len > 4096 })
	a, err := Assemble(ctx, members, g.opts)
	require.NoError(t, err)
	resync.Await(1)
	at := (int64(2<<20) * 3) // row 2 MiB: member offset 3 MiB
	require.NoError(t, write(a, at+32<<10, 4096, 7))
	commit := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off < 1<<20 })
	failed := make(chan error)
	go func() { failed <- a.Fail(ctx, "m0") }()
	commit.Await(1)
	require.NoError(t, write(a, at, 4096, 9))
	commit.Release()
	require.NoError(t, <-failed)
	got := make([]byte, 4096) // chunk 0 of its stripe: m0's
	require.NoError(t, block.ReadAt(ctx, a, got, at))
	require.Equal(t, bytes.Repeat([]byte{9}, 4096), got)
	resync.Release()
	require.NoError(t, a.Wait(ctx))
	_ = a.Close()
}

// TestWhatWasReadIsDurableFirst: a process that was killed may have left superblocks that no flush covered. What assembly believed of them must
// not be lost to a power cut while others have moved on: every member is flushed before any is written.
func TestWhatWasReadIsDurableFirst(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	a := g.open()
	var mu sync.Mutex
	flushed, early := 0, 0
	for _, f := range g.faulty {
		f.Before(func(r block.Request) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Op == block.Flush:
				flushed++
			case r.Op == block.Write && flushed < 3:
				early++
			}
			return nil
		})
	}
	require.NoError(t, write(a, 0, 4096, 1))
	require.Zero(t, early)
	require.NoError(t, a.Close())
}

// TestLossIsTheFirstThingRecorded: a member whose flush fails before any superblock was written is lost, once.
func TestLossIsTheFirstThingRecorded(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	a := g.open()
	g.faulty[2].Before(func(r block.Request) error {
		if r.Op == block.Flush {
			return block.ErrMedia
		}
		return nil
	})
	require.NoError(t, write(a, 0, 4096, 1))
	require.Equal(t, 1, a.Status().Degraded)
	require.Equal(t, 1, g.count(EventFail))
	require.NoError(t, a.Close())
}

// TestBrokenWhileALossIsWrittenDown fails one of a stripe's writes, and then, while the loss is being written down, the superblock of another member, of a
// raid6 that has lost one already: the array breaks, and nobody may compute what is missing from the half-written stripe.
func TestBrokenWhileALossIsWrittenDown(t *testing.T) {
	wrong := 0
	for missing := range 4 {
		for write := range 4 {
			for record := range 4 {
				if missing == write || missing == record || write == record {
					continue
				}
				g := newRig(t, md.Spec{Level: 6, Chunk: 4096}, 4)
				want := fill(t, g)
				g.opts.Run = true
				a := g.open(missing)
				require.NoError(t, block.WriteAt(ctx, a, want[:4096], 0)) // dirty
				g.faulty[write].Before(errWrites(block.ErrPath))
				g.faulty[record].Before(func(r block.Request) error {
					if r.Op == block.Write && !data(r) {
						return block.ErrPath
					}
					return nil
				})
				_ = block.WriteAt(ctx, a, bytes.Repeat([]byte{0xEE}, 4096), 0)
				got := make([]byte, 4096)
				if err := block.ReadAt(ctx, a, got, 4096); err == nil && !bytes.Equal(got, want[4096:8192]) {
					wrong++
				}
				_ = a.Close()
			}
		}
	}
	require.Zero(t, wrong)
}

// TestRemovedBetweenTwoBadReads removes the member that could not read while another is being asked, which cannot either.
func TestRemovedBetweenTwoBadReads(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	want := fill(t, g)
	a := g.open()
	order, first := 0, ""
	for i := range 3 {
		g.faulty[i].Before(func(r block.Request) error {
			if r.Op != block.Read || !data(r) || order > 1 {
				return nil
			}
			if order++; order == 1 {
				first = fmt.Sprintf("m%d", i)
			} else {
				require.NoError(t, a.Fail(ctx, first))
				require.NoError(t, a.Remove(ctx, first))
			}
			return block.ErrMedia
		})
	}
	holds(t, a, want[:4096])
	require.Equal(t, 1, a.Status().Degraded)
	require.NoError(t, a.Close())
}

// TestForcedRaid6AgreesInTheEnd: a raid6 that was forced while it lacked a member, with a stripe half written, has that member filled from P, and Q says
// otherwise. Then it loses another one, whose data was not being written at all: it must not come back wrong.
func TestForcedRaid6AgreesInTheEnd(t *testing.T) {
	for _, bitmap := range []bool{false, true} {
		for torn := range 4 {
			for missing := range 4 {
				if torn == missing {
					continue
				}
				g := newRig(t, md.Spec{Level: 6, Chunk: 4096, Bitmap: bitmap, BitmapChunk: 4096 * 4 * b2i(bitmap)}, 4)
				fill(t, g)
				a := g.open()
				require.NoError(t, write(a, 0, 8192, 0x31)) // dirty, and the process is killed
				require.NoError(t, block.WriteAt(ctx, g.disks[torn], bytes.Repeat([]byte{0xEE}, 4096), 1<<20))
				g.opts.Force, g.opts.Run = true, true
				a = g.open(missing)
				require.NoError(t, a.Add(ctx, g.another(memberSize), AddOptions{}))
				require.NoError(t, a.Wait(ctx))
				agrees(t, a)
				require.NoError(t, a.Close())
				require.True(t, g.super(4).Clean())
			}
		}
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// TestForcedInMidRecoveryAgreesInTheEnd: what was half written where the spare had been filled already has all its members, and parity that is wrong.
func TestForcedInMidRecoveryAgreesInTheEnd(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	brim(t, g)
	a := g.open()
	require.NoError(t, a.Fail(ctx, "m0"))
	spare := g.another(memberSize)
	held := g.faulty[3].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off > 3<<19+1<<20 })
	require.NoError(t, a.Add(ctx, spare, AddOptions{}))
	held.Await(1)
	closed := make(chan error)
	go func() { closed <- a.Close() }()
	for !a.closing.Load() {
		a.sched.Sleep(1)
	}
	held.Release()
	require.NoError(t, <-closed)
	require.NotZero(t, g.super(3).RecoveryOffset)
	for _, i := range []int{1, 2, 3} {
		sb := g.super(i)
		sb.ResyncOffset = 0
		require.NoError(t, md.WriteSuperblock(ctx, g.disks[i], sb, 0))
	}
	require.NoError(t, block.WriteAt(ctx, g.disks[1], bytes.Repeat([]byte{0xEE}, 4096), 1<<20))
	g.opts.Force, g.opts.Run = true, true
	a = g.open(0)
	require.NoError(t, a.Wait(ctx))
	require.Zero(t, a.Status().Degraded)
	agrees(t, a)
	require.NoError(t, a.Close())
	require.True(t, g.super(3).Clean())
}
