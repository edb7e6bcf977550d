package raid

import (
	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// The mark says what the superblocks say about writes. A write needs it to be dirty, and no write may be under way while it
// becomes clean:
//
//	clean ──first write──▶ (commit) ──▶ dirty ──a quiet while──▶ settling ──no writer, flushed, committed──▶ clean
//	                                      ▲                          │ a writer was there
//	                                      └──────────────────────────┘
//
// A writer counts itself in writers before it looks at the mark; the cleaner sets settling before it looks at writers. One of them sees the other.
const (
	markClean int32 = iota
	markDirty
	markSettling
)

// beginWrite returns when a write to s, of the sync space, may reach members: the superblocks durably say dirty, and the bitmap that it returns, if
// there is one, says where. With noWait it fails rather than wait for that.
func (a *Array) beginWrite(s plan.Span, noWait bool) (*intent, error) {
	if !a.geo.Redundant() {
		return nil, nil // nothing can disagree, so nothing is marked; md never updates these superblocks either
	}
	a.writers.Add(1)
	dirty := a.mark.Load() == markDirty
	b := a.intent.Load() // after the mark: it changes while that is settling
	if dirty && (b == nil || b.enter(s)) {
		return b, nil
	}
	a.writers.Add(-1)
	if noWait {
		return nil, block.ErrWouldBlock
	}
	if dirty {
		b.want(s)
	}
	a.meta.Lock()
	defer a.unlock()
	dirty = a.mark.Load() == markDirty
	var err error
	if b = a.intent.Load(); b != nil {
		err = a.intend(b, s, dirty)
		dirty = a.mark.Load() == markDirty
	}
	if err == nil && !dirty {
		err = a.markAs(markDirty)
	}
	if err != nil {
		return nil, err
	}
	a.writers.Add(1)
	return b, nil
}

func (a *Array) endWrite(b *intent, s plan.Span) {
	if !a.geo.Redundant() {
		return
	}
	if b != nil {
		b.leave(s)
	}
	if !a.wrote.Load() {
		a.wrote.Store(true)
	}
	a.writers.Add(-1)
}

// markAs commits the superblocks with the mark m. The caller holds meta. Members that cannot be written are lost on the way.
func (a *Array) markAs(m int32) error {
	before := a.written
	a.written = m
	commit := a.commit
	if !a.distant && a.view.Load().Readable.Count() < a.geo.Roles {
		commit = a.commitTwice
	}
	dead, err := commit()
	if err == nil && dead != 0 {
		err = a.loseLocked(dead, a.unwritten, true)
	}
	if err == nil {
		err = a.view.Load().broken
	}
	if err != nil {
		a.written = before
		return err
	}
	a.mark.Store(m) // only now: whoever sees dirty writes without asking
	return nil
}

// settle marks the array clean if nobody has written since the last call and nobody is writing. It is called every quiet while, and with
// now at the end.
func (a *Array) settle(now bool) {
	if a.mark.Load() != markDirty || a.uneven.Load() || a.wrote.Swap(false) && !now {
		return
	}
	a.meta.Lock()
	defer a.unlock()
	for a.mark.Load() == markDirty && a.view.Load().broken == nil {
		a.mark.Store(markSettling)
		if a.writers.Load() != 0 {
			a.mark.Store(markDirty)
			return
		}
		// What was written must be on the media before the superblocks call it agreed. Where that cost a member, writers may have come in
		// meanwhile: all of it again.
		dead, why := a.flushAll()
		if dead == 0 {
			if a.markAs(markClean) != nil {
				a.mark.Store(markDirty)
			}
			return
		}
		a.mark.Store(markDirty)
		if a.loseLocked(dead, why, false) != nil {
			return
		}
	}
}

// flushAll flushes every member that takes writes, and notes how far resync was when it began. The caller holds meta.
func (a *Array) flushAll() (dead plan.RoleSet, why error) {
	v := a.view.Load()
	filled := make([]int64, len(v.twins))
	for role, t := range v.twins {
		if t != nil {
			filled[role] = t.filled.Load()
		}
	}
	if dead, why = a.flushRoles(v.Writable); dead == 0 {
		a.flushed = v.Synced
		for role, t := range v.twins {
			if t != nil && t == a.twin(role) {
				t.saved = filled[role]
			}
		}
		for role, m := range a.members {
			if m != nil && v.Recovered != nil && m == v.members[role] {
				m.saved = v.Recovered[role]
			}
		}
	}
	return dead, why
}

// cleaner is the task that calls settle every quiet while until the array closes, and tidy every few of them: as many as md would wait seconds.
func (a *Array) cleaner() {
	for n := uint32(1); !a.closing.Load(); n++ {
		a.wake.WaitFor(a.quiet)
		a.settle(false)
		if b := a.intent.Load(); b != nil && n%b.image.DaemonSleep == 0 {
			a.tidy(false)
		}
	}
}

// resyncOffset is what a superblock is to say about how far members agree: in sectors of the sync space. The caller holds meta.
func (a *Array) resyncOffset() uint64 {
	if a.written == markDirty {
		return 0 // md's way to say that writes are under way
	}
	at := a.flushed // not View.Synced: what resync has written since may not be on the media
	if a.sync.given.Load() {
		at = min(at, a.sync.reached.Load())
	}
	if at < a.geo.SyncSize {
		return uint64(at / md.Sector)
	}
	return md.MaxSector
}
