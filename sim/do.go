package sim

import (
	"time"

	"graid/block"
	"graid/block/fault"
)

// do performs r: it takes a while, and the change happens somewhere within.
func (d *Disk) do(r block.Request) error {
	d.requests++
	if d.watch != nil {
		d.watch(r)
	}
	f := d.afflict(r)
	before, after := d.takes(r)
	if f != nil {
		if err := f.Effect.Refusal(); err != nil {
			d.wait(before)
			return err
		}
		switch f.Effect {
		case fault.Stall:
			before += f.Wait
		case fault.Late:
			return d.late(r, f)
		}
	}
	switch r.Op {
	case block.Read:
		return d.read(r, f, before, after)
	case block.Flush:
		mark := d.c.order
		d.wait(before + after)
		if f == nil || f.Effect != fault.Lie {
			d.c.flush(mark)
		}
		return nil
	}
	return d.write(r, f, before, after)
}

// takes is how long r takes until the change happens and after it.
func (d *Disk) takes(r block.Request) (before, after time.Duration) {
	if d.o.Inline {
		return 0, 0
	}
	all := d.o.Least
	if d.o.Spread > 0 {
		all += time.Duration(d.latency.Int64N(int64(d.o.Spread)))
	}
	if r.Op == block.Flush {
		all += d.o.FlushCost
	}
	if all <= 0 {
		return 0, 0
	}
	before = time.Duration(d.latency.Int64N(int64(all)))
	return before, all - before
}

func (d *Disk) wait(t time.Duration) {
	if t > 0 || !d.o.Inline {
		d.w.sleep(t, d.name)
	}
}

func (d *Disk) read(r block.Request, f *rule, before, after time.Duration) error {
	d.wait(before)
	unreadable := false
	for off := r.Off / Sector * Sector; len(d.c.bad) > 0 && off < r.End(); off += Sector {
		if _, bad := d.c.bad[off]; bad {
			d.c.bad[off], unreadable = true, true
		}
	}
	if unreadable {
		return block.ErrMedia
	}
	copy(r.Buf, d.c.now[r.Off:r.End()])
	if f != nil && f.Effect == fault.Stale {
		for off := r.Off; off < r.End(); off += Sector {
			if list := d.c.versions[off]; len(list) > 1 {
				copy(r.Buf[off-r.Off:], list[len(list)-2].data)
			}
		}
	}
	if after > 0 {
		d.wait(after)
	}
	return nil
}

func (d *Disk) write(r block.Request, f *rule, before, after time.Duration) error {
	w := &writing{off: r.Off, data: r.Buf, n: r.Len}
	if r.Op == block.Discard && d.o.NoZeroes {
		d.wait(before + after)
		return nil
	}
	var only func(int64) bool
	if f != nil {
		switch f.Effect {
		case fault.Lost:
			d.wait(before + after)
			return nil
		case fault.Shift:
			w.off += f.By
			if w.off+w.n > d.o.Size {
				w.off -= w.off + w.n - d.o.Size
			}
		case fault.Torn:
			only = func(int64) bool { return d.chance.IntN(2) == 0 }
		}
	}
	d.c.inflight = append(d.c.inflight, w)
	d.wait(before)
	d.c.apply(w, only)
	if after > 0 {
		d.wait(after)
	}
	d.c.complete(w)
	if only != nil {
		return block.ErrMedia
	}
	if r.Flags&block.FUA != 0 {
		d.c.settle(w)
	}
	return nil
}

// late fails a write and lets it land all the same, later: from memory of its own, since the caller's is no longer ours then.
func (d *Disk) late(r block.Request, f *rule) error {
	d.wait(f.Wait)
	w := &writing{off: r.Off, n: r.Len, data: append([]byte(nil), r.Buf...)}
	d.c.inflight = append(d.c.inflight, w)
	c := d.c
	d.w.spawn(d.w.running().host, func() {
		d.w.sleep(f.Wait/2, d.name+", late")
		if c == d.c {
			c.apply(w, nil)
			c.complete(w)
		}
	})
	return block.ErrPath
}
