package raid

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/raid/md"
)

// bitmapped are the arrays that tests of the bitmap run on: one of each kind of sync space. Each has 16 KiB per bit.
var bitmapped = []md.Spec{
	{Level: 1, Bitmap: true, BitmapChunk: 16 << 10},
	{Level: 5, Chunk: 4096, Bitmap: true, BitmapChunk: 16 << 10},
	{Level: 6, Chunk: 64 << 10, Bitmap: true, BitmapChunk: 16 << 10},
	{Level: 10, Chunk: 4096, Layout: 0x102, Bitmap: true, BitmapChunk: 16 << 10},
	{Level: 10, Chunk: 8192, Layout: 0x201, Bitmap: true, BitmapChunk: 16 << 10},
}

// bits is the bitmap as it is on member i.
func (g *rig) bits(i int) *md.Bitmap {
	e, err := md.Examine(ctx, "m", g.disks[i])
	require.NoError(g.t, err)
	require.NoError(g.t, e.BitmapErr)
	require.NotNil(g.t, e.Bitmap)
	require.False(g.t, e.Bitmap.Stale(e.SB.Events), "a bitmap behind its superblock is taken for all dirty")
	return e.Bitmap
}

// early counts writes of data that come before a bit for them is durable on every member that is in the array.
func (g *rig) early(a *Array, members ...int) *atomic.Int64 {
	var mu sync.Mutex
	volatile := map[int]bool{}
	early := new(atomic.Int64)
	for i, f := range g.faulty {
		f.Before(func(r block.Request) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case r.Op == block.Flush:
				volatile[i] = false
			case r.Op.Mutates() && !data(r):
				volatile[i] = true
			case r.Op.Mutates():
				for _, m := range members {
					b := g.bits(m)
					pos := (r.Off - 1<<20) / int64(b.ChunkSize)
					if volatile[m] || a.geo.Level != 10 && !b.Bit(pos) || b.Dirty() == 0 {
						early.Add(1)
					}
				}
			}
			return nil
		})
	}
	return early
}

// TestBitmapNeverPromisesTooMuch follows an internal bitmap through the life of an array: every bit is set and durable before data is written,
// cleared late and only when all members agree, and never while one is out, so that whoever comes back can be brought up to date.
func TestBitmapNeverPromisesTooMuch(t *testing.T) {
	for _, spec := range bitmapped {
		g := newRig(t, spec, 4)
		a := g.open()
		early := g.early(a, 0, 1, 2, 3)
		for i := range int64(8) {
			require.NoError(t, write(a, i*200<<10, 20<<10, 1))
		}
		require.Zero(t, early.Load())
		set := g.bits(0).Dirty()
		require.Positive(t, set)
		require.Less(t, set, g.bits(0).Total()/2)
		a.settle(true)
		require.Equal(t, set, g.bits(0).Dirty(), "late")
		a.tidy(false)
		require.Equal(t, set, g.bits(0).Dirty(), "not where it was just written to")
		require.NoError(t, write(a, 0, 4096, 1))
		before := len(g.faulty[1].Log())
		a.tidy(false)
		left := g.bits(0).Dirty()
		require.Positive(t, left)
		require.LessOrEqual(t, left, int64(4), "those just written to")
		log := g.faulty[1].Log()[before:]
		require.Equal(t, block.Flush, log[0].Op, "data is durable before its bit is cleared")
		cleared := g.bits(0).EventsCleared
		require.Equal(t, g.super(0).Events, cleared)

		require.NoError(t, a.Fail(ctx, "m3"))
		early = g.early(a, 0, 1, 2)
		require.NoError(t, write(a, 1<<20, 64<<10, 2))
		require.Zero(t, early.Load())
		set = g.bits(0).Dirty()
		require.Greater(t, set, left)
		a.tidy(true)
		a.settle(true)
		require.True(t, g.super(0).Clean())
		require.Equal(t, set, g.bits(0).Dirty(), "nothing is cleared while a member is out")
		require.Equal(t, cleared, g.bits(0).EventsCleared)
		require.NoError(t, a.Close())
		require.Equal(t, set, g.bits(0).Dirty())
	}
}

// TestResyncByBitmap leaves an array dirty, with members that differ where it was being written: resync looks there and nowhere else.
func TestResyncByBitmap(t *testing.T) {
	for _, spec := range bitmapped {
		g := newRig(t, spec, 4)
		want := fill(t, g)
		require.Zero(t, g.bits(0).Dirty(), "clean stop")
		a := g.open()
		require.NoError(t, write(a, 300<<10, 20<<10, 9))
		copy(want[300<<10:], bytes.Repeat([]byte{9}, 20<<10))
		set := g.bits(0).Dirty()
		// The process is killed. One member lacks the write.
		rows := a.syncSpan(block.Request{Op: block.Write, Off: 300 << 10, Len: 20 << 10})
		last := g.disks[3]
		if spec.Level != 10 {
			junk := bytes.Repeat([]byte{0x77}, 4096)
			require.NoError(t, block.WriteAt(ctx, last, junk, 1<<20+rows.Lo))
		}
		members := g.wrap()
		var read, wrote atomic.Int64
		for _, f := range g.faulty {
			f.Before(func(r block.Request) error {
				switch {
				case data(r) && r.Op == block.Read:
					read.Add(r.Len)
				case data(r) && r.Op.Mutates():
					wrote.Add(r.Len)
				}
				return nil
			})
		}
		b, err := Assemble(ctx, members, g.opts)
		require.NoError(t, err)
		require.NoError(t, b.Wait(ctx))
		require.LessOrEqual(t, read.Load(), 12*set*16<<10, "what its bits say, and no more")
		require.Positive(t, read.Load())
		agrees(t, b)
		require.NoError(t, b.Close())
		require.True(t, g.super(0).Clean())
		require.Zero(t, g.bits(0).Dirty())
	}
}

// TestStaleBitmapIsNotBelieved: a bitmap that is older than its superblock was not kept by whoever wrote last.
func TestStaleBitmapIsNotBelieved(t *testing.T) {
	g := newRig(t, bitmapped[0], 2)
	fill(t, g)
	for i, d := range g.disks {
		sb := g.super(i)
		sb.Events, sb.ResyncOffset = sb.Events+3, 0
		require.NoError(t, md.WriteSuperblock(ctx, d, sb, 0))
	}
	require.NoError(t, block.WriteAt(ctx, g.disks[1], bytes.Repeat([]byte{3}, 4096), 3<<20))
	a := g.open()
	require.NoError(t, a.Wait(ctx))
	agrees(t, a)
	require.NoError(t, a.Close())
}

// TestBitsOfMany: writers that need bits while some are being written wait for one write of the bitmap between them, not for one each.
func TestBitsOfMany(t *testing.T) {
	g := newRig(t, bitmapped[0], 2)
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	bitmap := (int64(g.super(0).SuperOffset) + int64(g.super(0).BitmapOffset)) * md.Sector
	held := g.faulty[0].Hold(func(r block.Request) bool { return r.Op == block.Write && r.Off == bitmap })
	before := len(g.faulty[0].Log())
	var wg sync.WaitGroup
	for i := range int64(20) {
		wg.Go(func() { require.NoError(t, write(a, (i+1)*64<<10, 4096, 1)) })
		if i == 0 {
			held.Await(1)
		}
	}
	require.Eventually(t, func() bool {
		b := a.intent.Load()
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.wants) == 19
	}, 10*time.Second, time.Millisecond)
	held.Release()
	wg.Wait()
	n := 0
	for _, r := range g.faulty[0].Log()[before:] {
		if r.Op == block.Write && r.Off == bitmap {
			n++
		}
	}
	require.Equal(t, 2, n)
	require.NoError(t, a.Close())
}

// TestBitmapIsDurableBeforeTheSuperblock, as md writes them: a superblock that says clean relies on a bitmap that says so.
func TestBitmapIsDurableBeforeTheSuperblock(t *testing.T) {
	g := newRig(t, md.Spec{Level: 1, Bitmap: true}, 2)
	a := g.open()
	require.NoError(t, write(a, 0, 4096, 1))
	a.settle(true)
	require.NoError(t, a.Close())
	sb := g.super(0)
	bitmap := (int64(sb.SuperOffset) + int64(sb.BitmapOffset)) * md.Sector
	for i, f := range g.faulty {
		written := 0
		log := f.Log()
		for n, r := range log {
			if r.Op != block.Write || r.Off != int64(sb.SuperOffset)*md.Sector {
				continue
			}
			written++
			require.Greater(t, n, 1)
			require.Equal(t, block.Flush, log[n-1].Op, "member %d: %v", i, log[:n+1])
			require.Equal(t, bitmap, log[n-2].Off, "member %d: %v", i, log[:n+1])
		}
		require.GreaterOrEqual(t, written, 2)
	}
}
