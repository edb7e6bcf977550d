package raid

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"graid/raid/md"
	"graid/raid/plan"
)

// Survey examines members and decides what arrays they make: what Assemble would do, without doing it. The slice is in the order
// of members; an entry of it is nil where the member has no device.
func Survey(ctx context.Context, members []Member, opts Options) ([]*md.Examined, map[md.UUID]*md.Decision, error) {
	found := make([]*md.Examined, 0, len(members))
	for _, m := range members {
		e, err := md.Examine(ctx, m.Path, m.Dev)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		found = append(found, e)
	}
	return found, md.Decide(found, md.Policy{Run: opts.Run, Force: opts.Force, ReadOnly: opts.ReadOnly, UUID: opts.UUID, Enough: enough}), nil
}

// enough asks the level whether the present roles can be read as an array. A level that cannot be built has enough of nothing; Assemble says why.
func enough(ref *md.Superblock, present []bool) bool {
	var roles plan.RoleSet
	for role, here := range present {
		if here && role < plan.MaxRoles {
			roles = roles.With(role)
		}
	}
	if ref.Level == -1 || ref.Level == 0 {
		return roles.Count() == ref.RaidDisks
	}
	l, err := newLevel(ref, nil)
	return err == nil && l.Enough(roles)
}

// choose picks the array to assemble and refuses what must not start.
func choose(found []*md.Examined, decisions map[md.UUID]*md.Decision, opts Options) (*md.Decision, error) {
	if opts.UUID != nil {
		d := decisions[*opts.UUID]
		if d == nil {
			return nil, fmt.Errorf("no member of array %s among these", opts.UUID)
		}
		return permitted(d)
	}
	switch len(decisions) {
	case 1:
		for _, d := range decisions {
			// A device that was named but is not a member is a mistake to be told, not to be passed over.
			for _, e := range found {
				if e.SB == nil {
					return nil, fmt.Errorf("%s: %w: leave it out to start without it", e.Path, e.Err)
				}
			}
			return permitted(d)
		}
	case 0:
		for _, e := range found {
			if e.Err != nil {
				return nil, fmt.Errorf("%s: %w", e.Path, e.Err)
			}
		}
		return nil, errors.New("no member has a superblock that can be used")
	}
	var names []string
	for _, e := range found {
		if e.SB != nil {
			names = append(names, fmt.Sprintf("%s of %s", e.Path, e.SB.SetUUID))
		}
	}
	sort.Strings(names)
	return nil, fmt.Errorf("members of %d arrays: %s: name one array with --uuid", len(decisions), strings.Join(names, ", "))
}

func permitted(d *md.Decision) (*md.Decision, error) {
	if d.Verdict <= md.StartDegraded {
		return d, nil
	}
	// A geometry that cannot be has enough of no members, but it is the geometry that is to be told. Linear and raid0 ask for all members first.
	if d.Ref != nil && d.Ref.Level > 0 {
		if _, err := newLevel(d.Ref, nil); err != nil {
			return nil, err
		}
	}
	why := d.Why
	if len(d.Findings) > 0 {
		why += "; " + strings.Join(d.Findings, "; ")
	}
	return nil, errors.New(why)
}
