package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openFile opens d's path the way d.direct says. A disk is opened exclusively by who will write it: the kernel then refuses
// disks that are mounted, in an array, or open in another graid. Who only reads asks and notes it.
func (d *Device) openFile(flags int, o Options) (*os.File, error) {
	if d.disk && !o.NoLock {
		f, err := d.openWith(flags | unix.O_EXCL)
		busy := errors.Is(err, unix.EBUSY)
		switch {
		case busy && !o.ReadOnly:
			return nil, fmt.Errorf("%s: %w: mounted, part of an array, or open in another program", d.path, ErrInUse)
		case busy:
			d.note("in use elsewhere: what is read may change meanwhile")
		case err != nil || !o.ReadOnly:
			return f, err
		default:
			if err := f.Close(); err != nil { // keep no claim: others may read too
				return nil, refuse(d.path, err)
			}
		}
	}
	return d.openWith(flags)
}

func (d *Device) openWith(flags int) (*os.File, error) {
	if !d.direct {
		f, err := os.OpenFile(d.path, flags, 0)
		return f, refuse(d.path, err)
	}
	f, err := openDirect(d.path, flags)
	if isInvalid(err) {
		return nil, fmt.Errorf("%w: %w", errNoDirect, cause(err))
	}
	return f, refuse(d.path, err)
}

// lock takes the whole file: alone to write, with other readers to read. The lock belongs to the open file, so a second
// opening in this process is refused as well, and it ends with the process however that ends.
func (d *Device) lock(readOnly bool) error {
	if d.disk {
		return nil // by O_EXCL
	}
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if readOnly {
		l.Type = unix.F_RDLCK
	}
	err := retry(func() error { return unix.FcntlFlock(d.fd, unix.F_OFD_SETLK, &l) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		return inUse(d.path, d.holder())
	case errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EINVAL) || isUnsupported(err):
		d.note(fmt.Sprintf("not locked, as its file system has no locks: %v", err))
		return nil
	}
	return refuse(d.path, err)
}

// holder is the process id of one that has a lock on the file, or empty. The kernel does not tell whose a lock of an open
// file is, but for our own processes, and for all if we are root, /proc shows it.
func (d *Device) holder() string {
	mine, err := d.file.Stat()
	if err != nil {
		return ""
	}
	tables, _ := filepath.Glob("/proc/[0-9]*/fdinfo/[0-9]*")
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil || !strings.Contains(string(text), "\nlock:") {
			continue
		}
		theirs, err := os.Stat(strings.Replace(table, "/fdinfo/", "/fd/", 1))
		if err == nil && os.SameFile(mine, theirs) {
			return strings.Split(table, "/")[2]
		}
	}
	return ""
}
