//go:build linux || darwin || windows || freebsd || netbsd || dragonfly || aix

package file

import (
	"os"

	"github.com/ncw/directio"
)

// openDirect opens path past the page cache.
func openDirect(path string, flags int) (*os.File, error) { return directio.OpenFile(path, flags, 0) }
