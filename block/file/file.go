// Package file is a Device over a regular file or a disk of the operating system.
//
// It knows direct I/O, locks, holes and durability of the systems it runs on, one small file each. It knows nothing of what
// is stored. A read that overlaps a write in flight may see a part of a block old and a part new where the system's page
// cache allows it, as on Linux.
package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"graid/block"
	"graid/sched"
)

// Mode is whether the page cache of the system is used.
type Mode uint8

// The modes of a Device.
const (
	Auto     Mode = iota // Direct for a disk, Buffered for a regular file
	Buffered             // through the page cache
	Direct               // past the page cache where the system can; Notice says if it cannot
)

// Options of Open. The zero value opens for writing, locked.
type Options struct {
	ReadOnly bool
	Mode     Mode
	NoLock   bool // take no lock and mind none, to look at what others use
}

// ErrInUse is a file or disk that somebody else holds.
var ErrInUse = errors.New("in use")

// ErrTwice is an ErrInUse that this process holds itself: the same bytes under two names, such as a loop device and its file.
var ErrTwice = errors.New("open here already under another name: give one of the two")

// Identity is what two openings of the same file or disk have in common, whatever the paths. It is comparable.
type Identity struct {
	Disk     bool
	Dev, Ino uint64 // of a file; of a disk, Dev is the disk's number and Ino 0
	Path     string // where the system has no such numbers
}

// Device is an open file or disk.
type Device struct {
	info     block.Info
	path     string
	file     *os.File
	fd       uintptr
	gate     *sched.Gate
	identity Identity
	notice   string

	disk     bool
	direct   bool
	memAlign int64 // what direct I/O asks of memory, bytes; info.Align stays 0, as bounce buffers hide it
	bounces  bounces
	claims   []*os.File // what is held with it, as it is the same bytes under other names

	noPunch, noZeroRange, noDurableWrite, noTryRead atomic.Bool           // learned from the system: do not ask again
	flushFailed                                     atomic.Pointer[error] // the first failed flush; what was not written is lost
	dense                                           dense
}

// Open opens the file or disk at path. Errors name path and say what is wrong with it; one that is held by somebody else is
// an ErrInUse.
func Open(path string, o Options) (*Device, error) {
	st, err := os.Stat(path) // before opening: opening a fifo may wait, opening a tape rewinds it
	if err != nil {
		return nil, refuse(path, err)
	}
	disk, err := kind(path, st)
	if err != nil {
		return nil, err
	}
	d := &Device{path: path, disk: disk, gate: sched.NewGate(sched.Real)}
	d.info = block.Info{Name: filepath.Base(path), Writable: !o.ReadOnly}
	d.direct = o.Mode == Direct || o.Mode == Auto && disk
	if err := d.open(o); err != nil {
		return nil, err
	}
	return d, nil
}

// Create makes a new regular file of size bytes, all hole, that only its owner may use. It is an error if there is
// anything at path.
func Create(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return refuse(path, err)
	}
	err = f.Truncate(size)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path) // ours, and of no use
		return refuse(path, err)
	}
	return nil
}

// kind says whether st is a disk, and refuses what is neither that nor a regular file.
func kind(path string, st os.FileInfo) (disk bool, err error) {
	mode := st.Mode()
	switch {
	case mode.IsRegular():
		return false, nil
	case mode.IsDir():
		return false, fmt.Errorf("%s: is a directory, not a file or disk", path)
	case mode&os.ModeNamedPipe != 0:
		return false, fmt.Errorf("%s: is a fifo, not a file or disk", path)
	case mode&os.ModeSocket != 0:
		return false, fmt.Errorf("%s: is a socket, not a file or disk", path)
	case mode&os.ModeCharDevice != 0 && !rawDisks:
		return false, fmt.Errorf("%s: is a character device, not a file or disk", path)
	case mode&os.ModeDevice != 0:
		return true, nil
	}
	return false, fmt.Errorf("%s: is not a file or disk", path)
}

// open opens d's path: directly if that is wanted and possible.
func (d *Device) open(o Options) error {
	err := d.try(o)
	if d.direct && errors.Is(err, errNoDirect) {
		d.direct = false
		d.note(fmt.Sprintf("buffered, since direct I/O is not possible here: %v", err))
		err = d.try(o)
	}
	return err
}

// errNoDirect is a file on which direct I/O does not work, or not for all of it.
var errNoDirect = errors.New("direct I/O not supported")

// try opens, locks, measures and probes; after an error nothing is open.
func (d *Device) try(o Options) (err error) {
	flags := os.O_RDWR
	if o.ReadOnly {
		flags = os.O_RDONLY
	}
	if d.file, err = d.openFile(flags, o); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.closeAll()
		}
	}()
	st, err := d.file.Stat()
	if err != nil {
		return refuse(d.path, err)
	}
	if disk, err := kind(d.path, st); err != nil || disk != d.disk {
		return fmt.Errorf("%s: was replaced while it was being opened", d.path)
	}
	d.fd = d.file.Fd()
	if !o.NoLock {
		if err := d.lock(o.ReadOnly); err != nil {
			return err
		}
	}
	d.identity = d.identify(st)
	return d.measure(st)
}

// measure fills in size, block and alignment.
func (d *Device) measure(st os.FileInfo) error {
	size, logical, physical := st.Size(), int64(512), int64(0)
	if d.disk {
		var err error
		if size, logical, physical, err = diskGeometry(d.file); err != nil {
			return refuse(d.path, err)
		}
	}
	d.info.Block, d.info.Optimal, d.info.Inline = max(512, logical), physical, !d.direct
	if d.direct {
		var offAlign int64
		d.memAlign, offAlign = directAlign(d.file, logical)
		if d.disk {
			offAlign = max(offAlign, logical)
		}
		d.info.Block = max(512, offAlign)
		if size/512*512%d.info.Block != 0 {
			return fmt.Errorf("%w: a size of %d bytes is not a multiple of %d", errNoDirect, size, d.info.Block)
		}
		d.bounces.align = d.memAlign
	}
	d.info.Size = size / d.info.Block * d.info.Block
	d.info.Discard, d.info.Zeroes = capabilities(d.file, d.disk)
	if !d.info.Writable {
		d.info.Discard, d.info.Zeroes = false, false
	}
	if d.direct && d.info.Size > 0 {
		return d.probe()
	}
	return nil
}

// probe reads one block: some file systems take the flag for direct I/O and then refuse every request.
func (d *Device) probe() error {
	b := d.bounces.get()
	defer d.bounces.put(b)
	_, err := d.file.ReadAt(b.mem[:d.info.Block], 0)
	if isInvalid(err) {
		return fmt.Errorf("%w: %w", errNoDirect, cause(err))
	}
	return nil // anything else is for the first real request to meet
}

func (d *Device) note(s string) {
	if d.notice != "" {
		s = d.notice + "; " + s
	}
	d.notice = s
}

// Info describes the device.
func (d *Device) Info() block.Info { return d.info }

// Notice is what the user should know about how the device was opened, in one line, or empty.
func (d *Device) Notice() string { return d.notice }

// Identity tells whether two Devices are the same file or disk.
func (d *Device) Identity() Identity { return d.identity }

// Path is where it was opened.
func (d *Device) Path() string { return d.path }

// Direct says whether the page cache is bypassed.
func (d *Device) Direct() bool { return d.direct }

// Close waits for requests in flight, gives the lock back and closes the file. It flushes nothing.
func (d *Device) Close() error {
	if !d.gate.Close() {
		return nil
	}
	return refuse(d.path, d.closeAll())
}

// closeAll closes the file and gives back what was claimed with it.
func (d *Device) closeAll() error {
	for _, f := range d.claims {
		_ = f.Close() // nothing was written through it
	}
	d.claims = nil
	return d.file.Close()
}

// refuse is err about path, without the system call that os puts in front.
func refuse(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, cause(err))
}

// cause is what a *os.PathError or *os.SyscallError is about.
func cause(err error) error {
	var pe *os.PathError
	var se *os.SyscallError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &se):
		return se.Err
	}
	return err
}
