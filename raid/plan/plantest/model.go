package plantest

import (
	"fmt"

	"graid/parity"
	"graid/raid/plan"
)

// Place is a byte of a member.
type Place struct {
	Role int
	Row  int64
}

// Model is what an array is, said without the level under test: where each byte of it is, and which role has the sums.
type Model struct {
	Places func(off int64) []Place // of array byte off; when copies differ, the first that can be read is right
	Parity func(row int64) int     // nil = no parity
	Stripe int64                   // bytes of data that have parity together: what Discard may clear

	// Second, when not nil, is the role that has the second parity of a row, and Coef what a role's data is multiplied by in it.
	Second func(row int64) int
	Coef   func(row int64, role int) byte
}

// sums adds to what the parities have at row that role's data there changes by x, and says which roles they are.
func (o Model) sums(m Members, role int, row int64, x byte) (parities [2]int, n int) {
	if o.Parity != nil {
		parities[0], n = o.Parity(row), 1
		m[parities[0]][row] ^= x
	}
	if o.Second != nil {
		parities[1], n = o.Second(row), 2
		m[parities[1]][row] ^= parity.Mul(o.Coef(row, role), x)
	}
	return parities, n
}

// parities is how many there are in a row, and isParity whether role has one of them.
func (o Model) parities() int {
	switch {
	case o.Second != nil:
		return 2
	case o.Parity != nil:
		return 1
	}
	return 0
}

func (o Model) isParity(at Place) bool {
	return o.Parity != nil && o.Parity(at.Row) == at.Role || o.Second != nil && o.Second(at.Row) == at.Role
}

// Used is what no array byte and no parity is at: it stays whatever it was.
const unused = 0xEE

// members is what the roles hold when the array holds data.
func (o Model) members(g plan.Geometry, data []byte) Members {
	m := make(Members, g.Roles)
	for i := range m {
		m[i] = fill(make([]byte, g.Rows), unused)
	}
	for off := range data {
		for _, at := range o.Places(int64(off)) {
			m[at.Role][at.Row] = data[off]
		}
	}
	for row := int64(0); o.Parity != nil && row < g.Rows; row++ {
		m[o.Parity(row)][row] = 0
		if o.Second != nil {
			m[o.Second(row)][row] = 0
		}
		for role := range m {
			if !o.isParity(Place{role, row}) {
				o.sums(m, role, row, m[role][row])
			}
		}
	}
	return m
}

// world is members in some condition: what the level is told of it, and what they hold.
type world struct {
	plan.View
	name    string
	faults  int // members that cannot be relied on
	members Members
	mayFail bool // ErrFailed is an honest answer
}

func (w *world) String() string { return w.name }

// worlds calls do with every condition: each member missing, recovering up to several rows, or not to be read just now; then two at
// once; each with redundancy that agrees, and with redundancy that does not from several positions on; and with preferences.
func (x *exam) worlds(do func(w *world)) {
	none := fault{}
	all := []fault{none}
	for role := range x.g.Roles {
		all = append(all, fault{role, 'd', 0}, fault{role, 'a', 0})
		for _, row := range []int64{0, 1, x.g.Rows / 2, x.g.Rows - 1} {
			all = append(all, fault{role, 'r', row})
		}
		all = append(all, fault{role, 'x', x.g.Rows / 2})
	}
	x.triples(do)
	for i, a := range all {
		for _, b := range all[:i+1] {
			if b != none && (a.role == b.role || a.kind == 'd' && b.kind == 'r' && b.row%2 == 1) {
				continue
			}
			for _, synced := range x.synced() {
				for _, prefer := range x.preferences() {
					do(x.world(synced, prefer, a, b))
				}
			}
		}
	}
}

// triples are conditions with three members missing or not to be read, where two can be lost.
func (x *exam) triples(do func(w *world)) {
	if x.g.Tolerates < 2 || x.model.Parity == nil {
		return
	}
	for a := range x.g.Roles {
		for b := range a {
			for c := range b {
				for kinds := range 8 {
					kind := func(bit int) byte { return "da"[kinds>>bit&1] }
					do(x.world(1<<63-1, 0, fault{a, kind(0), 0}, fault{b, kind(1), 0}, fault{c, kind(2), 0}))
				}
			}
		}
	}
}

// fault is what is wrong with one member.
type fault struct {
	role int
	kind byte // d: missing, a: not to be read, r: recovering, x: recovering and not to be read, 0: nothing
	row  int64
}

func (f fault) String() string {
	switch f.kind {
	case 'd':
		return fmt.Sprintf(" down=%d", f.role)
	case 'a':
		return fmt.Sprintf(" avoid=%d", f.role)
	case 'r':
		return fmt.Sprintf(" recovering=%d:%d", f.role, f.row)
	case 'x':
		return fmt.Sprintf(" recovering=%d:%d avoid=%d", f.role, f.row, f.role)
	}
	return ""
}

func (x *exam) synced() []int64 {
	if x.g.SyncSize == 0 {
		return []int64{1<<63 - 1}
	}
	return []int64{1<<63 - 1, 0, x.g.SyncSize/2 + 1}
}

func (x *exam) preferences() []plan.RoleSet {
	if x.model.Parity != nil || x.g.SyncSize == 0 {
		return []plan.RoleSet{0}
	}
	return []plan.RoleSet{0, plan.Roles(x.g.Roles).Without(0)}
}

func (x *exam) world(synced int64, prefer plan.RoleSet, faults ...fault) *world {
	w := &world{View: plan.Healthy(x.g.Roles), members: x.clean.Clone()}
	for _, f := range faults {
		w.name += f.String()
	}
	w.Synced, w.Prefer = synced, prefer
	if synced < x.g.SyncSize {
		w.name += fmt.Sprintf(" synced=%d", synced)
	}
	if prefer != 0 {
		w.name += " prefer=" + prefer.String()
	}
	w.Recovered = make([]int64, x.g.Roles)
	for _, f := range faults {
		switch f.kind {
		case 'd':
			w.Readable, w.Writable = w.Readable.Without(f.role), w.Writable.Without(f.role)
		case 'a':
			w.Avoid = w.Avoid.With(f.role)
		case 'r':
			w.Readable, w.Recovered[f.role] = w.Readable.Without(f.role), f.row
		case 'x':
			w.Readable, w.Recovered[f.role] = w.Readable.Without(f.role), f.row
			w.Avoid = w.Avoid.With(f.role)
		default:
			continue
		}
		w.faults++
	}
	x.disagree(w)
	for _, f := range faults {
		if f.kind != 0 {
			from := f.row
			if f.kind == 'x' {
				from = 0
			}
			fill(w.members[f.role][from:], 0xEE)
		}
	}
	w.mayFail = w.faults > x.g.Tolerates || x.model.Parity != nil && w.faults > 0 && synced < x.g.SyncSize
	return w
}

// disagree makes redundancy wrong from w.Synced on: parity, or every copy but the one that counts. What a recovering member
// already has came from that one.
func (x *exam) disagree(w *world) {
	if x.model.Parity != nil {
		for row := w.Synced; row < x.g.Rows; row++ {
			w.members[x.model.Parity(row)][row] ^= 0x5A
			if x.model.Second != nil {
				w.members[x.model.Second(row)][row] ^= 0x33
			}
		}
		return
	}
	for off := w.Synced; off < x.g.SyncSize; off++ {
		places := x.places[off]
		right := -1
		for i, at := range places {
			if !w.Readable.Has(at.Role) || w.Avoid.Has(at.Role) {
				continue
			}
			if right < 0 || w.Prefer.Has(at.Role) && !w.Prefer.Has(places[right].Role) {
				right = i
			}
		}
		for i, at := range places {
			if i != right && w.Readable.Has(at.Role) {
				w.members[at.Role][at.Row] ^= 0x5A
			}
		}
	}
}

// valid says whether a member's byte is good to read later, whatever is avoided now.
func (w *world) valid(at Place) bool {
	return w.Readable.Has(at.Role) || at.Row < w.Recovered[at.Role]
}
