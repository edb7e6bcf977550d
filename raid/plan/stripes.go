package plan

import "graid/block"

const (
	maxRect  = 32 << 20  // bytes of slots one rectangle may ask for; chunks that would need more are cut
	maxClear = 128 << 20 // rows zeroed under one lock, bytes
	maxSync  = 512 << 10 // rows of one Sync plan, bytes
)

// Stripes is the shape that all levels with parity have: Data chunks of data beside their parities in every stripe, each on a role of its own.
// It knows how requests fall on it, and not where a chunk or a parity is.
type Stripes struct {
	Roles int
	Data  int   // chunks of data in a stripe
	Chunk int64 // bytes, a power of two
	Cut   int64 // rows of a rectangle that has not a whole stripe, at most: bytes, a power of two
	Whole int64 // whole stripes zeroed by one plan, at most; 0 = as many as fit otherwise
}

// NewStripes is the shape of stripes over so many roles, with its Cut.
func NewStripes(roles, data int, chunk int64) Stripes {
	s := Stripes{Roles: roles, Data: data, Chunk: chunk, Cut: 4096}
	for s.Cut*2*int64(roles) <= maxRect {
		s.Cut *= 2
	}
	return s
}

// Stripe is the bytes of data in a stripe.
func (s *Stripes) Stripe() int64 { return int64(s.Data) * s.Chunk }

// Request plans a prefix of r as Level.Plan does. read and write plan one part, or say that they cannot and leave p as it was.
func (s *Stripes) Request(p *Plan, r block.Request, v *View, read, write func(*Plan, Part, *View) bool) (n int64, err error) {
	switch r.Op {
	case block.Read:
		return s.walk(p, r, v, read)
	case block.Write:
		return s.walk(p, r, v, write)
	}
	stripe := s.Stripe()
	whole := r.Len / stripe
	switch within := r.Off % stripe; {
	case within == 0 && whole > 0:
		return s.clear(p, r, v, whole)
	case r.Op == block.Discard:
		// A part of a stripe keeps what it has: discarding it would cost reads.
		return min(r.Len, stripe-within), nil
	default:
		r.Len = min(r.Len, stripe-within)
		return s.walk(p, r, v, write)
	}
}

// clear zeroes whole stripes: zeroes sum up to zero, so every role gets one request and nothing is read.
func (s *Stripes) clear(p *Plan, r block.Request, v *View, stripes int64) (int64, error) {
	lo := r.Off / s.Stripe() * s.Chunk
	if s.Whole > 0 {
		stripes = min(stripes, s.Whole)
	}
	hi := lo + min(stripes*s.Chunk, max(maxClear/s.Chunk, 1)*s.Chunk)
	kept := 0
	for role := range s.Roles {
		if v.Keeps(role, hi) {
			kept++
		}
	}
	if kept < s.Data {
		return 0, ErrFailed
	}
	p.Hold(lo, hi)
	for role := range s.Roles {
		if v.Writable.Has(role) {
			p.Clear(block.WriteZeroes, role, lo, lo, hi-lo)
		}
	}
	return (hi - lo) * int64(s.Data), nil
}

// walk plans r stripe by stripe until p is full. A stripe that cannot be planned ends the prefix before it.
func (s *Stripes) walk(p *Plan, r block.Request, v *View, do func(*Plan, Part, *View) bool) (n int64, err error) {
	stripe := s.Stripe()
	for n < r.Len && !p.Full() {
		within := (r.Off + n) % stripe
		a := Part{Chunk: s.Chunk, Stripe: (r.Off + n) / stripe, Lo: within, Hi: min(stripe, within+r.Len-n), User: n, Zero: r.Op != block.Write}
		next := a.Hi
		if a.Hi-a.Lo < stripe && s.Chunk > s.Cut {
			a.Hi = min(a.Hi, (a.Lo/s.Cut+1)*s.Cut)
		}
		if !do(p, a, v) {
			if n == 0 {
				err = ErrFailed
			}
			return n, err
		}
		n += a.Hi - a.Lo
		if a.Hi < next {
			break // the rest of the stripe may have the same rows: one plan must not compute their parity twice
		}
	}
	return n, nil
}

// Window is where a Sync plan from row lo, with a slot for each of the roles, ends at the latest: within MaxBytes of slots, but never
// less than 4 KiB.
func (s *Stripes) Window(lo int64) int64 {
	n := int64(maxSync)
	for n > 4096 && n*int64(s.Roles) > MaxBytes {
		n /= 2
	}
	return (lo/n + 1) * n
}

// Use is what a Sync plan does with the chunk that a role has of a stripe.
type Use uint8

// The uses of a chunk.
const (
	Unused Use = iota
	Source     // read into the role's slot
	Result     // written from there
)

// Runs plans what use says of each stripe in rows [lo, hi) of role, into and from slot, which has a place for all of them: neighbours
// that are used alike are one request.
func (s *Stripes) Runs(p *Plan, role, slot int, lo, hi int64, use func(role int, stripe int64) Use) {
	at, was := lo, Unused
	for row := lo; ; row = min(hi, (row/s.Chunk+1)*s.Chunk) {
		now := Unused
		if row < hi {
			now = use(role, row/s.Chunk)
		}
		if now == was && row < hi {
			continue
		}
		switch ref := (Ref{slot, at - lo, row - at}); was {
		case Source:
			p.Read(role, at, ref)
		case Result:
			p.Write(role, at, ref)
		}
		if row == hi {
			return
		}
		at, was = row, now
	}
}
