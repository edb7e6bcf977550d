package raid

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// commitTwice is commit, and again: whoever is not written falls two events behind. Being one behind is what an interrupted commit leaves on
// members that are good, and kernels before 6.8 believe such a one whatever the others say of it. It must not be done in one step, or
// an interruption would leave good members two behind.
func (a *Array) commitTwice() (dead plan.RoleSet, err error) {
	if dead, err = a.commit(); dead != 0 || err != nil {
		return dead, err
	}
	if dead, err = a.commit(); dead == 0 && err == nil {
		a.distant = true
	}
	return dead, err
}

// commit writes the superblocks of every live member, one event further on, with the marks and roles as they are now, and flushes
// them. It returns the roles of members that could not be written, which are to be lost. The caller holds meta.
//
// Members are written together. Faulty ones are never written: what they say must stay behind.
func (a *Array) commit() (dead plan.RoleSet, err error) {
	if !a.writable {
		return 0, block.ErrReadOnly
	}
	if dead = a.catchUp(); dead != 0 {
		return dead, nil
	}
	a.events++
	bits := a.intent.Load()
	if bits != nil {
		bits.image.Events = a.events
		bits.pages[0] = true
	}
	roles, resync, now := a.roleTable(), a.resyncOffset(), a.sched.Wall()
	all, again := a.all(), false
	errs := make([]error, len(all))
	a.writeLogs(all, errs)
	g := newGroup(a.sched)
	for i, m := range all {
		if !m.live() || errs[i] != nil {
			continue
		}
		sb := m.sb.Clone()
		sb.Events, sb.ResyncOffset = a.events, resync
		sb.SetUpdated(now)
		errs[i] = sb.SetRoles(roles)
		sb.CorrectedReads = uint32(m.corrected.Load())
		if sb.Features &^= md.FeatureBadBlocks; m.bad.Load() != nil {
			sb.Features |= md.FeatureBadBlocks
		}
		if m.role >= 0 && m.state == MemberInSync {
			sb.Features &^= md.FeatureRecovery | md.FeatureRecoveryBitmap
			sb.RecoveryOffset = 0
		}
		if m.state == MemberReplacement {
			sb.Features |= md.FeatureReplacement | md.FeatureRecovery
			sb.RecoveryOffset = uint64(m.saved / md.Sector)
			if m.saved >= a.geo.Rows { // all of it is on the media, and whatever is written since is written to it too
				sb.Features &^= md.FeatureRecovery
				sb.RecoveryOffset = 0
			}
		} else {
			sb.Features &^= md.FeatureReplacement
		}
		if m.role >= 0 && m.state == MemberRebuilding {
			sb.Features = sb.Features&^md.FeatureRecoveryBitmap | md.FeatureRecovery
			sb.RecoveryOffset = uint64(m.saved / md.Sector)
			if m.byBits {
				sb.Features |= md.FeatureRecoveryBitmap
				sb.RecoveryOffset = 0 // whoever goes on goes by the bits, from the beginning
			}
		}
		if errs[i] != nil {
			continue
		}
		g.Go(func() {
			if errs[i] = a.writeRecords(m, sb); errs[i] == nil {
				m.sb = sb
			}
		})
	}
	g.Wait()
	if bits != nil && errors.Join(errs...) == nil {
		clear(bits.pages)
	}
	for i, m := range all {
		if errs[i] == nil {
			continue
		}
		m.writeErrors.Add(1)
		if m.state == MemberReplacement {
			a.dropTwin(m, errs[i])
			a.unwritten, again = errs[i], true
			continue
		}
		if m.role < 0 {
			m.state = MemberFaulty // a spare that cannot be written is no spare
			a.note(EventFail, m.path, errs[i].Error())
			continue
		}
		dead = dead.With(m.role)
		a.unwritten = fmt.Errorf("its superblock could not be written: %w", errs[i])
	}
	if again {
		a.publishTwins()
		more, err := a.commit() // what is written from now on is not written to it, and that must be known
		return dead | more, err
	}
	return dead, nil
}

// catchUp writes what the freshest superblock says onto members that an interrupted commit left one event behind, and returns those that
// could not be written. Without it a second interruption would leave them two behind, and nobody would believe them any more.
func (a *Array) catchUp() (dead plan.RoleSet) {
	if a.events != a.ref.Events {
		return 0
	}
	// What assembly read may be on its way to the media still, from a process that was killed. It was believed, so it must be durable before
	// anything is built on it.
	var here plan.RoleSet
	for role, m := range a.members {
		if m.live() {
			here = here.With(role)
		}
	}
	if dead, a.unwritten = a.flushRoles(here); dead != 0 {
		return dead
	}
	for role, m := range a.members {
		if !m.live() || m.sb.Events+1 != a.events || a.ref.RoleOf(m.sb.DevNumber) != role {
			continue
		}
		sb := m.sb.Clone()
		sb.Events, sb.ResyncOffset, sb.UTimeRaw = a.ref.Events, a.ref.ResyncOffset, a.ref.UTimeRaw
		err := sb.SetRoles(a.ref.Roles)
		if err == nil {
			err = a.writeRecords(m, sb)
		}
		if err != nil {
			m.writeErrors.Add(1)
			dead = dead.With(role)
			a.unwritten = fmt.Errorf("its superblock could not be written: %w", err)
			continue
		}
		m.sb = sb
	}
	return dead
}

// writeRecords makes m's bitmap and superblock durable, in this order. A spare has no use for the bitmap.
func (a *Array) writeRecords(m *member, sb *md.Superblock) error {
	ctx := context.Background()
	if b := a.intent.Load(); b != nil && m.role >= 0 {
		if err := b.write(m); err != nil {
			return err
		}
		if err := block.Sync(ctx, m.dev); err != nil {
			return err
		}
	}
	if a.ppl != nil && m.role >= 0 && m == a.members[m.role] {
		if err := a.ppl.prepare(m); err != nil {
			return err
		}
	}
	if err := md.WriteSuperblock(ctx, m.dev, sb, 0); err != nil {
		return err
	}
	return block.Sync(ctx, m.dev)
}

// writeLogs makes the bad block logs durable that are not what members have, before any superblock says who has failed: what is struck off one may be all that
// is left then.
func (a *Array) writeLogs(all []*member, errs []error) {
	g := newGroup(a.sched)
	for i, m := range all {
		if m.live() && m.logStale {
			g.Go(func() { errs[i] = m.writeLog() })
		}
	}
	g.Wait()
}

// writeLog makes m's bad block log durable.
func (m *member) writeLog() error {
	ctx := context.Background()
	// What was struck off has been written, but need not be on the media.
	if err := block.Sync(ctx, m.dev); err != nil {
		return err
	}
	if err := md.WriteBadBlocks(ctx, m.dev, m.sb, m.log()); err != nil {
		return err
	}
	if err := block.Sync(ctx, m.dev); err != nil {
		return err
	}
	m.logStale = false
	return nil
}

// complete says whether every role has a member that is in sync. The View does not know yet when a member has just failed.
func (a *Array) complete() bool {
	for _, m := range a.members {
		if m == nil || m.state != MemberInSync {
			return false
		}
	}
	return true
}

// roleTable is the table of roles by device number that every superblock carries: what this array believes of whom.
func (a *Array) roleTable() []uint16 {
	size := len(a.ref.Roles)
	for _, m := range a.all() {
		if m != nil {
			size = max(size, m.sb.DevNumber+1)
		}
	}
	t := make([]uint16, size)
	for i := range t {
		t[i] = md.EntrySpare
	}
	for _, m := range a.all() {
		switch {
		case m == nil:
		case m.state == MemberFaulty:
			t[m.sb.DevNumber] = md.EntryFaulty
		case m.role >= 0:
			t[m.sb.DevNumber] = uint16(m.role)
		}
	}
	return t
}

// all is every member: by role, then those that are to replace one, then the spares. Entries may be nil.
func (a *Array) all() []*member {
	return append(append(a.members[:len(a.members):len(a.members)], a.twins...), a.spares...)
}
