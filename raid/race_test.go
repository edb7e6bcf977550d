package raid

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// slow is a level that thinks for a long time: after making a plan that match picks, it waits to be released.
type slow struct {
	plan.Level
	match   func(r block.Request) bool
	made    chan struct{}
	release chan struct{}
}

func (s *slow) Plan(p *plan.Plan, r block.Request, v *plan.View) (int64, error) {
	n, err := s.Level.Plan(p, r, v)
	if s.match(r) {
		s.made <- struct{}{}
		<-s.release
	}
	return n, err
}

// TestPlansOfYesterday makes a plan, then fails a member and writes without it, and only then lets the first plan take its lock. Carried out as
// it was made it would read what the failed member last had, and bake it into the parity.
func TestPlansOfYesterday(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 64 << 10}, 4)
	a := g.open()
	require.NoError(t, write(a, 0, 192<<10, 1))
	s := &slow{Level: a.level, made: make(chan struct{}), release: make(chan struct{})}
	first := true
	s.match = func(r block.Request) bool {
		if r.Op == block.Write && r.Len == 4096 && first {
			first = false
			return true
		}
		return false
	}
	a.meta.Lock() // the worker may be looking round still
	a.level = s
	a.meta.Unlock()
	done := make(chan error)
	go func() { done <- write(a, 0, 4096, 9) }() // chunk 0, on m0
	<-s.made
	require.NoError(t, a.Fail(ctx, "m0"))
	require.NoError(t, write(a, 0, 8192, 2))
	s.release <- struct{}{}
	require.NoError(t, <-done)

	got := make([]byte, 8192)
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, bytes.Repeat([]byte{9}, 4096), got[:4096])
	require.Equal(t, bytes.Repeat([]byte{2}, 4096), got[4096:])
	require.NoError(t, a.Close())
}

// TestSecondWriterWaitsForTheMark holds the first write's superblock update on its way and sends another write: no data may reach a member before
// the mark is durable on all.
func TestSecondWriterWaitsForTheMark(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	a := g.open()
	held := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off < 1<<20 })
	done := make(chan error, 2)
	go func() { done <- write(a, 0, 4096, 1) }()
	held.Await(1)
	go func() { done <- write(a, 64<<10, 4096, 2) }()
	for range 50 { // it has all the time it wants to do wrong
		time.Sleep(time.Millisecond)
		for _, f := range g.faulty {
			for _, r := range f.Log() {
				require.False(t, r.Op == block.Write && r.Off >= 1<<20, "data before the mark: %v", r)
			}
		}
	}
	held.Release()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.NoError(t, a.Close())
}

// TestCleanWaitsForWriters has a write in flight when the array would be marked clean.
func TestCleanWaitsForWriters(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	a := g.open()
	held := g.faulty[1].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off >= 1<<20 })
	done := make(chan error)
	go func() { done <- write(a, 0, 4096, 1) }()
	held.Await(1)
	a.settle(true)
	require.False(t, g.super(0).Clean())
	held.Release()
	require.NoError(t, <-done)
	a.settle(true)
	require.True(t, g.super(0).Clean())
	require.NoError(t, a.Close())
}

// TestCleanMeansOnTheMedia looks at what is unflushed at the moment a superblock is about to say clean: nothing of the data may be.
func TestCleanMeansOnTheMedia(t *testing.T) {
	g := newRig(t, md.Spec{Level: 5, Chunk: 4096}, 3)
	a := g.open()
	require.NoError(t, write(a, 0, 1<<20, 1))
	most := 0
	g.faulty[1].Before(func(r block.Request) error {
		if r.Op == block.Write && r.Off < 1<<20 {
			for _, f := range g.faulty {
				most = max(most, f.Unflushed())
			}
		}
		return nil
	})
	a.settle(true)
	require.True(t, g.super(1).Clean())
	require.Less(t, most, 8, "sectors beside the superblocks' own")
	g.faulty[1].Before(nil)
	require.NoError(t, a.Close())
}

// TestInterruptedRecordOfAFailure lets one survivor write down that m0 failed, and cuts the power before the others do. They are good, and must be
// taken for it; m0 is not.
func TestInterruptedRecordOfAFailure(t *testing.T) {
	for _, spec := range []md.Spec{{Level: 10, Chunk: 4096, Layout: 0x102}, {Level: 5, Chunk: 4096}} {
		g := newRig(t, spec, 4)
		a := g.open()
		require.NoError(t, write(a, 0, 64<<10, 1))
		require.NoError(t, block.Sync(ctx, a))
		for i, f := range g.faulty {
			f.Before(func(r block.Request) error {
				super := r.Op.Mutates() && r.Off < 1<<20
				if i == 0 && r.Op.Mutates() || i > 1 && super {
					return block.ErrGone
				}
				return nil
			})
		}
		_ = write(a, 0, 64<<10, 2)
		require.EqualValues(t, md.EntryFaulty, g.super(1).Roles[0])
		require.EqualValues(t, 2, g.super(2).Roles[2], "nothing was written there")
		for _, f := range g.faulty {
			f.PowerOff()
		}
		_ = a.Close()

		g.opts.Force = spec.Level == 5 // it may have torn stripes, and says so
		a = g.open()
		require.Equal(t, 1, a.Status().Degraded)
		require.Equal(t, MemberMissing, a.Status().Members[0].State)
		require.NoError(t, a.Close())
	}
}

// TestNoWaitChangesNothing: a request that must not wait either is done or leaves everything as it was, and blames nobody.
func TestNoWaitChangesNothing(t *testing.T) {
	for _, l := range levels {
		g := newRig(t, l.spec, l.n)
		a := g.open()
		try := func(op block.Op, b byte) error {
			return a.Do(ctx, block.Request{Op: op, Flags: block.NoWait, Len: 4096, Buf: bytes.Repeat([]byte{b}, 4096)})
		}
		if a.geo.Redundant() {
			require.Equal(t, block.ErrWouldBlock, try(block.Write, 1), "the mark has to be made first")
			require.True(t, g.super(0).Clean())
		}
		require.NoError(t, write(a, 0, 4096, 2))
		require.NoError(t, try(block.Write, 3))
		for _, f := range g.faulty {
			f.Before(func(r block.Request) error {
				if r.Op == block.Read && r.Flags&block.NoWait != 0 {
					return block.ErrWouldBlock
				}
				return nil
			})
		}
		require.Equal(t, block.ErrWouldBlock, try(block.Read, 0))
		if err := try(block.Write, 4); err != nil {
			require.Equal(t, block.ErrWouldBlock, err)
			got := make([]byte, 4096)
			require.NoError(t, block.ReadAt(ctx, a, got, 0))
			require.Equal(t, bytes.Repeat([]byte{3}, 4096), got)
		}
		require.Zero(t, a.Status().Degraded)
		agrees(t, a)
		require.NoError(t, a.Close())
	}
}

// lateSync is a level whose first Sync plan is carried out late.
type lateSync struct {
	plan.Level
	made    chan struct{}
	release chan struct{}
	once    sync.Once
}

func (s *lateSync) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (int64, error) {
	n, err := s.Level.Sync(p, span, k, v)
	s.once.Do(func() {
		s.made <- struct{}{}
		<-s.release
	})
	return n, err
}

// TestResyncOfYesterday has resync plan to copy from a member that then fails, and whose rows are then written elsewhere. Carried out as it was
// planned it would bring the old content back.
func TestResyncOfYesterday(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1}, 3)
	a := g.open()
	s := &lateSync{Level: a.level, made: make(chan struct{}), release: make(chan struct{})}
	a.meta.Lock() // the worker may be looking round still
	a.level = s
	a.meta.Unlock()
	a.change(func(v *view) { v.Synced = 0 })
	done := make(chan error)
	go func() {
		_, err := a.agree(plan.Span{Hi: a.geo.SyncSize})
		done <- err
	}()
	<-s.made
	require.NoError(t, a.Fail(ctx, "m0"))
	require.NoError(t, write(a, 0, 64<<10, 5))
	s.release <- struct{}{}
	require.NoError(t, <-done)
	got := make([]byte, 64<<10)
	require.NoError(t, block.ReadAt(ctx, a, got, 0))
	require.Equal(t, bytes.Repeat([]byte{5}, 64<<10), got)
	require.NoError(t, a.Close())
}
