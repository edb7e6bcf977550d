package raid

import (
	"context"
	"errors"
	"time"

	"graid/raid/md"
)

// AddBitmap gives a running array an internal write-intent bitmap: chunk bytes of the array, or of each member, per bit; 0 = mdadm's choice. Writes wait
// for a moment.
func (a *Array) AddBitmap(ctx context.Context, chunk int64) error {
	return a.changeBitmap(ctx, func() error {
		if a.intent.Load() != nil {
			return errors.New("the array has a bitmap already")
		}
		if a.ref.HasPPL() {
			return errors.New("the array has a partial parity log: it cannot have a bitmap too")
		}
		var supers []*md.Superblock
		var members []*member
		for _, m := range a.all() {
			if m.live() {
				supers, members = append(supers, m.sb.Clone()), append(members, m)
			}
		}
		image, err := md.AddBitmap(supers, chunk)
		if err != nil {
			return err
		}
		// No write is under way, and all of them are on the media: nothing differs but where resync has not been yet. Who is out now has missed what no bit says.
		image.EventsCleared = a.events + 1
		v := a.view.Load()
		if !a.complete() || v.Synced < a.geo.SyncSize || v.left != nil || a.sync.given.Load() || a.uneven.Load() || a.doubt.Load() {
			image.SetAll()
		}
		for i, m := range members {
			m.sb = supers[i]
		}
		a.ref.Features |= md.FeatureBitmap
		a.intent.Store(newIntent(image, v.Synced))
		return a.record()
	})
}

// RemoveBitmap takes the bitmap away from a running array: a resync goes over all of it from then on.
func (a *Array) RemoveBitmap(ctx context.Context) error {
	return a.changeBitmap(ctx, func() error {
		if a.intent.Load() == nil {
			return errors.New("the array has no bitmap")
		}
		a.intent.Store(nil)
		for _, m := range a.all() {
			if m.live() {
				m.sb, m.bitmap, m.byBits = m.sb.Clone(), nil, false
				m.sb.Features &^= md.FeatureBitmap
				m.sb.BitmapOffset = 0
			}
		}
		a.ref.Features &^= md.FeatureBitmap
		return a.record()
	})
}

// changeBitmap calls change, which holds meta, while no write is under way and all are durable.
func (a *Array) changeBitmap(ctx context.Context, change func() error) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	switch {
	case !a.geo.Redundant():
		return errors.New("a bitmap speeds up making members agree, and the array has no redundancy")
	case !a.writable:
		return errors.New("the array is read-only")
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := a.still(change)
		if done || err != nil {
			return err
		}
		a.sched.Sleep(time.Millisecond)
	}
}

// still calls change if no write is under way.
func (a *Array) still(change func() error) (done bool, err error) {
	a.meta.Lock()
	defer a.unlock()
	if b := a.view.Load().broken; b != nil {
		return false, b
	}
	mark := a.mark.Load()
	a.mark.Store(markSettling) // whoever wants to write waits for meta
	defer a.mark.Store(mark)
	if a.writers.Load() != 0 {
		return false, nil
	}
	if dead, why := a.flushAll(); dead != 0 {
		return false, a.loseLocked(dead, why, false)
	}
	return true, change()
}
