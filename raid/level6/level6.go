// Package level6 is double parity: data chunks, their sum P, and a second sum Q with coefficients in GF(2^8), in every stripe. It knows
// where chunks are and how to keep both sums true; it knows nothing of devices, errors or time.
//
// A stripe is two equations over its chunks: P + D0 + D1 + … = 0 and Q + g0·D0 + g1·D1 + … = 0. Whatever is missing, up to two
// chunks of any kind, is computed by the one combination of the two in which the other missing chunk does not occur: one sum over
// what is there, with coefficients worked out beforehand. P and Q of the same rows are always two Calcs in a row with the same
// terms in the same order, but for the first of an rmw, which is the old P or the old Q: they can be computed in one pass.
//
// Beyond View.Synced parity is not believed at all, as in level5.
package level6

import (
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// Layouts, with md's numbers. Those of DDF count the exponents of Q by role; those called …6 are a raid5 of all but the last role, which
// has Q in every stripe.
const (
	LeftAsymmetric = iota
	RightAsymmetric
	LeftSymmetric
	RightSymmetric
	ParityFirst
	ParityLast

	DDFZeroRestart = 8
	DDFNRestart    = 9
	DDFNContinue   = 10

	LeftAsymmetric6  = 16
	RightAsymmetric6 = 17
	LeftSymmetric6   = 18
	RightSymmetric6  = 19
	ParityFirst6     = 20
)

// parities is how many chunks of a stripe are not data.
const parities = 2

type level struct {
	plan.Stripes
	turns []turn // stripe s has its chunks where turns[s % len(turns)] says
	rows  int64
}

// New is the raid6 of so many roles with chunk bytes (a power of two) in one of md's layouts, over rows bytes of each member, of which it
// uses whole chunks.
func New(roles int, chunk int64, layout uint32, rows int64) (plan.Level, error) {
	switch {
	case roles < 4 || roles > plan.MaxRoles:
		return nil, fmt.Errorf("%w: raid6 of %d members: between 4 and %d are needed", plan.ErrLayout, roles, plan.MaxRoles)
	case chunk <= 0 || chunk&(chunk-1) != 0:
		return nil, fmt.Errorf("%w: raid6 chunk of %d bytes: it must be a power of two", plan.ErrLayout, chunk)
	case !known(layout):
		return nil, fmt.Errorf("%w: raid6 layout %d: md has 0 to 5, 8 to 10 and 16 to 20", plan.ErrLayout, layout)
	case rows < chunk:
		return nil, fmt.Errorf("%w: raid6 over %d bytes of each member: that is less than a chunk of %d", plan.ErrLayout, rows, chunk)
	}
	l := &level{Stripes: plan.NewStripes(roles, roles-parities, chunk), rows: rows - rows%chunk}
	for stripe := range roles { // every layout begins anew after so many stripes, or one less
		if layout >= LeftAsymmetric6 && stripe == roles-1 {
			break
		}
		l.turns = append(l.turns, newTurn(roles, layout, stripe))
	}
	return l, nil
}

func known(layout uint32) bool {
	return layout <= ParityLast || layout >= DDFZeroRestart && layout <= DDFNContinue || layout >= LeftAsymmetric6 && layout <= ParityFirst6
}

func (l *level) Geometry() plan.Geometry {
	return plan.Geometry{
		Level: 6, Roles: l.Roles, Size: l.rows * int64(l.Data), Rows: l.rows, SyncSize: l.rows,
		Chunk: l.Chunk, Stripe: l.Stripe(), Tolerates: parities,
	}
}

func (l *level) Enough(present plan.RoleSet) bool {
	return (present & plan.Roles(l.Roles)).Count() >= l.Data
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	return l.Request(p, r, v, l.read, l.write)
}

func (l *level) turn(stripe int64) *turn { return &l.turns[stripe%int64(len(l.turns))] }

// unreadable is the roles that cannot be read up to row hi.
func (l *level) unreadable(v *plan.View, hi int64) (lost plan.RoleSet) {
	for role := range l.Roles {
		if !v.CanRead(role, hi) {
			lost = lost.With(role)
		}
	}
	return lost
}
