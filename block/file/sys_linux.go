package file

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"graid/block"
)

// rawDisks: on Linux, disks are block devices.
const rawDisks = false

// diskGeometry is the size, the logical and the physical block of a disk, bytes.
func diskGeometry(f *os.File) (size, logical, physical int64, err error) {
	fd := f.Fd()
	var bytes uint64
	if err := ioctl(fd, unix.BLKGETSIZE64, unsafe.Pointer(&bytes)); err != nil {
		return 0, 0, 0, fmt.Errorf("is not a disk: %w", err)
	}
	logical = 512
	if n, err := unix.IoctlGetInt(int(fd), unix.BLKSSZGET); err == nil && n > 0 {
		logical = int64(n)
	}
	var phys uint32
	if ioctl(fd, unix.BLKPBSZGET, unsafe.Pointer(&phys)) == nil {
		physical = int64(phys)
	}
	return int64(bytes), logical, physical, nil
}

// directAlign is what direct I/O asks of memory and of offsets, bytes.
func directAlign(f *os.File, logical int64) (mem, off int64) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 && st.Dio_offset_align != 0 {
		return int64(st.Dio_mem_align), int64(st.Dio_offset_align)
	}
	if info, err := f.Stat(); err == nil && info.Mode()&os.ModeDevice != 0 {
		return logical, logical
	}
	return 4096, 4096
}

// File systems that punch holes and zero ranges, by statfs magic.
var punching = []int64{
	0xEF53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683E /* btrfs */, 0x01021994 /* tmpfs */, 0xF2F52010, /* f2fs */
	0xCA451A4E /* bcachefs */, 0x794C7630 /* overlayfs */, 0x2FC12FC1 /* zfs */, 0x01161970, /* gfs2 */
}

// capabilities says whether discards and zeroes are more than a way of writing.
func capabilities(f *os.File, disk bool) (discard, zeroes bool) {
	if disk {
		return queueLimit(f, "discard_max_bytes"), queueLimit(f, "write_zeroes_max_bytes")
	}
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil {
		return false, false
	}
	for _, magic := range punching {
		if int64(st.Type)&0xFFFFFFFF == magic {
			return true, true
		}
	}
	return false, false
}

// queueLimit says whether a limit of the disk's queue, or of the disk that it is a partition of, is not 0.
func queueLimit(f *os.File, name string) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
	for _, queue := range []string{"queue", "../queue"} {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			if text, err := os.ReadFile(filepath.Join(real, queue, name)); err == nil {
				n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
				return n > 0
			}
		}
	}
	return false
}

// syncData makes the content durable, and the metadata that is needed to find it.
func syncData(_ *os.File, fd uintptr) error {
	return retry(func() error { return unix.Fdatasync(int(fd)) })
}

// writeDurable writes b so that it is durable when the call returns.
func writeDurable(fd uintptr, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwritev2(int(fd), [][]byte{b}, off, unix.RWF_DSYNC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.EIO
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// readCached fills b from the page cache. Where a part of it is not there the answer is ErrWouldBlock.
func readCached(fd uintptr, b []byte, off int64) error {
	n, err := unix.Preadv2(int(fd), [][]byte{b}, off, unix.RWF_NOWAIT)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR, err == nil && n < len(b):
		return block.ErrWouldBlock // a short read at the end of a file that shrank is told by the read that waits
	}
	return err
}

// discardRange says that the range is not needed.
func discardRange(fd uintptr, disk bool, off, n int64) error {
	if !disk {
		return punch(fd, off, n)
	}
	span := [2]uint64{uint64(off), uint64(n)}
	return retry(func() error { return ioctl(fd, unix.BLKDISCARD, unsafe.Pointer(&span)) })
}

// punch makes the range a hole, which reads as zeroes; on a disk, only if the disk zeroes by itself.
func punch(fd uintptr, off, n int64) error {
	return retry(func() error {
		return unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// zeroRange makes the range read as zeroes and keeps it allocated.
func zeroRange(fd uintptr, disk bool, off, n int64) error {
	if disk {
		span := [2]uint64{uint64(off), uint64(n)}
		return retry(func() error { return ioctl(fd, unix.BLKZEROOUT, unsafe.Pointer(&span)) })
	}
	return retry(func() error {
		return unix.Fallocate(int(fd), unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// nextData is the first data at or after off, and the first hole after that; the end of the file counts as a hole.
func nextData(fd uintptr, off int64) (data, hole int64) {
	data, err := unix.Seek(int(fd), off, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return math.MaxInt64, math.MaxInt64
	}
	if err != nil {
		return off, math.MaxInt64 - 1<<20
	}
	hole, err = unix.Seek(int(fd), data, unix.SEEK_HOLE)
	if err != nil {
		return data, math.MaxInt64 - 1<<20
	}
	return data, hole
}

func ioctl(fd uintptr, request uint, arg unsafe.Pointer) error {
	if _, _, no := unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg)); no != 0 {
		return no
	}
	return nil
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func isUnsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTTY)
}
