package raid

import (
	"fmt"

	"graid/raid/plan"
)

// resync makes members agree from View.Synced on: what an unclean stop, or a creation, left to do.
//
// It compares first and writes only where members differ: an array of sparse files stays sparse, and flash is not worn.
func (a *Array) resync() {
	a.sync.ran.Store(true)
	a.sync.errors.Store(0)
	from := a.view.Load().Synced
	a.tell(EventRebuildStart, "", fmt.Sprintf("resync from %d of %d bytes", from, a.geo.SyncSize))
	w := a.newWalk(from)
	for {
		v := a.view.Load()
		switch {
		case a.closing.Load() || v.broken != nil:
			a.tell(EventRebuildEnd, "", fmt.Sprintf("resync stopped at %d of %d bytes", v.Synced, a.geo.SyncSize))
			return
		case v.Synced >= a.geo.SyncSize:
			a.checkpoint()
			a.pplAgreed()
			a.tell(EventRebuildEnd, "", a.resyncEnd())
			return
		}
		b := a.intent.Load()
		piece := plan.Span{Lo: v.Synced, Hi: a.geo.SyncSize}
		if b != nil {
			if piece = b.next(v.Synced, a.geo.SyncSize, intentNeeded); piece.Lo > v.Synced {
				a.change(func(v *view) { v.Synced = max(v.Synced, piece.Lo) })
				continue
			}
		}
		at, err := w.step(v.Synced, func(at int64) (int64, error) { return a.agree(plan.Span{Lo: at, Hi: piece.Hi}) })
		if err != nil {
			a.tell(EventUncorrectable, "", fmt.Sprintf("resync stopped at %d: %v", v.Synced, err))
			a.sync.halted.Store(true)
			a.tell(EventRebuildEnd, "", fmt.Sprintf("resync stopped at %d of %d bytes: %v", v.Synced, a.geo.SyncSize, err))
			return
		}
		if now := a.view.Load(); b != nil && now.Readable == v.Readable { // else nothing may have come to agree: it was given up
			b.agreed(v.Synced, min(at, now.Synced), a.geo.SyncSize, now.left)
		}
		if w.due() {
			a.checkpoint()
		}
	}
}

// resyncEnd says how a resync ended.
func (a *Array) resyncEnd() string {
	switch lost := a.sync.errors.Load(); {
	case lost > 0:
		return fmt.Sprintf("resync done, but %d bytes could not be read on any member: the next start will try again", lost)
	case a.sync.given.Load():
		return "resync given up: a member failed, and what it would have made agree is gone with it"
	}
	return "resync done"
}

// giveUpResync is called when a parity array loses a member before its resync is done. There is nothing left that parity could be
// made to agree with: it is taken as it is from now on, as md does, and the superblocks go on saying how far resync was, so that
// nobody starts the array again without being told. It says whether there is a resync to give up; the View is for the caller to change, in one
// step with the loss. The caller holds meta.
func (a *Array) giveUpResync() bool {
	v := a.view.Load()
	if a.geo.Level == 1 || a.geo.Level == 10 || v.Synced >= a.geo.SyncSize && v.left == nil {
		return false
	}
	a.leaveBehind(v.Synced)
	return true
}

// leaveBehind has superblocks say from now on that redundancy holds up to at, and no further: what follows will not be made to agree in this life.
// The first of several counts.
func (a *Array) leaveBehind(at int64) {
	if !a.sync.given.Load() {
		a.sync.reached.Store(at)
		a.sync.given.Store(true)
	}
}

// checkpoint records in the superblocks how far resync is, behind the truth: what it wrote is flushed first. While the array is
// marked dirty nothing of a resync can be recorded: the next clean mark will say it.
func (a *Array) checkpoint() {
	a.meta.Lock()
	defer a.unlock()
	v := a.view.Load()
	if a.written != markClean && a.rebuilding(v) == 0 && v.twins == nil || v.broken != nil {
		return
	}
	for {
		dead, why := a.flushAll()
		if dead == 0 {
			break
		}
		if a.loseLocked(dead, why, false) != nil || a.view.Load().broken != nil {
			return
		}
	}
	if err := a.markAs(a.written); err != nil {
		a.note(EventUncorrectable, "", "resync progress not recorded: "+err.Error())
	}
}

// agree makes a prefix of span, of the sync space, agree, and moves View.Synced past it. It returns the length of the prefix.
func (a *Array) agree(span plan.Span) (int64, error) {
	o := a.getOp()
	defer a.putOp(o)
	kind := plan.Check
	for {
		v := a.view.Load()
		if v.broken != nil {
			return 0, v.broken
		}
		o.view = *v
		o.view.Avoid |= o.avoid
		o.plan.Reset()
		n, err := a.level.Sync(&o.plan, span, kind, &o.view.View)
		if err != nil && o.cause != nil {
			// Unreadable where nothing else has it: narrow down to it, and leave just that behind.
			if span.Len() > a.info.Block {
				span.Hi = span.Lo + half(min(span.Len(), syncNarrow), a.info.Block)
				o.avoid, o.cause, o.bad, kind = 0, nil, o.bad[:0], plan.Check
				continue
			}
			a.sync.errors.Add(span.Len())
			a.uncorrectable(o)
			a.leaveBehind(span.Lo)
			a.change(func(v *view) { v.leave(span); v.Synced = max(v.Synced, span.Hi) })
			return span.Len(), nil
		}
		if err != nil {
			return 0, err
		}
		if asked, _ := o.lock(true, false); asked && a.view.Load() != v {
			continue // made with an old View
		}
		again, err := a.syncStep(o, &kind, &span)
		if err != nil {
			return 0, err
		}
		if again {
			continue
		}
		a.change(func(v *view) { v.Synced = max(v.Synced, span.Lo+n) })
		return n, nil
	}
}

// syncNarrow is the longest piece that an unreadable sector makes resync look at again, bytes.
const syncNarrow = 1 << 20

// syncStep carries o's plan out. again says to plan again: something was learnt, or what was compared differs and is to be written.
func (a *Array) syncStep(o *op, kind *plan.Kind, span *plan.Span) (again bool, err error) {
	o.provide()
	if o.perform(o.plan.Reads, 0); o.failed {
		*kind = plan.Resync // whoever could not be read is written, if what it holds is known
		err := a.learn(o)
		if err == nil && len(o.bad) > 0 && span.Len() > a.sector() && o.undecided() {
			span.Hi = span.Lo + half(min(span.Len(), syncNarrow), a.sector())
			o.avoid, o.cause, o.bad, *kind = 0, nil, o.bad[:0], plan.Check
		}
		return true, err
	}
	differ := o.calc()
	if *kind == plan.Check {
		*kind = plan.Resync
		return differ > 0, nil
	}
	if o.write(0); o.failed {
		return true, a.learn(o)
	}
	a.forgiveWritten(o)
	return false, nil
}
