package file

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
)

// TestDataIsSearchedOnce: what was found to be data without a hole is not searched again, which shows when somebody else makes a hole meanwhile;
// a hole that is made through the device is found at once.
func TestDataIsSearchedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{7}, 1<<20), 0o600))
	d, err := Open(path, Options{})
	require.NoError(t, err)
	defer d.Close()
	if !d.Info().Discard {
		t.Skip("the file system punches no holes")
	}
	ctx := context.Background()
	extents := func() []block.Extent {
		list, err := d.Extents(ctx, 64<<10, 256<<10, nil)
		require.NoError(t, err)
		return list
	}
	require.Equal(t, []block.Extent{{Len: 256 << 10}}, extents())
	require.NoError(t, punch(d.fd, 64<<10, 128<<10))
	require.Equal(t, []block.Extent{{Len: 256 << 10}}, extents())
	require.NoError(t, d.Do(ctx, block.Request{Op: block.Discard, Off: 256 << 10, Len: 64 << 10}))
	require.Equal(t, []block.Extent{{Len: 128 << 10, Hole: true, Zero: true}, {Len: 64 << 10}, {Len: 64 << 10, Hole: true, Zero: true}}, extents())
}
