package file

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// rawDisks: on FreeBSD, disks are character devices.
const rawDisks = true

// From sys/disk.h.
const (
	diocGSectorSize = 0x40046480
	diocGMediaSize  = 0x40086481
	diocGStripeSize = 0x4008648B
)

// diskGeometry is the size, the logical and the physical block of a disk, bytes.
func diskGeometry(f *os.File) (size, logical, physical int64, err error) {
	bytes, err := unix.IoctlGetInt(int(f.Fd()), diocGMediaSize)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("is not a disk: %w", err)
	}
	unit, err := unix.IoctlGetInt(int(f.Fd()), diocGSectorSize)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("is not a disk: %w", err)
	}
	stripe, _ := unix.IoctlGetInt(int(f.Fd()), diocGStripeSize) // 0, no preference, if it does not say
	return int64(bytes), int64(unit), int64(stripe), nil
}

// From unistd.h.
const (
	seekData = 3
	seekHole = 4
)
