package file

import (
	"errors"
	"fmt"
	"io"
	"math"
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
		case busy && !o.ReadOnly && d.fileIsOurs():
			return nil, fmt.Errorf("%s: %w: %w", d.path, ErrInUse, ErrTwice)
		case busy && !o.ReadOnly:
			return nil, fmt.Errorf("%s: %w: mounted, part of an array, or open in another program", d.path, ErrInUse)
		case busy:
			d.noteBusy("")
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
	if d.disk { // by O_EXCL
		return d.claimStack(readOnly)
	}
	err := lockRange(d.fd, readOnly, from(0, 0))
	switch {
	case err == nil:
		return d.claimStack(readOnly)
	case isLocked(err):
		pid := ""
		if st, err := d.file.Stat(); err == nil {
			pid = holder(st)
		}
		return inUse(d.path, pid)
	case errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.EINVAL) || isUnsupported(err):
		d.note(fmt.Sprintf("not locked, as its file system has no locks: %v", err))
		return nil
	}
	return refuse(d.path, err)
}

// lockRange locks bytes of the file open as fd.
func lockRange(fd uintptr, readOnly bool, bytes stretch) error {
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: bytes.lo}
	if readOnly {
		l.Type = unix.F_RDLCK
	}
	if bytes.hi != math.MaxInt64 {
		l.Len = bytes.hi - bytes.lo
	}
	return retry(func() error { return unix.FcntlFlock(fd, unix.F_OFD_SETLK, &l) })
}

// noteBusy notes that what is read may change under the reader; how says through what.
func (d *Device) noteBusy(how string) {
	const busy = "in use elsewhere"
	if strings.Contains(d.notice, busy) {
		return
	}
	if how != "" {
		how = ", " + how
	}
	d.note(busy + how + ": what is read may change meanwhile")
}

// isLocked says that a lock is somebody else's.
func isLocked(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) }

// holder is the process id of one that has a lock on the file, or empty. The kernel does not tell whose a lock of an open
// file is, but for our own processes, and for all if we are root, /proc shows it.
func holder(mine os.FileInfo) string {
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
