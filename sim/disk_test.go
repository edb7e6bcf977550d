package sim

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/fault"
	"graid/sched"
)

var ctx = context.Background()

// run has body run in a world with a disk of 64 KiB, with such faults.
func run(t *testing.T, seed uint64, faults string, body func(w *World, h *Host, d *Disk, dev block.Device)) {
	t.Helper()
	w := New(seed)
	defer w.Close()
	d := w.Disk("m0", DiskOptions{Size: 64 << 10, Least: time.Microsecond, Spread: time.Millisecond})
	list, err := fault.Parse(faults)
	require.NoError(t, err)
	d.Inject(list...)
	require.NoError(t, w.Run(1e6, func() { body(w, w.Host("h"), d, d.Open()) }))
}

func fill(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// get is what n bytes at off read as.
func get(t *testing.T, dev block.Device, off, n int64) []byte {
	t.Helper()
	b := fill(0xA5, int(n))
	require.NoError(t, block.ReadAt(ctx, dev, b, off))
	return b
}

// TestReadBack compares the disk with a flat one.
func TestReadBack(t *testing.T) {
	run(t, 1, "", func(_ *World, _ *Host, _ *Disk, dev block.Device) {
		rng := rand.New(rand.NewPCG(1, 2))
		want := make([]byte, 64<<10)
		for range 300 {
			n := 512 * (1 + rng.Int64N(16))
			off := 512 * rng.Int64N((64<<10-n)/512+1)
			switch rng.IntN(4) {
			case 0:
				require.NoError(t, block.WriteAt(ctx, dev, fill(byte(rng.Uint32()), int(n)), off))
				copy(want[off:], get(t, dev, off, n))
			case 1:
				require.NoError(t, dev.Do(ctx, block.Request{Op: block.WriteZeroes, Off: off, Len: n}))
				clear(want[off : off+n])
			case 2:
				require.NoError(t, block.Sync(ctx, dev))
			}
			require.Equal(t, want[off:off+n], get(t, dev, off, n))
		}
		require.Equal(t, want, get(t, dev, 0, 64<<10))
		require.Equal(t, block.Caller, block.Classify(block.ReadAt(ctx, dev, make([]byte, 512), 64<<10)))
		require.NoError(t, dev.Close())
		require.Equal(t, block.Gone, block.Classify(block.Sync(ctx, dev)))
	})
}

// TestCutKeepsWhatItMust: a cut leaves every sector with a content that it may have, every such content is left some time, and what was
// flushed, or written with FUA, is there.
func TestCutKeepsWhatItMust(t *testing.T) {
	seen := map[byte]bool{}
	for seed := range uint64(60) {
		run(t, seed, "", func(_ *World, h *Host, d *Disk, dev block.Device) {
			write := func(b byte, flags block.Flags) {
				require.NoError(t, dev.Do(ctx, block.Request{Op: block.Write, Flags: flags, Len: 512, Buf: fill(b, 512)}))
			}
			write(1, 0)
			write(2, 0)
			require.NoError(t, block.Sync(ctx, dev))
			require.Zero(t, d.Unflushed())
			write(3, 0)
			write(4, 0)
			require.Equal(t, 1, d.Unflushed())
			require.NoError(t, dev.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: 512, Len: 512, Buf: fill(9, 512)}))
			require.Equal(t, 1, d.Unflushed())
			require.EqualValues(t, 4, get(t, dev, 0, 512)[0])
			d.Cut(Keep(seed))
			got := get(t, dev, 0, 512)[0]
			seen[got] = true
			require.Contains(t, []byte{2, 3, 4}, got)
			switch Keep(seed) % keeps {
			case KeepNone:
				require.EqualValues(t, 2, got)
			case KeepAll:
				require.EqualValues(t, 4, got)
			}
			require.EqualValues(t, 9, get(t, dev, 512, 512)[0])
		})
	}
	require.Len(t, seen, 3)
}

// TestFlushCoversWhatWasComplete: a write that was under way when a flush began is not made durable by it.
func TestFlushCoversWhatWasComplete(t *testing.T) {
	lost := 0
	for seed := range uint64(40) {
		run(t, seed, "", func(_ *World, h *Host, d *Disk, dev block.Device) {
			g := sched.NewGroup(h)
			g.Go(func() { require.NoError(t, block.WriteAt(ctx, dev, fill(1, 512), 0)) })
			g.Go(func() {
				h.Sleep(time.Nanosecond)
				require.NoError(t, block.Sync(ctx, dev))
			})
			g.Wait()
			d.Cut(KeepNone)
			if get(t, dev, 0, 512)[0] == 0 {
				lost++
			}
		})
	}
	require.Equal(t, 40, lost)
}

// TestOnItsWay: a write that the cut interrupts lands in any of its sectors.
func TestOnItsWay(t *testing.T) {
	var none, some, all int
	for seed := range uint64(100) {
		w := New(seed)
		d := w.Disk("m0", DiskOptions{Size: 4096, Least: time.Millisecond})
		h := w.Host("h")
		w.AtStep(2, func() {
			h.Kill()
			d.Cut(KeepAny)
		})
		dev := d.Open()
		require.NoError(t, w.Run(100, func() {
			h.Go(func() { _ = block.WriteAt(ctx, dev, fill(1, 4096), 0) })
			w.Host("other").Sleep(time.Second)
		}))
		switch n := bytes.Count(d.Image(), fill(1, 512)); n {
		case 0:
			none++
		case 8:
			all++
		default:
			some++
		}
		w.Close()
	}
	require.Greater(t, some, 50)
}

// TestEffects does each effect once and looks at what is left.
func TestEffects(t *testing.T) {
	write := func(dev block.Device) error { return block.WriteAt(ctx, dev, fill(7, 2048), 1024) }
	read := func(dev block.Device) error { return block.ReadAt(ctx, dev, make([]byte, 2048), 1024) }
	for _, c := range []struct {
		rule        string
		write, read block.Class
		lands       int // sectors of the write that are there afterwards; -1: any number
	}{
		{"m0 media", block.Media, block.Media, 0},
		{"m0 write path", block.Path, block.None, 0},
		{"m0 write nospace", block.Path, block.None, 0},
		{"m0 write refuse", block.Caller, block.None, 0},
		{"m0 gone", block.Gone, block.Gone, 0},
		{"m0 gone at=1h", block.None, block.None, 4},
		{"m0 read media", block.None, block.Media, 4},
		{"m0 read [0,+1K) media", block.None, block.None, 4},
		{"m0 read [0,+1536) media", block.None, block.Media, 4},
		{"m0 read media after=1", block.None, block.None, 4},
		{"m1 gone", block.None, block.None, 4},
		{"* gone", block.Gone, block.Gone, 0},
		{"m0 torn", block.Media, block.None, -1},
		{"m0 lost", block.None, block.None, 0},
		{"m0 shift=32K", block.None, block.None, 0},
		{"m0 stall=5s", block.None, block.None, 4},
		{"m0 late=4s", block.Path, block.None, 4},
		{"m0 read [1K,+1K) bad", block.None, block.Media, 4},
		{"m0 write [1K,+1K) bad", block.None, block.None, 4},
		{"m0 read [1K,+512) rot", block.None, block.None, 3},
		{"m0 stale", block.None, block.None, 4},
	} {
		t.Run(c.rule, func(t *testing.T) {
			run(t, 5, c.rule, func(_ *World, h *Host, d *Disk, dev block.Device) {
				start := h.Now()
				require.Equal(t, c.write, block.Classify(write(dev)))
				took := h.Now() - start
				require.Equal(t, c.write, block.Classify(write(dev)), "twice: two versions")
				require.Equal(t, c.read, block.Classify(read(dev)))
				h.Sleep(10 * time.Second)
				got := bytes.Count(d.Image()[1024:3072], fill(7, 512))
				if c.lands >= 0 {
					require.Equal(t, c.lands, got)
				}
				switch c.rule {
				case "m0 shift=32K":
					require.Equal(t, fill(7, 2048), d.Image()[1024+32<<10:3072+32<<10])
				case "m0 stall=5s":
					require.Greater(t, took, 5*time.Second)
				case "m0 read [1K,+1K) bad":
					require.Equal(t, 2, d.BadSectors())
					require.Equal(t, 2, d.Met())
					require.NoError(t, block.WriteAt(ctx, dev, fill(7, 512), 1024))
					require.Equal(t, 1, d.BadSectors())
					require.Equal(t, block.Media, block.Classify(read(dev)))
					require.NoError(t, write(dev))
					require.NoError(t, read(dev))
				}
			})
		})
	}
}

// TestLie: what a lying flush acknowledged is not there after a cut.
func TestLie(t *testing.T) {
	run(t, 1, "m0 flush lie count=1", func(_ *World, _ *Host, d *Disk, dev block.Device) {
		require.NoError(t, block.WriteAt(ctx, dev, fill(1, 512), 0))
		require.NoError(t, block.Sync(ctx, dev))
		require.Equal(t, 1, d.Unflushed())
		require.NoError(t, block.Sync(ctx, dev))
		require.Zero(t, d.Unflushed())
	})
}

// TestStreamsAreOwn: a disk behaves the same whatever other disks are in the world, and whatever they do.
func TestStreamsAreOwn(t *testing.T) {
	took := func(others bool) (list []time.Duration) {
		w := New(9)
		defer w.Close()
		o := DiskOptions{Size: 4096, Spread: time.Millisecond}
		if others {
			x := w.Disk("x", o).Open()
			require.NoError(t, w.Run(1e4, func() {
				for range 10 {
					require.NoError(t, block.Sync(ctx, x))
				}
			}))
		}
		dev := w.Disk("m0", o).Open()
		require.NoError(t, w.Run(1e4, func() {
			for range 10 {
				start := w.Now()
				require.NoError(t, block.ReadAt(ctx, dev, make([]byte, 512), 0))
				list = append(list, w.Now()-start)
			}
		}))
		return list
	}
	require.Equal(t, took(false), took(true))
}
