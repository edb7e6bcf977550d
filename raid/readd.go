package raid

import (
	"errors"
	"fmt"

	"graid/raid/md"
	"graid/raid/plan"
)

// returns says why the member e is not one that was in the array, and that lacks only what the bitmap says. The caller holds meta.
//
// It was, if its events are not from before the last time that bits were cleared: what was written since it left has its bits set. It must not have
// been written to while it was away, which it would have recorded as the loss of the others.
func (a *Array) returns(e *md.Examined) error {
	b, sb := a.intent.Load(), e.SB
	if sb == nil || sb.SetUUID != a.ref.SetUUID {
		return errors.New("it is no member of this array")
	}
	role := sb.Role()
	switch model := a.model(); {
	case b == nil:
		return errors.New("the array has no bitmap that would say what it lacks: add it")
	case role < 0 || role >= a.geo.Roles:
		return errors.New("it had no role in the array: add it")
	case a.members[role].live():
		return fmt.Errorf("its role, %d, has been taken over by %s: add it", role, a.members[role].path)
	case model == nil || !model.SameShape(sb) || sb.DataSize < model.Size || sb.Features&md.FeatureBitmap == 0 || sb.BitmapOffset == 0:
		return errors.New("the array had another shape when it was a member: add it")
	case sb.Features&md.FeatureReplacement != 0, sb.Features&md.FeatureRecovery != 0 && sb.Features&md.FeatureRecoveryBitmap == 0:
		return errors.New("it was not in sync when it left: add it")
	case sb.Features&md.FeatureBadBlocks != 0:
		return errors.New("it has bad blocks recorded: add it")
	case sb.Events < b.image.EventsCleared:
		return fmt.Errorf("it left at event %d, and the bitmap has been cleared at event %d: add it", sb.Events, b.image.EventsCleared)
	case sb.Events > a.events:
		return fmt.Errorf("it is at event %d, the array at %d: it has a life of its own", sb.Events, a.events)
	}
	for _, m := range a.all() {
		if m == nil || !m.live() {
			continue
		}
		switch n := m.sb.DevNumber; {
		case n == sb.DevNumber:
			return fmt.Errorf("its number, %d, has been given to %s: add it", n, m.path)
		case n < len(sb.Roles) && sb.Roles[n] == md.EntryFaulty && m.role >= 0 && m.since <= sb.Events: // else it failed and has come back
			return fmt.Errorf("it says that %s failed: it was used without it, and the two differ in what nobody knows: add it", m.path)
		}
	}
	return nil
}

// readmit gives a member that was away its role back. The caller holds meta, and has asked returns.
func (a *Array) readmit(n Member, e *md.Examined, opts AddOptions) error {
	sb := e.SB.Clone()
	sb.DevFlags |= opts.flags()
	role := sb.Role()
	m := a.newMember(n, e, role)
	m.sb, m.byBits = sb, true
	var gone error
	for _, old := range a.all() {
		if old != nil && old.sb.DevNumber == sb.DevNumber { // the same one, as it was when it failed
			a.forget(old)
			gone = errors.Join(gone, a.letGo(old))
		}
	}
	a.seat(m, role)
	if a.take(plan.RoleSet(0).With(role)) == 0 {
		a.forget(m)
		return fmt.Errorf("%s: not added: %w", n.Path, errors.Join(a.unwritten, gone))
	}
	if gone != nil {
		a.note(EventUncorrectable, m.path, gone.Error())
	}
	a.note(EventReAdded, m.path, fmt.Sprintf("role %d, %d of %d pieces to copy", role, a.intent.Load().on.Load(), len(a.intent.Load().words)))
	a.sync.kind.CompareAndSwap(workIdle, workRecover)
	a.rouse()
	return nil
}
