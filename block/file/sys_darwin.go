package file

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// rawDisks: /dev/rdiskN is a disk too, and the faster one.
const rawDisks = true

// From sys/disk.h.
const (
	dkiocGetBlockSize         = 0x40046418
	dkiocGetBlockCount        = 0x40086419
	dkiocGetPhysicalBlockSize = 0x4004644D
)

// diskGeometry is the size, the logical and the physical block of a disk, bytes.
func diskGeometry(f *os.File) (size, logical, physical int64, err error) {
	unit, err := unix.IoctlGetInt(int(f.Fd()), dkiocGetBlockSize)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("is not a disk: %w", err)
	}
	count, err := unix.IoctlGetInt(int(f.Fd()), dkiocGetBlockCount)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("is not a disk: %w", err)
	}
	phys, _ := unix.IoctlGetInt(int(f.Fd()), dkiocGetPhysicalBlockSize) // 0, no preference, if it does not say
	return int64(count) * int64(unit), int64(unit), int64(phys), nil
}

// From unistd.h.
const (
	seekHole = 3
	seekData = 4
)
