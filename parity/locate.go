package parity

// Wrong is what Locate found: the number of the wrong data block, or one of the constants, which are negative.
type Wrong int

const (
	Nothing Wrong = -1 // the stripe is consistent
	WrongP  Wrong = -2 // P does not fit, all else does
	WrongQ  Wrong = -3 // Q does not fit, all else does
	Several Wrong = -4 // more than one block is wrong: nothing says which
)

// slice is how many bytes of a stripe Locate looks at in one go.
const slice = 512

// Locate names the one wrong block of a stripe, or says that none or more than one is. Two wrong blocks can pass for one: a byte of both is
// explained by some data block with a chance of len(data) in MaxData, and all wrong bytes must be by the same, so it takes few of them.
// A data block of nil is all zeros and cannot be wrong.
func Locate(p, q []byte, data ...[]byte) Wrong {
	var s system
	s.add(p, 1, 0)
	s.add(q, 0, 1)
	for i, d := range data {
		s.add(d, 1, Power(i))
	}
	check(len(p), s.srcs[:s.n])
	var cut [MaxData + 2][]byte
	var dp, dq [slice]byte
	found := Nothing
	for lo := 0; lo < len(p); lo += slice {
		n := min(slice, len(p)-lo)
		for i, src := range s.srcs[:s.n] {
			cut[i] = src[lo : lo+n]
		}
		Sums(dp[:n], s.a[:s.n], dq[:n], s.b[:s.n], cut[:s.n])
		if IsZero(dp[:n]) && IsZero(dq[:n]) {
			continue
		}
		for i := range n {
			w := blame(dp[i], dq[i])
			if w >= 0 && (int(w) >= len(data) || data[w] == nil) || w != Nothing && found != Nothing && w != found {
				return Several
			}
			if w != Nothing {
				found = w
			}
		}
	}
	return found
}

// blame says which one block explains what a byte of the P and the Q of a stripe are off by.
func blame(dp, dq byte) Wrong {
	switch {
	case dp == 0 && dq == 0:
		return Nothing
	case dq == 0:
		return WrongP
	case dp == 0:
		return WrongQ
	}
	return Wrong(logs[Div(dq, dp)])
}
