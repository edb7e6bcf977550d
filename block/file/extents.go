package file

import (
	"context"
	"fmt"
	"sync/atomic"

	"graid/block"
)

// Extents says where the file has holes. A range that the file system keeps allocated but unwritten may be called a hole.
func (d *Device) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	if err := d.info.CheckRange(off, n); err != nil {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, err)
	}
	if !d.gate.Enter() {
		return list, fmt.Errorf("%s: extents: %w", d.info.Name, block.ErrClosed)
	}
	defer d.gate.Leave()
	if d.disk {
		return block.Append(list, block.Extent{Len: n}), nil
	}
	for end := off + n; off < end; {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		data, hole := d.nextData(off)
		// Only whole blocks are called a hole.
		data = min(data/d.info.Block*d.info.Block, end)
		hole = min((hole+d.info.Block-1)/d.info.Block*d.info.Block, end)
		if data > off {
			list = block.Append(list, block.Extent{Len: data - off, Hole: true, Zero: true})
			off = data
		}
		if hole > off {
			list = block.Append(list, block.Extent{Len: hole - off})
			off = hole
		}
	}
	return list, nil
}

// dense remembers where the last search for a hole found none. Some file systems look at every page up to the next hole, whoever asks for a
// little: a quarter of a gigabyte in 1.3 ms, which was half of what serving a dense file to nbdcopy cost.
type dense struct {
	punched atomic.Uint64 // how often there may have come a hole
	last    atomic.Pointer[found]
}

// found is data from lo to hi, as long as nothing was punched since.
type found struct {
	lo, hi  int64
	punched uint64
}

// nextData is the first data at or after off, and the first hole after that.
func (d *Device) nextData(off int64) (data, hole int64) {
	punched := d.dense.punched.Load()
	if s := d.dense.last.Load(); s != nil && s.punched == punched && s.lo <= off && off < s.hi {
		return off, s.hi
	}
	data, hole = nextData(d.fd, off)
	if data < hole {
		d.dense.last.Store(&found{data, hole, punched})
	}
	return data, hole
}
