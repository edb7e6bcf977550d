package deadline_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/deadline"
	"graid/block/fault"
	"graid/block/mem"
	"graid/sched"
	"graid/sim"
)

var ctx = context.Background()

func limit(d time.Duration) *deadline.Limit {
	var l deadline.Limit
	l.Set(d)
	return &l
}

func TestConformance(t *testing.T) {
	for _, inline := range []bool{true, false} {
		blocktest.Run(t, func(_ *testing.T, size int64) block.Device {
			f := blocktest.NewFaulty(mem.New(size, mem.Options{}), blocktest.FaultyOptions{Inline: inline})
			return deadline.Wrap(f, limit(time.Hour), sched.Real)
		}, blocktest.ReadOnly(func(_ *testing.T, size int64) block.Device {
			return deadline.Wrap(mem.New(size, mem.Options{ReadOnly: true}), limit(time.Hour), sched.Real)
		}), blocktest.Size(1<<20))
	}
}

// world runs story on a virtual timeline, with a disk of ones under rules and a limit of a second.
func world(t *testing.T, story func(h sched.Sched, rules *fault.Set, d *deadline.Device, l *deadline.Limit)) {
	w := sim.New(1)
	defer w.Close()
	h := w.Host("h")
	set := fault.NewSet(h)
	disk := mem.New(1<<20, mem.Options{Name: "sdx"})
	require.NoError(t, block.WriteAt(ctx, disk, bytes.Repeat([]byte{1}, 1<<20), 0))
	l := limit(time.Second)
	d := deadline.Wrap(set.Wrap(disk, true, "m0"), l, h)
	require.NoError(t, w.Run(1e6, func() { story(h, set, d, l) }))
}

// inject adds rules.
func inject(t *testing.T, set *fault.Set, text string) (ids []int) {
	rules, err := fault.Parse(text)
	require.NoError(t, err)
	added, err := set.Add(rules...)
	require.NoError(t, err)
	for _, e := range added {
		ids = append(ids, e.ID)
	}
	return ids
}

var (
	ones    = bytes.Repeat([]byte{1}, 4096)
	scratch = bytes.Repeat([]byte{0xA5}, 4096)
)

// TestLate: a read is given up at its deadline and not before, leaves the caller's memory alone for ever, and what it read can be had once it has come.
func TestLate(t *testing.T) {
	world(t, func(h sched.Sched, rules *fault.Set, d *deadline.Device, _ *deadline.Limit) {
		inject(t, rules, "m0 read stall=900ms count=1\nm0 read stall=5s count=2")
		buf := bytes.Clone(scratch)
		began := h.Now()
		require.Error(t, block.ReadAt(ctx, d, buf, 0), "900 ms, and five seconds")
		require.Equal(t, time.Second, h.Now()-began)
		h.Sleep(6 * time.Second)
		require.Zero(t, d.Overdue())
		require.Equal(t, scratch, buf)

		began = h.Now()
		err := block.ReadAt(ctx, d, buf, 8192)
		require.ErrorIs(t, err, block.ErrSlow)
		require.Equal(t, "sdx: read [8192,+4096): no answer within 1s", err.Error())
		require.Equal(t, block.Path, block.Classify(err))
		require.EqualValues(t, 1, d.Overdue())
		var late *deadline.Late
		require.ErrorAs(t, err, &late)
		require.False(t, late.WaitFor(time.Second))
		require.True(t, late.WaitFor(time.Minute))
		require.NoError(t, late.Wait())
		require.Equal(t, 5*time.Second, late.Took())
		require.Equal(t, 5*time.Second, h.Now()-began)
		require.Equal(t, ones, late.Bytes())
		require.Equal(t, scratch, buf)
		require.Zero(t, d.Overdue())

		require.NoError(t, block.ReadAt(ctx, d, buf, 0))
		require.Equal(t, ones, buf)
	})
}

// TestOverdue: while a read is overdue others fail at once, and writes and flushes are not affected; afterwards reads are tried again. Without a limit all wait.
func TestOverdue(t *testing.T) {
	world(t, func(h sched.Sched, rules *fault.Set, d *deadline.Device, l *deadline.Limit) {
		id := inject(t, rules, "m0 read stuck count=2")
		buf := bytes.Clone(scratch)
		g := sched.NewGroup(h)
		for range 2 { // both are under way before one is overdue
			g.Go(func() {
				var late *deadline.Late
				require.ErrorAs(t, block.ReadAt(ctx, d, bytes.Clone(scratch), 0), &late)
			})
		}
		g.Wait()
		require.EqualValues(t, 2, d.Overdue())
		began := h.Now()
		require.ErrorIs(t, block.ReadAt(ctx, d, buf, 0), deadline.ErrOverdue)
		require.NoError(t, block.WriteAt(ctx, d, ones, 4096))
		require.NoError(t, block.Sync(ctx, d))
		require.Equal(t, began, h.Now())
		l.Set(0)
		require.NoError(t, block.ReadAt(ctx, d, buf, 0))
		l.Set(time.Second)
		require.NoError(t, rules.Clear(id...))
		h.Sleep(time.Millisecond)
		require.NoError(t, block.ReadAt(ctx, d, buf, 0))
		require.NoError(t, d.Close())
	})
}

// TestWritesAreNotGivenUp: they take as long as they take.
func TestWritesAreNotGivenUp(t *testing.T) {
	world(t, func(h sched.Sched, rules *fault.Set, d *deadline.Device, _ *deadline.Limit) {
		inject(t, rules, "m0 write,flush,zero,discard stall=1m")
		require.NoError(t, block.WriteAt(ctx, d, ones, 0))
		require.NoError(t, block.Sync(ctx, d))
		require.NoError(t, d.Do(ctx, block.Request{Op: block.WriteZeroes, Len: 512}))
		require.Equal(t, 3*time.Minute, h.Now())
	})
}

// TestErrorsInTime: what a device says in time is what it says; who is asked not to wait does not.
func TestErrorsInTime(t *testing.T) {
	world(t, func(h sched.Sched, rules *fault.Set, d *deadline.Device, _ *deadline.Limit) {
		inject(t, rules, "m0 read media count=1")
		require.ErrorIs(t, block.ReadAt(ctx, d, bytes.Clone(ones), 0), block.ErrMedia)
		inject(t, rules, "m0 read stuck")
		r := block.Request{Op: block.Read, Flags: block.NoWait, Len: 512, Buf: make([]byte, 512)}
		require.ErrorIs(t, d.Do(ctx, r), block.ErrWouldBlock)
		require.Zero(t, h.Now())
	})
}

// TestAllocations: what does not have to wait, and what is in time, allocates nothing.
func TestAllocations(t *testing.T) {
	if blocktest.Race {
		t.Skip("the detector allocates")
	}
	buf := block.Alloc(4096)
	for _, inline := range []bool{true, false} {
		for _, most := range []time.Duration{0, time.Hour} {
			f := plain{mem.New(1<<20, mem.Options{}), inline}
			d := deadline.Wrap(f, limit(most), sched.Real)
			read := func() { _ = block.ReadAt(ctx, d, buf, 4096) }
			read()
			require.LessOrEqual(t, testing.AllocsPerRun(200, read), 0.1, "inline %v, at most %v", inline, most)
		}
	}
}

// plain is a disk that may or may not be Inline.
type plain struct {
	*mem.Disk
	inline bool
}

func (p plain) Info() block.Info {
	i := p.Disk.Info()
	i.Inline = p.inline
	return i
}

func BenchmarkRead4K(b *testing.B) {
	buf := block.Alloc(4096)
	for name, c := range map[string]struct {
		inline bool
		limit  time.Duration
	}{"off": {false, 0}, "inline": {true, time.Hour}, "task": {false, time.Hour}} {
		b.Run(name, func(b *testing.B) {
			d := deadline.Wrap(plain{mem.New(1<<20, mem.Options{}), c.inline}, limit(c.limit), sched.Real)
			b.ReportAllocs()
			for b.Loop() {
				_ = block.ReadAt(ctx, d, buf, 4096)
			}
		})
	}
}
