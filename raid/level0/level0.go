// Package level0 is striping without redundancy, over members that may differ in size. It knows zones and where their chunks are;
// it knows nothing of devices, errors or time.
package level0

import (
	"fmt"
	"math"
	"slices"

	"graid/block"
	"graid/raid/plan"
)

// Layouts, with md's numbers: which member a zone after the first begins on.
const (
	Unspecified = 0 // arrays from before Linux 5.4 that do not say; harmless when there is no such zone
	Original    = 1 // counted from the array's first chunk
	Alternate   = 2 // counted from the zone's first chunk
)

const sector = 512

type level struct {
	chunk    int64
	original bool
	zones    []zone // at least one
	roles    int
	size     int64
}

// zone is the rows [row, …) that the same members have.
type zone struct {
	start, end int64 // array offsets
	row        int64
	members    []int // roles, ascending
}

// New is the raid0 of members of these sizes, each used in whole chunks, with chunk bytes. Bytes.
func New(chunk int64, layout uint32, sizes []int64) (plan.Level, error) {
	switch {
	case len(sizes) < 1 || len(sizes) > plan.MaxRoles:
		return nil, fmt.Errorf("%w: raid0 of %d members: between 1 and %d are needed", plan.ErrLayout, len(sizes), plan.MaxRoles)
	case chunk <= 0:
		return nil, fmt.Errorf("%w: raid0 chunk of %d bytes", plan.ErrLayout, chunk)
	case layout > Alternate:
		return nil, fmt.Errorf("%w: raid0 layout %d: md has 1 (original) and 2 (alternate)", plan.ErrLayout, layout)
	}
	l := &level{chunk: chunk, original: layout == Original, roles: len(sizes)}
	used := make([]int64, len(sizes))
	for role, size := range sizes {
		if used[role] = size - size%chunk; used[role] <= 0 {
			return nil, fmt.Errorf("%w: raid0 member %d of %d bytes is smaller than a chunk of %d", plan.ErrLayout, role, size, chunk)
		}
		counted := masked(used[role], chunk)
		if counted > math.MaxInt64-l.size {
			return nil, fmt.Errorf("%w: raid0 members are too large together: over %d bytes", plan.ErrLayout, int64(math.MaxInt64))
		}
		l.size += counted
	}
	if l.size == 0 {
		return nil, fmt.Errorf("%w: raid0 of chunks of %d bytes: md counts no space on members of so few", plan.ErrLayout, chunk)
	}
	l.zones = zones(used)
	if layout == Unspecified && len(l.zones) > 1 && len(l.zones[1].members) > 1 {
		return nil, fmt.Errorf("%w: raid0 of members of different sizes that does not say its layout: it is 1 (original) if Linux before 3.14 wrote it, "+
			"2 (alternate) if 3.14 to 5.3 did, and the wrong one scrambles the data", plan.ErrLayout)
	}
	return l, nil
}

// masked is size as md's kernel driver counts it for the array's: in sectors, with the low bits of chunk-1 cleared, which is
// no rounding when chunk is not a power of two. Bytes.
func masked(size, chunk int64) int64 {
	if chunk%sector != 0 {
		return size &^ (chunk - 1)
	}
	return (size / sector) &^ (chunk/sector - 1) * sector
}

func zones(used []int64) (list []zone) {
	ends := slices.Clone(used)
	slices.Sort(ends)
	var row, start int64
	for _, end := range slices.Compact(ends) {
		z := zone{start: start, row: row}
		for role, size := range used {
			if size > row {
				z.members = append(z.members, role)
			}
		}
		z.end = start + (end-row)*int64(len(z.members))
		list = append(list, z)
		start, row = z.end, end
	}
	return list
}

func (l *level) Geometry() plan.Geometry {
	last := l.zones[len(l.zones)-1]
	return plan.Geometry{
		Level: 0, Roles: l.roles, Size: l.size, Chunk: l.chunk,
		Rows: last.row + (last.end-last.start)/int64(len(last.members)),
	}
}

func (l *level) Enough(present plan.RoleSet) bool {
	all := plan.Roles(l.roles)
	return present&all == all
}

// place is where array offset off is, and how many bytes from there on are in the same chunk.
func (l *level) place(off int64) (role int, row, n int64) {
	z := l.zones[0]
	for i := 1; off >= z.end; i++ {
		z = l.zones[i]
	}
	members := int64(len(z.members))
	chunk, within := (off-z.start)/l.chunk, off%l.chunk
	column := chunk % members
	if l.original {
		column = off / l.chunk % members
	}
	return z.members[column], z.row + chunk/members*l.chunk + within, l.chunk - within
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	for n < r.Len && !p.Full() {
		role, row, length := l.place(r.Off + n)
		length = min(length, r.Len-n)
		if !p.Single(r.Op, role, row, plan.UserRef(n, length), v) {
			break
		}
		n += length
	}
	if n == 0 {
		return 0, plan.ErrFailed
	}
	return n, nil
}

// Sync has nothing to do: there is no redundancy.
func (l *level) Sync(_ *plan.Plan, span plan.Span, _ plan.Kind, _ *plan.View) (int64, error) {
	return span.Len(), nil
}
