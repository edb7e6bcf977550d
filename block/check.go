package block

import (
	"fmt"
	"unsafe"
)

// Check refuses what no Device may be asked: it is the one place that knows the rules of a Request, and every bottom
// and every array calls it first. The error is of class Caller and names no device.
func (i *Info) Check(r Request) error {
	if r.Op == Flush {
		if r.Off != 0 || r.Len != 0 || r.Buf != nil {
			return fmt.Errorf("%w: flush takes no range", ErrInvalid)
		}
		return nil
	}
	switch {
	case r.Op > WriteZeroes:
		return fmt.Errorf("%w: unknown operation %d", ErrInvalid, r.Op)
	case !i.within(r.Off, r.Len):
		return i.CheckRange(r.Off, r.Len)
	case r.Op.Mutates() && !i.Writable:
		return ErrReadOnly
	case i.Block > 1 && (r.Off|r.Len)&(i.Block-1) != 0:
		return fmt.Errorf("%w: [%d,+%d) is not a multiple of %d bytes", ErrInvalid, r.Off, r.Len, i.Block)
	}
	if r.Op == Read || r.Op == Write {
		if int64(len(r.Buf)) != r.Len {
			return fmt.Errorf("%w: buffer of %d bytes for a request of %d", ErrInvalid, len(r.Buf), r.Len)
		}
		if !Aligned(r.Buf, i.Align) {
			return fmt.Errorf("%w: buffer not aligned to %d bytes", ErrInvalid, i.Align)
		}
	} else if r.Buf != nil {
		return fmt.Errorf("%w: %s takes no buffer", ErrInvalid, r.Op)
	}
	return nil
}

// CheckRange refuses a range that is not inside the device, whatever its alignment.
func (i *Info) CheckRange(off, n int64) error {
	if !i.within(off, n) {
		return fmt.Errorf("%w: [%d,+%d) is outside the device of %d bytes", ErrRange, off, n, i.Size)
	}
	return nil
}

func (i *Info) within(off, n int64) bool {
	return off >= 0 && n >= 0 && off <= i.Size && n <= i.Size-off
}

// Aligned says whether b starts at a multiple of align bytes in memory. An empty b always does.
func Aligned(b []byte, align int64) bool {
	return align <= 1 || len(b) == 0 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))&uintptr(align-1) == 0
}

// PageAlign is the memory alignment that every direct I/O device known to graid is satisfied with, bytes.
const PageAlign = 4096

// Alloc is n bytes of memory aligned to PageAlign, zeroed. It is for buffers that live long: a pool's or an arena's.
func Alloc(n int64) []byte {
	b := make([]byte, n+PageAlign)
	skip := int64(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (PageAlign - 1))
	return b[skip : skip+n : skip+n]
}
