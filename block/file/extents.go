package file

import (
	"context"
	"fmt"

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
		data, hole := nextData(d.fd, off)
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
