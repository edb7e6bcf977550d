package overlay

import (
	"context"

	"graid/block"
)

// change performs a Write, WriteZeroes or Discard on the store. What is in the store already is changed in place. The rest
// goes region by region, each under its lock from before the look at the bitmap until after the bits are set.
func (d *Device) change(ctx context.Context, r block.Request) error {
	if r.Op == block.WriteZeroes && r.Flags&block.Fast != 0 && (r.Off%d.unit != 0 || d.cut(r.End()) != r.End()) {
		return block.Blame(d.info.Name, r, block.ErrUnsupported) // copying a unit is not fast
	}
	for off := r.Off; off < r.End(); {
		end, inStore := d.run(off, r.End())
		if !inStore {
			span := region * d.unit
			end = min(r.End(), off/span*span+span)
		}
		part := r.Slice(off-r.Off, end-r.Off)
		var err error
		if inStore {
			err = d.store.Do(ctx, part)
		} else {
			err = d.grow(ctx, part)
		}
		if err != nil {
			return err
		}
		off = end
	}
	if r.Flags&block.FUA != 0 && d.kept != nil && d.kept.dirty() {
		return d.flush(ctx) // what is durable must also be found again
	}
	return nil
}

// cut is the start of the unit that off lies in; the end of the device is a start as well.
func (d *Device) cut(off int64) int64 {
	if off == d.info.Size {
		return off
	}
	return off / d.unit * d.unit
}

// grow performs r, which lies in one region.
func (d *Device) grow(ctx context.Context, r block.Request) error {
	lock := d.growing[r.Off/(region*d.unit)%locks]
	lock.Lock()
	defer lock.Unlock()

	// Whole units in the middle need nothing of the base.
	lo := min((r.Off+d.unit-1)/d.unit*d.unit, d.info.Size)
	hi := d.cut(r.End())
	if lo > hi { // within one unit
		return d.patch(ctx, r)
	}
	if r.Off < lo {
		if err := d.patch(ctx, r.Slice(0, lo-r.Off)); err != nil {
			return err
		}
	}
	if lo < hi {
		if err := d.store.Do(ctx, r.Slice(lo-r.Off, hi-r.Off)); err != nil {
			return err
		}
		for off := lo; off < hi; off += d.unit {
			d.set(off / d.unit)
		}
	}
	if hi < r.End() {
		return d.patch(ctx, r.Slice(hi-r.Off, r.Len))
	}
	return nil
}

// patch changes a part of one unit: in the store if it is there, otherwise while it moves there.
func (d *Device) patch(ctx context.Context, r block.Request) error {
	unit := r.Off / d.unit
	if d.has(unit) {
		return d.store.Do(ctx, r)
	}
	if r.Op == block.Discard {
		return nil // less would be left to read, and more to store
	}
	lo := unit * d.unit
	s := d.scratch.Get().(*scratch)
	defer d.scratch.Put(s)
	mem := s.mem[:min(d.unit, d.info.Size-lo)]
	if err := block.ReadAt(ctx, d.base, mem, lo); err != nil {
		return err
	}
	if r.Op == block.Write {
		copy(mem[r.Off-lo:], r.Buf)
	} else {
		clear(mem[r.Off-lo:][:r.Len])
	}
	whole := block.Request{Op: block.Write, Flags: r.Flags & block.FUA, Off: lo, Len: int64(len(mem)), Buf: mem}
	if err := d.store.Do(ctx, whole); err != nil {
		return err
	}
	d.set(unit)
	return nil
}

// set says that the unit is in the store.
func (d *Device) set(unit int64) {
	d.present[unit/64].Or(1 << (unit % 64))
	if d.kept != nil {
		d.kept.mark(unit)
	}
}
