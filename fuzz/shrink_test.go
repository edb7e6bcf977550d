package fuzz

import (
	"slices"
	"testing"

	"graid/block/fault"
)

// TestShrinkFindsWhatMatters has a failure that needs one fault, one write of one sector in one life that ends by a power cut late enough, and the
// bitmap: of a large case nothing else is left.
func TestShrinkFindsWhatMatters(t *testing.T) {
	for seed := range uint64(15) {
		c := NewCase(seed)
		c.Level, c.Layout, c.Bitmap = 1, 0, true
		c = c.Script(1000)
		last := &c.Lives[len(c.Lives)-1]
		last.End, last.Steps = Power, max(last.Steps, 9)
		last.Clients[0] = append(last.Clients[0], Op{Kind: opFUA, LBA: 500, N: 30})
		last.Faults = append(last.Faults, fault.Rule{Member: "m0", Effect: fault.Gone, After: 7})
		asked := 0
		fails := func(c Case) bool {
			asked++
			return c.Bitmap && slices.ContainsFunc(c.Lives, func(l Life) bool {
				return l.End == Power && l.Steps >= 5 &&
					slices.ContainsFunc(l.Faults, func(f fault.Rule) bool { return f.Effect == fault.Gone && f.Member == "m0" }) &&
					slices.ContainsFunc(l.Clients, func(ops []Op) bool {
						return slices.ContainsFunc(ops, func(o Op) bool { return o.Kind == opFUA && o.LBA <= 510 && o.LBA+o.N > 500 })
					})
			})
		}
		s := Shrink(c, 20000, fails)
		n := 0
		for _, l := range s.Lives {
			n += len(l.Faults)
		}
		if !fails(s) || s.Requests() != 1 || len(s.Lives) != 1 || n != 1 || s.Lives[0].Steps != 5 || s.Lives[0].Faults[0].After != 0 || s.Large != 0 || len(s.Lives[0].Hand) > 0 || s.Spares+s.Blanks > 0 {
			t.Fatalf("seed %d: shrunk to\n%v", seed, s)
		}
	}
}

// TestFewer leaves exactly what is needed, wherever it is.
func TestFewer(t *testing.T) {
	for n := range 40 {
		for a := range n {
			list := make([]int, n)
			for i := range list {
				list[i] = i
			}
			b := a * 7 % n
			got := fewer(list, func(l []int) bool { return slices.Contains(l, a) && slices.Contains(l, b) })
			want := []int{min(a, b), max(a, b)}
			if got = slices.Compact(got); !slices.Equal(got, slices.Compact(want)) {
				t.Fatalf("of %d: %v, want %v", n, got, want)
			}
		}
	}
}

// TestCaseText reads what cases say of themselves, and the scripted world is the world that was drawn.
func TestCaseText(t *testing.T) {
	for seed := range uint64(30) {
		c := NewCase(seed)
		drawn := Run(c, 0)
		c = c.Script(drawn.Sectors)
		again, err := ParseCase("# a comment\n\n" + c.String())
		if err != nil {
			t.Fatal(err)
		}
		if again.String() != c.String() {
			t.Fatalf("seed %d: wrote\n%v, read\n%v", seed, c, again)
		}
		if r := Run(again, 0); r.Hash != drawn.Hash {
			t.Fatalf("seed %d: hash %016x, and from its text %016x", seed, drawn.Hash, r.Hash)
		}
	}
	for _, bad := range []string{"", "{}\nx", `{"Nobody":1}`, "{}\n{\"Faults\":[\"m0\"]}", "{}\n{\"Clients\":[[\"q 1+1\"]]}",
		"{}\n{\"Hand\":[\"fail m1\"]}", "{}\n{\"Hand\":[\"1ms add\"]}", "{}\n{\"Hand\":[\"1ms check m1\"]}"} {
		if _, err := ParseCase(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
