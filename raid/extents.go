package raid

import (
	"cmp"
	"context"
	"slices"

	"graid/block"
	"graid/raid/plan"
)

// Extents says what the array's bytes [off, off+n) are made of: what the members say of the bytes that a read would take. What
// must be computed from redundancy counts as data.
func (a *Array) Extents(ctx context.Context, off, n int64, list []block.Extent) ([]block.Extent, error) {
	if !a.begin() {
		return list, block.ErrClosed
	}
	defer a.end()
	r := block.Request{Op: block.Read, Off: off, Len: n}
	if off < 0 || n < 0 || off > a.info.Size || n > a.info.Size-off {
		return list, block.ErrRange
	}
	o := a.getOp()
	defer a.putOp(o)
	for r.Len > 0 {
		v := a.view.Load()
		o.plan.Reset()
		n, err := a.level.Plan(&o.plan, r, &v.View)
		if err != nil {
			return block.Append(list, block.Extent{Len: r.Len}), nil // nothing to be read, so nothing known to be zero
		}
		o.view = *v
		if list, err = a.extents(ctx, o, n, list); err != nil {
			return list, err
		}
		r.Off, r.Len = r.Off+n, r.Len-n
	}
	return list, nil
}

// extents appends the extents of the n bytes that o's read plan covers.
func (a *Array) extents(ctx context.Context, o *op, n int64, list []block.Extent) ([]block.Extent, error) {
	slices.SortFunc(o.plan.Reads, func(x, y plan.IO) int { return cmp.Compare(x.Ref.Off, y.Ref.Off) })
	var at int64
	var part []block.Extent
	for _, io := range o.plan.Reads {
		if io.Ref.Slot != plan.User || io.Ref.Off < at {
			continue
		}
		list = block.Append(list, block.Extent{Len: io.Ref.Off - at}) // computed
		m := o.view.members[io.Role]
		var err error
		if part, err = block.Extents(ctx, m.dev, m.offset+io.Row, io.Ref.Len, part[:0]); err != nil {
			part = append(part[:0], block.Extent{Len: io.Ref.Len})
		}
		for _, e := range part {
			list = block.Append(list, e)
		}
		at = io.Ref.Off + io.Ref.Len
	}
	return block.Append(list, block.Extent{Len: n - at}), nil
}
