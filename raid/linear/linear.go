// Package linear is one member after the other, without redundancy. It knows where one ends and the next begins, and nothing else.
package linear

import (
	"fmt"
	"math"

	"graid/block"
	"graid/raid/plan"
)

type level struct {
	ends []int64 // of each role, in array offsets
	rows int64
}

// New is the members of these sizes one after the other, each rounded down to a multiple of round unless that is zero. Bytes.
func New(round int64, sizes []int64) (plan.Level, error) {
	if len(sizes) < 1 || len(sizes) > plan.MaxRoles {
		return nil, fmt.Errorf("%w: linear of %d members: between 1 and %d are needed", plan.ErrLayout, len(sizes), plan.MaxRoles)
	}
	if round < 0 {
		return nil, fmt.Errorf("%w: linear rounding of %d bytes", plan.ErrLayout, round)
	}
	l := &level{}
	var end int64
	for role, size := range sizes {
		if round > 0 {
			size -= size % round
		}
		if size <= 0 {
			return nil, fmt.Errorf("%w: linear member %d of %d bytes: it is too small to hold anything", plan.ErrLayout, role, sizes[role])
		}
		if size > math.MaxInt64-end {
			return nil, fmt.Errorf("%w: linear members are too large together: over %d bytes", plan.ErrLayout, int64(math.MaxInt64))
		}
		end += size
		l.ends = append(l.ends, end)
		l.rows = max(l.rows, size)
	}
	return l, nil
}

func (l *level) Geometry() plan.Geometry {
	return plan.Geometry{Level: -1, Roles: len(l.ends), Size: l.ends[len(l.ends)-1], Rows: l.rows}
}

func (l *level) Enough(present plan.RoleSet) bool {
	all := plan.Roles(len(l.ends))
	return present&all == all
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	var start int64
	for role, end := range l.ends {
		if at := r.Off + n; at < end && n < r.Len {
			row, length := at-start, min(end-at, r.Len-n)
			if !p.Single(r.Op, role, row, plan.UserRef(n, length), v) {
				break
			}
			n += length
		}
		start = end
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
