package overlay_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/file"
	"graid/block/overlay"
)

// TestOverFiles is the contract over a read-only file with a kept sparse file for its changes.
func TestOverFiles(t *testing.T) {
	for name, mode := range map[string]file.Mode{"buffered": file.Buffered, "direct": file.Direct} {
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, func(t *testing.T, size int64) block.Device {
				path := tempFile(t)
				require.NoError(t, file.Create(path, size))
				base, err := file.Open(path, file.Options{ReadOnly: true, Mode: mode})
				require.NoError(t, err)
				kept := tempFile(t)
				require.NoError(t, file.Create(kept, overlay.StoreSize(base)))
				store, err := file.Open(kept, file.Options{Mode: mode})
				require.NoError(t, err)
				return lay(t, pristine{base}, store, overlay.Options{Keep: true})
			}, blocktest.TornReads(), blocktest.Size(1<<20))
		})
	}
}
