// Package level5 is single parity, rotating (raid5) or not (raid4): nd data chunks and their sum in every stripe. It knows where chunks
// are and how to keep sums true; it knows nothing of devices, errors or time.
//
// Every write is made of rectangles, k data chunks × one range of rows. Each takes one of two ways to its new parity: the old
// parity and old data are read (rmw), or the data that is not written is (rcw).
//
// Beyond View.Synced the parity is not believed at all: not for rmw, and not to say what an unreadable chunk holds. An engine
// that goes on without a member there, as md does, declares the rows in sync: what is missing then is what the parity says.
package level5

import (
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// Layouts, with md's numbers.
const (
	LeftAsymmetric = iota
	RightAsymmetric
	LeftSymmetric
	RightSymmetric
	ParityFirst
	ParityLast
)

type level struct {
	plan.Stripes
	number int // 5, or 4
	layout uint32
	rows   int64
}

// New is the raid5 of so many roles with chunk bytes (a power of two) in one of md's six layouts, over rows bytes of each member, of which
// it uses whole chunks.
func New(roles int, chunk int64, layout uint32, rows int64) (plan.Level, error) {
	return build(5, roles, chunk, layout, rows)
}

// New4 is the raid4 of so many roles: a raid5 whose parity does not rotate but is always on the last role. It has no layouts.
func New4(roles int, chunk, rows int64) (plan.Level, error) {
	return build(4, roles, chunk, ParityLast, rows)
}

func build(number, roles int, chunk int64, layout uint32, rows int64) (plan.Level, error) {
	switch {
	case roles < 2 || roles > plan.MaxRoles:
		return nil, fmt.Errorf("%w: raid%d of %d members: between 2 and %d are needed", plan.ErrLayout, number, roles, plan.MaxRoles)
	case chunk <= 0 || chunk&(chunk-1) != 0:
		return nil, fmt.Errorf("%w: raid%d chunk of %d bytes: it must be a power of two", plan.ErrLayout, number, chunk)
	case layout > ParityLast:
		return nil, fmt.Errorf("%w: raid%d layout %d: md has 0 to %d", plan.ErrLayout, number, layout, ParityLast)
	case rows < chunk:
		return nil, fmt.Errorf("%w: raid%d over %d bytes of each member: that is less than a chunk of %d", plan.ErrLayout, number, rows, chunk)
	}
	return &level{plan.NewStripes(roles, roles-1, chunk), number, layout, rows - rows%chunk}, nil
}

func (l *level) Geometry() plan.Geometry {
	return plan.Geometry{
		Level: l.number, Roles: l.Roles, Size: l.rows * int64(l.Data), Rows: l.rows, SyncSize: l.rows,
		Chunk: l.Chunk, Stripe: l.Stripe(), Tolerates: 1,
	}
}

func (l *level) Enough(present plan.RoleSet) bool {
	return (present & plan.Roles(l.Roles)).Count() >= l.Data
}

// parity is the role that has the parity of a stripe.
func (l *level) parity(stripe int64) int {
	turn := int(stripe % int64(l.Roles))
	switch l.layout {
	case LeftAsymmetric, LeftSymmetric:
		return l.Data - turn
	case RightAsymmetric, RightSymmetric:
		return turn
	case ParityFirst:
		return 0
	}
	return l.Data
}

// role is the role that has data chunk i of a stripe whose parity role p has.
func (l *level) role(p, i int) int {
	if l.layout == LeftSymmetric || l.layout == RightSymmetric {
		return (p + 1 + i) % l.Roles
	}
	if i >= p {
		return i + 1
	}
	return i
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	return l.Request(p, r, v, l.read, l.write)
}
