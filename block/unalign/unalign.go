// Package unalign lets a device with a block size take requests of any offset and length.
//
// A write that covers part of a block becomes a read, a change and a write of the whole block, under a lock that keeps
// every other change of that block out: whoever was told that a write completed finds it there afterwards. It knows
// requests and blocks; it knows nothing of who sends them.
package unalign

import (
	"context"
	"sync"

	"graid/block"
	"graid/sched"
)

// bounceLen is how much an unaligned request moves at a time, bytes. It bounds memory, not requests.
const bounceLen = 256 << 10

// Wrap is dev with a Block of 1. Every change of dev must go through the returned Device, or the lock guards nothing.
// A dev that takes any request already is returned as it is.
func Wrap(dev block.Device, s sched.Sched) block.Device {
	info := dev.Info()
	if info.Block <= 1 {
		return dev
	}
	d := &device{next: dev, info: info, block: info.Block, spans: newSpans(s)}
	d.info.Block = 1
	d.bounces.New = func() any { return &bounce{buf: block.Alloc(max(bounceLen, d.block))} }
	return d
}

type device struct {
	next    block.Device
	info    block.Info
	block   int64 // of next, bytes: a power of two
	spans   *spans
	bounces sync.Pool // *bounce
}

// bounce is memory to change blocks in; a struct because a slice in a sync.Pool allocates.
type bounce struct{ buf []byte }

func (d *device) Info() block.Info     { return d.info }
func (d *device) Close() error         { return d.next.Close() }
func (d *device) Unwrap() block.Device { return d.next }

func (d *device) Do(ctx context.Context, r block.Request) error {
	switch {
	case r.Op == block.Flush:
		return d.next.Do(ctx, r)
	case (r.Off|r.Len)&(d.block-1) == 0:
		return d.aligned(ctx, r)
	}
	if err := d.info.Check(r); err != nil {
		return &block.Error{Dev: d.info.Name, Req: r, Err: err}
	}
	switch r.Op {
	case block.Read:
		return d.read(ctx, r)
	case block.Discard:
		lo, hi := d.up(r.Off), d.down(r.End())
		if lo >= hi {
			lo, hi = d.down(r.Off), d.down(r.Off) // nothing to give back, but a closed device shall say so
		}
		return d.aligned(ctx, block.Request{Op: block.Discard, Flags: r.Flags, Off: lo, Len: hi - lo})
	case block.WriteZeroes:
		return d.zero(ctx, r)
	default:
		return d.write(ctx, r)
	}
}

// aligned passes r on. A change is counted, so that whoever changes part of a block can wait for it: two atomics.
func (d *device) aligned(ctx context.Context, r block.Request) error {
	if !r.Op.Mutates() {
		return d.next.Do(ctx, r)
	}
	if d.spans.enter() {
		defer d.spans.leave()
		return d.next.Do(ctx, r)
	}
	w := d.spans.lock(r.Off, r.End(), false)
	defer d.spans.unlock(w)
	return d.next.Do(ctx, r)
}

// read needs no lock: a block is read as one, before or after any change of it.
func (d *device) read(ctx context.Context, r block.Request) error {
	return d.pieces(r, func(b []byte, lo int64, part block.Request) error {
		if err := block.ReadAt(ctx, d.next, b, lo); err != nil {
			return err
		}
		copy(part.Buf, b[part.Off-lo:])
		return nil
	})
}

// write holds its blocks from before the first read until after the last write.
func (d *device) write(ctx context.Context, r block.Request) error {
	w := d.spans.lock(d.down(r.Off), d.up(r.End()), true)
	defer d.spans.unlock(w)
	return d.pieces(r, func(b []byte, lo int64, part block.Request) error {
		if err := d.edges(ctx, b, lo, part); err != nil {
			return err
		}
		copy(b[part.Off-lo:], part.Buf)
		return d.next.Do(ctx, block.Request{Op: block.Write, Flags: r.Flags, Off: lo, Len: int64(len(b)), Buf: b})
	})
}

// zero does the whole blocks first: a Fast request that the device refuses has then changed nothing.
func (d *device) zero(ctx context.Context, r block.Request) error {
	w := d.spans.lock(d.down(r.Off), d.up(r.End()), true)
	defer d.spans.unlock(w)
	lo, hi := d.up(r.Off), d.down(r.End())
	if lo < hi {
		if err := d.next.Do(ctx, r.Slice(lo-r.Off, hi-r.Off)); err != nil {
			return err
		}
		if err := d.zeroPart(ctx, r.Slice(0, lo-r.Off)); err != nil {
			return err
		}
		return d.zeroPart(ctx, r.Slice(hi-r.Off, r.Len))
	}
	return d.zeroPart(ctx, r)
}

// zeroPart zeroes a range of less than two blocks whose blocks are locked.
func (d *device) zeroPart(ctx context.Context, r block.Request) error {
	return d.pieces(r, func(b []byte, lo int64, part block.Request) error {
		if err := d.edges(ctx, b, lo, part); err != nil {
			return err
		}
		clear(b[part.Off-lo : part.End()-lo])
		return d.next.Do(ctx, block.Request{Op: block.Write, Flags: r.Flags & block.FUA, Off: lo, Len: int64(len(b)), Buf: b})
	})
}

// pieces calls do for each part of r that fits a bounce buffer: b is memory for the whole blocks from lo that part touches.
func (d *device) pieces(r block.Request, do func(b []byte, lo int64, part block.Request) error) error {
	bo := d.bounces.Get().(*bounce)
	defer d.bounces.Put(bo)
	for done := int64(0); done < r.Len; {
		lo := d.down(r.Off + done)
		hi := min(d.up(r.End()), lo+int64(len(bo.buf)))
		end := min(r.Len, hi-r.Off)
		if err := do(bo.buf[:hi-lo], lo, r.Slice(done, end)); err != nil {
			return err
		}
		done = end
	}
	return nil
}

// edges reads the first and last block of b where part does not cover them whole.
func (d *device) edges(ctx context.Context, b []byte, lo int64, part block.Request) error {
	hi, last := lo+int64(len(b)), int64(len(b))-d.block
	first := part.Off > lo || (last == 0 && part.End() < hi)
	end := last > 0 && part.End() < hi
	if end && d.info.Align > d.block {
		return block.ReadAt(ctx, d.next, b, lo) // all of it: the last block alone would not be where the device takes it
	}
	if first {
		if err := block.ReadAt(ctx, d.next, b[:d.block], lo); err != nil {
			return err
		}
	}
	if end {
		return block.ReadAt(ctx, d.next, b[last:], lo+last)
	}
	return nil
}

// Extents answers for any range from what the device says of the whole blocks around it.
func (d *device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	lo, hi := d.down(off), d.up(off+n)
	around, err := block.Extents(ctx, d.next, lo, hi-lo, nil)
	if err != nil {
		return list, err
	}
	skip := off - lo
	for _, e := range around {
		cut := min(skip, e.Len)
		skip -= cut
		e.Len = min(e.Len-cut, n)
		n -= e.Len
		list = block.Append(list, e)
	}
	return list, nil
}

func (d *device) down(off int64) int64 { return off &^ (d.block - 1) }
func (d *device) up(off int64) int64   { return (off + d.block - 1) &^ (d.block - 1) }
