package raid

import (
	"context"
	"fmt"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// A member that refuses a write for its medium is not lost if it has a bad block log: what it did not take is recorded there, and comes from redundancy
// until a later write succeeds, as with md. The order is what makes that safe:
//
//	batch written, but for some ──▶ what others of it took is struck off their logs, durably ──▶ do they have what the log is to name?
//	──▶ it names it, durably ──▶ do they still? ──▶ the write may be acknowledged
//
// Two logs that name the same rows at one moment would have lost them: so logs shrink first. All the while the rows are held.
//
// A parity array that is cut off while rows are being written that a log names has lost these as it would have lost those of a missing member: nobody knows
// what the sum of the others is worth. Resync says so, and nothing is made up.
//
// Where the others do not have it, where the log is full, or where there is none, the member fails as it does for any other error.

// errBarred is what becomes of a member's error when all that it did not write is in its log, durably.
var errBarred = fmt.Errorf("%w: not written, and recorded in the bad block log", block.ErrMedia)

// refused is rows that a member did not write.
type refused struct {
	badRows
	io  int // of the batch
	err error
}

// bar records what members refused of the batch that o has just performed. The error of a write becomes errBarred if all that was refused of it is
// recorded, and nil if the member took it in smaller pieces after all. What else has failed is left to learn.
func (a *Array) bar(o *op) {
	if !a.writable || !a.geo.Redundant() || a.ppl != nil {
		return
	}
	var list []refused
	for i := range o.ios {
		if a.recordable(o, i) {
			list = o.insist(i, 0, o.ios[i].Ref.Len, o.errs[i], list)
		}
	}
	if len(list) > 0 {
		a.meta.Lock()
		a.barLocked(o, list)
		a.unlock()
	}
	o.failed = false
	for _, err := range o.errs[:len(o.ios)] {
		o.failed = o.failed || err != nil && err != errBarred
	}
}

// recordable says whether the i-th I/O of o's batch has an error that the member's log could answer for.
func (a *Array) recordable(o *op, i int) bool {
	io := &o.ios[i]
	if o.errs[i] == nil || io.Op != block.Write && io.Op != block.WriteZeroes || block.Classify(o.errs[i]) != block.Media {
		return false
	}
	a.meta.Lock()
	defer a.meta.Unlock()
	return a.logs(o.member(io.Role), plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len})
}

// logs says whether m's log could answer for rows. The caller holds meta.
func (a *Array) logs(m *member, rows plan.Span) bool {
	switch {
	case !m.live() || !m.sb.LogsBadBlocks():
		return false
	case a.mirror() && m.sb.DevFlags&(md.FailFast|md.WriteMostly) == md.FailFast:
		return false // that is what the flag asks for
	case !a.mirror() && a.doubt.Load():
		return false // nobody knows what the sum of the others is
	}
	return (m.offset+rows.Lo)%sectorSize == 0 && rows.Len()%sectorSize == 0
}

// insist appends to list what the member refuses of n bytes from at on of the i-th I/O of o's batch, which failed with err as a whole: halves of it are
// written again by themselves, so that a sector costs a sector, as with md.
func (o *op) insist(i int, at, n int64, err error, list []refused) []refused {
	io := &o.ios[i]
	m, before := o.member(io.Role), len(list)
	if n <= max(narrowest, o.a.info.Block) {
		row, pos := io.Row+at, io.Pos+at
		b := badRows{m: m, role: io.Role, row: plan.Span{Lo: row, Hi: row + n}, pos: plan.Span{Lo: pos, Hi: pos + n}}
		return append(list, refused{b, i, err})
	}
	cut := half(n, max(narrowest, o.a.info.Block))
	for _, part := range []plan.Span{{Lo: at, Hi: at + cut}, {Lo: at + cut, Hi: at + n}} {
		r := block.Request{Op: io.Op, Off: m.offset + io.Row + part.Lo, Len: part.Len(), Flags: o.flags &^ block.NoWait}
		if io.Op == block.Write {
			r.Buf, r.Flags = o.mem(io.Ref.At(part.Lo, part.Len())), r.Flags&block.FUA
		}
		switch err := m.dev.Do(context.Background(), r); {
		case err == nil:
		case block.Classify(err) != block.Media:
			o.errs[i] = err
			return list[:before]
		default:
			if list = o.insist(i, part.Lo, part.Len(), err, list); block.Classify(o.errs[i]) != block.Media {
				return list[:before]
			}
		}
	}
	if at == 0 && n == io.Ref.Len && len(list) == before {
		o.errs[i] = nil
	}
	return list
}

// barLocked is bar for whoever holds meta, once it is known what was refused.
func (a *Array) barLocked(o *op, list []refused) {
	var failed plan.RoleSet
	for i := range o.ios {
		io := &o.ios[i]
		switch m := o.member(io.Role); {
		case o.errs[i] != nil && io.Role < len(o.view.members):
			failed = failed.With(io.Role)
		case o.errs[i] == nil:
			a.strikeOff(m, plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len})
		}
	}
	for _, r := range a.enter(list, failed, "could not be written") {
		if o.errs[r.io] != errBarred {
			o.member(o.ios[r.io].Role).writeErrors.Add(1)
		}
		o.errs[r.io] = errBarred
	}
}

// enter records list in the members' logs, durably, and returns what is recorded: of each I/O all of it or nothing. failed is the roles whose part of the same
// rows failed too. The caller holds meta.
func (a *Array) enter(list []refused, failed plan.RoleSet, what string) []refused {
	known := true // as it is on the members
	stale := false
	for _, r := range list {
		known = known && r.m.bad.Load() != nil && r.m.bad.Load().has(r.row) && !r.m.logStale
	}
	for _, m := range a.all() {
		stale = stale || m.live() && m.logStale
	}
	if !known && stale && a.record() != nil {
		return nil
	}
	list = whole(list, func(r refused) bool { return a.spared(r, failed) })
	for _, r := range list {
		r.m.refuses.Store(true)
	}
	if known || len(list) == 0 {
		return list
	}
	list = whole(list, func(r refused) bool { return a.name(r.m, r.row) == nil })
	if len(list) == 0 || a.record() != nil {
		return nil
	}
	list = whole(list, func(r refused) bool { return a.spared(r, failed) })
	for _, r := range list {
		a.note(EventBadBlock, r.m.path, fmt.Sprintf("%d bytes at %d %s, and come from other members: %v", r.row.Len(), r.row.Lo, what, r.err))
	}
	return list
}

// whole is what of list belongs to I/Os all of which is ok.
func whole(list []refused, ok func(refused) bool) (kept []refused) {
	for len(list) > 0 {
		n, all := 0, true
		for ; n < len(list) && list[n].io == list[0].io; n++ {
			all = all && ok(list[n])
		}
		if all {
			kept = append(kept, list[:n]...)
		}
		list = list[n:]
	}
	return kept
}

// spared says whether the array knows r's rows without r's member, whose place it still is, and without the failed. The caller holds meta.
func (a *Array) spared(r refused, failed plan.RoleSet) bool {
	v, role := a.view.Load(), r.role
	switch n := len(v.members); {
	case v.broken != nil:
		return false
	case role >= n:
		role -= n
		if a.twin(role) != r.m {
			return false
		}
	case v.members[role] != r.m || !r.m.live():
		return false
	}
	c := a.getOp()
	defer a.putOp(c)
	for span := r.pos; span.Len() > 0; {
		c.avoid = failed.With(role)
		n, ok := c.knows(v, span, role)
		if !ok {
			return false
		}
		span.Lo += n
	}
	return true
}

// knows says whether what role has of a prefix of span can be had without those whom o avoids, nor anything that a log names.
func (o *op) knows(v *view, span plan.Span, role int) (n int64, ok bool) {
	for {
		n, err := o.plansSync(v, span, plan.Recover)
		if err != nil {
			return 0, false
		}
		bad := plan.RoleSet(0)
		for i := range o.plan.Reads {
			io := &o.plan.Reads[i]
			if v.members[io.Role].isBad(plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}) {
				bad = bad.With(io.Role)
			}
		}
		if bad == 0 {
			for i := range o.plan.Writes {
				ok = ok || o.plan.Writes[i].Role == role
			}
			return n, ok
		}
		o.avoid |= bad
	}
}

// name enters rows into m's log in memory, unless it has no room for them. The caller holds meta.
func (a *Array) name(m *member, rows plan.Span) error {
	var l badList
	before := m.bad.Load()
	if before != nil {
		l = *before
	}
	if l.has(rows) {
		return nil
	}
	was := m.logStale
	m.setBad(l.with(rows))
	if _, err := md.EncodeBadBlocks(m.log()); err != nil {
		m.bad.Store(before)
		m.logStale = was
		return err
	}
	return nil
}

// noteBarred keeps whose writes of o's batch are recorded as not done.
func (o *op) noteBarred() {
	for i := range o.ios {
		if o.errs[i] == errBarred {
			o.barred = o.barred.With(o.ios[i].Role % len(o.view.members))
		}
	}
}

// barUnread records b, which a member cannot read back although it has just been written, and says whether that is so.
func (a *Array) barUnread(b badRows, why error) bool {
	if a.ppl != nil || block.Classify(why) != block.Media {
		return false
	}
	a.meta.Lock()
	defer a.unlock()
	if !a.logs(b.m, b.row) {
		return false
	}
	return len(a.enter([]refused{{b, 0, why}}, 0, "could not be read back after they were written")) > 0
}
