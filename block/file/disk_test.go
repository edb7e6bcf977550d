package file_test

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"graid/block"
	"graid/block/blocktest"
	"graid/block/file"
)

// loop is a disk made of a sparse file. It needs root and a loop driver, and says so where they are missing.
func loop(t *testing.T, size int64) string {
	if runtime.GOOS != "linux" {
		t.Skip("needs losetup of Linux")
	}
	out, err := exec.Command("losetup", "--find", "--show", sparse(t, size)).CombinedOutput()
	if err != nil {
		t.Skip("needs losetup to work: " + strings.TrimSpace(string(out)))
	}
	path := strings.TrimSpace(string(out))
	t.Cleanup(func() { require.NoError(t, exec.Command("losetup", "--detach", path).Run()) })
	return path
}

// TestDisk is the contract on a block device, past the page cache, which is how disks are opened, and through it.
func TestDisk(t *testing.T) {
	for name, mode := range map[string]file.Mode{"auto": file.Auto, "buffered": file.Buffered} {
		opener := func(readOnly bool) blocktest.Open {
			return func(t *testing.T, size int64) block.Device {
				d, err := file.Open(loop(t, size), file.Options{Mode: mode, ReadOnly: readOnly})
				require.NoError(t, err)
				require.Equal(t, mode == file.Auto, d.Direct(), d.Notice())
				require.Equal(t, size, d.Info().Size)
				return d
			}
		}
		t.Run(name, func(t *testing.T) {
			blocktest.Run(t, opener(false), blocktest.TornReads(), blocktest.ReadOnly(opener(true)), blocktest.Size(1<<20))
		})
	}
}

// TestDiskInUse: a disk that is being written by one is refused to other writers, and noted by readers.
func TestDiskInUse(t *testing.T) {
	path := loop(t, 1<<20)
	first := open(t, path, file.Options{})
	_, err := file.Open(path, file.Options{})
	require.ErrorIs(t, err, file.ErrInUse)
	reader := open(t, path, file.Options{ReadOnly: true})
	require.Equal(t, "in use elsewhere: what is read may change meanwhile", reader.Notice())
	require.Equal(t, first.Identity(), reader.Identity())
	require.True(t, first.Identity().Disk)
}
