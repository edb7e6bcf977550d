package raid

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// learn looks at the errors of the batch o has just performed. Afterwards either the array knows better, and planning again will do
// something else, or the error is to be returned: there is nothing to be learnt from a wrong request, nor by a level that has no redundancy.
func (a *Array) learn(o *op) error {
	var dead plan.RoleSet
	var why error
	wrote, refused, timely := false, 0, o.timely
	if o.view.twins != nil {
		if err := a.sickTwins(o, a.loseTwin); err != nil {
			return err
		}
	}
	for i := range o.ios {
		err := o.errs[i]
		switch {
		case o.ios[i].Role >= len(o.view.members):
			if err != nil && o.flags&block.NoWait != 0 && errors.Is(err, block.ErrWouldBlock) {
				return block.ErrWouldBlock
			}
			continue
		case err == nil || err == errBarred || a.view.Load().members[o.ios[i].Role] != o.view.members[o.ios[i].Role]:
			continue // another has taken over since
		case errors.Is(err, block.ErrWouldBlock) && o.flags&block.NoWait != 0:
			return block.ErrWouldBlock
		}
		io, m := &o.ios[i], o.view.members[o.ios[i].Role]
		if timely && io.Op == block.Read && errors.Is(err, block.ErrSlow) {
			if over := a.tardy(o, i, dead); over != nil {
				dead, why = dead.With(io.Role), over
			}
			continue
		}
		class := block.Classify(err)
		switch {
		case err == errRecordedBad:
		case io.Op == block.Read:
			m.readErrors.Add(1)
		default:
			wrote = true
			m.writeErrors.Add(1)
		}
		if class == block.Caller {
			refused++
		}
		switch {
		case class == block.Caller && io.Op == block.Read || !a.geo.Redundant():
			return err
		case class == block.Media && io.Op == block.Read:
			if o.view.Avoid.Has(io.Role) {
				return err // read although it was to be avoided: planning again would go round in circles
			}
			if err != errRecordedBad && !o.undecided() { // while copies do not agree it matters whose is left
				if over := a.tooMany(o, i, dead); over != nil {
					dead, why = dead.With(io.Role), over
					break
				}
			}
			o.avoid = o.avoid.With(io.Role)
			o.bad = append(o.bad, badRows{m, io.Role, plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}, plan.Span{Lo: io.Pos, Hi: io.Pos + io.Ref.Len}, err == errRecordedBad})
			if o.cause == nil {
				o.cause = err
			}
		default:
			dead, why = dead.With(io.Role), err
		}
	}
	v := a.view.Load()
	switch {
	case dead == 0:
		return nil
	case refused == len(o.ios):
		return why // refused by all alike, and so done by none: the request is at fault, or everything has become read-only
	case a.lastCopy(dead, why):
		if wrote && v.Writable.Count() > 1 {
			a.uneven.Store(true) // other copies may have been written
		}
		if block.Classify(why) == block.Caller {
			return fmt.Errorf("%w: %w", block.ErrMedia, why) // the member's refusal, not the request's fault
		}
		return why
	case wrote && !a.level.Enough(v.Readable&^dead):
		// The array breaks with this write half done: what its rows add up to is not known any more.
		a.change(func(v *view) { v.leave(o.extent()) })
	}
	err := a.lose(o, dead, why, wrote)
	if wrote && a.view.Load().broken != nil {
		// It broke in the end, because others could not write down that these are lost. The rows are still held: nobody has computed from them.
		a.change(func(v *view) { v.leave(o.extent()) })
	}
	return err
}

// extent is the part of the sync space that the batch of o is about.
func (o *op) extent() (s plan.Span) {
	for i := range o.ios {
		io := &o.ios[i]
		if i == 0 {
			s = plan.Span{Lo: io.Pos, Hi: io.Pos}
		}
		s = plan.Span{Lo: min(s.Lo, io.Pos), Hi: max(s.Hi, io.Pos+io.Ref.Len)}
	}
	return s
}

// lastCopy says whether roles hold the only copy of something and may still be there. A mirror's last member is not failed for an
// error, as md does not: nothing else is staler than it, and the request that met the error is told.
func (a *Array) lastCopy(roles plan.RoleSet, why error) bool {
	mirror := a.geo.Level == 1 || a.geo.Level == 10
	return mirror && block.Classify(why) != block.Gone && !a.level.Enough(a.view.Load().Readable&^roles)
}

// lose takes roles out of the array because of why. When it returns nil the survivors' superblocks durably say so, and the View is
// without them; the array may be broken, which planning again will find out. A broken array goes on reading from members that are readable
// still, because all they did was to fail writes.
//
// The roles are those of o's View: a member that has taken over such a role since is not meant.
func (a *Array) lose(o *op, roles plan.RoleSet, why error, readable bool) error {
	a.meta.Lock()
	defer a.unlock()
	for role, m := range a.members {
		if m != o.view.members[role] {
			roles = roles.Without(role)
		}
	}
	return a.loseLocked(roles, why, readable)
}

// loseLocked is lose for whoever holds meta.
func (a *Array) loseLocked(roles plan.RoleSet, why error, readable bool) error {
	var lost []*member
	filled := map[int]int64{} // of the roles that another succeeds to
	moved := false            // somebody has taken a role: also one that has failed since
	for {
		v := a.view.Load()
		roles &= v.Readable | v.Writable
		if roles == 0 {
			return nil
		}
		if v.broken != nil || !a.level.Enough(v.Readable&^roles) {
			a.breakDown(roles, why, readable && block.Classify(why) != block.Gone)
			return nil
		}
		if !a.writable {
			a.change(func(v *view) { v.without(roles) }) // nothing is written, so nothing can become stale
			return nil
		}
		for role, m := range a.members {
			if roles.Has(role) && m == v.members[role] && m.state != MemberFaulty {
				m.state = MemberFaulty
				lost = append(lost, m)
			}
		}
		a.succeed(roles, filled)
		moved = moved || len(filled) > 0
		given := a.giveUpResync()
		more, err := a.commitTwice()
		if err != nil {
			return err
		}
		if more == 0 {
			a.change(func(v *view) {
				v.without(roles)
				if moved {
					v.succeeded(filled, a.members)
				}
				if given {
					v.Synced, v.left = a.geo.SyncSize, nil // not before: a write that can still reach them must not believe the parity
				}
			})
			for _, m := range lost {
				a.note(EventFail, m.path, why.Error())
			}
			if moved {
				a.publishTwins()
			}
			if a.hasSpare() || len(filled) > 0 {
				a.sync.kind.CompareAndSwap(workIdle, workRecover)
			}
			a.rouse()
			return nil
		}
		for role := range filled {
			if more.Has(role) {
				// Who was to succeed is lost on the way. Nothing is written to it any more, and its role has nobody: that goes into the view with the rest.
				a.members[role].state = MemberFaulty
				lost = append(lost, a.members[role])
				delete(filled, role)
			}
		}
		// Writing that down met further members that cannot: they are lost too, and that must be written down as well.
		roles |= more
	}
}

// breakDown ends writing: fewer members are left than the level needs. Superblocks stay as they are, with the dead still believed: what
// they hold is as new as what the others hold, and the marks say dirty.
func (a *Array) breakDown(roles plan.RoleSet, why error, readable bool) {
	for role, m := range a.members {
		if roles.Has(role) && m != nil {
			m.state = MemberFaulty
			a.note(EventFail, m.path, why.Error())
		}
	}
	first := a.view.Load().broken == nil
	a.change(func(v *view) {
		if readable {
			v.Writable &^= roles
		} else {
			v.without(roles)
		}
		if v.broken == nil {
			v.broken = fmt.Errorf("%w: array has failed: %w", block.ErrMedia, why)
		}
	})
	if first {
		a.note(EventBroken, "", why.Error())
	}
}

// refusal is what the user sees when a level says that too few members are left.
func (o *op) refusal(err error) error {
	if b := o.a.view.Load().broken; b != nil {
		return b
	}
	return fmt.Errorf("%w: %w", block.ErrMedia, err)
}

func (o *op) firstError() error {
	for i := range o.ios {
		if o.errs[i] != nil {
			return o.errs[i]
		}
	}
	return nil
}

func (a *Array) uncorrectable(o *op) {
	for _, b := range o.bad {
		a.tell(EventUncorrectable, b.m.path, fmt.Sprintf("%d bytes at %d: %v", b.row.Len(), b.row.Lo, o.cause))
	}
}

// flush makes every write that completed durable on every member that takes writes. A failed flush is never tried again: what the
// member's cache held is no longer known, so the member is lost.
func (a *Array) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !a.writable {
		return nil
	}
	v := a.view.Load()
	if v.broken != nil {
		return v.broken
	}
	o := a.getOp()
	defer a.putOp(o)
	dead, why := o.flush(v, v.Writable)
	if o.failed && v.twins != nil {
		if err := a.sickTwins(o, a.loseTwin); err != nil {
			return err
		}
	}
	if dead == 0 {
		return nil
	}
	if !a.geo.Redundant() {
		return why
	}
	if err := a.lose(o, dead, why, false); err != nil {
		return err
	}
	return a.view.Load().broken
}

// flush flushes the members that have roles in v together and says which could not.
func (o *op) flush(v *view, roles plan.RoleSet) (dead plan.RoleSet, why error) {
	o.view = *v
	o.plan.Reset()
	for role, m := range v.members {
		if roles.Has(role) && m != nil {
			o.plan.Writes = append(o.plan.Writes, plan.IO{Op: block.Flush, Role: role})
		}
	}
	o.write(0)
	for i, io := range o.plan.Writes {
		if o.errs[i] != nil {
			dead, why = dead.With(io.Role), o.errs[i]
		}
	}
	return dead, why
}

// flushRoles is flush for whoever holds meta.
func (a *Array) flushRoles(roles plan.RoleSet) (dead plan.RoleSet, why error) {
	o := a.getOp()
	defer a.putOp(o)
	if dead, why = o.flush(a.view.Load(), roles); o.failed && o.view.twins != nil {
		if err := a.sickTwins(o, a.loseTwinLocked); err != nil && dead == 0 {
			return roles, err // nothing can be written down any more
		}
	}
	return dead, why
}
