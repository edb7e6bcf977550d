package raid

import (
	"bytes"
	"errors"
	"slices"

	"graid/raid/plan"
)

// What a repair did about a difference, as a Mismatch tells it.
const (
	doneNothing   = "" // or what md does, which is what a repair is
	doneRewritten = "rewritten from the others"
	doneLeft      = "left alone"
	doneFailed    = "left alone: it could not be rewritten"
)

// mendTries is how often a piece is looked at from the start because mending it taught something about members.
const mendTries = 3

// differences is what a piece of a scrub came to.
type differences struct {
	list     []finding
	counted  int64     // as md counts, bytes
	unsteady []badRows // what members answered differently when they were asked again
	view     view      // what it was read with
}

// lookAgain reads once more what o has just compared, and keeps what differs both times: nobody writes there, so what differs once is a member
// that does not know what it holds.
func (o *op) lookAgain() (d differences) {
	last := len(o.at) - 1
	before, diffs := bytes.Clone(o.arena[:o.at[last]+o.plan.Slots[last]]), slices.Clone(o.diffs)
	if o.perform(o.plan.Reads, 0); o.failed {
		return d
	}
	d.view = o.view
	for i := range o.plan.Reads {
		io := &o.plan.Reads[i]
		lo := o.at[io.Ref.Slot] + io.Ref.Off
		if s := apart(before[lo:lo+io.Ref.Len], o.mem(io.Ref)); s.Len() > 0 {
			d.unsteady = append(d.unsteady, badRows{o.member(io.Role), io.Role, plan.Span{Lo: io.Row + s.Lo, Hi: io.Row + s.Hi}, plan.Span{Lo: io.Pos + s.Lo, Hi: io.Pos + s.Hi}, false})
		}
	}
	o.calc()
	o.diffs = slices.DeleteFunc(o.diffs, func(x diff) bool { return !slices.Contains(diffs, x) })
	d.counted, d.list = o.a.tally(o.diffs), o.findings()
	for i := range d.list {
		for _, u := range d.unsteady {
			if f := &d.list[i]; u.pos.Lo < f.at.Hi && f.at.Lo < u.pos.Hi {
				f.unsteady = f.unsteady.With(u.role)
			}
		}
	}
	return d
}

// apart is the sectors from the first to the last in which a and b, of one length, differ.
func apart(a, b []byte) (s plan.Span) {
	for lo := 0; lo < len(a); lo += sectorSize {
		hi := min(lo+sectorSize, len(a))
		if bytes.Equal(a[lo:hi], b[lo:hi]) {
			continue
		}
		if s.Len() == 0 {
			s.Lo = int64(lo)
		}
		s.Hi = int64(hi)
	}
	return s
}

// tally is how many bytes md counts for diffs: for parity every 4 KiB of a stripe that has an error; for copies every differing one by pieces of
// 64 KiB, or of a chunk where that is less.
func (a *Array) tally(diffs []diff) (n int64) {
	grain := int64(4096)
	if a.mirror() {
		grain = 64 << 10
		if a.geo.Chunk > 0 {
			grain = min(grain, a.geo.Chunk)
		}
	}
	seen := map[[2]int64]bool{}
	for _, d := range diffs {
		piece := [2]int64{d.pos.Lo / grain}
		if a.mirror() {
			piece[1] = int64(d.sum) // every copy counts by itself
		}
		if !seen[piece] {
			seen[piece] = true
			n += grain
		}
	}
	return n
}

// named says whether f can be put right by rewriting who is wrong.
func (f *finding) named() bool { return f.wrong != 0 && f.unsteady == 0 }

// left says whether a repair left f as it was.
func (f *finding) left() bool { return f.done == doneLeft || f.done == doneFailed }

// mend makes what was found agree, as far as j wants that, under the rows that o holds since it was read. again says that something was learnt
// about members, and the piece is to be looked at from the start.
func (a *Array) mend(o *op, found []finding, j *job) (again bool, err error) {
	if j.work != workRepair || len(found) == 0 {
		return false, nil
	}
	if !j.located {
		// All at once, which are fewer requests than the differences by themselves.
		again, err = a.overwrite(o, plan.Span{Lo: found[0].at.Lo, Hi: found[len(found)-1].at.Hi}, plan.Resync, 0)
		for i := range found {
			found[i].done = outcome(doneNothing, err)
		}
		return again, hard(err)
	}
	for i := range found {
		f := &found[i]
		switch {
		case f.named():
			again, err = a.overwrite(o, f.at, plan.Recover, f.wrong)
			f.done = outcome(doneRewritten, err)
		case j.byRule:
			again, err = a.overwrite(o, f.at, plan.Resync, 0)
			f.done = outcome(doneNothing, err)
		default:
			f.done = doneLeft
		}
		if again || hard(err) != nil {
			return again, hard(err)
		}
	}
	return false, nil
}

// outcome is done, unless too few members are left to do it.
func outcome(done string, err error) string {
	if errors.Is(err, plan.ErrFailed) {
		return doneFailed
	}
	return done
}

// hard is err unless it says that too few members are left, which is the matter of one place.
func hard(err error) error {
	if errors.Is(err, plan.ErrFailed) {
		return nil
	}
	return err
}

// overwrite writes what work of that kind writes in span, of which o holds the rows: with Recover what members of roles, which are wrong, should
// have by the others.
func (a *Array) overwrite(o *op, span plan.Span, kind plan.Kind, wrong plan.RoleSet) (again bool, err error) {
	avoid := o.avoid
	defer func() { o.avoid = avoid }()
	for span.Len() > 0 {
		v := a.view.Load()
		if v.broken != nil {
			return false, v.broken
		}
		o.avoid = avoid | wrong
		n, err := o.plansSync(v, span, kind)
		if err != nil {
			return false, err
		}
		if asked, _ := o.lock(true, false); asked {
			return true, nil // the rows were let go of
		}
		o.provide()
		if o.perform(o.plan.Reads, 0); !o.failed {
			o.calc()
			o.write(0)
		}
		if o.failed {
			bad := len(o.bad)
			err := a.learn(o)
			o.cause, o.bad = nil, o.bad[:bad] // it will be met again
			return true, err
		}
		a.forgiveWritten(o)
		span.Lo += n
	}
	return false, nil
}

// report counts and tells what was found in a piece, and what was done about it.
func (a *Array) report(d *differences) {
	for _, u := range d.unsteady {
		a.tell(EventUnsteady, d.view.members[u.role].path, unsteadyText(u))
	}
	a.sync.mismatch.Add(d.counted)
	for i := range d.list {
		f := &d.list[i]
		if f.left() {
			a.sync.left.Add(f.at.Len())
		}
		m, path := a.mismatchOf(f), ""
		if f.wrong.Count() == 1 {
			path = d.view.members[f.wrong.First()].path
		}
		a.places.add(m)
		a.tell(EventMismatch, path, m.Text)
	}
}
