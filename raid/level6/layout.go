package level6

import (
	"slices"

	"graid/parity"
)

// turn is where the chunks of one stripe are. Layouts repeat themselves, so a level has a short table of turns.
type turn struct {
	p, q  int    // roles
	role  []int  // of data chunk i
	coef  []byte // of data chunk i in Q
	chunk []int  // of a role; no data chunk = none
	order []int  // data chunks by their exponents in Q, rising
}

const none = -1

func newTurn(roles int, layout uint32, stripe int) turn {
	t := turn{role: make([]int, roles-parities), coef: make([]byte, roles-parities)}
	t.p, t.q = where(roles, layout, stripe)
	for i := range t.role {
		t.role[i] = t.place(roles, layout, i)
	}
	for role := range roles {
		t.chunk = append(t.chunk, slices.Index(t.role, role))
	}
	// The exponents start after Q and go round, passing over P; with DDF they are the roles' own numbers.
	ddf := layout >= DDFZeroRestart && layout <= DDFNContinue
	exponent := 0
	for n := range roles {
		role := (t.q + 1 + n) % roles
		if ddf {
			role, exponent = n, n
		}
		if i := t.chunk[role]; i != none {
			t.coef[i] = parity.Power(exponent)
			t.order = append(t.order, i)
			exponent++
		}
	}
	return t
}

// nth is the roles in the order of all sums: P, Q, and the data by exponents.
func (t *turn) nth(n int) int {
	switch n {
	case 0:
		return t.p
	case 1:
		return t.q
	}
	return t.role[t.order[n-parities]]
}

// where is the roles that have P and Q of a stripe.
func where(roles int, layout uint32, stripe int) (p, q int) {
	if layout >= LeftAsymmetric6 {
		p, _ = where(roles-1, layout-LeftAsymmetric6, stripe)
		return p, roles - 1
	}
	last, turn := roles-1, stripe%roles
	switch layout {
	case LeftAsymmetric, LeftSymmetric, DDFNContinue:
		p = last - turn
	case RightAsymmetric, RightSymmetric, DDFZeroRestart:
		p = turn
	case DDFNRestart:
		p = last - (stripe+1)%roles
	case ParityFirst:
		p = 0
	case ParityLast:
		p = last - 1
	}
	if layout == DDFNContinue {
		return p, (p + last) % roles
	}
	return p, (p + 1) % roles
}

// place is the role that has data chunk i, when P and Q have theirs.
func (t *turn) place(roles int, layout uint32, i int) int {
	switch layout {
	case LeftSymmetric, RightSymmetric:
		return (t.p + 2 + i) % roles
	case DDFNContinue:
		return (t.p + 1 + i) % roles
	case LeftSymmetric6, RightSymmetric6:
		return (t.p + 1 + i) % (roles - 1)
	}
	// In the order of roles, those with P and Q passed over.
	for _, taken := range []int{min(t.p, t.q), max(t.p, t.q)} {
		if i >= taken {
			i++
		}
	}
	return i
}
