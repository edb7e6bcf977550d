package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"graid/block"
)

// Do performs r with system calls on the caller's thread.
func (d *Device) Do(ctx context.Context, r block.Request) error {
	err := d.info.Check(r)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.do(r)
	}
	switch err {
	case nil, block.ErrWouldBlock:
		return err
	}
	return block.Blame(d.info.Name, r, explain(err))
}

func (d *Device) do(r block.Request) error {
	if !d.gate.Enter() {
		return block.ErrClosed
	}
	defer d.gate.Leave()
	if r.Op == block.Flush {
		return d.flush()
	}
	if r.Len == 0 {
		return nil
	}
	fua := r.Flags&block.FUA != 0
	switch r.Op {
	case block.Read:
		if r.Flags&block.NoWait != 0 && !d.direct && !d.noTryRead.Load() {
			return d.tryRead(r.Buf, r.Off)
		}
		return d.read(r.Buf, r.Off)
	case block.Write:
		return d.write(r.Buf, r.Off, fua)
	case block.Discard:
		err := d.discard(r.Off, r.Len)
		d.dense.punched.Add(1) // afterwards, and also if it failed half way
		if err != nil {
			return err
		}
	case block.WriteZeroes:
		err := d.zero(r.Off, r.Len, r.Flags)
		d.dense.punched.Add(1)
		if err != nil {
			return err
		}
	}
	if fua {
		return d.flush()
	}
	return nil
}

// fits says whether b can go to the system as it is.
func (d *Device) fits(b []byte) bool { return !d.direct || block.Aligned(b, d.memAlign) }

func (d *Device) read(b []byte, off int64) error {
	if d.fits(b) {
		_, err := d.file.ReadAt(b, off)
		return err
	}
	bounce := d.bounces.get()
	defer d.bounces.put(bounce)
	for len(b) > 0 {
		n := min(len(b), len(bounce.mem))
		if _, err := d.file.ReadAt(bounce.mem[:n], off); err != nil {
			return err
		}
		copy(b, bounce.mem[:n])
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// tryRead reads what the page cache has, or nothing. File systems that cannot tell are asked no more: their reads may wait.
func (d *Device) tryRead(b []byte, off int64) error {
	err := readCached(d.fd, b, off)
	if isUnsupported(err) {
		d.noTryRead.Store(true)
		return d.read(b, off)
	}
	return err
}

func (d *Device) write(b []byte, off int64, fua bool) error {
	if d.fits(b) {
		return d.writeAll(b, off, fua)
	}
	bounce := d.bounces.get()
	defer d.bounces.put(bounce)
	for len(b) > 0 {
		n := copy(bounce.mem, b)
		if err := d.writeAll(bounce.mem[:n], off, fua); err != nil {
			return err
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// writeAll writes memory that the system takes. With fua it is durable afterwards: by one call where the system has it,
// otherwise by a flush.
func (d *Device) writeAll(b []byte, off int64, fua bool) error {
	if fua && !d.noDurableWrite.Load() {
		err := writeDurable(d.fd, b, off)
		if err != nil && !isUnsupported(err) {
			d.flushIsLost(err)
		}
		if !isUnsupported(err) {
			return err
		}
		d.noDurableWrite.Store(true)
	}
	if _, err := d.file.WriteAt(b, off); err != nil {
		return err
	}
	if fua {
		return d.flush()
	}
	return nil
}

// flush makes durable what was written. After a failure the system has forgotten which pages it could not write and would
// say yes the next time; we say no until the device is opened again.
func (d *Device) flush() error {
	if !d.info.Writable {
		return nil
	}
	if failed := d.flushFailed.Load(); failed != nil {
		return fmt.Errorf("an earlier flush failed: %w", *failed)
	}
	err := syncData(d.file, d.fd)
	if err != nil {
		err = cause(err)
		d.flushIsLost(err)
	}
	return err
}

// flushIsLost notes that the system has reported, and forgotten, a failure to write back. A durable write that fails counts too: it
// ends in a flush, and the error it returns may be that of an earlier write, of which no later flush would tell again.
func (d *Device) flushIsLost(err error) { d.flushFailed.CompareAndSwap(nil, &err) }

// explain turns an error of the system into one that Classify understands.
func explain(err error) error {
	err = cause(err)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: shorter than when it was opened", io.ErrUnexpectedEOF)
	case isFull(err):
		return full{err}
	}
	return err
}

// full is a block.ErrNoSpace with the system's reason, which is told where it says more.
type full struct{ why error }

func (e full) Error() string {
	if errors.Is(e.why, syscall.ENOSPC) {
		return block.ErrNoSpace.Error()
	}
	return block.ErrNoSpace.Error() + ": " + e.why.Error()
}

func (e full) Unwrap() []error { return []error{block.ErrNoSpace, e.why} }
