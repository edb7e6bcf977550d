package file

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A loop device and the file below it are two names of the same bytes, and the kernel lets both be written at once. So who has one has
// the other: the file's lock is taken below a loop device, and the loop devices on a file are claimed with it. Partitions of a disk
// need none of this: O_EXCL on one keeps O_EXCL on the whole away, and the other way round.

// sysfs is where the kernel tells of its block devices.
const sysfs = "/sys"

// stretch is bytes [lo, hi) of a file.
type stretch struct{ lo, hi int64 }

func (s stretch) meets(t stretch) bool { return s.lo < t.hi && t.lo < s.hi }

// loop is a loop device that is set up: its name in /dev, the file or disk below it, and which bytes of that it shows.
type loop struct {
	name  string
	below string
	shows stretch
}

// readLoop reads what dir, a block device's folder in sysfs, says of a loop device.
func readLoop(dir string) (loop, bool) {
	path, err := os.ReadFile(filepath.Join(dir, "loop", "backing_file"))
	if err != nil {
		return loop{}, false
	}
	l := loop{name: filepath.Base(dir), below: strings.TrimSuffix(string(path), "\n")}
	l.shows = from(number(dir, "loop/offset"), number(dir, "loop/sizelimit"))
	return l, true
}

// from is n bytes from lo on; all of them if n is 0.
func from(lo, n int64) stretch {
	if n <= 0 || lo > math.MaxInt64-n {
		return stretch{lo, math.MaxInt64}
	}
	return stretch{lo, lo + n}
}

func number(dir, name string) int64 {
	text, _ := os.ReadFile(filepath.Join(dir, name))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// loopOf is the loop device that the disk with this number is, or is a partition of; shows is narrowed to the partition.
func loopOf(sys string, rdev uint64) (loop, bool) {
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("%s/dev/block/%d:%d", sys, unix.Major(rdev), unix.Minor(rdev)))
	if err != nil {
		return loop{}, false
	}
	if l, ok := readLoop(dir); ok {
		return l, true
	}
	l, ok := readLoop(filepath.Dir(dir))
	if ok {
		l.shows = from(l.shows.lo+number(dir, "start")*512, number(dir, "size")*512)
	}
	return l, ok
}

// loopsOn is the loop devices that show some of these bytes of the file or disk st.
func loopsOn(sys string, st os.FileInfo, bytes stretch) (list []loop) {
	dirs, _ := filepath.Glob(sys + "/block/loop*")
	for _, dir := range dirs {
		l, ok := readLoop(dir)
		if !ok || !l.shows.meets(bytes) {
			continue
		}
		if below, err := os.Stat(l.below); err == nil && sameBytes(below, st) {
			list = append(list, l)
		}
	}
	return list
}

// sameBytes is os.SameFile, but for disks: those are the same by their number, whatever node leads there.
func sameBytes(a, b os.FileInfo) bool {
	if a.Mode()&os.ModeDevice == 0 {
		return os.SameFile(a, b)
	}
	sa, ok1 := a.Sys().(*syscall.Stat_t)
	sb, ok2 := b.Sys().(*syscall.Stat_t)
	return ok1 && ok2 && b.Mode()&os.ModeDevice != 0 && sa.Rdev == sb.Rdev
}

// claimStack takes the file below d, if d is a loop device, and the other loop devices that show the same bytes.
func (d *Device) claimStack(readOnly bool) error {
	st, err := d.file.Stat()
	if err != nil {
		return refuse(d.path, err)
	}
	bytes, self := from(0, 0), ""
	if d.disk {
		s, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		if l, ok := loopOf(sysfs, uint64(s.Rdev)); ok {
			bytes, self = l.shows, l.name
			if st, err = d.claimBelow(l, readOnly); err != nil || st == nil {
				return err
			}
		}
	}
	for _, l := range loopsOn(sysfs, st, bytes) {
		if l.name == self {
			continue
		}
		if err := d.claimLoop("/dev/"+l.name, readOnly); err != nil {
			return err
		}
	}
	return nil
}

// fileIsOurs says whether d is a loop device on a file that this process has open.
func (d *Device) fileIsOurs() bool {
	st, err := os.Stat(d.path)
	if err != nil {
		return false
	}
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	l, ok := loopOf(sysfs, uint64(s.Rdev))
	if !ok {
		return false
	}
	below, err := os.Stat(l.below)
	return err == nil && holder(below) == strconv.Itoa(os.Getpid())
}

// claimBelow locks the bytes that l shows of what is below it, or claims that if it is a disk. Who only reads asks and notes it. The
// answer is nil for a file that cannot be reached from here, as one in another container: that is noted.
func (d *Device) claimBelow(l loop, readOnly bool) (os.FileInfo, error) {
	st, err := os.Stat(l.below)
	var f *os.File
	if err == nil {
		flags := os.O_RDWR
		if readOnly {
			flags = os.O_RDONLY
		}
		if st.Mode()&os.ModeDevice != 0 {
			flags |= unix.O_EXCL
		}
		f, err = os.OpenFile(l.below, flags, 0)
	}
	if err == nil && st.Mode().IsRegular() {
		err = lockRange(f.Fd(), readOnly, l.shows)
	}
	held := errors.Is(err, unix.EBUSY) || isLocked(err)
	switch {
	case err == nil && !readOnly:
		d.claims = append(d.claims, f)
		return st, nil
	case f != nil:
		_ = f.Close() // no claim: others may read too
	}
	switch {
	case err == nil:
	case held && readOnly:
		d.noteBusy("through " + l.below)
	case held && holder(st) == strconv.Itoa(os.Getpid()):
		return nil, fmt.Errorf("%s: %w: its bytes are those of %s: %w", d.path, ErrInUse, l.below, ErrTwice)
	case held:
		return nil, fmt.Errorf("%s: %w: it is set up on %s, which is in use itself", d.path, ErrInUse, l.below)
	default:
		d.note(fmt.Sprintf("%s, which it is set up on, is not locked: %v", l.below, cause(err)))
	}
	return st, nil
}

// claimLoop keeps others from writing through the loop device at path. Who only reads, or has a loop device of the same file, keeps no
// claim: others may as well.
func (d *Device) claimLoop(path string, readOnly bool) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL, 0)
	switch {
	case errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOENT): // detached meanwhile
		return nil
	case err == nil && (readOnly || d.disk):
		return f.Close()
	case err == nil:
		d.claims = append(d.claims, f)
		return nil
	case readOnly:
		d.noteBusy("through " + path)
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: %w: %s shows the same bytes and is mounted, part of an array, or open in another program", d.path, ErrInUse, path)
	}
	return fmt.Errorf("%s: %w, perhaps: %s shows the same bytes and does not say who uses it (%w): detach it with `losetup -d %s`",
		d.path, ErrInUse, path, cause(err), path)
}
