package raid

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// correct rewrites what members could not read while o was served, from redundancy, and reads it back. A member that takes neither is lost.
func (a *Array) correct(o *op) {
	if len(o.bad) == 0 || !a.writable || a.view.Load().broken != nil {
		return
	}
	for _, b := range o.bad {
		if b.recorded && b.m.refuses.Load() && !o.retry {
			continue // writers will try again, and a repair
		}
		for _, b := range a.narrow(b, nil) {
			err := a.rewrite(b)
			if err == errLeft {
				continue
			}
			if err != nil {
				a.tell(EventUncorrectable, b.m.path, err.Error())
				continue
			}
			b.m.corrected.Add(1)
			a.tell(EventCorrected, b.m.path, fmt.Sprintf("%d bytes at %d", b.row.Len(), b.row.Lo))
		}
	}
}

// narrowest is the shortest piece that a read error is narrowed down to, bytes: the sector of most disks, whatever they claim.
const narrowest = 4096

// narrow appends to list the pieces of b, which could not be read as a whole, that cannot be read by themselves. Only they are rewritten:
// elsewhere in the same rows another member may be bad.
func (a *Array) narrow(b badRows, list []badRows) []badRows {
	n := b.row.Len()
	if n <= max(narrowest, a.info.Block) {
		return append(list, b)
	}
	cut := half(n, max(narrowest, a.info.Block))
	buf := block.Alloc(max(cut, n-cut))
	for _, part := range []plan.Span{{Lo: 0, Hi: cut}, {Lo: cut, Hi: n}} {
		p := badRows{b.m, b.role, plan.Span{Lo: b.row.Lo + part.Lo, Hi: b.row.Lo + part.Hi}, plan.Span{Lo: b.pos.Lo + part.Lo, Hi: b.pos.Lo + part.Hi}, b.recorded}
		if b.m.isBad(p.row) || block.ReadAt(context.Background(), b.m.dev, buf[:part.Len()], b.m.offset+p.row.Lo) != nil {
			list = a.narrow(p, list)
		}
	}
	return list
}

// errLeft is why there is nothing to correct any more.
var errLeft = errors.New("the member has left the array, or what it does not take is recorded")

// rewrite fills the rows of b, which its member could not read, and reads them back.
func (a *Array) rewrite(b badRows) error {
	o := a.getOp()
	defer a.putOp(o)
	o.avoid = plan.RoleSet(0).With(b.role)
	for at := b.pos; at.Len() > 0; {
		n, err := o.fill(at)
		if err != nil {
			return err
		}
		at.Lo += n
	}
	m := b.m
	if o.view.members[b.role] != m || o.barred.Has(b.role) {
		return errLeft
	}
	check := block.Alloc(b.row.Len())
	if err := block.ReadAt(context.Background(), m.dev, check, m.offset+b.row.Lo); err != nil {
		if a.barUnread(b, err) {
			return errLeft
		}
		return a.loseOrKeep(o, b.role, err)
	}
	m.strikes.mended(a.mirror())
	a.forgive(m, b.row)
	return nil
}

// fill recovers a prefix of span into the roles that o avoids.
func (o *op) fill(span plan.Span) (int64, error) {
	a := o.a
	for {
		v := a.view.Load()
		o.view = *v
		o.view.Avoid |= o.avoid
		o.plan.Reset()
		n, err := a.level.Sync(&o.plan, span, plan.Recover, &o.view.View)
		if err == nil && o.view.left != nil && o.view.believable(&o.plan) < o.view.Synced {
			o.view.Synced = o.view.believable(&o.plan)
			o.plan.Reset()
			n, err = a.level.Sync(&o.plan, span, plan.Recover, &o.view.View)
		}
		if err != nil {
			return 0, err
		}
		if asked, _ := o.lock(true, false); asked && a.view.Load() != v {
			continue
		}
		o.provide()
		if o.perform(o.plan.Reads, 0); o.failed {
			more := o.unread()
			if more&^o.avoid == 0 {
				return 0, o.firstError()
			}
			o.avoid |= more // bad in the same rows: computed and written together, where there is enough left to compute from
			continue
		}
		o.calc()
		if o.write(0); o.failed {
			return 0, a.loseUnwritten(o)
		}
		o.noteBarred()
		o.unlock()
		return n, nil
	}
}

// unread is the roles of o's batch that could not read their medium; none if anything else went wrong too.
func (o *op) unread() (roles plan.RoleSet) {
	for i := range o.ios {
		switch {
		case o.errs[i] == nil:
		case block.Classify(o.errs[i]) != block.Media:
			return 0
		default:
			roles = roles.With(o.ios[i].Role)
		}
	}
	return roles
}

// loseUnwritten loses whoever of o's batch did not take what was written to correct it, as far as the array survives that.
func (a *Array) loseUnwritten(o *op) (why error) {
	why = a.sickTwins(o, a.loseTwin)
	for i := range o.ios {
		if o.errs[i] != nil && o.errs[i] != errBarred && o.ios[i].Role < len(o.view.members) {
			why = errors.Join(why, a.loseOrKeep(o, o.ios[i].Role, o.errs[i]))
		}
	}
	return why
}

// loseOrKeep loses role, which cannot even be rewritten, unless the array would not survive that: then it stays for what it can still read.
func (a *Array) loseOrKeep(o *op, role int, why error) error {
	if a.level.Enough(a.view.Load().Readable.Without(role)) {
		if err := a.lose(o, plan.RoleSet(0).With(role), why, false); err != nil {
			return err
		}
	}
	return why
}
