// Package block holds the one noun and the one interface of graid: a Request, and a Device that does it.
//
// Files, memory, network clients, copy-on-write layers and whole arrays are Devices, so a stack is built by nesting.
// The package knows offsets, capabilities and error classes; it knows nothing of RAID, NBD or paths.
package block

import (
	"context"
	"fmt"
)

// Op is what a Request asks for.
type Op uint8

// The operations of a Device.
const (
	Read        Op = iota // fill Buf from [Off, Off+Len)
	Write                 // store Buf at [Off, Off+Len)
	Flush                 // make every write that completed before this request durable; Off and Len are 0
	Discard               // the content of [Off, Off+Len) is no longer needed; what it reads as afterwards is undefined
	WriteZeroes           // [Off, Off+Len) reads as zeroes afterwards
)

var opNames = [...]string{"read", "write", "flush", "discard", "zero"}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Mutates says whether the operation may change what later reads return.
func (o Op) Mutates() bool { return o == Write || o == Discard || o == WriteZeroes }

// Flags modify a Request.
type Flags uint8

// The flags of a Request.
const (
	FUA    Flags = 1 << iota // the change is durable when Do returns (Write, Discard, WriteZeroes)
	NoHole                   // WriteZeroes must leave the range allocated
	Fast                     // WriteZeroes fails at once with ErrUnsupported rather than write zeroes the slow way
	NoWait                   // Read or Write may fail with ErrWouldBlock, having changed nothing, rather than wait for hardware or others
)

// Request is one operation on a range of a Device. It is passed by value: never retained, shared or mutated.
//
// Buf has length Len for Read and Write and is nil otherwise. The Device owns Buf from the call of Do until it returns
// and not a moment longer. Off and Len are bytes.
type Request struct {
	Op    Op
	Flags Flags
	Off   int64
	Len   int64
	Buf   []byte
}

// End is the offset just past the request, in bytes.
func (r Request) End() int64 { return r.Off + r.Len }

// Slice is the part of r that covers [lo, hi) counted in bytes from r.Off.
func (r Request) Slice(lo, hi int64) Request {
	r.Off, r.Len = r.Off+lo, hi-lo
	if r.Buf != nil {
		r.Buf = r.Buf[lo:hi]
	}
	return r
}

// String is the form used in errors and traces: "read [4096,+512)".
func (r Request) String() string {
	if r.Op == Flush {
		return "flush"
	}
	s := fmt.Sprintf("%s [%d,+%d)", r.Op, r.Off, r.Len)
	if r.Flags&FUA != 0 {
		s += " fua"
	}
	return s
}

// Info describes a Device. It is constant while the Device is open: ask once and keep it.
type Info struct {
	Name    string // short, for messages: a base name or an export
	Size    int64  // bytes
	Block   int64  // Off and Len of every request are multiples of this: a power of two, 1 for a device that takes any
	Optimal int64  // preferred I/O size, bytes; 0 = no preference
	Align   int64  // memory alignment that Buf needs, bytes; 0 or 1 = none

	Inline   bool // Read and Write without FUA do not wait for hardware, as a rule: call Do in place, don't spawn for it; NoWait excludes the exception
	Writable bool
	Discard  bool // Discard gives room back; without it Discard is a no-op that succeeds
	Zeroes   bool // WriteZeroes is faster than writing zeroes
}

// Device stores bytes.
//
// Do performs r and returns when it is done; it may be called by any number of goroutines at once. Overlapping requests
// in flight at the same time are ordered arbitrarily, per block. ctx may stop a request from starting; it never abandons one in
// progress. A Device that can hang carries a deadline of its own. Errors are classed by Classify.
//
// A Read beyond the end is a Caller error, as is any request on a range outside [0, Size). Len 0 succeeds and does nothing.
// Close waits for requests in flight, releases what the Device holds and flushes nothing; Do after Close is a Gone error.
type Device interface {
	Info() Info
	Do(ctx context.Context, r Request) error
	Close() error
}

// Extent is a run of bytes of one kind, as block status reports it.
type Extent struct {
	Len  int64 // bytes
	Hole bool  // not allocated
	Zero bool  // reads as zeroes
}

// Extenter is a Device that knows where its holes are.
//
// Extents appends to list what [off, off+n) consists of, in order; the lengths add up to n. It may always answer
// "allocated, not known to be zero"; it never calls a byte zero that a completed Write made otherwise.
type Extenter interface {
	Extents(ctx context.Context, off, n int64, list []Extent) ([]Extent, error)
}

// Wrapper is a Device over another one.
type Wrapper interface{ Unwrap() Device }

// As finds the first layer of the stack d that is a T, going down through Unwrap.
func As[T any](d Device) (T, bool) {
	for d != nil {
		if t, ok := d.(T); ok {
			return t, true
		}
		w, ok := d.(Wrapper)
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	var none T
	return none, false
}

// ReadAt fills p from d at off bytes.
func ReadAt(ctx context.Context, d Device, p []byte, off int64) error {
	return d.Do(ctx, Request{Op: Read, Off: off, Len: int64(len(p)), Buf: p})
}

// WriteAt stores p on d at off bytes. It is durable only after a Sync.
func WriteAt(ctx context.Context, d Device, p []byte, off int64) error {
	return d.Do(ctx, Request{Op: Write, Off: off, Len: int64(len(p)), Buf: p})
}

// Sync makes every write that completed before it durable.
func Sync(ctx context.Context, d Device) error { return d.Do(ctx, Request{Op: Flush}) }

// Extents asks d itself for the extents of [off, off+n), and answers "allocated" for a d that does not know.
// It does not look through wrappers: a layer that changes content must answer for itself.
func Extents(ctx context.Context, d Device, off, n int64, list []Extent) ([]Extent, error) {
	if e, ok := d.(Extenter); ok {
		return e.Extents(ctx, off, n, list)
	}
	return Append(list, Extent{Len: n}), nil
}

// Append adds e to list, joining it to a last extent of the same kind.
func Append(list []Extent, e Extent) []Extent {
	if e.Len == 0 {
		return list
	}
	if n := len(list); n > 0 && list[n-1].Hole == e.Hole && list[n-1].Zero == e.Zero {
		list[n-1].Len += e.Len
		return list
	}
	return append(list, e)
}
