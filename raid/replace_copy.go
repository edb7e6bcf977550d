package raid

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// replace fills the twins that there are when it begins, and has them take over.
func (a *Array) replace() {
	v := a.view.Load()
	a.sync.ran.Store(true)
	for role, t := range v.twins {
		if t != nil && !a.closing.Load() {
			a.copyTo(role, t)
		}
	}
}

// copyTo fills one twin.
func (a *Array) copyTo(role int, t *member) {
	at := a.posOf(t.filled.Load())
	a.tell(EventRebuildStart, t.path, fmt.Sprintf("replacement of role %d from %d of %d bytes", role, at, a.geo.SyncSize))
	w := a.newWalk(at)
	stopped := func(why string) {
		a.tell(EventRebuildEnd, t.path, fmt.Sprintf("replacement of role %d stopped at %d of %d bytes%s", role, at, a.geo.SyncSize, why))
	}
	for at < a.geo.SyncSize {
		v := a.view.Load()
		if a.closing.Load() || v.broken != nil || v.twins == nil || v.twins[role] != t {
			stopped("")
			return
		}
		if v.Synced < a.geo.SyncSize || a.rebuilding(v) != 0 {
			stopped(", for now") // more urgent: this goes on afterwards
			return
		}
		var err error
		if at, err = w.step(at, func(at int64) (int64, error) {
			return a.abreast(plan.Span{Lo: at, Hi: a.geo.SyncSize}, func(s plan.Span) (int64, error) { return a.copyPiece(role, t, s) })
		}); err != nil {
			a.sync.halted.Store(true)
			a.tell(EventUncorrectable, t.path, fmt.Sprintf("replacement stopped at %d of %d bytes: %v", at, a.geo.SyncSize, err))
			stopped(": " + err.Error())
			return
		}
		t.filled.Store(a.rowsBelow(at))
		if w.due() {
			a.checkpoint()
		}
	}
	switch done, err := a.takeOver(role, t); {
	case err != nil:
		a.sync.halted.Store(true)
		a.tell(EventUncorrectable, t.path, "replacement is done, but could not be written down: "+err.Error())
		stopped(": " + err.Error())
	case done:
		a.tell(EventRebuildEnd, t.path, fmt.Sprintf("replacement of role %d done", role))
	default:
		stopped("")
	}
}

// copyPiece copies a prefix of span, of the sync space, onto the twin t of the member with the role, and returns its length. What that one cannot read comes
// from redundancy, and what that has not either is entered in t's bad block log.
func (a *Array) copyPiece(role int, t *member, span plan.Span) (int64, error) {
	o := a.getOp()
	defer a.putOp(o)
	o.beTimely()
	for {
		v := a.view.Load()
		if v.broken != nil {
			return 0, v.broken
		}
		if v.twins == nil || v.twins[role] != t {
			return span.Len(), nil // the caller sees
		}
		// Where the role's rows are is what a recovery of it would write, were everybody else here.
		where := plan.Healthy(a.geo.Roles)
		where.Readable = where.Readable.Without(role)
		o.view = *v
		o.plan.Reset()
		n, err := a.level.Sync(&o.plan, span, plan.Recover, &where)
		if err != nil {
			return 0, err
		}
		if asked, _ := o.lock(true, false); asked && a.view.Load() != v {
			continue // made with an old View
		}
		o.provide()
		o.both = append(o.both[:0], o.plan.Writes...)
		for i := range o.both {
			o.both[i].Op = block.Read
		}
		if o.perform(o.both, 0); o.failed {
			if a.sluggish(o) && (!o.timely || o.strained()) {
				o.bePatient()
				continue
			}
			known, err := a.computed(o, role, span)
			if err != nil {
				return 0, err
			}
			if !known && o.slow != 0 {
				o.bePatient()
				continue
			}
			if !known && span.Len() > a.sector() {
				span.Hi = span.Lo + half(min(n, syncNarrow), a.sector())
				o.unlock()
				continue
			}
			if !known {
				return n, a.condemnTwin(t, o.both, o.firstError())
			}
			if a.view.Load() != v {
				continue
			}
		}
		if err := a.ontoTwin(o, role, t); err != nil {
			return 0, err
		}
		return n, nil
	}
}

// computed makes o, which could not read the role's rows, have them in its plan's writes from redundancy; false if that cannot be, and then o.both says again what the
// rows are. It holds what o holds.
func (a *Array) computed(o *op, role int, span plan.Span) (bool, error) {
	where := append([]plan.IO(nil), o.both...)
	for i := range o.ios {
		if o.errs[i] != nil && block.Classify(o.errs[i]) != block.Media && !(o.timely && errors.Is(o.errs[i], block.ErrSlow)) {
			return false, a.learn(o) // which may lose the member, and then its twin succeeds it
		}
	}
	for i := range where {
		where[i].Op = block.Write
	}
	o.view.Readable = o.view.Readable.Without(role)
	o.view.Avoid = o.view.Avoid.With(role)
	o.plan.Reset()
	if _, err := a.level.Sync(&o.plan, span, plan.Recover, &o.view.View); err == nil {
		o.provide()
		if o.perform(o.plan.Reads, 0); !o.failed {
			o.calc()
			o.both = o.both[:0]
			for _, io := range o.plan.Writes {
				if io.Role == role {
					o.both = append(o.both, io)
				}
			}
			return true, nil
		}
		a.sluggish(o)
	}
	o.both = where
	return false, nil
}

// ontoTwin writes what o has of the role's rows onto t.
func (a *Array) ontoTwin(o *op, role int, t *member) error {
	for i := range o.both {
		o.both[i].Op, o.both[i].Role = block.Write, len(o.view.members)+role
	}
	if o.perform(o.both, 0); o.failed {
		a.bar(o)
	}
	if o.failed {
		return a.sickTwins(o, a.loseTwin)
	}
	a.forgiveWritten(o)
	return nil
}

// condemnTwin enters rows that nobody has in t's bad block log.
func (a *Array) condemnTwin(t *member, rows []plan.IO, why error) error {
	a.meta.Lock()
	defer a.unlock()
	for _, io := range rows {
		if err := a.condemnRows(t, plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}); err != nil {
			return errors.Join(err, why)
		}
	}
	return nil
}

// takeOver makes the twin t, which is filled, the member with the role, and the one it replaces faulty, in one superblock. It is not done where t failed
// at the last moment.
func (a *Array) takeOver(role int, t *member) (done bool, err error) {
	a.meta.Lock()
	defer a.unlock()
	for {
		// Its own superblock says that it is complete before any other calls it a member: if the crash comes in between, it is believed, and need
		// not be filled again.
		dead, why := a.flushAll()
		if dead == 0 && a.twin(role) == t {
			if dead, err = a.commit(); err != nil {
				return false, err
			}
			why = a.unwritten
		}
		if a.twin(role) != t || a.view.Load().broken != nil {
			return false, nil
		}
		if dead == 0 {
			break
		}
		if err := a.loseLocked(dead, why, false); err != nil {
			return false, err
		}
	}
	old := a.members[role]
	if a.wouldLose(role, old, t) {
		return false, a.loseTwinLocked(t, fmt.Errorf("it lacks what only %s has", old.path))
	}
	a.twins[role] = nil
	a.seat(t, role)
	t.state, old.state = MemberInSync, MemberFaulty
	dead, err := a.commitTwice() // the old one is two events behind then
	if err != nil {
		return false, err
	}
	a.note(EventSpareActive, t.path, fmt.Sprintf("role %d", role))
	a.note(EventFail, old.path, "replaced by "+t.path)
	a.change(func(v *view) {
		v.members = append([]*member(nil), a.members...)
		if v.Prefer = v.Prefer.Without(role); t.sb.DevFlags&md.WriteMostly == 0 {
			v.Prefer = v.Prefer.With(role)
		}
	})
	a.publishTwins()
	if dead != 0 {
		return true, a.loseLocked(dead, a.unwritten, true)
	}
	return true, nil
}

// wouldLose says whether the log of the twin t names rows that nobody but the member that it is to replace has. The caller holds meta.
func (a *Array) wouldLose(role int, old, t *member) bool {
	l := t.bad.Load()
	if l == nil {
		return false
	}
	for _, rows := range *l {
		for _, s := range old.good(rows) {
			if !a.knownElsewhere(role, s) && old.reads(s) {
				return true
			}
		}
	}
	return false
}

// reads says whether any of rows can be read: what nobody could read when it was copied is in the log of the copy too.
func (m *member) reads(rows plan.Span) bool {
	buf := block.Alloc(narrowest)
	for at := rows.Lo; at < rows.Hi; at += narrowest {
		if block.ReadAt(context.Background(), m.dev, buf[:min(narrowest, rows.Hi-at)], m.offset+at) == nil {
			return true
		}
	}
	return false
}

// good is rows but for those in m's log.
func (m *member) good(rows plan.Span) badList {
	list := badList{rows}
	if l := m.bad.Load(); l != nil {
		for _, s := range *l {
			list = list.without(s)
		}
	}
	return list
}

// knownElsewhere says whether rows of a role can be had without it, as far as logs tell.
func (a *Array) knownElsewhere(role int, rows plan.Span) bool {
	v := a.view.Load()
	if a.geo.Level == 10 {
		for _, s := range a.bytesOf(role, rows) {
			if !a.known(v, role, s) {
				return false
			}
		}
		return true
	}
	o := a.getOp()
	defer a.putOp(o)
	for rows.Len() > 0 {
		o.avoid = plan.RoleSet(0).With(role)
		n, ok := o.knows(v, rows, role)
		if !ok {
			return false
		}
		rows.Lo += n
	}
	return true
}
