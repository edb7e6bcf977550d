package fault

import (
	"context"
	"math/rand/v2"

	"graid/block"
)

// obey does to r what hit says; r as it is without one, or if that was cleared while r waited.
func (d *Device) obey(ctx context.Context, r block.Request, hit *live) error {
	if hit == nil || d.isCleared(hit) {
		return d.perform(ctx, r)
	}
	switch hit.Effect {
	case Lost, Lie:
		return nil
	case Shift:
		r.Off = min(r.Off+hit.By, d.info.Size-r.Len)
		return d.perform(ctx, r)
	case Torn:
		return d.tear(ctx, r, hit)
	case Late:
		d.land(r, hit)
		return block.ErrPath
	}
	return hit.Effect.Refusal()
}

func (d *Device) isCleared(l *live) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return l.cleared
}

// perform does r on the next device, with what has come over the member.
func (d *Device) perform(ctx context.Context, r block.Request) error {
	if r.Op == block.Read && d.unreadable(r) {
		return block.ErrMedia
	}
	if err := d.next.Do(ctx, r); err != nil {
		return err
	}
	switch {
	case r.Op == block.Read:
		d.rot(r)
	case r.Op.Mutates():
		d.heal(r)
	}
	return nil
}

// lasting calls see with every rule that has come over the member and still is there. It holds d.mu.
func (d *Device) lasting(see func(l *live)) {
	rules := d.rules.Load()
	if rules == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range *rules {
		if len(l.left) > 0 {
			see(l)
		}
	}
}

func (d *Device) unreadable(r block.Request) (bad bool) {
	d.lasting(func(l *live) {
		if l.Effect == Bad && len(l.left.within(r.Off, r.End())) > 0 {
			bad = true
			l.hit++
		}
	})
	return bad
}

// rot flips a bit of each rotten sector in what was read: always the same one, so that a medium seems to hold it.
func (d *Device) rot(r block.Request) {
	d.lasting(func(l *live) {
		if l.Effect != Rot {
			return
		}
		parts := l.left.within(r.Off, r.End())
		for _, p := range parts {
			for off := p.lo / Sector * Sector; off < p.hi; off += Sector {
				x := rand.NewPCG(uint64(l.Seed)^d.nth, uint64(off)).Uint64()
				if at := off + int64(x%Sector); at >= p.lo && at < p.hi {
					r.Buf[at-r.Off] ^= 1 << (x >> 32 % 8)
				}
			}
		}
		if len(parts) > 0 {
			l.hit++
		}
	})
}

// heal forgets what was wrong with the sectors that r has written as a whole.
func (d *Device) heal(r block.Request) {
	lo, hi := (r.Off+d.unit-1)/d.unit*d.unit, r.End()/d.unit*d.unit
	d.lasting(func(l *live) { l.left = l.left.without(lo, hi) })
}

// tear writes some of r's sectors, each with an even chance, neighbours often alike, and fails.
func (d *Device) tear(ctx context.Context, r block.Request, l *live) error {
	for lo := int64(0); lo < r.Len; {
		hi, keep := d.run(r, lo, l)
		if keep {
			part := r.Slice(lo, hi)
			if !block.Aligned(part.Buf, d.info.Align) {
				part.Buf = append(block.Alloc(part.Len)[:0], part.Buf...)
			}
			if err := d.perform(ctx, part); err != nil {
				return err
			}
		}
		lo = hi
	}
	return block.ErrMedia
}

// run is the first sectors of r from lo on, counted in bytes from r.Off, that share a fate, and whether it is to be written.
func (d *Device) run(r block.Request, lo int64, l *live) (hi int64, keep bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep = l.chance.below(2) == 0
	for hi = lo; hi < r.Len; {
		hi = min(hi+d.unit-(r.Off+hi)%d.unit, r.Len)
		if l.chance.below(2) == 0 {
			break
		}
	}
	return hi, keep
}

// land lets r land half a wait later, from memory of its own, unless the rule is cleared first. Nobody is left to be told of an error.
func (d *Device) land(r block.Request, l *live) {
	if !d.gate.Enter() {
		return // closing: the power is off
	}
	r.Buf = append(block.Alloc(r.Len)[:0], r.Buf...)
	d.mu.Lock()
	w := d.hold(l, l.Wait/2)
	if l.cleared {
		w.e.Set()
	}
	d.mu.Unlock()
	d.s.Go(func() {
		defer d.gate.Leave()
		if d.await(w) {
			_ = d.perform(context.Background(), r)
		}
	})
}
