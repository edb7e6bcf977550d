package level6

import (
	"graid/parity"
	"graid/raid/plan"
)

// equation is a combination of a stripe's two: p times the one of P and q times the one of Q. What it says is that P, times p, and Q, times
// q, and every data chunk, times p + q·g, sum up to zero.
type equation struct{ p, q byte }

// of is the coefficient that a role's chunk has in e.
func (e equation) of(t *turn, role int) byte {
	switch role {
	case t.p:
		return e.p
	case t.q:
		return e.q
	}
	return e.p ^ parity.Mul(e.q, t.coef[t.chunk[role]])
}

// without is an equation in which a role's chunk does not occur. Without P it is that of Q; with none to avoid, that of P.
func (t *turn) without(role int) equation {
	switch role {
	case t.p:
		return equation{0, 1}
	case t.q, none:
		return equation{1, 0}
	}
	return equation{t.coef[t.chunk[role]], 1}
}

// solve is the equation that gives the chunk of role target as the sum of others, with the coefficients it has for them. The chunk of role
// other, which may be none, is not among them.
func (t *turn) solve(target, other int) equation {
	if other == none && target == t.q {
		other = t.p
	}
	e := t.without(other)
	c := e.of(t, target)
	return equation{parity.Div(e.p, c), parity.Div(e.q, c)}
}

// other is what is lost besides role: a role, or none. There are no more than two lost.
func other(lost plan.RoleSet, role int) int { return lost.Without(role).First() }
