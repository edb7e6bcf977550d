// Package level1 is the mirror: every role holds the same rows. It knows which copies to read and write; it knows nothing of
// devices, errors or time.
package level1

import (
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

const (
	region   = 1 << 20   // reads of one region go to one role and the next region to the next, so that a stream uses all: bytes
	maxClear = 128 << 20 // bytes zeroed under one lock: a member that cannot make holes writes them
	maxSync  = 512 << 10 // rows of one Sync plan, bytes
)

type level struct {
	roles  int
	rows   int64
	region int64
}

// New is a mirror of so many roles over rows bytes of each member.
func New(roles int, rows int64) (plan.Level, error) {
	switch {
	case roles < 1 || roles > plan.MaxRoles:
		return nil, fmt.Errorf("%w: raid1 of %d members: between 1 and %d are needed", plan.ErrLayout, roles, plan.MaxRoles)
	case rows <= 0:
		return nil, fmt.Errorf("%w: raid1 over %d bytes of each member: larger members are needed", plan.ErrLayout, rows)
	}
	return &level{roles, rows, region}, nil
}

func (l *level) Geometry() plan.Geometry {
	return plan.Geometry{Level: 1, Roles: l.roles, Size: l.rows, Rows: l.rows, SyncSize: l.rows, Tolerates: l.roles - 1}
}

func (l *level) Enough(present plan.RoleSet) bool { return present&plan.Roles(l.roles) != 0 }

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (int64, error) {
	if r.Op == block.Read {
		return l.read(p, r, v)
	}
	lo, hi := r.Off, r.End()
	if r.Op != block.Write {
		hi = min(hi, (lo/maxClear+1)*maxClear)
	}
	if !l.keeps(v, hi) {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, hi)
	for role := range l.roles {
		switch {
		case !v.Writable.Has(role):
		case r.Op == block.Write:
			p.Write(role, lo, plan.UserRef(0, hi-lo))
		default:
			p.Clear(block.WriteZeroes, role, lo, lo, hi-lo)
		}
	}
	return hi - lo, nil
}

// read takes one copy and no lock: the copies agree, and where they may not (beyond Synced) every read takes the same one.
func (l *level) read(p *plan.Plan, r block.Request, v *plan.View) (int64, error) {
	n := r.Len
	from := l.readable(v, r.End())
	if from == 0 {
		// A recovering member may have the beginning.
		if n = l.recovered(v) - r.Off; n <= 0 {
			return 0, plan.ErrFailed
		}
		from = l.readable(v, r.Off+n)
	}
	role := from.First()
	if r.Off+n <= v.Synced {
		for skip := r.Off / l.region % int64(from.Count()); skip > 0; skip-- {
			from = from.Without(role)
			role = from.First()
		}
	}
	p.Read(role, r.Off, plan.UserRef(0, n))
	return n, nil
}

// readable is the roles to choose from for rows up to hi: preferred ones if there are any.
func (l *level) readable(v *plan.View, hi int64) (s plan.RoleSet) {
	for role := range l.roles {
		if v.CanRead(role, hi) {
			s = s.With(role)
		}
	}
	if s&v.Prefer != 0 {
		s &= v.Prefer
	}
	return s
}

// recovered is how far the member that recovered furthest can be read.
func (l *level) recovered(v *plan.View) (row int64) {
	for role := range v.Recovered {
		if !v.Avoid.Has(role) {
			row = max(row, v.Recovered[role])
		}
	}
	return row
}

// keeps says whether what is written to rows up to hi can be read afterwards: from a member that is avoided only now, too.
func (l *level) keeps(v *plan.View, hi int64) bool {
	for role := range l.roles {
		if v.Keeps(role, hi) {
			return true
		}
	}
	return false
}

func (l *level) Sync(p *plan.Plan, span plan.Span, k plan.Kind, v *plan.View) (int64, error) {
	lo, hi := span.Lo, min(span.Hi, (span.Lo/maxSync+1)*maxSync)
	if k == plan.Check {
		l.check(p, lo, hi, v)
		return hi - lo, nil
	}
	from := l.readable(v, hi).First()
	var into plan.RoleSet
	for role := range l.roles {
		if role != from && v.Writable.Has(role) && (k == plan.Resync || v.MustFill(role, hi)) {
			into = into.With(role)
		}
	}
	switch {
	case into == 0:
		return hi - lo, nil
	case from < 0:
		return 0, plan.ErrFailed
	}
	p.Hold(lo, hi)
	copied := p.Slot(hi - lo)
	p.Read(from, lo, copied)
	for ; into != 0; into = into.Without(into.First()) {
		p.Write(into.First(), lo, copied)
	}
	return hi - lo, nil
}

// check compares every copy that can be read with the first.
func (l *level) check(p *plan.Plan, lo, hi int64, v *plan.View) {
	var roles plan.RoleSet
	for role := range l.roles {
		if v.CanRead(role, hi) {
			roles = roles.With(role)
		}
	}
	if roles.Count() < 2 {
		return
	}
	p.Hold(lo, hi)
	scratch, first := p.Slot(hi-lo), p.Slot(hi-lo)
	p.Read(roles.First(), lo, first)
	for rest := roles.Without(roles.First()); rest != 0; rest = rest.Without(rest.First()) {
		other := p.Slot(hi - lo)
		p.Read(rest.First(), lo, other)
		p.Expect(scratch)
		p.Add(1, first)
		p.Add(1, other)
	}
}
