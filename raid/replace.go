package raid

import (
	"context"
	"errors"
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// A twin is a member that is being filled to replace another one of the same role, which serves meanwhile: md's replacement. Whatever is written to
// the role is written to both, so that at the end they are the same; nobody reads the twin before it has taken over. If the other one fails
// in between, the twin succeeds it as far as it has come, and recovery fills the rest.
//
// In a batch of I/Os the twin of a role goes by the number of roles and the role.

// Replace has a spare filled from the member with this path, and then take over its role; the member becomes faulty, and can be removed. with is the
// path of the spare, "" for any. The array has all its redundancy all the time.
func (a *Array) Replace(_ context.Context, path, with string) error {
	if !a.begin() {
		return errClosed
	}
	defer a.end()
	a.meta.Lock()
	defer a.unlock()
	m, v := a.find(path), a.view.Load()
	switch {
	case m == nil:
		return fmt.Errorf("%s: %w", path, ErrNotMember)
	case !a.writable:
		return fmt.Errorf("%s: array is read-only", path)
	case v.broken != nil:
		return v.broken
	case m.state != MemberInSync:
		return fmt.Errorf("%s: is %s: only a member that is in sync can be replaced while it serves", path, m.state)
	case a.twin(m.role) != nil:
		return fmt.Errorf("%s: is being replaced by %s already", path, a.twin(m.role).path)
	}
	s, err := a.replacement(with)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i, o := range a.spares {
		if o == s {
			a.spares = append(a.spares[:i:i], a.spares[i+1:]...)
			break
		}
	}
	if a.twins == nil {
		a.twins = make([]*member, a.geo.Roles)
	}
	s.role, s.state, s.saved = m.role, MemberReplacement, 0
	s.filled.Store(0)
	a.twins[m.role] = s
	err = a.record()
	if err != nil && s.state == MemberReplacement {
		a.dropTwin(s, err)
	}
	a.publishTwins()
	if s.state != MemberReplacement {
		return fmt.Errorf("%s: not used: %w", s.path, errors.Join(err, a.unwritten))
	}
	a.sync.kind.CompareAndSwap(workIdle, workReplace)
	a.rouse()
	return nil
}

// replacement is the spare with this path, or any for "".
func (a *Array) replacement(with string) (*member, error) {
	for _, s := range a.spares {
		if s.state == MemberSpare && s.size >= a.geo.Rows && (with == "" || s.path == with) {
			return s, nil
		}
	}
	switch m := a.find(with); {
	case with == "":
		return nil, errors.New("there is no spare to replace it with: add one")
	case m == nil:
		return nil, fmt.Errorf("%s, to replace it with, is no member: add it as a spare first", with)
	default:
		return nil, fmt.Errorf("%s, to replace it with, is %s, not a spare that is large enough", with, m.state)
	}
}

// twin is who is to replace the member with this role; nil if nobody is. The caller holds meta.
func (a *Array) twin(role int) *member {
	if role < 0 || role >= len(a.twins) {
		return nil
	}
	return a.twins[role]
}

// publishTwins has writes go to the twins that there are, and no others. The caller holds meta.
func (a *Array) publishTwins() {
	var twins []*member
	for _, t := range a.twins {
		if t != nil {
			twins = append([]*member(nil), a.twins...)
		}
	}
	a.change(func(v *view) { v.twins = twins })
}

// dropTwin makes t, which could not be written, a faulty member without a role. The caller holds meta, and says so in the superblocks.
func (a *Array) dropTwin(t *member, why error) {
	if a.twin(t.role) == t {
		a.twins[t.role] = nil
	}
	t.role, t.state = -1, MemberFaulty
	a.spares = append(a.spares, t)
	if why == nil {
		why = errByUser
	}
	a.note(EventFail, t.path, why.Error())
}

// loseTwin is lose for a twin: durable before the write that met its failure is acknowledged.
func (a *Array) loseTwin(t *member, why error) error {
	a.meta.Lock()
	defer a.unlock()
	return a.loseTwinLocked(t, why)
}

func (a *Array) loseTwinLocked(t *member, why error) error {
	if a.twin(t.role) != t {
		return nil // it is gone already, or has taken over
	}
	a.dropTwin(t, why)
	err := a.record()
	a.publishTwins()
	return err
}

// member is whom io is for: a member, or the twin of one.
func (o *op) member(role int) *member {
	if n := len(o.view.members); role >= n {
		return o.view.twins[role-n]
	}
	return o.view.members[role]
}

// write performs the writes of o's plan, on twins too. What members could not write and have recorded durably is no failure.
func (o *op) write(flags block.Flags) {
	o.late = o.late[:0] // what was read before is not what is there from now on, also where some of this fails and is planned again
	if o.view.twins == nil {
		if o.perform(o.plan.Writes, flags); o.failed {
			o.a.bar(o)
		}
		return
	}
	o.both = append(o.both[:0], o.plan.Writes...)
	for _, io := range o.plan.Writes {
		if o.view.twins[io.Role] != nil {
			io.Role += len(o.view.members)
			o.both = append(o.both, io)
		}
	}
	if o.perform(o.both, flags); o.failed {
		o.a.bar(o)
	}
}

// sickTwins loses the twins that did not do what o's batch asked of them.
func (a *Array) sickTwins(o *op, lose func(t *member, why error) error) error {
	for i := range o.ios {
		if o.errs[i] == nil || o.errs[i] == errBarred || o.ios[i].Role < len(o.view.members) || errors.Is(o.errs[i], block.ErrWouldBlock) && o.flags&block.NoWait != 0 {
			continue
		}
		t := o.member(o.ios[i].Role)
		t.writeErrors.Add(1)
		if err := lose(t, o.errs[i]); err != nil {
			return err
		}
	}
	return nil
}

// succeed gives the roles of members that have failed to their twins, which recovery fills from where they are, and enters that into filled. The caller holds meta, and says so in the superblocks.
func (a *Array) succeed(roles plan.RoleSet, filled map[int]int64) {
	for role := range a.twins {
		t := a.twins[role]
		if t == nil || !roles.Has(role) {
			continue
		}
		saved := t.saved
		a.twins[role] = nil
		a.seat(t, role)
		t.saved = saved
		filled[role] = t.filled.Load()
	}
}
