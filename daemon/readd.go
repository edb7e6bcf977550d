package daemon

import (
	"context"
	"fmt"

	"graid/raid"
)

// letGo removes those of the paths that are faulty members whose place is still theirs, for them to be re-added: mdadm wants that done by hand. What is
// known to stand in the way of that is told before any is removed.
func (p *Process) letGo(ctx context.Context, paths []string) (gone []string, err error) {
	a := p.Array()
	for _, path := range paths {
		m := a.Member(path)
		if m == nil || m.State != raid.MemberFaulty {
			continue
		}
		short, why := Short(path), ""
		switch {
		case a.ReadOnly:
			why = "the array is read-only"
		case a.Bitmap == nil:
			why = "the array has no bitmap that would say what it lacks"
		case m.Role == nil:
			why = "its place has been taken over"
		case m.BadBlocks > 0:
			why = "it has bad blocks recorded"
		}
		if why != "" {
			return nil, fmt.Errorf("%s: cannot be re-added: %s: `graid remove %s %s`, then `graid add %s %s`", path, why, a.Name, short, a.Name, short)
		}
		gone = append(gone, m.Name())
	}
	for i, path := range gone {
		if err := p.release(ctx, path); err != nil {
			return gone[:i], err
		}
	}
	return gone, nil
}

// release has the array let go of a member.
func (p *Process) release(ctx context.Context, path string) error {
	if err := p.array.Remove(ctx, path); err != nil {
		return err
	}
	p.faults.unname(path)
	return nil
}

// readmit is admit for members that were in the array, and may still be listed as faulty.
func (p *Process) readmit(ctx context.Context, q addRequest) (added []string, err error) {
	if err := CheckMembers(q.Members); err != nil {
		return nil, err
	}
	if err := reachable(q.Members); err != nil {
		return nil, err // before anybody is removed
	}
	gone, err := p.letGo(ctx, q.Members)
	if err == nil {
		added, err = p.admit(ctx, q)
	}
	if len(gone) > 0 && len(added) == 0 {
		p.publish()
		err = fmt.Errorf("%w; it was faulty, and has been removed", err)
	}
	return added, err
}
