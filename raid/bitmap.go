package raid

import (
	"context"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// The write-intent bitmap keeps one promise: before a write reaches any member, the bit of each piece that it touches is set and durable on every
// member that has a role. So whatever an unclean stop, or a member's absence, has made different is where a bit is set. Bits are cleared late
// and lazily, by the cleaner, and only while no member is out. See "Write-intent bitmap" in md's documentation, and md-bitmap.c.

// loadBitmap takes the bitmap over from the members that are in sync: what any of them says may differ may differ. Every one of them has all that
// matters; but a bitmap that is older than its superblock has missed something, and then everything may differ.
func (a *Array) loadBitmap(d *md.Decision, found []*md.Examined) {
	a.agreeOnBitmap()
	if !a.writable || !a.geo.Redundant() || a.ref.Features&md.FeatureBitmap == 0 {
		return
	}
	var image *md.Bitmap
	known := false
	for _, slot := range d.Slots {
		if slot.Found < 0 || slot.State == md.Recovering || found[slot.Found].Bitmap == nil {
			continue
		}
		b := found[slot.Found].Bitmap
		if image == nil {
			c := *b
			image = &c
			image.ClearAll()
		}
		image.EventsCleared = max(image.EventsCleared, b.EventsCleared)
		if b.ChunkSize != image.ChunkSize || b.SyncSize != image.SyncSize || b.Stale(a.ref.Events) {
			continue
		}
		known = true
		for i := range image.Total() {
			if b.Bit(i) {
				image.Set(i)
			}
		}
	}
	if image == nil {
		a.readOnly = append(a.readOnly, "no member that is in sync has its bitmap")
		a.writable, a.info.Writable = false, false
		return
	}
	if image.State &^= md.BitmapStale; !known || len(d.Forced) > 0 {
		image.SetAll()
	}
	a.intent.Store(newIntent(image, a.view.Load().Synced))
}

// agreeOnBitmap has members that an interrupted commit left behind have a bitmap if the freshest one does, which may have been added or removed then.
func (a *Array) agreeOnBitmap() {
	for _, m := range a.all() {
		if m.live() && (m.sb.Features^a.ref.Features)&md.FeatureBitmap != 0 {
			m.sb = m.sb.Clone()
			m.sb.Features = m.sb.Features&^md.FeatureBitmap | a.ref.Features&md.FeatureBitmap
			m.sb.BitmapOffset = a.ref.BitmapOffset
		}
	}
}

// syncSpan is the part of the sync space that a write to r is about.
func (a *Array) syncSpan(r block.Request) plan.Span {
	switch a.geo.Level {
	case 1, 10:
		return plan.Span{Lo: r.Off, Hi: r.End()}
	case -1, 0:
		return plan.Span{}
	}
	return plan.Span{Lo: r.Off / a.geo.Stripe * a.geo.Chunk, Hi: ((r.End()-1)/a.geo.Stripe + 1) * a.geo.Chunk}
}

// intend makes a write to s one that may begin, as far as the bitmap b is concerned, and counts it in. The caller holds meta, and the mark is
// dirty or about to be: dirty says which, and a commit then takes the bits along.
func (a *Array) intend(b *intent, s plan.Span, dirty bool) error {
	for !b.enter(s) {
		b.want(s)
		spans := b.set()
		if dirty {
			if err := a.writeBits(b); err != nil {
				return err
			}
		} else if err := a.markAs(markDirty); err != nil {
			return err
		}
		b.admit(spans)
		dirty = true
	}
	return nil
}

// writeBits makes what changed of the bitmap durable on every member that has a role. Members that cannot be written are lost. The caller holds meta.
func (a *Array) writeBits(b *intent) error {
	errs := make([]error, len(a.members))
	g := newGroup(a.sched)
	for role, m := range a.members {
		if m.live() {
			g.Go(func() {
				if errs[role] = b.write(m); errs[role] == nil {
					errs[role] = block.Sync(context.Background(), m.dev)
				}
			})
		}
	}
	g.Wait()
	var dead plan.RoleSet
	var why error
	for role, err := range errs {
		if err != nil {
			a.members[role].writeErrors.Add(1)
			dead, why = dead.With(role), err
		}
	}
	if dead != 0 {
		if err := a.loseLocked(dead, why, true); err != nil { // which writes the bitmap too
			return err
		}
	} else {
		clear(b.pages)
	}
	return a.view.Load().broken
}

// write writes onto m what it lacks of the bitmap, which is all of it if it had none of this one yet. It does not flush.
func (b *intent) write(m *member) error {
	for first := 0; first < len(b.pages); first++ {
		n := 0
		for first+n < len(b.pages) && (b.pages[first+n] || m.bitmap != b) {
			n++
		}
		if n == 0 {
			continue
		}
		if err := md.WriteBitmapPages(context.Background(), m.dev, m.sb, b.image, first, n); err != nil {
			return err
		}
		first += n
	}
	m.bitmap = b
	return nil
}

// tidy clears bits of pieces that nobody has written to for a while; with all, of all that nobody is writing to. None is cleared while a member is
// out: the bits are what it is brought up to date by when it comes back.
func (a *Array) tidy(all bool) {
	b := a.intent.Load()
	if b == nil || b.on.Load() == 0 {
		return
	}
	a.meta.Lock()
	defer a.unlock()
	if v := a.view.Load(); v.broken != nil || !a.complete() || v.Readable.Count() < a.geo.Roles || a.uneven.Load() || a.events == a.ref.Events {
		return
	}
	list := b.idle(all)
	if len(list) == 0 {
		return
	}
	if dead, why := a.flushAll(); dead != 0 {
		_ = a.loseLocked(dead, why, false) // whoever writes next meets it again
		return
	}
	if b.image.EventsCleared < a.events {
		// A member that left before now may miss what these bits are about, and must see that.
		b.image.EventsCleared = a.events
		b.pages[0] = true
		if a.writeBits(b) != nil || !a.complete() {
			return
		}
	}
	b.drop(list)
	_ = a.writeBits(b)
}
