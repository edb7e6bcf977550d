package raid

import (
	"fmt"

	"graid/block"
	"graid/raid/plan"
)

// BadBlock is a run of a member that its bad block log names.
type BadBlock struct {
	Member string // path
	Role   int
	Offset int64 // bytes from the start of the member's data area
	Length int64 // bytes
	// Array is the bytes of the array that should be there, from and to; none where it is parity.
	Array [][2]int64
	// Lost says that nobody else has them: reading them is an error until they are written anew.
	Lost bool
}

// BadBlocks is all that the bad block logs of members that have a role name.
func (a *Array) BadBlocks() (list []BadBlock) {
	v := a.view.Load()
	for role, m := range v.members {
		if m == nil || m.bad.Load() == nil {
			continue
		}
		for _, s := range *m.bad.Load() {
			b := BadBlock{Member: m.path, Role: role, Offset: s.Lo, Length: s.Len()}
			for _, r := range a.bytesOf(role, s) {
				b.Array = append(b.Array, [2]int64{r.Lo, r.Hi})
				b.Lost = b.Lost || !a.known(v, role, r)
			}
			list = append(list, b)
		}
	}
	return list
}

// known says whether span of the array can be read without the role, as far as logs tell.
func (a *Array) known(v *view, role int, span plan.Span) bool {
	w, p := v.View, new(plan.Plan)
	w.Avoid = w.Avoid.With(role)
	for span.Len() > 0 {
		p.Reset()
		n, err := a.level.Plan(p, block.Request{Op: block.Read, Off: span.Lo, Len: span.Len()}, &w)
		if err != nil {
			return false
		}
		for _, io := range p.Reads {
			if m := v.members[io.Role]; m == nil || m.isBad(plan.Span{Lo: io.Row, Hi: io.Row + io.Ref.Len}) {
				return false
			}
		}
		span.Lo += n
	}
	return true
}

// lost says which bytes of the array rows of a role are, if they cannot be computed either.
func (a *Array) lost(role int, rows plan.Span) string {
	list := a.bytesOf(role, rows)
	if len(list) == 0 {
		return "parity: no data of the array"
	}
	text := "array bytes"
	for _, s := range list {
		text += fmt.Sprintf(" [%d,%d)", s.Lo, s.Hi)
	}
	return text
}

// bytesOf is the spans of the array whose data rows of a role are; none if they are parity.
func (a *Array) bytesOf(role int, rows plan.Span) (list []plan.Span) {
	if a.geo.Level == 1 {
		return []plan.Span{rows}
	}
	// A plan knows where everything is: of every chunk that may be there, is it?
	v, p := plan.Healthy(a.geo.Roles), new(plan.Plan)
	chunk := a.geo.Chunk
	first, last := int64(0), a.geo.Size
	if a.geo.Level != 10 {
		first, last = rows.Lo/chunk*a.geo.Stripe, min(last, ((rows.Hi-1)/chunk+1)*a.geo.Stripe)
	}
	v.Readable, v.Recovered = plan.RoleSet(0).With(role), nil
	for at := first; at < last; at += chunk {
		p.Reset()
		if _, err := a.level.Plan(p, block.Request{Op: block.Read, Off: at, Len: min(chunk, last-at)}, &v); err != nil || len(p.Calcs) > 0 {
			continue
		}
		for _, io := range p.Reads {
			lo, hi := max(io.Row, rows.Lo), min(io.Row+io.Ref.Len, rows.Hi)
			if io.Role == role && lo < hi {
				list = append(list, plan.Span{Lo: at + io.Ref.Off + lo - io.Row, Hi: at + io.Ref.Off + hi - io.Row})
			}
		}
	}
	return list
}
