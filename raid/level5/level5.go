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

const (
	maxRect  = 32 << 20  // bytes of slots one rectangle may ask for; chunks that would need more are cut
	maxClear = 128 << 20 // rows zeroed under one lock, bytes
	maxSync  = 512 << 10 // rows of one Sync plan, bytes
)

type level struct {
	number      int // 5, or 4
	roles, data int // data is chunks of data in a stripe
	layout      uint32
	chunk       int64
	stripe      int64 // bytes of data in a stripe
	rows        int64
	cut         int64 // rows of a rectangle that has not a whole stripe, at most: bytes, a power of two
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
	l := &level{number: number, roles: roles, data: roles - 1, layout: layout, chunk: chunk, rows: rows - rows%chunk}
	l.stripe = int64(l.data) * chunk
	for l.cut = 4096; l.cut*2*int64(roles) <= maxRect; l.cut *= 2 {
	}
	return l, nil
}

func (l *level) Geometry() plan.Geometry {
	return plan.Geometry{
		Level: l.number, Roles: l.roles, Size: l.rows * int64(l.data), Rows: l.rows, SyncSize: l.rows,
		Chunk: l.chunk, Stripe: l.stripe, Tolerates: 1,
	}
}

func (l *level) Enough(present plan.RoleSet) bool {
	return (present & plan.Roles(l.roles)).Count() >= l.data
}

// parity is the role that has the parity of a stripe.
func (l *level) parity(stripe int64) int {
	turn := int(stripe % int64(l.roles))
	switch l.layout {
	case LeftAsymmetric, LeftSymmetric:
		return l.data - turn
	case RightAsymmetric, RightSymmetric:
		return turn
	case ParityFirst:
		return 0
	}
	return l.data
}

// role is the role that has data chunk i of a stripe whose parity role p has.
func (l *level) role(p, i int) int {
	if l.layout == LeftSymmetric || l.layout == RightSymmetric {
		return (p + 1 + i) % l.roles
	}
	if i >= p {
		return i + 1
	}
	return i
}

func (l *level) Plan(p *plan.Plan, r block.Request, v *plan.View) (n int64, err error) {
	switch r.Op {
	case block.Read:
		return l.walk(p, r, v, l.read)
	case block.Write:
		return l.walk(p, r, v, l.write)
	}
	whole := r.Len / l.stripe
	switch within := r.Off % l.stripe; {
	case within == 0 && whole > 0:
		return l.clear(p, r, v, whole)
	case r.Op == block.Discard:
		// A part of a stripe keeps what it has: discarding it would cost reads.
		return min(r.Len, l.stripe-within), nil
	default:
		r.Len = min(r.Len, l.stripe-within)
		return l.walk(p, r, v, l.write)
	}
}

// clear zeroes whole stripes: zeroes sum up to zero, so every role gets one request and nothing is read.
func (l *level) clear(p *plan.Plan, r block.Request, v *plan.View, stripes int64) (int64, error) {
	lo := r.Off / l.stripe * l.chunk
	hi := lo + min(stripes*l.chunk, max(maxClear/l.chunk, 1)*l.chunk)
	kept := 0
	for role := range l.roles {
		if v.Keeps(role, hi) {
			kept++
		}
	}
	if kept < l.data {
		return 0, plan.ErrFailed
	}
	p.Hold(lo, hi)
	for role := range l.roles {
		if v.Writable.Has(role) {
			p.Clear(block.WriteZeroes, role, lo, lo, hi-lo)
		}
	}
	return (hi - lo) * int64(l.data), nil
}

// part is the piece of a request that lies in one stripe.
type part struct {
	stripe int64
	parity int   // role
	lo, hi int64 // bytes of the stripe's data
	user   int64 // where lo is in the caller's buffer
	zero   bool  // the data is zeroes and the caller has no buffer
}

// walk plans r stripe by stripe until p is full. A stripe that cannot be planned ends the prefix before it.
func (l *level) walk(p *plan.Plan, r block.Request, v *plan.View, do func(*plan.Plan, part, *plan.View) bool) (n int64, err error) {
	for n < r.Len && !p.Full() {
		within := (r.Off + n) % l.stripe
		a := part{stripe: (r.Off + n) / l.stripe, lo: within, hi: min(l.stripe, within+r.Len-n), user: n, zero: r.Op != block.Write}
		a.parity = l.parity(a.stripe)
		next := a.hi
		if a.hi-a.lo < l.stripe && l.chunk > l.cut {
			a.hi = min(a.hi, (a.lo/l.cut+1)*l.cut)
		}
		if !do(p, a, v) {
			if n == 0 {
				err = plan.ErrFailed
			}
			return n, err
		}
		n += a.hi - a.lo
		if a.hi < next {
			break // the rest of the stripe may have the same rows: one plan must not compute their parity twice
		}
	}
	return n, nil
}

// within is the rows of chunk i that a has, counted from the stripe's first; lo == hi when it has none.
func (l *level) within(a part, i int) (lo, hi int64) {
	start := int64(i) * l.chunk
	lo, hi = max(a.lo-start, 0), min(a.hi-start, l.chunk)
	return lo, max(lo, hi)
}

// ref is where rows [lo, hi) of chunk i are in the caller's buffer.
func (l *level) ref(a part, i int, lo, hi int64) plan.Ref {
	return plan.UserRef(a.user+int64(i)*l.chunk+lo-a.lo, hi-lo)
}

// span is the chunks that a touches: first to last, both included.
func (l *level) span(a part) (first, last int) {
	return int(a.lo / l.chunk), int((a.hi - 1) / l.chunk)
}
