package crash

import (
	"math/bits"
	"math/rand/v2"
)

// Scope is how much is enumerated of each history.
type Scope struct {
	Exhaustive int // so many loose writes: every subset; more: the telling ones
	Random     int // and so many at random
	Torn       int // a single write of so many sectors is torn in every way, a longer one in the telling ones; 0: none is
	Seconds    int // of so many images, the recovery of one is cut again; 0: of none
}

// subsets calls do with what a crash at m may keep: for each loose write, the set of its sectors. do must not hold on to it.
func (s *Scope) subsets(g *ground, t *tape, m *moment, do func(keep []uint64)) {
	n := len(m.loose)
	whole, keep := make([]uint64, n), make([]uint64, n)
	for i, e := range m.loose {
		whole[i] = span(0, t.entries[e].sectors())
	}
	choose := func(has func(i int) bool) {
		for i := range keep {
			if keep[i] = 0; has(i) {
				keep[i] = whole[i]
			}
		}
		do(keep)
	}
	if n <= s.Exhaustive {
		for set := range 1 << n {
			choose(func(i int) bool { return set>>i&1 != 0 })
		}
	} else {
		s.telling(g, t, m, choose)
	}
	for one := 0; one < n && s.Torn > 0; one++ {
		for _, others := range []bool{false, true} {
			for i := range keep {
				if keep[i] = 0; others {
					keep[i] = whole[i]
				}
			}
			s.tears(bits.OnesCount64(whole[one]), func(set uint64) {
				keep[one] = set
				do(keep)
			})
		}
	}
}

// telling is what is chosen of many loose writes.
func (s *Scope) telling(g *ground, t *tape, m *moment, choose func(func(i int) bool)) {
	n := len(m.loose)
	of := func(i int) *entry { return &t.entries[m.loose[i]] }
	for k := range n {
		choose(func(i int) bool { return i == k })
		choose(func(i int) bool { return i != k })
		choose(func(i int) bool { return i < k })
	}
	disks := 0
	for i := range n {
		disks = max(disks, of(i).member+1)
	}
	for set := range 1 << disks {
		choose(func(i int) bool { return set>>of(i).member&1 != 0 })
	}
	super := func(i int) bool { return of(i).first == superAt }
	data := func(i int) bool { return !super(i) && (g.data[of(i).first]>>of(i).member&1 != 0 || !g.parity()) }
	choose(super)
	choose(func(i int) bool { return !super(i) })
	choose(data)
	choose(func(i int) bool { return !data(i) })
	rng := rand.New(rand.NewPCG(uint64(n), uint64(m.from)))
	for range s.Random {
		set := rng.Uint64()
		choose(func(i int) bool { return set>>(i%64)&1 != 0 })
	}
}

// tears calls do with the sets of the n sectors of a write that are neither none nor all of them.
func (s *Scope) tears(n int, do func(set uint64)) {
	all := span(0, n)
	if n <= s.Torn {
		for set := uint64(1); set < all; set++ {
			do(set)
		}
		return
	}
	for k := 1; k < n; k++ {
		do(span(0, k))
		do(all &^ span(0, k))
	}
	if n > 3 {
		do(0x5555555555555555 & all)
		do(0xAAAAAAAAAAAAAAAA & all)
		do(all &^ (1 << (n / 2)))
	}
}
