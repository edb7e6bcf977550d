package block_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestCheck is every rule of a request, at its edge.
func TestCheck(t *testing.T) {
	info := block.Info{Size: 8192, Block: 512, Align: 512, Writable: true}
	readOnly := info
	readOnly.Writable = false
	buf := block.Alloc(8193)
	cases := []struct {
		name string
		info block.Info
		r    block.Request
		want error
	}{
		{"all of it", info, block.Request{Op: block.Read, Len: 8192, Buf: buf[:8192]}, nil},
		{"nothing at the end", info, block.Request{Op: block.Read, Off: 8192}, nil},
		{"flush", info, block.Request{Op: block.Flush}, nil},
		{"flush, read-only", readOnly, block.Request{Op: block.Flush}, nil},
		{"read, read-only", readOnly, block.Request{Op: block.Read, Len: 512, Buf: buf[:512]}, nil},
		{"flush of a range", info, block.Request{Op: block.Flush, Len: 512}, block.ErrInvalid},
		{"one past the end", info, block.Request{Op: block.Discard, Off: 7680, Len: 1024}, block.ErrRange},
		{"negative offset", info, block.Request{Op: block.Discard, Off: -512, Len: 512}, block.ErrRange},
		{"negative length", info, block.Request{Op: block.Discard, Off: 512, Len: -512}, block.ErrRange},
		{"sum overflows", info, block.Request{Op: block.Discard, Off: 8192, Len: math.MaxInt64 &^ 511}, block.ErrRange},
		{"write, read-only", readOnly, block.Request{Op: block.Write, Len: 512, Buf: buf[:512]}, block.ErrReadOnly},
		{"discard, read-only", readOnly, block.Request{Op: block.Discard, Len: 512}, block.ErrReadOnly},
		{"zero, read-only", readOnly, block.Request{Op: block.WriteZeroes, Len: 512}, block.ErrReadOnly},
		{"unaligned offset", info, block.Request{Op: block.Discard, Off: 1, Len: 512}, block.ErrInvalid},
		{"unaligned length", info, block.Request{Op: block.Discard, Len: 513}, block.ErrInvalid},
		{"short buffer", info, block.Request{Op: block.Read, Len: 512, Buf: buf[:511]}, block.ErrInvalid},
		{"no buffer", info, block.Request{Op: block.Write, Len: 512}, block.ErrInvalid},
		{"unaligned buffer", info, block.Request{Op: block.Write, Len: 512, Buf: buf[1:513]}, block.ErrInvalid},
		{"needless buffer", info, block.Request{Op: block.WriteZeroes, Len: 512, Buf: buf[:512]}, block.ErrInvalid},
		{"unknown", info, block.Request{Op: block.WriteZeroes + 1, Len: 512}, block.ErrInvalid},
	}
	for _, c := range cases {
		err := c.info.Check(c.r)
		if c.want == nil {
			require.NoError(t, err, c.name)
			continue
		}
		require.ErrorIs(t, err, c.want, c.name)
		require.Equal(t, block.Caller, block.Classify(err), c.name)
	}
}

// TestClassify: whose fault an error is does not depend on how deep it is wrapped; what is unknown is the path's.
func TestClassify(t *testing.T) {
	for class, errs := range map[block.Class][]error{
		block.None:   {nil},
		block.Caller: {block.ErrInvalid, block.ErrRange, block.ErrReadOnly, block.ErrUnsupported, context.Canceled, syscall.EINVAL},
		block.Media:  {block.ErrMedia, syscall.EIO},
		block.Path:   {block.ErrPath, block.ErrNoSpace, io.ErrUnexpectedEOF, fmt.Errorf("never heard of"), syscall.ECONNRESET},
		block.Gone:   {block.ErrGone, block.ErrClosed, os.ErrClosed, syscall.ENODEV},
	} {
		for _, err := range errs {
			require.Equal(t, class, block.Classify(err), "%v", err)
			wrapped := block.Blame("sda", block.Request{Op: block.Read, Len: 512}, err)
			require.Equal(t, class, block.Classify(wrapped), "%v", wrapped)
		}
	}
}

// TestBlame names device and request, and keeps no memory.
func TestBlame(t *testing.T) {
	r := block.Request{Op: block.Read, Off: 4096, Len: 512, Buf: make([]byte, 512)}
	err := block.Blame("sdb", r, syscall.EIO)
	require.EqualError(t, err, "sdb: read [4096,+512): input/output error")
	require.ErrorIs(t, err, syscall.EIO)
	var e *block.Error
	require.ErrorAs(t, err, &e)
	require.Nil(t, e.Req.Buf)
	require.NoError(t, block.Blame("sdb", r, nil))
}

// TestAlloc is as aligned as it says, at its full length and no longer.
func TestAlloc(t *testing.T) {
	for _, n := range []int64{0, 1, 512, 4095, 4096, 1 << 20} {
		b := block.Alloc(n)
		require.True(t, block.Aligned(b, block.PageAlign))
		require.EqualValues(t, n, len(b))
		require.EqualValues(t, n, cap(b))
	}
	require.False(t, block.Aligned(block.Alloc(8)[1:], 2))
}

// TestAppend joins what is alike and drops what is nothing.
func TestAppend(t *testing.T) {
	var list []block.Extent
	for _, e := range []block.Extent{{Len: 1}, {Len: 2}, {Len: 0, Hole: true}, {Len: 3, Hole: true}, {Len: 4, Hole: true, Zero: true}, {Len: 5, Hole: true, Zero: true}} {
		list = block.Append(list, e)
	}
	require.Equal(t, []block.Extent{{Len: 3}, {Len: 3, Hole: true}, {Len: 9, Hole: true, Zero: true}}, list)
}
