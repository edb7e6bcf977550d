package unalign_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
	"graid/block/unalign"
	"graid/sched"
)

var ctx = context.Background()

// TestConformance is the contract of block.Device with a block size of 1, whatever the block size below.
func TestConformance(t *testing.T) {
	for _, o := range []mem.Options{{Block: 512}, {Block: 4096}, {Block: 4096, Align: 512}} {
		t.Run(fmt.Sprintf("block %d align %d", o.Block, o.Align), func(t *testing.T) {
			blocktest.Run(t,
				func(t *testing.T, size int64) block.Device { return unalign.Wrap(mem.New(size, o), sched.Real) },
				blocktest.ReadOnly(func(t *testing.T, size int64) block.Device {
					ro := o
					ro.ReadOnly = true
					return unalign.Wrap(mem.New(size, ro), sched.Real)
				}))
		})
	}
}

// TestNothingToDo: a device that takes any request is not wrapped.
func TestNothingToDo(t *testing.T) {
	d := mem.New(1<<20, mem.Options{Block: 1})
	require.Equal(t, block.Device(d), unalign.Wrap(d, sched.Real))
}

func fill(n int, v byte) []byte { return bytes.Repeat([]byte{v}, n) }

// TestPartThenWhole stops a change of a part of a block between its read and its write, and has the whole block written
// meanwhile: that write waits, and its bytes are not undone.
func TestPartThenWhole(t *testing.T) {
	for _, whole := range []block.Request{
		{Op: block.Write, Off: 0, Len: 1024, Buf: fill(1024, 0xBB)},
		{Op: block.WriteZeroes, Off: 512, Len: 512},
		{Op: block.Write, Off: 1000, Len: 24, Buf: fill(24, 0xBB)},
	} {
		t.Run(whole.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{})
				d := unalign.Wrap(disk, sched.Real)
				require.NoError(t, block.WriteAt(ctx, d, fill(1024, 0xAA), 0))

				held := disk.Hold(func(r block.Request) bool { return r.Op == block.Write && r.Flags == block.FUA })
				var ended atomic.Int32
				go func() {
					require.NoError(t, d.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: 600, Len: 10, Buf: fill(10, 0xCC)}))
					ended.Add(1)
				}()
				held.Await(1)
				go func() {
					require.NoError(t, d.Do(ctx, whole))
					ended.Add(1)
				}()
				synctest.Wait()
				require.Zero(t, ended.Load(), "both wait: one on the device, one on the lock")
				held.Release()
				synctest.Wait()
				require.Equal(t, int32(2), ended.Load())

				want := fill(1024, 0xAA)
				copy(want[600:], fill(10, 0xCC))
				if whole.Buf != nil {
					copy(want[whole.Off:], whole.Buf)
				} else {
					clear(want[whole.Off:whole.End()])
				}
				got := fill(1024, 0xA5)
				require.NoError(t, block.ReadAt(ctx, d, got, 0))
				require.Equal(t, want, got)
			})
		})
	}
}

// TestWholeThenPart: a change of a part reads its block only after a write of the whole that was there first has ended;
// writes of other blocks, whole ones, go on.
func TestWholeThenPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := blocktest.NewFaulty(mem.New(1<<20, mem.Options{}), blocktest.FaultyOptions{})
		d := unalign.Wrap(disk, sched.Real)
		held := disk.Hold(func(r block.Request) bool { return r.Op == block.Write && r.Flags == block.FUA })
		go func() {
			require.NoError(t, d.Do(ctx, block.Request{Op: block.Write, Flags: block.FUA, Off: 0, Len: 512, Buf: fill(512, 0xBB)}))
		}()
		held.Await(1)
		part := false
		go func() {
			require.NoError(t, block.WriteAt(ctx, d, fill(10, 0xCC), 100))
			part = true
		}()
		synctest.Wait()
		require.False(t, part)
		require.Zero(t, disk.Count(block.Read))
		require.NoError(t, block.WriteAt(ctx, d, fill(512, 0xDD), 512), "another block")
		held.Release()
		synctest.Wait()
		require.True(t, part)

		want := fill(512, 0xBB)
		copy(want[100:], fill(10, 0xCC))
		got := fill(512, 0xA5)
		require.NoError(t, block.ReadAt(ctx, d, got, 0))
		require.Equal(t, want, got)
	})
}

// TestNeighbours has many writers own a few bytes each, in blocks that they share, beside writers of whole blocks: each
// finds what it wrote last, every time.
func TestNeighbours(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(64<<10, mem.Options{}), blocktest.FaultyOptions{})
	disk.Before(func(block.Request) error { runtime.Gosched(); return nil })
	d := unalign.Wrap(disk, sched.Real)
	var tasks sync.WaitGroup
	write := func(seed uint64, off, n int64) {
		tasks.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			got := make([]byte, n)
			for range 300 {
				want := fill(int(n), byte(rng.Uint32()))
				if err := block.WriteAt(ctx, d, want, off); err != nil {
					t.Error(err)
				}
				if err := block.ReadAt(ctx, d, got, off); err != nil || !bytes.Equal(want, got) {
					t.Errorf("[%d,+%d): a write was lost (%v)", off, n, err)
					return
				}
			}
		})
	}
	for i := range int64(8) {
		write(uint64(i), 1000*i+i, 1000) // crosses a block or two, shares both ends
	}
	for i := range int64(4) {
		write(uint64(100+i), 16<<10+512*i, 512)
	}
	tasks.Wait()
}

// TestFastZero: a refused fast zero has changed nothing, also at its unaligned ends.
func TestFastZero(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(64<<10, mem.Options{}), blocktest.FaultyOptions{})
	disk.Before(func(r block.Request) error {
		if r.Op == block.WriteZeroes && r.Flags&block.Fast != 0 {
			return block.ErrUnsupported
		}
		return nil
	})
	d := unalign.Wrap(disk, sched.Real)
	want := fill(4096, 0xAA)
	require.NoError(t, block.WriteAt(ctx, d, want, 0))
	require.ErrorIs(t, d.Do(ctx, block.Request{Op: block.WriteZeroes, Flags: block.Fast, Off: 100, Len: 3000}), block.ErrUnsupported)
	got := fill(4096, 0xA5)
	require.NoError(t, block.ReadAt(ctx, d, got, 0))
	require.Equal(t, want, got)
}

// TestDurable: FUA reaches every write that a change of a part consists of.
func TestDurable(t *testing.T) {
	disk := blocktest.NewFaulty(mem.New(64<<10, mem.Options{}), blocktest.FaultyOptions{})
	d := unalign.Wrap(disk, sched.Real)
	for _, r := range []block.Request{
		{Op: block.Write, Off: 100, Len: 3000, Buf: fill(3000, 1)},
		{Op: block.WriteZeroes, Off: 100, Len: 3000},
		{Op: block.Discard, Off: 100, Len: 3000},
	} {
		r.Flags = block.FUA
		require.NoError(t, d.Do(ctx, r))
	}
	for _, r := range disk.Log() {
		require.True(t, r.Op == block.Read || r.Flags&block.FUA != 0, r)
	}
}

// TestAlignedMemory: a device may want memory aligned to more than a block; the last block of a change is not where it would take it.
func TestAlignedMemory(t *testing.T) {
	d := unalign.Wrap(mem.New(64<<10, mem.Options{Align: 4096}), sched.Real)
	want := block.Alloc(4096)
	copy(want, fill(4096, 0xEE))
	require.NoError(t, block.WriteAt(ctx, d, want, 0))
	for _, at := range [][2]int{{100, 700}, {0, 700}, {500, 1036}, {700, 20}} {
		change := block.Alloc(int64(at[1]))
		copy(change, fill(at[1], byte(at[0])))
		require.NoError(t, block.WriteAt(ctx, d, change, int64(at[0])))
		copy(want[at[0]:], change)
	}
	got := block.Alloc(4096)
	require.NoError(t, block.ReadAt(ctx, d, got, 0))
	require.Equal(t, want, got)
}

// TestAlignedIsFree: no allocation where there is nothing to align.
func TestAlignedIsFree(t *testing.T) {
	d := unalign.Wrap(mem.New(1<<20, mem.Options{}), sched.Real)
	b := fill(4096, 0xA5)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_ = block.WriteAt(ctx, d, b, 8192)
		_ = block.ReadAt(ctx, d, b, 8192)
	}))
}

type null struct{ block.Device }

func (null) Do(context.Context, block.Request) error { return nil }

// BenchmarkAligned is what the lock costs a write that needs none.
func BenchmarkAligned(b *testing.B) {
	d := unalign.Wrap(null{mem.New(1<<20, mem.Options{})}, sched.Real)
	buf := make([]byte, 4096)
	for b.Loop() {
		_ = block.WriteAt(ctx, d, buf, 4096)
	}
}
