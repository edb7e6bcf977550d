package overlay_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/block/overlay"
	"graid/sched"
)

var ctx = context.Background()

// pristine is a base that must only be read.
type pristine struct{ block.Device }

func (p pristine) Do(ctx context.Context, r block.Request) error {
	if r.Op != block.Read {
		panic("the base of an overlay was asked for " + r.String())
	}
	return p.Device.Do(ctx, r)
}

func (p pristine) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	return block.Extents(ctx, p.Device, off, n, list)
}

// pattern is what a base holds: no byte is zero, none is like that of a neighbouring unit.
func pattern(n int64) []byte { return bytes.Clone(longest()[:n]) }

var longest = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20+4096)
	for i := range b {
		b[i] = byte(1 + (i+i>>9*7+i>>12*31)%255)
	}
	return b
})

func base(t *testing.T, size, unit int64) block.Device {
	d := mem.New(size, mem.Options{Name: "base", Block: unit})
	require.NoError(t, block.WriteAt(ctx, d, pattern(size), 0))
	return pristine{d}
}

// junk is a store that held something before.
func junk(t *testing.T, size, unit int64) *mem.Disk {
	d := mem.New(size, mem.Options{Name: "store", Block: unit})
	require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{0xEE}, int(size)), 0))
	return d
}

func lay(t *testing.T, base, store block.Device, o overlay.Options) *overlay.Device {
	t.Helper()
	d, err := overlay.New(ctx, base, store, o)
	require.NoError(t, err)
	return d
}

// TestConformance is the contract of block.Device, over bases that must not change and stores that held something else.
func TestConformance(t *testing.T) {
	for name, b := range map[string][2]int64{"512 on 512": {512, 512}, "1 on 1": {1, 1}, "512 on 4096": {512, 4096}, "4096 on 512": {4096, 512}} {
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T, size int64) block.Device {
				unit := max(b[0], b[1])
				return lay(t, base(t, size+unit, b[0]), junk(t, size+4096, b[1]), overlay.Options{})
			}, blocktest.Size(1<<20))
		})
	}
	t.Run("kept", func(t *testing.T) {
		blocktest.Run(t, func(t *testing.T, size int64) block.Device {
			b := base(t, size+512, 512)
			return lay(t, b, mem.New(overlay.StoreSize(b), mem.Options{}), overlay.Options{Keep: true})
		}, blocktest.Size(1<<20))
	})
}

// TestBaseShowsThrough: what was not written is the base's, up to the very byte beside what was, also after a change that
// began and ended inside units, and extents call none of it a hole.
func TestBaseShowsThrough(t *testing.T) {
	const size = 1<<20 + 512
	d := lay(t, base(t, size, 512), junk(t, size+4096, 512), overlay.Options{})
	want := pattern(size)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		off := rng.Int64N(size/512) * 512
		n := min((1+rng.Int64N(24))*512, size-off)
		if rng.IntN(3) == 0 {
			clear(want[off : off+n])
			require.NoError(t, d.Do(ctx, block.Request{Op: block.WriteZeroes, Off: off, Len: n}))
		} else {
			b := bytes.Repeat([]byte{byte(i + 1)}, int(n))
			copy(want[off:], b)
			require.NoError(t, block.WriteAt(ctx, d, b, off))
		}
		if i%20 != 0 {
			continue
		}
		got := bytes.Repeat([]byte{0xA5}, size)
		require.NoError(t, block.ReadAt(ctx, d, got, 0))
		require.True(t, bytes.Equal(want, got), "after change %d, [%d,+%d)", i, off, n)
		list, err := d.Extents(ctx, 0, size, nil)
		require.NoError(t, err)
		at := int64(0)
		for _, e := range list {
			if e.Zero || e.Hole {
				require.True(t, bytes.Equal(make([]byte, e.Len), want[at:at+e.Len]), "[%d,+%d) is called a hole", at, e.Len)
			}
			at += e.Len
		}
		require.EqualValues(t, size, at)
	}
}

// TestTwoWritersOfAUnit: while one writer waits for the base to copy a unit, a second one writes another part of it.
// Neither write is lost, whichever part and however large the second is.
func TestTwoWritersOfAUnit(t *testing.T) {
	for _, second := range [][2]int64{{512, 512}, {0, 4096}, {512, 8192}, {512, 4096 * 40}} {
		slow := blocktest.NewFaulty(base(t, 1<<20, 512), blocktest.FaultyOptions{})
		d := lay(t, slow, junk(t, 1<<20, 512), overlay.Options{})
		hold := slow.Hold(func(r block.Request) bool { return r.Off == 0 && r.Op == block.Read })
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = block.WriteAt(ctx, d, bytes.Repeat([]byte{1}, 512), 1024) // judged by what is read
		})
		hold.Await(1)
		started := make(chan struct{})
		wg.Go(func() {
			close(started)
			b := bytes.Repeat([]byte{2}, int(second[1]))
			_ = block.WriteAt(ctx, d, b, second[0])
		})
		<-started
		for range 1000 { // let the second get as far as it can; right code passes however far that is
			sched.Real.Sleep(0)
		}
		hold.Release()
		wg.Wait()
		got := make([]byte, 4096)
		require.NoError(t, block.ReadAt(ctx, d, got, 0))
		inSecond := got[max(512, int(second[0]))]
		require.EqualValues(t, 2, inSecond, "the second write %v is lost", second)
		if second[1] == 512 {
			require.EqualValues(t, 1, got[1024], "the first write is lost")
			require.Equal(t, pattern(4096)[1536:], got[1536:])
		}
	}
}

// TestDurability: a flush and FUA reach the store and never the base.
func TestDurability(t *testing.T) {
	store := blocktest.NewFaulty(junk(t, 1<<20, 512), blocktest.FaultyOptions{})
	d := lay(t, base(t, 1<<20, 512), store, overlay.Options{})
	require.NoError(t, block.Sync(ctx, d))
	require.Equal(t, 1, store.Count(block.Flush))
	fua := func() (n int) {
		for _, r := range store.Log() {
			if r.Op != block.Read && r.Flags&block.FUA != 0 {
				n++
			}
		}
		return n
	}
	for i, r := range []block.Request{
		{Op: block.Write, Off: 512, Len: 512, Buf: make([]byte, 512)},    // copied up
		{Op: block.Write, Off: 1024, Len: 512, Buf: make([]byte, 512)},   // in place
		{Op: block.Write, Off: 8192, Len: 4096, Buf: make([]byte, 4096)}, // whole
		{Op: block.WriteZeroes, Off: 16384, Len: 4096},
		{Op: block.WriteZeroes, Off: 32768, Len: 512},
	} {
		r.Flags |= block.FUA
		require.NoError(t, d.Do(ctx, r))
		require.Equal(t, i+1, fua(), "%v", r)
	}
}

// TestKept: a kept store is found again after Close, and refuses another base.
func TestKept(t *testing.T) {
	const size = 300<<20 + 512 // three pages of bitmap
	empty := mem.New(size, mem.Options{Name: "base"})
	store := mem.New(overlay.StoreSize(empty), mem.Options{Name: "store"})
	id := [16]byte{1, 2, 3}
	d := lay(t, empty.Clone(), store, overlay.Options{Keep: true, ID: id})
	offs := []int64{0, 128<<20 - 512, 256 << 20, size - 512}
	for i, off := range offs {
		require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{byte(i + 1)}, 512), off))
	}
	require.NoError(t, d.Close())

	again := lay(t, empty.Clone(), store.Clone(), overlay.Options{Keep: true, ID: id})
	got := make([]byte, 512)
	for i, off := range offs {
		require.NoError(t, block.ReadAt(ctx, again, got, off))
		require.Equal(t, bytes.Repeat([]byte{byte(i + 1)}, 512), got, "at %d", off)
	}

	for name, c := range map[string]struct {
		size int64
		id   [16]byte
		want string
	}{
		"size": {size - 512, id, "base: overlay store: not an overlay of this device: "},
		"id":   {size, [16]byte{9}, "base: overlay store: not an overlay of this device: of 01020300000000000000000000000000, not 09000000000000000000000000000000"},
	} {
		_, err := overlay.New(ctx, mem.New(c.size, mem.Options{Name: "base"}), store.Clone(), overlay.Options{Keep: true, ID: c.id})
		require.ErrorIs(t, err, overlay.ErrForeign, name)
		require.Contains(t, err.Error(), c.want, name)
	}
	_, err := overlay.New(ctx, empty, junk(t, 1<<20, 512), overlay.Options{})
	require.EqualError(t, err, "base: overlay: the store store has 1048576 bytes and needs 314576896")
	_, err = overlay.New(ctx, empty, mem.New(1<<30, mem.Options{ReadOnly: true}), overlay.Options{})
	require.ErrorIs(t, err, block.ErrReadOnly)
}

// TestKeptAfterPowerCut: whatever sectors of the store a power cut keeps, what was flushed or written with FUA is there,
// and the rest is, sector by sector, the base's or the new.
func TestKeptAfterPowerCut(t *testing.T) {
	const size, unit = 256 << 10, 512
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := base(t, size, unit)
		disk := mem.New(overlay.StoreSize(b), mem.Options{})
		store := blocktest.NewFaulty(disk, blocktest.FaultyOptions{Volatile: true})
		d := lay(t, b, store, overlay.Options{Keep: true})
		may := make([][]byte, size/unit) // contents that each sector may have, by first byte
		for i, p := 0, pattern(size); i < len(may); i++ {
			may[i] = []byte{p[i*unit]}
		}
		left := rng.IntN(120) // requests until the power fails, at times in the middle of a change or of a flush
		store.Before(func(r block.Request) error {
			if left--; left < 0 && r.Op != block.Read {
				return block.ErrGone
			}
			return nil
		})
		for i := range 30 {
			off := rng.Int64N(size/unit) * unit
			n := min((1+rng.Int64N(20))*unit, size-off)
			r := block.Request{Op: block.Write, Off: off, Len: n, Buf: bytes.Repeat([]byte{byte(i + 1)}, int(n))}
			if rng.IntN(5) == 0 {
				r.Flags = block.FUA
			}
			err := d.Do(ctx, r)
			for at := off / unit; at < (off+n)/unit; at++ {
				if r.Flags != 0 && err == nil {
					may[at] = may[at][:0]
				}
				may[at] = append(may[at], byte(i+1))
			}
			if err != nil {
				require.ErrorIs(t, err, block.ErrGone)
				break
			}
			if err == nil && rng.IntN(6) == 0 {
				if err = block.Sync(ctx, d); err != nil {
					break
				}
				for at := range may {
					may[at] = may[at][len(may[at])-1:]
				}
			}
		}
		require.NoError(t, store.Crash(rng))
		after := lay(t, b, disk, overlay.Options{Keep: true})
		got := make([]byte, size)
		require.NoError(t, block.ReadAt(ctx, after, got, 0))
		for at, allowed := range may {
			require.Contains(t, string(allowed), string(got[at*unit:at*unit+1]), "seed %d sector %d", seed, at)
		}
	}
}

// tempFile is a path on a real file system: tmpfs takes direct I/O of any alignment.
func tempFile(t *testing.T) string {
	dir, err := os.MkdirTemp("/var/tmp", "graid-overlay-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "store")
}
