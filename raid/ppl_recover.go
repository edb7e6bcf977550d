package raid

import (
	"context"
	"fmt"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// openLog takes the partial parity log of a raid5 into use. Of an array that was being written to when it went down, parity is first made true by what the
// log says; where that worked, the array is clean, and needs no resync.
func (a *Array) openLog(d *md.Decision) error {
	level, ok := a.level.(plan.Logged)
	if !ok || !a.ref.HasPPL() || a.geo.Level != 5 {
		return nil
	}
	a.info.Block = max(a.info.Block, sectorSize) // what an entry counts in
	p := &ppl{a: a, level: level, room: pplRecordRoom(a.ref), signature: md.SignaturePPL(a.ref.SetUUID)}
	for role := range a.geo.Roles {
		l := &pplLog{role: role}
		l.task = func() { p.run(l) }
		p.logs = append(p.logs, l)
	}
	clean := false
	if (d.Dirty || d.ForceClean) && len(d.Forced) == 0 {
		var err error
		if clean, err = a.replayLogs(level, d); err != nil {
			return err
		}
	}
	if !a.writable {
		return nil
	}
	a.meta.Lock()
	defer a.unlock()
	if (d.Dirty || d.ForceClean) && a.view.Load().Readable.Count() < a.geo.Roles {
		// Logs are emptied with the next superblocks. A member that is missing now may be back after a crash, and then needs what they say, unless
		// superblocks say that it is out.
		if err := a.markAs(markDirty); err != nil {
			return err
		}
		a.written = markClean
		a.mark.Store(markClean) // whoever writes first has superblocks say so again, and logs be begun before them
	}
	p.unsynced = a.view.Load().Synced < a.geo.SyncSize
	a.ppl = p
	a.becomeRing()
	if !clean {
		return nil
	}
	return a.markAs(markClean)
}

// becomeRing has superblocks call the log what it is used as from now on, as Linux does: whoever knows of one record only would not find the newest. Members that
// an interrupted commit left behind are brought up to date first, to what the freshest one says: that is no moment to change it.
func (a *Array) becomeRing() {
	behind := false
	for _, m := range a.members {
		behind = behind || m.live() && m.sb.Events != a.events
	}
	if !behind {
		a.ref.SetPPLRing()
	}
	a.ppl.ring = a.ref.Features&md.FeatureMultiPPL != 0
	for _, m := range a.all() {
		if m.live() {
			m.sb = m.sb.Clone()
			m.sb.SetPPL(a.ref)
		}
	}
}

// replayed counts what came of entries.
type replayed struct {
	entries    int // that were recovered
	mismatches int // entries and logs that could not be used
}

// replayLogs makes parity true where the logs say that it may not be, and says whether it is true everywhere then. Parity that a missing member leaves nothing to
// compare with is taken as it is, as md does.
func (a *Array) replayLogs(level plan.Logged, d *md.Decision) (clean bool, err error) {
	var n replayed
	v := a.view.Load()
	complete := v.Readable.Count() == a.geo.Roles
	if complete && !a.writable {
		return false, nil // nothing is computed from parity as long as it is not made true
	}
	for role, m := range v.members {
		if m == nil || !v.Writable.Has(role) {
			continue
		}
		if err := a.replayLog(level, role, m, &n); err != nil {
			return false, fmt.Errorf("%s: recovering by the partial parity log: %w", m.path, err)
		}
	}
	if a.writable {
		if dead, why := a.flushRoles(v.Writable); dead != 0 {
			return false, fmt.Errorf("recovering by the partial parity log: %w", why)
		}
	}
	a.findings = append(a.findings, fmt.Sprintf("not shut down cleanly: parity was made true where the partial parity log says that writes were under way: "+
		"%d entries recovered, %d entries or logs unusable", n.entries, n.mismatches))
	clean = n.mismatches == 0 && (d.ForceClean || d.Ref.ResyncOffset == 0 && (n.entries > 0 || !complete))
	switch {
	case !complete:
		if a.findings = append(a.findings, "a member is missing: what it had is intact but for what was being written"); n.mismatches > 0 {
			a.leaveBehind(0)
		}
		fallthrough
	case clean:
		a.change(func(v *view) { v.Synced = a.geo.SyncSize })
		a.flushed = a.geo.SyncSize
	}
	return clean, nil
}

// replayLog replays the newest record of the log of m.
func (a *Array) replayLog(level plan.Logged, role int, m *member, n *replayed) error {
	ctx := context.Background()
	h, at, err := md.ReadPPL(ctx, m.dev, m.sb)
	if err != nil && block.Classify(err) != block.Media {
		return err
	}
	if h == nil {
		n.mismatches++
		return nil
	}
	for _, e := range h.Entries {
		pp := block.Alloc(int64(e.PPSize))
		err := block.ReadAt(ctx, m.dev, pp, at)
		if err != nil && block.Classify(err) != block.Media {
			return err
		}
		at += int64(e.PPSize)
		if err != nil || md.ChecksumPPL(pp) != e.Checksum || int(e.ParityDisk) != role {
			n.mismatches++
			continue
		}
		ok, err := a.replay(level, role, e, pp)
		switch {
		case err != nil:
			return err
		case ok:
			n.entries++
		default:
			n.mismatches++
		}
	}
	return nil
}

// replay makes parity true after the write that e says was under way. It says whether it could.
func (a *Array) replay(level plan.Logged, role int, e md.PPLEntry, pp []byte) (bool, error) {
	o := a.getOp()
	defer a.putOp(o)
	o.view = *a.view.Load()
	o.plan.Reset()
	if e.DataSector >= 1<<53 || !level.Replay(&o.plan, role, int64(e.DataSector)*md.Sector, int64(e.DataSize), int64(e.PPSize), &o.view.View) {
		return false, nil
	}
	if !a.writable {
		a.leaveRows(o)
		return true, nil
	}
	o.user = pp
	o.provide()
	if o.perform(o.plan.Reads, 0); o.failed {
		if err := o.firstError(); block.Classify(err) != block.Media {
			return false, err
		}
		if o.view.Readable.Count() < a.geo.Roles { // else resync sees to it
			a.leaveRows(o)
		}
		return false, nil
	}
	o.calc()
	if o.write(0); o.failed {
		return false, o.firstError()
	}
	return true, nil
}

// leaveRows has nobody compute anything from the parity that o would write.
func (a *Array) leaveRows(o *op) {
	a.change(func(v *view) {
		for _, io := range o.plan.Writes {
			v.leave(plan.Span{Lo: io.Pos, Hi: io.Pos + io.Ref.Len})
		}
	})
}
