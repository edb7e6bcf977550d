package crash

import "fmt"

// owners is what the owner of an array with redundancy does besides: each shape has one of these in every test run, and all by TestDepth.
var owners = []string{"L0 A c F", "+c +K", "L0 R0 A0 +c F", "rot P", "A +c L0 W F", "+L0 A W", "c L0 R0 d A0 W C", "+P +d F", "A V0 c W F", "A V0 +c F", "A V0 +L0 +c F", "A V0 +L0 +c W F"}

// Histories is every history of so many writes, of a bounded alphabet, in an order that is always the same: the shorter the history the larger
// the alphabet. A step of the array's owner comes before, between, beside or after them.
func (s *Shape) Histories(writes int) (list []string) {
	words := []string{"a", "a!", "b", "c", "c!", "d", "d!", "e", "f", "g", "z", "x"}
	gaps := []string{" ", " +", " F "}
	switch {
	case writes >= 3:
		words, gaps = []string{"a", "c!", "d", "e", "g", "z"}, gaps[:2]
	case writes == 2:
		words = []string{"a", "b", "c", "c!", "d", "e", "g", "z", "x"}
		if s.redundant() {
			gaps = append(gaps, " Q ", " L0 ")
		}
	}
	all := words
	for range writes - 1 {
		var longer []string
		for _, h := range all {
			for _, gap := range gaps {
				for _, w := range words {
					longer = append(longer, h+gap+w)
				}
			}
		}
		all = longer
	}
	frames := [][2]string{{"", ""}, {"", " F"}, {"", " C"}}
	if s.redundant() {
		frames = append(frames, [2]string{"dirty ", " F"}, [2]string{"", " Q"}, [2]string{"+L1 +", " F"}, [2]string{"G0 ", " F"}, [2]string{"dirty +L0 +", " F"})
		if writes == 1 {
			frames = append(frames, [2]string{"L0 ", " F"}, [2]string{"L1 ", " Q"}, [2]string{"", " L0 C"}, [2]string{"dirty L1 ", " C"},
				[2]string{"L0 A +", " W F"}, [2]string{"A +L0 +", " F"}, [2]string{"L0 R0 A0 +", " W C"}, [2]string{"", " L0 R0 A0 W"},
				[2]string{"+K +", " F"}, [2]string{"+P +", " F"})
		}
	}
	if s.redundant() && writes == 1 {
		list = append(list, owners...)
		if s.Bitmap {
			list = append(list, "U c F", "+U +c F", "U M c F", "U M L0 c R0 A0 W F", "+c U +d M +c F")
		}
		list = append(list, "dirty C", "dirty Q", "dirty L0 Q", "dirty L1 C", "L0 C", "L1 Q", "dirty G0 Q")
		for i := range 8 {
			for _, h := range []string{"dirty L0 Q", "dirty +L0 +c F", "+c +L1 F", "dirty +d +L1 C", "+c +d F", "dirty +a +e Q", "dirty +B +L0 +h F", "+c +G1 F", "a +d +G0 C"} {
				list = append(list, fmt.Sprintf("s%d %s", i+1, h))
			}
		}
	}
	for _, h := range all {
		for _, f := range frames {
			list = append(list, f[0]+h+f[1])
		}
	}
	return list
}

// ScopeOf is what is enumerated of histories of so many writes: the shorter they are the more.
func ScopeOf(writes int) Scope {
	switch writes {
	case 1:
		return Scope{Exhaustive: 8, Random: 64, Torn: 4, Seconds: 64}
	case 2:
		return Scope{Exhaustive: 7, Random: 32, Torn: 2, Seconds: 256}
	}
	return Scope{Exhaustive: 6, Random: 32, Torn: 1, Seconds: 1024}
}
