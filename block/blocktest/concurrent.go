package blocktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// memory: a device owns Buf until Do returns and not longer. It is changed at once afterwards, by the one who owns it then.
func (s *suite) memory(t *testing.T) {
	d, info := s.device(t)
	unit := max(info.Block, 4096)
	rng := s.rand(2)
	b := block.Alloc(unit)
	var offs []int64
	for off := int64(0); off+unit <= info.Size && len(offs) < 64; off += unit {
		fill(b, byte(len(offs)+1))
		require.NoError(t, block.WriteAt(background, d, b, off))
		fill(b, 0xEE)
		offs = append(offs, off)
	}
	require.NoError(t, block.Sync(background, d))
	rng.Shuffle(len(offs), func(i, j int) { offs[i], offs[j] = offs[j], offs[i] })
	for _, off := range offs {
		fill(b, 0xA5)
		require.NoError(t, block.ReadAt(background, d, b, off))
		require.Equal(t, bytes.Repeat([]byte{byte(off/unit + 1)}, int(unit)), b, "at %d", off)
	}
}

// whole: one request may be as long as the device.
func (s *suite) whole(t *testing.T) {
	d, info := s.device(t)
	want, got := block.Alloc(info.Size), scratch(info.Size)
	for i := range want {
		want[i] = byte(i*7 + i>>9*13)
	}
	require.NoError(t, d.Do(background, block.Request{Op: block.Write, Flags: block.FUA, Len: info.Size, Buf: bytes.Clone(want)}))
	require.NoError(t, block.ReadAt(background, d, got, 0))
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, d.Do(background, block.Request{Op: block.WriteZeroes, Len: info.Size}))
	require.NoError(t, block.ReadAt(background, d, got, 0))
	require.True(t, bytes.Equal(make([]byte, info.Size), got))
	require.NoError(t, d.Do(background, block.Request{Op: block.Discard, Len: info.Size}))
}

// disjoint: tasks that each keep to every fourth block disturb each other in nothing.
func (s *suite) disjoint(t *testing.T) {
	const tasks = 4
	d, info := s.device(t)
	unit := max(info.Block, 512)
	blocks := min(info.Size/unit, 256) / tasks * tasks
	var wg sync.WaitGroup
	errs := make(chan error, tasks)
	for task := range int64(tasks) {
		rng := s.rand(uint64(10 + task))
		wg.Go(func() {
			newest := map[int64]byte{}
			b := block.Alloc(unit)
			for range 300 {
				at := (rng.Int64N(blocks/tasks)*tasks + task) * unit
				was, known := newest[at]
				var err error
				switch n := rng.IntN(10); {
				case n < 5 || !known:
					v := byte(1 + rng.UintN(255))
					fill(b, v)
					err = d.Do(background, block.Request{Op: block.Write, Off: at, Len: unit, Buf: b})
					newest[at] = v
				case n < 6:
					err = d.Do(background, block.Request{Op: block.WriteZeroes, Off: at, Len: unit})
					newest[at] = 0
				case n < 7:
					err = d.Do(background, block.Request{Op: block.Discard, Off: at, Len: unit})
					delete(newest, at)
				case n < 8:
					err = block.Sync(background, d)
				default:
					fill(b, 0xA5)
					err = block.ReadAt(background, d, b, at)
					if err == nil && !bytes.Equal(b, bytes.Repeat([]byte{was}, len(b))) {
						err = fmt.Errorf("task %d: block at %d is not all %#02x: %x…", task, at, was, b[:16])
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
			for at, v := range newest {
				if err := block.ReadAt(background, d, b, at); err != nil {
					errs <- err
					return
				}
				if !bytes.Equal(b, bytes.Repeat([]byte{v}, len(b))) {
					errs <- fmt.Errorf("task %d: in the end, block at %d is not all %#02x: %x…", task, at, v, b[:16])
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// stamp fills b, blocks of unit bytes, with the number v in every word; whole says whether each block holds one number.
func stamp(b []byte, v uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], v)
	}
}

func whole(b []byte, unit int64) error {
	for lo := int64(0); lo < int64(len(b)); lo += unit {
		first := binary.LittleEndian.Uint64(b[lo:])
		for i := lo; i < lo+unit; i += 8 {
			if v := binary.LittleEndian.Uint64(b[i:]); v != first {
				return fmt.Errorf("a block is a mix of the writes %#x and %#x (byte %d of the read)", first, v, i)
			}
		}
	}
	return nil
}

// overlappingWrites: of writes in flight at once, each block ends as one of them left it, and as the last if one was last.
func (s *suite) overlappingWrites(t *testing.T) { s.overlap(t, false) }

// readsDuringWrites: a read sees each block before or after a write, not in between.
func (s *suite) readsDuringWrites(t *testing.T) { s.overlap(t, true) }

func (s *suite) overlap(t *testing.T, readers bool) {
	const writers, rounds = 3, 150
	d, info := s.device(t)
	unit := max(info.Block, 512)
	extent := min(16*unit, info.Size)
	b := block.Alloc(extent)
	stamp(b, 1)
	require.NoError(t, block.WriteAt(background, d, b, 0))

	var writing, reading sync.WaitGroup
	var done atomic.Bool
	var failed atomic.Pointer[error]
	fail := func(err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	for w := range writers {
		rng := s.rand(uint64(20 + w))
		writing.Go(func() {
			b := block.Alloc(extent)
			for round := range rounds {
				lo := rng.Int64N(extent/unit) * unit
				n := (1 + rng.Int64N((extent-lo)/unit)) * unit
				stamp(b[:n], uint64(w+2)<<32|uint64(round))
				fail(block.WriteAt(background, d, b[:n], lo))
			}
		})
	}
	if readers {
		for range 2 {
			reading.Go(func() {
				b := block.Alloc(extent)
				for !done.Load() {
					if err := block.ReadAt(background, d, b, 0); err != nil {
						fail(err)
						return
					}
					if err := whole(b, unit); err != nil {
						fail(err)
						return
					}
				}
			})
		}
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	if err := failed.Load(); err != nil {
		t.Fatal(*err)
	}
	got := scratch(extent)
	require.NoError(t, block.ReadAt(background, d, got, 0))
	require.NoError(t, whole(got, unit))
	again := scratch(extent)
	require.NoError(t, block.ReadAt(background, d, again, 0))
	require.True(t, bytes.Equal(got, again), "with nothing in flight, two reads differ")
}
