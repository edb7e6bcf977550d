package level5

import (
	"graid/block"
	"graid/raid/plan"
)

// wholeLogged is how many whole stripes a plan may have whose rows are logged: a header of the log has room for 148 entries, and two parts of stripes may
// come beside them, in three pieces each.
const wholeLogged = 64

// NewLogged is New for an array with a partial parity log. No plan of it has more than room bytes of partial parity for one role, of which there
// must be 8 KiB at least, nor more than 70 Partials.
func NewLogged(roles int, chunk int64, layout uint32, rows, room int64) (plan.Level, error) {
	built, err := New(roles, chunk, layout, rows)
	if err != nil {
		return nil, err
	}
	l := built.(*level)
	l.Whole = wholeLogged
	for l.Cut*2 > room && l.Cut > 4096 {
		l.Cut /= 2
	}
	return l, nil
}

func (l *level) Partials(list []plan.Partial, p *plan.Plan, off, n int64, v *plan.View) []plan.Partial {
	for end := off + n; off < end; {
		stripe := off / l.Stripe()
		base := stripe * l.Stripe()
		a := plan.Part{Chunk: l.Chunk, Stripe: stripe, Lo: off - base, Hi: min(l.Stripe(), end-base)}
		off = base + l.Stripe()
		role := l.parity(stripe)
		rects, n := a.Cover()
		for _, r := range rects[:n] {
			if v.Keeps(role, a.Base()+r.Hi) {
				list = append(list, plan.Partial{
					Role: role, Off: base + int64(r.First)*l.Chunk + r.Lo, Data: (r.Hi - r.Lo) * int64(r.Chunks()), Rows: r.Hi - r.Lo,
					Calc: l.calcOf(p, r, a.Base(), role),
				})
			}
		}
	}
	return list
}

// calcOf is the sum of p that is the parity of r, unless r has all of its rows.
func (l *level) calcOf(p *plan.Plan, r plan.Rect, base int64, parity int) int {
	if r.Chunks() == l.Data {
		return -1
	}
	for i := range p.Writes {
		io := &p.Writes[i]
		if io.Role != parity || io.Row != base+r.Lo || io.Op != block.Write {
			continue
		}
		for c := range p.Calcs {
			if p.Calcs[c].Dst.Slot == io.Ref.Slot {
				return c
			}
		}
	}
	panic("level5: rows are written without their parity")
}

func (l *level) Replay(p *plan.Plan, role int, off, data, pp int64, v *plan.View) bool {
	rows, chunks, last := pp, data, off+data
	switch size := l.rows * int64(l.Data); {
	case off < 0 || data <= 0 || pp < 0 || pp > l.Chunk || data > l.Stripe() || off > size-data:
		return false
	case pp == 0:
		// All of the rows is modified.
		rows, chunks = data/int64(l.Data), int64(l.Data)
		if data%int64(l.Data) != 0 || off%l.Stripe()+rows > l.Chunk {
			return false
		}
		last = off + (chunks-1)*l.Chunk + rows
	case pp < l.Chunk:
		chunks = data / pp
		if data%pp != 0 || chunks > int64(l.Data) {
			return false
		}
		last = off + (chunks-1)*l.Chunk + rows
	default:
		chunks = int64(l.Data) // as many of a row as lie before last
	}
	stripe := off / l.Stripe()
	if (last-1)/l.Stripe() != stripe || l.parity(stripe) != role {
		return false
	}
	if !v.Writable.Has(role) {
		return true
	}
	// Rows that have the same chunks modified are one piece: the number changes where a chunk begins, and where it ends with last.
	for i := int64(0); i < rows; {
		at := off + i
		n := min(rows-i, l.Chunk-at%l.Chunk)
		if d := (last%l.Chunk - at%l.Chunk + l.Chunk) % l.Chunk; d > 0 {
			n = min(n, d)
		}
		modified := int64(0)
		for modified < chunks && at+modified*l.Chunk < last {
			modified++
		}
		if modified > 0 {
			l.replay(p, stripe, at%l.Stripe(), n, int(modified), plan.UserRef(i, min(n, max(0, pp-i))), v)
		}
		i += n
	}
	return true
}

// replay plans n rows of a stripe, which has so many chunks of them modified from byte at of its data on.
func (l *level) replay(p *plan.Plan, stripe, at, n int64, modified int, pp plan.Ref, v *plan.View) {
	parity := l.parity(stripe)
	row := stripe*l.Chunk + at%l.Chunk
	first := int(at / l.Chunk)
	for i := range modified {
		if !v.CanRead(l.role(parity, first+i), row+n) {
			return
		}
	}
	p.Hold(row, row+n)
	sum := p.Slot(n)
	p.Sum(sum)
	if pp.Len > 0 {
		p.Add(1, pp)
	}
	for i := range modified {
		l.old(p, l.role(parity, first+i), row, n)
	}
	p.Write(parity, row, sum)
}
