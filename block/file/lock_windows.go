package file

import (
	"errors"

	"golang.org/x/sys/windows"
)

// lock takes one byte far past the end, which stands for the file: locks of Windows bind, so a lock on the content would
// keep a reader with NoLock out.
func (d *Device) lock(readOnly bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !readOnly {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	at := windows.Overlapped{OffsetHigh: 0x7FFFFFFF}
	err := windows.LockFileEx(windows.Handle(d.fd), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return inUse(d.path, "")
	}
	return refuse(d.path, err)
}
