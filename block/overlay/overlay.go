// Package overlay is a Device that leaves the one below it as it is: what is written goes to a store, and reads combine the
// two.
//
// Blocks of a few KiB move to the store whole, the first time that a part of one is written. Which ones did is a bitmap in
// memory, and in a store that is kept also at its end. It knows nothing of what base and store are; base is only read.
package overlay

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"graid/block"
	"graid/sched"
)

// Options of an overlay.
type Options struct {
	Name  string      // the base's, if empty
	Keep  bool        // the store remembers what is in it, for the next New; it needs StoreSize bytes
	ID    [16]byte    // whose changes a kept store holds, for example an array's or a file's identity; compared, not read
	Sched sched.Sched // sched.Real if nil
}

const (
	minUnit = 4 << 10 // bytes that move to the store at once, at least
	region  = 16      // units under one lock, and handled at once the first time that one of them is written
	locks   = 64      // regions share them, by number
)

// Device is base with the changes that store holds. Both are its own and closed with it.
type Device struct {
	info  block.Info
	base  block.Device
	store block.Device
	unit  int64 // bytes

	gate    *sched.Gate
	growing [locks]*sched.Mutex // held while a unit of the region moves to the store: two writers must not both copy it
	scratch sync.Pool           // of *scratch

	// A bit is set once the unit is in the store as a whole, and never cleared.
	present []atomic.Uint64

	kept *kept // nil if the store is not kept
}

type scratch struct{ mem []byte }

// New lays store over base. A store that is kept and was used before must have been laid over a base of the same size and ID.
func New(ctx context.Context, base, store block.Device, o Options) (*Device, error) {
	b, s := base.Info(), store.Info()
	if o.Name == "" {
		o.Name = b.Name
	}
	if o.Sched == nil {
		o.Sched = sched.Real
	}
	d := &Device{base: base, store: store, gate: sched.NewGate(o.Sched)}
	d.info = block.Info{
		Name: o.Name, Size: b.Size, Block: max(b.Block, s.Block), Optimal: b.Optimal, Align: max(b.Align, s.Align),
		Inline: b.Inline && s.Inline, Writable: true, Discard: s.Discard, Zeroes: s.Zeroes,
	}
	d.unit = max(minUnit, d.info.Block)
	need := dataSize(b.Size, d.unit)
	if o.Keep {
		need = storeSize(b.Size, d.unit)
	}
	switch {
	case !s.Writable:
		return nil, fmt.Errorf("%s: overlay on %s: %w", o.Name, s.Name, block.ErrReadOnly)
	case b.Size%d.info.Block != 0:
		return nil, fmt.Errorf("%s: overlay: a size of %d bytes is not a multiple of the store's block of %d", o.Name, b.Size, d.info.Block)
	case o.Keep && d.unit > pageSize:
		return nil, fmt.Errorf("%s: overlay: blocks of %d bytes are too large for a store that is kept", o.Name, d.unit)
	case s.Size < need:
		return nil, fmt.Errorf("%s: overlay: the store %s has %d bytes and needs %d", o.Name, s.Name, s.Size, need)
	}
	d.scratch.New = func() any { return &scratch{mem: block.Alloc(d.unit)} }
	for i := range d.growing {
		d.growing[i] = sched.NewMutex(o.Sched)
	}
	units := (b.Size + d.unit - 1) / d.unit
	d.present = make([]atomic.Uint64, (units+63)/64)
	if o.Keep {
		d.kept = &kept{at: dataSize(b.Size, d.unit), saving: sched.NewMutex(o.Sched)}
		if err := d.load(ctx, o.ID); err != nil {
			return nil, fmt.Errorf("%s: overlay %s: %w", o.Name, s.Name, err)
		}
	}
	return d, nil
}

// Info describes the device.
func (d *Device) Info() block.Info { return d.info }

// Do performs r on whichever of the two has the bytes.
func (d *Device) Do(ctx context.Context, r block.Request) error {
	err := d.info.Check(r)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !d.gate.Enter() {
		err = block.ErrClosed
	}
	if err != nil {
		return block.Blame(d.info.Name, r, err)
	}
	defer d.gate.Leave()
	if r.Op == block.Flush {
		return d.flush(ctx)
	}
	if r.Len == 0 {
		return nil
	}
	end, inStore := d.run(r.Off, r.End())
	switch {
	case r.Op == block.Read && end == r.End():
		return d.holder(inStore).Do(ctx, r)
	case r.Op == block.Read:
		return d.read(context.WithoutCancel(ctx), r)
	case inStore && end == r.End() && r.Flags == 0:
		return d.store.Do(ctx, r)
	}
	return d.change(context.WithoutCancel(ctx), r) // a change that has begun is not given up between its parts
}

// holder is the device that has bytes which are in the store or not.
func (d *Device) holder(inStore bool) block.Device {
	if inStore {
		return d.store
	}
	return d.base
}

// has says whether the unit is in the store.
func (d *Device) has(unit int64) bool { return d.present[unit/64].Load()&(1<<(unit%64)) != 0 }

// run is the end of the bytes from off on that are all in the store or all not, at most hi.
func (d *Device) run(off, hi int64) (end int64, inStore bool) {
	unit := off / d.unit
	inStore = d.has(unit)
	for end = (unit + 1) * d.unit; end < hi; end += d.unit {
		unit++
		if d.has(unit) != inStore {
			return end, inStore
		}
	}
	return hi, inStore
}

func (d *Device) read(ctx context.Context, r block.Request) error {
	for off := r.Off; off < r.End(); {
		end, inStore := d.run(off, r.End())
		if err := d.holder(inStore).Do(ctx, r.Slice(off-r.Off, end-r.Off)); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// Extents asks whichever of the two has the bytes.
func (d *Device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	if err := d.info.CheckRange(off, n); err != nil {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, err)
	}
	if !d.gate.Enter() {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, block.ErrClosed)
	}
	defer d.gate.Leave()
	var part []block.Extent
	for hi := off + n; off < hi; {
		end, inStore := d.run(off, hi)
		var err error
		if part, err = block.Extents(ctx, d.holder(inStore), off, end-off, part[:0]); err != nil {
			return list, err
		}
		for _, e := range part {
			list = block.Append(list, e)
		}
		off = end
	}
	return list, nil
}

// Close waits for requests in flight, has a kept store remember what it holds, and closes both devices.
func (d *Device) Close() error {
	if !d.gate.Close() {
		return nil
	}
	var err error
	if d.kept != nil {
		err = d.flush(context.Background())
	}
	for _, next := range []block.Device{d.store, d.base} {
		if closeErr := next.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}
