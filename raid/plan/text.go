package plan

import (
	"fmt"
	"strings"

	"graid/block"
)

// String is p as golden files show it, one step a line.
func (p *Plan) String() string {
	var b strings.Builder
	if p.Lock.Len() > 0 {
		fmt.Fprintf(&b, "lock  %s\n", rows(p.Lock.Lo, p.Lock.Len()))
	}
	for _, io := range p.Reads {
		fmt.Fprintf(&b, "read  m%d %s -> %s\n", io.Role, rows(io.Row, io.Ref.Len), p.ref(io.Ref))
	}
	for _, c := range p.Calcs {
		var terms []string
		for _, t := range p.Terms[c.Lo:c.Hi] {
			s := p.ref(t.Ref)
			if t.Coef != 1 {
				s = fmt.Sprintf("%d*%s", t.Coef, s)
			}
			terms = append(terms, s)
		}
		if c.Expect {
			fmt.Fprintf(&b, "check 0 = %s\n", strings.Join(terms, " "))
		} else {
			fmt.Fprintf(&b, "sum   %s = %s\n", p.ref(c.Dst), strings.Join(terms, " "))
		}
	}
	for _, io := range p.Writes {
		if io.Op == block.Write {
			fmt.Fprintf(&b, "write m%d %s <- %s\n", io.Role, rows(io.Row, io.Ref.Len), p.ref(io.Ref))
		} else {
			fmt.Fprintf(&b, "%-5s m%d %s\n", io.Op, io.Role, rows(io.Row, io.Ref.Len))
		}
	}
	return b.String()
}

func (p *Plan) ref(r Ref) string {
	if r.Slot == User {
		return "user" + rows(r.Off, r.Len)
	}
	s := fmt.Sprintf("s%d", r.Slot)
	if r.Off != 0 || r.Len != p.Slots[r.Slot] {
		s += rows(r.Off, r.Len)
	}
	return s
}

func rows(at, n int64) string { return "[" + size(at) + ",+" + size(n) + ")" }

func size(n int64) string {
	switch {
	case n != 0 && n%(1<<20) == 0:
		return fmt.Sprintf("%dM", n>>20)
	case n != 0 && n%(1<<10) == 0:
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprint(n)
}
