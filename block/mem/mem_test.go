package mem_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/mem"
)

var ctx = context.Background()

// TestConformance is the contract of block.Device, over block sizes and an enforced alignment.
func TestConformance(t *testing.T) {
	for _, o := range []mem.Options{{Block: 1}, {Block: 512}, {Block: 4096}, {Block: 512, Align: 512}, {Block: 4096, Align: 4096}} {
		t.Run(fmt.Sprintf("block %d align %d", o.Block, o.Align), func(t *testing.T) {
			blocktest.Run(t,
				func(t *testing.T, size int64) block.Device { return mem.New(size+o.Block, o) }, // the last page is a part of one
				blocktest.ReadOnly(func(t *testing.T, size int64) block.Device {
					ro := o
					ro.ReadOnly = true
					return mem.New(size, ro)
				}))
		})
	}
}

// TestSparse: a disk of a PiB costs what is written to it, at both its ends and at the edges of pages and leaves.
func TestSparse(t *testing.T) {
	d := mem.New(mem.MaxSize, mem.Options{Block: 1})
	var offs []int64
	for _, edge := range []int64{64 << 10, 256 << 20, mem.MaxSize / 2, mem.MaxSize - 8} {
		offs = append(offs, edge-3)
	}
	for i, off := range offs {
		require.NoError(t, block.WriteAt(ctx, d, []byte{byte(i + 1), 2, 3, 4, 5, 6, 7, 8}, off))
	}
	for i, off := range offs {
		got := bytes.Repeat([]byte{0xA5}, 11)
		require.NoError(t, block.ReadAt(ctx, d, got, off-1))
		require.Equal(t, []byte{0, byte(i + 1), 2, 3, 4, 5, 6, 7, 8, 0, 0}, got, "at %d", off)
	}
	require.EqualValues(t, 7*64<<10, d.Allocated())
	list, err := d.Extents(ctx, 0, mem.MaxSize, nil)
	require.NoError(t, err)
	var sum, data int64
	for _, e := range list {
		sum += e.Len
		require.Equal(t, e.Hole, e.Zero)
		if !e.Hole {
			data += e.Len
		}
	}
	require.EqualValues(t, mem.MaxSize, sum)
	require.EqualValues(t, 7*64<<10, data)

	require.NoError(t, d.Do(ctx, block.Request{Op: block.Discard, Len: 256<<20 + 64<<10}))
	require.EqualValues(t, 3*64<<10, d.Allocated(), "discarded pages are given back")
}

// TestClone: a clone shares nothing with its disk.
func TestClone(t *testing.T) {
	d := mem.New(1<<20, mem.Options{})
	b := bytes.Repeat([]byte{1}, 512)
	require.NoError(t, block.WriteAt(ctx, d, b, 65536-512))
	c := d.Clone()
	require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{2}, 512), 65536-512))
	require.NoError(t, block.WriteAt(ctx, d, bytes.Repeat([]byte{2}, 512), 512<<10))
	require.NoError(t, d.Close())
	got := make([]byte, 1<<20)
	require.NoError(t, block.ReadAt(ctx, c, got, 0))
	want := make([]byte, 1<<20)
	copy(want[65536-512:], b)
	require.True(t, bytes.Equal(want, got))
}

// TestNoDiskLikeThat: sizes and options that make no sense are bugs.
func TestNoDiskLikeThat(t *testing.T) {
	for _, f := range []func(){
		func() { mem.New(-512, mem.Options{}) },
		func() { mem.New(100, mem.Options{}) },
		func() { mem.New(mem.MaxSize+512, mem.Options{}) },
		func() { mem.New(4096, mem.Options{Block: 3}) },
		func() { mem.New(4096, mem.Options{Block: 128 << 10}) },
		func() { mem.New(4096, mem.Options{Align: 12}) },
	} {
		require.Panics(t, f)
	}
}

func BenchmarkRead4K(b *testing.B)  { benchmark(b, block.Read) }
func BenchmarkWrite4K(b *testing.B) { benchmark(b, block.Write) }

func benchmark(b *testing.B, op block.Op) {
	d := mem.New(64<<20, mem.Options{})
	buf := make([]byte, 4096)
	for off := int64(0); off < 64<<20; off += 4096 {
		_ = block.WriteAt(ctx, d, buf, off)
	}
	b.ReportAllocs()
	b.SetBytes(4096)
	for i := 0; b.Loop(); i++ {
		_ = d.Do(ctx, block.Request{Op: op, Off: int64(i) * 4096 % (64 << 20), Len: 4096, Buf: buf})
	}
}
