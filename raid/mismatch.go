package raid

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"graid/raid/plan"
)

// MaxMismatches is how many places where members do not agree a Status lists.
const MaxMismatches = 64

// Mismatch is a place where the last check or repair found that members do not agree, twice in a row.
type Mismatch struct {
	Sync  plan.Span   // where: bytes of every member's data area, or for raid10 of the array
	Array []plan.Span // bytes of the array that are in doubt; none if only parity is wrong. The last of maxRanges may span more than is
	Wrong []int       // roles whose members are wrong; none = nothing tells
	Left  bool        // a repair left it alone
	Text  string      // all this in words
}

// maxRanges is how many ranges of the array a Mismatch has at most.
const maxRanges = 16

// places is the mismatches that the last check or repair found.
type places struct {
	mu   sync.Mutex // guards what follows; never held across a wait
	list []Mismatch
	more int // beyond MaxMismatches
}

func (p *places) add(m Mismatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == MaxMismatches {
		p.more++
		return
	}
	p.list = append(p.list, m)
}

// forget takes away what was found in span, which has been looked at anew.
func (p *places) forget(span plan.Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(p.list, func(m Mismatch) bool { return span.Lo <= m.Sync.Lo && m.Sync.Lo < span.Hi })
}

func (p *places) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, p.more = nil, 0
}

// now is a copy of the list, and how many more there are.
func (p *places) now() ([]Mismatch, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list), p.more
}

// finding is a piece where what was read differs all over, and in which the same members are wrong.
type finding struct {
	at plan.Span // in the sync space
	verdict
	unsteady plan.RoleSet // who answered differently when asked again
	done     string       // what a repair did about it: doneLeft, …
}

// findings is what o, which compared, found to differ: ascending, by sectors that have the same verdict.
func (o *op) findings() (list []finding) {
	calcs := o.plan.Calcs
	for len(calcs) > 0 {
		at, n := o.posOf(&calcs[0]), 1
		for n < len(calcs) && o.posOf(&calcs[n]) == at {
			n++
		}
		w := o.evidenceOf(calcs[:n])
		for _, s := range o.differing(calcs[0].Lo, calcs[n-1].Lo) {
			list = append(list, finding{at: s, verdict: o.judge(w, s.Lo-at, s.Len())})
		}
		calcs = calcs[n:]
	}
	return merged(list)
}

// differing is the sectors, ascending, that any of the sums whose terms begin at first to last says differ. They are the array's, which may be larger
// than those that are counted: what is written is whole ones.
func (o *op) differing(first, last int) (list []plan.Span) {
	n := o.a.sector()
	for _, d := range o.diffs {
		if first <= d.sum && d.sum <= last {
			list = append(list, plan.Span{Lo: d.pos.Lo / n * n, Hi: (d.pos.Lo/n + 1) * n})
		}
	}
	slices.SortFunc(list, func(a, b plan.Span) int { return int(min(max(a.Lo-b.Lo, -1), 1)) })
	return slices.Compact(list)
}

// merged is list with neighbours of one verdict made one.
func merged(list []finding) []finding {
	out := list[:0]
	for _, f := range list {
		if n := len(out); n > 0 && out[n-1].at.Hi == f.at.Lo && out[n-1].verdict == f.verdict {
			out[n-1].at.Hi = f.at.Hi
			continue
		}
		out = append(out, f)
	}
	return out
}

// mirror says whether redundancy is copies.
func (a *Array) mirror() bool { return a.geo.Level == 1 || a.geo.Level == 10 }

// mismatchOf is what is told of f.
func (a *Array) mismatchOf(f *finding) Mismatch {
	m := Mismatch{Sync: f.at, Left: f.left()}
	for rest := f.wrong; rest != 0; rest = rest.Without(rest.First()) {
		m.Wrong = append(m.Wrong, rest.First())
	}
	switch {
	case a.mirror():
		m.Array = []plan.Span{f.at}
	case f.wrong == 0:
		m.Array = capped(dataOf(a.geo, f.at))
	case f.part == partData:
		m.Array = capped(a.bytesOf(f.wrong.First(), f.at))
	}
	text := []string{fmt.Sprintf("parity of %d bytes at %d of the members differs", f.at.Len(), f.at.Lo)}
	if a.mirror() {
		text[0] = fmt.Sprintf("copies of %d bytes at %d differ", f.at.Len(), f.at.Lo)
	}
	if s := f.verdict.String(); s != "" {
		text = append(text, s)
	}
	switch {
	case a.mirror():
	case m.Array == nil:
		text = append(text, "no data of the array")
	default:
		text = append(text, "array bytes "+ranges(m.Array))
	}
	m.Text = strings.Join(text, ": ")
	if f.unsteady != 0 {
		m.Text += fmt.Sprintf("; m%s answered otherwise when read again", f.unsteady)
	}
	if f.done != "" {
		m.Text += "; " + f.done
	}
	return m
}

func (v verdict) String() string {
	switch v.part {
	case partBlind:
		return ""
	case partTie:
		return "no majority says which is right"
	case partMore:
		return "more than one member is wrong"
	case partP, partQ:
		return fmt.Sprintf("%s on m%s is wrong", v.part, v.wrong)
	}
	if v.wrong.Count() > 1 {
		return fmt.Sprintf("m%s are wrong", strings.ReplaceAll(v.wrong.String(), ",", ", m"))
	}
	return fmt.Sprintf("m%s is wrong", v.wrong)
}

// dataOf is the bytes of the array that rows of a level with parity have.
func dataOf(g plan.Geometry, rows plan.Span) (list []plan.Span) {
	for row := rows.Lo; row < rows.Hi && len(list) <= maxRanges; {
		stripe, within := row/g.Chunk, row%g.Chunk
		n := min(g.Chunk-within, rows.Hi-row)
		for at := stripe * g.Stripe; at < (stripe+1)*g.Stripe; at += g.Chunk {
			if last := len(list) - 1; last >= 0 && list[last].Hi == at+within {
				list[last].Hi += n
			} else {
				list = append(list, plan.Span{Lo: at + within, Hi: at + within + n})
			}
		}
		row += n
	}
	if len(list) > maxRanges {
		list[len(list)-1].Hi = ((rows.Hi-1)/g.Chunk + 1) * g.Stripe
	}
	return list
}

// capped is list in at most maxRanges ranges.
func capped(list []plan.Span) []plan.Span {
	if n := len(list); n > maxRanges {
		list[maxRanges-1].Hi = list[n-1].Hi
		list = list[:maxRanges]
	}
	return list
}

func ranges(list []plan.Span) string {
	var text []string
	for _, s := range list {
		text = append(text, fmt.Sprintf("[%d,%d)", s.Lo, s.Hi))
	}
	return strings.Join(text, " ")
}

func unsteadyText(b badRows) string {
	return fmt.Sprintf("%d bytes at %d: read twice during a check, it answered differently the second time", b.row.Len(), b.row.Lo)
}
