package raid

import (
	"context"
	"fmt"

	"graid/block"
	"graid/raid/md"
	"graid/sched"
)

// Create decides what spec and mdadm's defaults ask for, checks every member, and only then writes superblocks onto all of
// them. It starts nothing, and closes no device. opts.Force allows members that are in an array already.
//
// The redundancy of the new array is taken to be true, so that no resync follows, when spec says AssumeClean or when every
// member's data area is known to be all holes: zeroes are their own copies and their own parity.
func Create(ctx context.Context, spec md.Spec, members []Member, opts Options) (*md.Draft, error) {
	if opts.Sched == nil {
		opts.Sched = sched.Real
	}
	if spec.Created.IsZero() {
		spec.Created = opts.Sched.Wall()
	}
	var news []md.NewMember
	for _, m := range members {
		n := md.NewMember{Missing: m.Dev == nil, WriteMostly: m.WriteMostly, FailFast: m.FailFast}
		if m.Dev != nil {
			if err := fit(ctx, m, opts); err != nil {
				return nil, err
			}
			n.Size = m.Dev.Info().Size
		}
		news = append(news, n)
	}
	d, err := spec.Draft(news)
	if err != nil {
		return nil, err
	}
	if err := check(d); err != nil {
		return nil, err
	}
	if holes(ctx, d, members) {
		for _, sb := range d.Supers {
			sb.ResyncOffset = md.MaxSector
		}
		if d.Bitmap != nil {
			d.Bitmap.ClearAll()
			d.Bitmap.EventsCleared = d.Bitmap.Events
		}
	}
	for i, m := range members {
		if m.Dev == nil {
			continue
		}
		if err := d.Write(ctx, i, m.Dev); err != nil {
			return nil, fmt.Errorf("%s: the array is incomplete now: %w", m.Path, err)
		}
	}
	return d, nil
}

// fit refuses a device that must not become a member.
func fit(ctx context.Context, m Member, opts Options) error {
	if !m.Dev.Info().Writable {
		return fmt.Errorf("%s: %w: a member must be writable", m.Path, block.ErrReadOnly)
	}
	e, err := md.Examine(ctx, m.Path, m.Dev)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Path, err)
	}
	if e.SB != nil && !opts.Force {
		return fmt.Errorf("%s: already a member of %s array %q (%s): give --force to overwrite that", m.Path, md.LevelName(e.SB.Level), e.SB.Name, e.SB.SetUUID)
	}
	return nil
}

// check builds the array's level once, which refuses geometries that must not be.
func check(d *md.Draft) error {
	var ref *md.Superblock
	var sizes []int64
	for _, sb := range d.Supers {
		if sb == nil {
			continue
		}
		ref = sb
		if role := sb.Role(); role >= 0 {
			for len(sizes) <= role {
				sizes = append(sizes, 0)
			}
			sizes[role] = int64(sb.DataSize) * md.Sector
		}
	}
	g, err := GeometryOf(ref, sizes)
	if err == nil && g.Size == 0 {
		err = fmt.Errorf("members are too small: the array would have no room at all")
	}
	return err
}

// holes says whether all members are here and none has anything in its data area.
func holes(ctx context.Context, d *md.Draft, members []Member) bool {
	for i, sb := range d.Supers {
		if sb == nil {
			return false
		}
		if sb.Role() < 0 {
			continue
		}
		list, err := block.Extents(ctx, members[i].Dev, int64(sb.DataOffset)*md.Sector, int64(sb.DataSize)*md.Sector, nil)
		if err != nil || len(list) != 1 || !list[0].Zero {
			return false
		}
	}
	return true
}
