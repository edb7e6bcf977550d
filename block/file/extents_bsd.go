//go:build darwin || freebsd

package file

import (
	"math"

	"golang.org/x/sys/unix"
)

// nextData is the first data at or after off, and the first hole after that; the end of the file counts as a hole.
func nextData(fd uintptr, off int64) (data, hole int64) {
	data, err := unix.Seek(int(fd), off, seekData)
	if err == unix.ENXIO {
		return math.MaxInt64, math.MaxInt64
	}
	if err != nil {
		return off, math.MaxInt64 - 1<<20
	}
	hole, err = unix.Seek(int(fd), data, seekHole)
	if err != nil {
		return data, math.MaxInt64 - 1<<20
	}
	return data, hole
}
