//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package file

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lock takes the whole file: alone to write, with other readers to read.
func (d *Device) lock(readOnly bool) error {
	how := unix.LOCK_EX
	if readOnly {
		how = unix.LOCK_SH
	}
	err := unix.Flock(int(d.fd), how|unix.LOCK_NB)
	for err == unix.EINTR {
		err = unix.Flock(int(d.fd), how|unix.LOCK_NB)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return inUse(d.path, "")
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY):
		d.note(fmt.Sprintf("not locked, as there are no locks on it: %v", err))
		return nil
	}
	return refuse(d.path, err)
}
