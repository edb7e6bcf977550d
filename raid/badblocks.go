package raid

import (
	"errors"
	"fmt"
	"slices"

	"graid/block"
	"graid/raid/md"
	"graid/raid/plan"
)

// The bad block log of a member says which sectors of it do not hold what the array says. They are not read: redundancy answers. Whoever writes to
// them strikes them off. Recovery enters what it could not compute, because the sources cannot be read, so that one sector costs one sector; and writes
// enter what the member refuses, see barred.go.

// errRecordedBad is what reading a sector in the log returns, without asking the device.
var errRecordedBad = fmt.Errorf("%w: recorded in the bad block log", block.ErrMedia)

// badList is the log of a member in memory: spans of its data area in bytes, ascending, with room between them. It is immutable.
type badList []plan.Span

// first is the first span that ends behind pos.
func (l badList) first(pos int64) int {
	i, _ := slices.BinarySearchFunc(l, pos, func(s plan.Span, pos int64) int {
		if s.Hi <= pos {
			return -1
		}
		return 1
	})
	return i
}

// meets says whether the list has any of s.
func (l badList) meets(s plan.Span) bool {
	i := l.first(s.Lo)
	return i < len(l) && l[i].Lo < s.Hi
}

// has says whether the list has all of s.
func (l badList) has(s plan.Span) bool {
	i := l.first(s.Lo)
	return i < len(l) && l[i].Lo <= s.Lo && s.Hi <= l[i].Hi
}

// with is l and s.
func (l badList) with(s plan.Span) badList {
	i := l.first(s.Lo - 1) // one that ends where s begins grows
	j := i
	for ; j < len(l) && l[j].Lo <= s.Hi; j++ {
		s = plan.Span{Lo: min(s.Lo, l[j].Lo), Hi: max(s.Hi, l[j].Hi)}
	}
	return append(append(slices.Clone(l[:i]), s), l[j:]...)
}

// without is l but for s.
func (l badList) without(s plan.Span) (rest badList) {
	for _, b := range l {
		if b.Lo < s.Lo {
			rest = append(rest, plan.Span{Lo: b.Lo, Hi: min(b.Hi, s.Lo)})
		}
		if b.Hi > s.Hi {
			rest = append(rest, plan.Span{Lo: max(b.Lo, s.Hi), Hi: b.Hi})
		}
	}
	return slices.DeleteFunc(rest, func(b plan.Span) bool { return b.Len() <= 0 })
}

// badSpans is the log as it is read into memory; nil if it is empty.
func badSpans(e *md.Examined) *badList {
	var l badList
	for _, b := range e.BadBlocks {
		lo := b.Offset - int64(e.SB.DataOffset)*md.Sector
		l = l.with(plan.Span{Lo: lo, Hi: lo + b.Length})
	}
	if l == nil {
		return nil
	}
	return &l
}

// log is the log of m as it goes onto the member.
func (m *member) log() (list []md.BadBlock) {
	if l := m.bad.Load(); l != nil {
		for _, s := range *l {
			list = append(list, md.BadBlock{Offset: m.offset + s.Lo, Length: s.Len()})
		}
	}
	return list
}

// isBad says whether some of rows is in m's log.
func (m *member) isBad(rows plan.Span) bool {
	l := m.bad.Load()
	return l != nil && l.meets(rows)
}

// setBad gives m the list; the log on the member is to be written with its next superblock. The caller holds meta.
func (m *member) setBad(l badList) {
	m.logStale = true
	if len(l) == 0 {
		m.bad.Store(nil)
		return
	}
	m.bad.Store(&l)
}

// condemn enters into the logs of the members that are being filled what o's sources do not have of span. It fails where a log has no room. The log is
// on the member before any superblock that says that recovery came past there.
func (a *Array) condemn(o *op, span plan.Span) error {
	o.view.Avoid = o.view.Avoid &^ o.avoid
	o.plan.Reset()
	if _, err := a.level.Sync(&o.plan, span, plan.Recover, &o.view.View); err != nil {
		return err
	}
	a.meta.Lock()
	defer a.unlock()
	for _, io := range o.plan.Writes {
		m := o.view.members[io.Role]
		rows := plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}
		if a.members[io.Role] != m {
			continue // another has taken over since
		}
		if err := a.condemnRows(m, rows); err != nil {
			return err
		}
	}
	return nil
}

// condemnRows enters rows into m's log. The caller holds meta.
func (a *Array) condemnRows(m *member, rows plan.Span) error {
	err := noLog(m)
	if err == nil {
		err = a.name(m, rows)
	}
	if err != nil {
		return fmt.Errorf("%s: what it lacks cannot be recorded: %w", m.path, err)
	}
	a.note(EventBadBlock, m.path, fmt.Sprintf("%d bytes at %d: %s", rows.Len(), rows.Lo, a.lost(m.role, rows)))
	return nil
}

// noLog is why m records no bad blocks; nil if it does. The caller holds meta.
func noLog(m *member) error {
	if !m.sb.LogsBadBlocks() {
		return errors.New("it has no bad block log")
	}
	return nil
}

// forgive strikes rows, which have been written, off m's log. On the member it stays until the next superblock: to read what is good from elsewhere does no harm.
func (a *Array) forgive(m *member, rows plan.Span) {
	if !m.isBad(rows) || !a.geo.Redundant() { // without redundancy superblocks are never written
		return
	}
	a.meta.Lock()
	defer a.unlock()
	a.strikeOff(m, rows)
}

// strikeOff is forgive for whoever holds meta.
func (a *Array) strikeOff(m *member, rows plan.Span) {
	if l := m.bad.Load(); l != nil && l.meets(rows) {
		m.setBad(l.without(rows))
	}
}

// forgiveWritten strikes what o has just written, as its last batch, off the logs. The rows are still held: nobody has read it as bad and written something else since.
func (a *Array) forgiveWritten(o *op) {
	for i := range o.ios {
		io := &o.ios[i]
		if m := o.member(io.Role); o.errs[i] == nil && m.bad.Load() != nil {
			a.forgive(m, plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len})
		}
	}
}

// saveLogs writes logs that no superblock has taken along.
func (a *Array) saveLogs() {
	a.meta.Lock()
	defer a.unlock()
	for _, m := range a.members {
		if m.live() && m.logStale && a.view.Load().broken == nil {
			if err := a.record(); err != nil {
				a.note(EventUncorrectable, m.path, "bad block log not recorded: "+err.Error())
			}
			return
		}
	}
}
