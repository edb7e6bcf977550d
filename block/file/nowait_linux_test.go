package file

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"graid/block"
	"graid/block/blocktest"
)

// TestNoWaitReadsWhatIsCached puts a file out of the page cache and asks for it without waiting, then with.
func TestNoWaitReadsWhatIsCached(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	want := bytes.Repeat([]byte{7}, 1<<20)
	require.NoError(t, os.WriteFile(path, want, 0o600))
	d, err := Open(path, Options{})
	require.NoError(t, err)
	defer d.Close()
	ctx := context.Background()
	require.NoError(t, block.Sync(ctx, d))
	require.NoError(t, unix.Fadvise(int(d.fd), 0, 0, unix.FADV_DONTNEED))

	got := make([]byte, 64<<10)
	try := func() error {
		return d.Do(ctx, block.Request{Op: block.Read, Flags: block.NoWait, Off: 512 << 10, Len: int64(len(got)), Buf: got})
	}
	if err := try(); err != nil { // a file system in memory has nothing to wait for
		require.Equal(t, block.ErrWouldBlock, err)
		require.NoError(t, block.ReadAt(ctx, d, got, 512<<10))
	}
	require.NoError(t, try())
	require.Equal(t, want[:len(got)], got)
	if !blocktest.Race {
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = try() }))
	}
}
