package file

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestFailedFlushStays: after a failed flush every later one fails, and with them every FUA write that needs one; the
// system would say yes, having dropped what it could not write.
func TestFailedFlushStays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs a descriptor that fdatasync refuses, which Linux has in pipes")
	}
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, Create(path, 4096))
	d, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()); require.NoError(t, w.Close()) }()

	ctx := context.Background()
	good := d.fd
	d.fd = w.Fd()
	require.Error(t, block.Sync(ctx, d))
	d.fd = good
	require.EqualError(t, block.Sync(ctx, d), "disk: flush: an earlier flush failed: invalid argument")
	d.noDurableWrite.Store(true)
	fua := block.Request{Op: block.Write, Flags: block.FUA, Len: 512, Buf: make([]byte, 512)}
	require.Error(t, d.Do(ctx, fua), "without a durable write of the system, FUA is a write and a flush")
	require.Error(t, d.Do(ctx, block.Request{Op: block.WriteZeroes, Flags: block.FUA, Len: 512}))
	fua.Flags = 0
	require.NoError(t, d.Do(ctx, fua))
}

// TestFailedDurableWriteStays: a write that was to be durable and failed may have been told of data that earlier writes lost, which the
// system then tells nobody else: later flushes fail too.
func TestFailedDurableWriteStays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs durable writes, which Linux has")
	}
	path := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, Create(path, 4096))
	d, err := Open(path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()); require.NoError(t, w.Close()) }()

	ctx := context.Background()
	fua := block.Request{Op: block.Write, Flags: block.FUA, Len: 512, Buf: make([]byte, 512)}
	require.NoError(t, d.Do(ctx, fua))
	require.NoError(t, block.Sync(ctx, d))
	if d.noDurableWrite.Load() {
		t.Skip("needs a file system with durable writes")
	}
	good := d.fd
	d.fd = w.Fd()
	require.ErrorContains(t, d.Do(ctx, fua), "illegal seek")
	d.fd = good
	require.EqualError(t, block.Sync(ctx, d), "disk: flush: an earlier flush failed: illegal seek")
}
