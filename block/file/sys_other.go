//go:build !linux && !darwin && !freebsd

package file

import (
	"errors"
	"os"
)

// rawDisks: only regular files are supported here.
const rawDisks = false

func diskGeometry(*os.File) (size, logical, physical int64, err error) {
	return 0, 0, 0, errors.New("disks are not supported on this system, only files")
}
