package raid

import (
	"fmt"

	"graid/raid/md"
	"graid/raid/plan"
)

// walker is a level whose sync space is not its members' rows.
type walker interface {
	// Rows is below which row every member is filled when all of the sync space below pos is.
	Rows(pos int64) int64
	// Pos is a place in the sync space that all rows below row come before.
	Pos(row int64) int64
}

func (a *Array) rowsBelow(pos int64) int64 {
	switch w, ok := a.level.(walker); {
	case pos >= a.geo.SyncSize:
		return a.geo.Rows
	case ok:
		return w.Rows(pos)
	}
	return pos
}

func (a *Array) posOf(row int64) int64 {
	if w, ok := a.level.(walker); ok {
		return min(w.Pos(row), a.geo.SyncSize)
	}
	return min(row, a.geo.SyncSize)
}

// rebuild fills the members that are not in sync, all that there are when it begins, and has superblocks call them in sync when everything they
// should have is on their media.
//
// The order makes it safe at every moment: what superblocks say of a member's progress was flushed before, rows beyond its progress are never
// read from it, and every write goes to it all the same.
func (a *Array) rebuild() {
	v := a.view.Load()
	roles, whose := a.rebuilding(v), v.members
	at := a.geo.SyncSize
	for role := range a.geo.Roles {
		if roles.Has(role) {
			at = min(at, a.posOf(v.Recovered[role]))
		}
	}
	a.sync.ran.Store(true)
	a.tell(EventRebuildStart, "", fmt.Sprintf("recovery of role %s from %d of %d bytes", roles, at, a.geo.SyncSize))
	w := a.newWalk(at)
	bits, all := a.missedBits(roles), roles
	for at < a.geo.SyncSize {
		v := a.view.Load()
		roles &= a.stillFilling(v, whose)
		if a.closing.Load() || v.broken != nil || roles == 0 {
			break
		}
		piece := plan.Span{Lo: at, Hi: a.geo.SyncSize}
		if bits != nil {
			if piece = bits.next(at, a.geo.SyncSize, intentOn); piece.Lo > at {
				at = piece.Lo
				a.advance(roles, whose, at)
				continue
			}
		}
		var err error
		if at, err = w.step(at, func(at int64) (int64, error) { return a.abreast(plan.Span{Lo: at, Hi: piece.Hi}, a.refill) }); err != nil {
			a.sync.halted.Store(true)
			a.tell(EventUncorrectable, "", fmt.Sprintf("recovery stopped at %d of %d bytes: %v", at, a.geo.SyncSize, err))
			a.tell(EventRebuildEnd, "", fmt.Sprintf("recovery of role %s stopped at %d of %d bytes: %v", all, at, a.geo.SyncSize, err))
			return
		}
		a.advance(roles, whose, at)
		if w.due() {
			a.checkpoint()
		}
	}
	if roles &= a.stillFilling(a.view.Load(), whose); at < a.geo.SyncSize || roles == 0 {
		a.tell(EventRebuildEnd, "", fmt.Sprintf("recovery of role %s stopped at %d of %d bytes", all, at, a.geo.SyncSize))
		return
	}
	if err := a.promote(roles, whose); err != nil {
		a.sync.halted.Store(true)
		a.tell(EventUncorrectable, "", "recovery is done, but could not be written down: "+err.Error())
		a.tell(EventRebuildEnd, "", fmt.Sprintf("recovery of role %s stopped at its end: %v", all, err))
		return
	}
	a.tell(EventRebuildEnd, "", fmt.Sprintf("recovery of role %s done", roles))
}

// missedBits is the bitmap, if all of what roles lack is where its bits are set; else nil.
func (a *Array) missedBits(roles plan.RoleSet) *intent {
	a.meta.Lock()
	defer a.meta.Unlock()
	for role, m := range a.members {
		if roles.Has(role) && !m.byBits {
			return nil
		}
	}
	return a.intent.Load()
}

// refill fills a prefix of span, of the sync space, of every member that is to be filled, and returns its length.
func (a *Array) refill(span plan.Span) (int64, error) {
	o := a.getOp()
	defer a.putOp(o)
	o.beTimely()
	for {
		v := a.view.Load()
		if v.broken != nil {
			return 0, v.broken
		}
		n, err := o.plansSync(v, span, plan.Recover)
		if err != nil && o.slow != 0 {
			o.bePatient()
			continue
		}
		if err != nil {
			if o.cause == nil {
				return 0, err
			}
			if span.Len() > a.sector() {
				span.Hi = span.Lo + half(min(span.Len(), syncNarrow), a.sector())
				o.avoid, o.cause, o.bad = 0, nil, o.bad[:0]
				continue
			}
			a.uncorrectable(o)
			return span.Len(), a.condemn(o, span)
		}
		if asked, _ := o.lock(true, false); asked && a.view.Load() != v {
			continue // made with an old View
		}
		o.provide()
		if o.perform(o.plan.Reads, 0); !o.failed {
			o.calc()
			o.write(0)
		}
		if o.failed {
			if err := a.learn(o); err != nil {
				return 0, err
			}
			continue
		}
		a.forgiveWritten(o)
		o.unlock()
		a.correct(o)
		return n, nil
	}
}

// plansSync plans background work with v, as far as v believes.
func (o *op) plansSync(v *view, span plan.Span, kind plan.Kind) (int64, error) {
	o.see(v)
	o.plan.Reset()
	n, err := o.a.level.Sync(&o.plan, span, kind, &o.view.View)
	if err == nil && v.left != nil && v.believable(&o.plan) < v.Synced {
		o.view.Synced = v.believable(&o.plan)
		o.plan.Reset()
		n, err = o.a.level.Sync(&o.plan, span, kind, &o.view.View)
	}
	return n, err
}

// stillFilling is the roles whose members are being filled and are the same as in whose: one that failed may have been succeeded by another, which
// has nothing of what the first was given.
func (a *Array) stillFilling(v *view, whose []*member) plan.RoleSet {
	roles := a.rebuilding(v)
	for role, m := range v.members {
		if m != whose[role] {
			roles = roles.Without(role)
		}
	}
	return roles
}

// advance lets members of roles be read up to where the sync space below pos has them filled.
func (a *Array) advance(roles plan.RoleSet, whose []*member, pos int64) {
	rows := a.rowsBelow(pos)
	a.change(func(v *view) {
		for role := range v.Recovered {
			if (roles & a.stillFilling(v, whose)).Has(role) {
				v.Recovered[role] = max(v.Recovered[role], rows)
			}
		}
	})
}

// promote makes members of roles, which are filled, members in sync.
func (a *Array) promote(roles plan.RoleSet, whose []*member) error {
	a.meta.Lock()
	defer a.unlock()
	if roles &= a.stillFilling(a.view.Load(), whose); roles == 0 {
		return nil
	}
	for {
		dead, why := a.flushAll()
		if dead == 0 {
			break
		}
		if err := a.loseLocked(dead, why, false); err != nil {
			return err
		}
		if roles &= a.rebuilding(a.view.Load()); roles == 0 || a.view.Load().broken != nil {
			return why
		}
	}
	for role, m := range a.members {
		if roles.Has(role) {
			m.state, m.byBits = MemberInSync, false
		}
	}
	// A parity array that was forced without a member may have been half written where that has been filled already; and a raid6 has it from P now, where Q may
	// say otherwise. That is made to agree.
	redo := a.doubt.Load() && a.geo.Level != 1 && a.geo.Level != 10 && a.complete()
	if redo {
		a.flushed = 0
	}
	dead, err := a.commit()
	if err != nil {
		for role, m := range a.members {
			if roles.Has(role) {
				m.state = MemberRebuilding
			}
		}
		return err
	}
	for role, m := range a.members {
		if roles.Has(role) && !dead.Has(role) {
			a.note(EventSpareActive, m.path, fmt.Sprintf("role %d", role))
		}
	}
	again := false
	a.change(func(v *view) {
		v.Readable |= roles &^ dead
		if v.Writable == v.Readable {
			v.Recovered = nil
		}
		if again = a.sync.given.Load() && v.Readable.Count() == a.geo.Roles; again {
			// All members are here again: what was given up when one was lost can be made to agree after all.
			v.Synced = min(v.Synced, a.sync.reached.Load())
		}
		if redo {
			v.Synced = 0
		}
	})
	if redo {
		if b := a.intent.Load(); b != nil {
			b.needAll()
		}
		a.doubt.Store(false)
	}
	if again {
		a.flushed = min(a.flushed, a.sync.reached.Load())
		a.sync.given.Store(false)
	}
	if dead != 0 {
		return a.loseLocked(dead, a.unwritten, true)
	}
	return nil
}

// standIn gives spares the roles that have no member, and says whether it could. Superblocks say so, with nothing recovered yet, before anything
// is written to the data of the spare.
func (a *Array) standIn() bool {
	a.meta.Lock()
	defer a.unlock()
	v := a.view.Load()
	if v.broken != nil || !a.level.Enough(v.Readable) {
		return false
	}
	var roles plan.RoleSet
	for role := range a.geo.Roles {
		if v.Readable.Has(role) || v.Writable.Has(role) {
			continue
		}
		s := a.spare()
		if s == nil {
			break
		}
		a.seat(s, role)
		roles = roles.With(role)
	}
	return roles != 0 && a.take(roles) != 0
}

// seat gives m, which is to be filled, the role. Who had it has none any more. The caller holds meta.
func (a *Array) seat(m *member, role int) {
	if failed := a.members[role]; failed != nil {
		failed.role = -1
		a.spares = append(a.spares, failed)
	}
	m.role, m.state, m.saved, m.since = role, MemberRebuilding, 0, a.events+1
	a.members[role] = m
}

// take has superblocks say that members that were seated are being filled, and then writes go to them too. It returns the roles of those that took
// their own. The caller holds meta.
func (a *Array) take(roles plan.RoleSet) plan.RoleSet {
	dead, err := a.commit()
	if err != nil {
		dead = roles
		a.unwritten = err
	}
	for role, m := range a.members {
		if roles.Has(role) && dead.Has(role) {
			m.state = MemberFaulty
			a.note(EventFail, m.path, a.unwritten.Error())
		}
	}
	roles &^= dead
	a.change(func(v *view) {
		recovered := make([]int64, a.geo.Roles)
		copy(recovered, v.Recovered)
		v.Recovered = recovered
		v.members = append([]*member(nil), a.members...)
		v.Writable |= roles
		for role, m := range a.members {
			if roles.Has(role) {
				recovered[role] = 0
				if m.sb.DevFlags&md.WriteMostly == 0 {
					v.Prefer = v.Prefer.With(role)
				}
			}
		}
	})
	if dead &^= roles; dead != 0 {
		_ = a.loseLocked(dead, a.unwritten, true) // who was in sync; whoever writes next meets it again
	}
	return roles
}

// hasSpare says whether there is a spare that could take over a role.
func (a *Array) hasSpare() bool {
	for _, s := range a.spares {
		if s.state == MemberSpare && s.size >= a.geo.Rows {
			return true
		}
	}
	return false
}

// spare takes a spare that is large enough off the list of those; nil if there is none.
func (a *Array) spare() *member {
	for i, s := range a.spares {
		if s.state == MemberSpare && s.size >= a.geo.Rows {
			a.spares = append(a.spares[:i:i], a.spares[i+1:]...)
			return s
		}
	}
	return nil
}
