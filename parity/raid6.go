package parity

import "fmt"

// PQ makes p the sum of data and q the sum of data block i times 2^i, as Linux md has them. A data block of nil is all zeros; p or q may be
// nil if it is not wanted. Up to MaxData blocks.
func PQ(p, q []byte, data ...[]byte) { pq(p, q, data, false) }

// PQStream is PQ for p and q that will not be read soon: they go past the cache where that is faster.
func PQStream(p, q []byte, data ...[]byte) { pq(p, q, data, true) }

func pq(p, q []byte, data [][]byte, stream bool) {
	if len(data) > MaxData {
		panic(fmt.Sprintf("parity: %d data blocks, of at most %d", len(data), MaxData))
	}
	for _, d := range data {
		if d == nil {
			pqSparse(p, q, data, stream)
			return
		}
	}
	switch {
	case q == nil:
		xor(p, data, stream)
	case p == nil:
		Sum(q, powers[:len(data)], data)
	case len(data) < 2:
		check(len(p), data)
		XOR(q, data...)
		XOR(p, q)
	default:
		if len(p) != len(q) {
			panic(fmt.Sprintf("parity: P of %d bytes, Q of %d", len(p), len(q)))
		}
		check(len(p), data)
		horner(p, q, data, stream)
	}
}

// pqSparse leaves the blocks of zeros out.
func pqSparse(p, q []byte, data [][]byte, stream bool) {
	var s system
	for i, d := range data {
		s.add(d, 1, powers[i])
	}
	switch {
	case q == nil:
		xor(p, s.srcs[:s.n], stream)
	default:
		s.solve(p, q)
	}
}

// UpdatePQ makes p and q right for data block x, which is about to become new and still is old. p or q may be nil.
func UpdatePQ(p, q []byte, x int, old, new []byte) {
	c := Power(x)
	switch {
	case q == nil:
		XOR(p, p, old, new)
	case p == nil:
		Sum(q, []byte{1, c, c}, [][]byte{q, old, new})
	default:
		Sums(p, []byte{1, 0, 1, 1}, q, []byte{0, 1, c, c}, [][]byte{p, q, old, new})
	}
}

// RecoverData makes data[x] from P and the other data.
func RecoverData(x int, p []byte, data ...[]byte) {
	var s system
	s.add(p, 1, 0)
	for i, d := range data {
		if i != x {
			s.add(d, 1, 0)
		}
	}
	XOR(data[x], s.srcs[:s.n]...)
}

// RecoverDataP makes data[x] and P from Q and the other data. p may be nil if it is not wanted.
func RecoverDataP(x int, p, q []byte, data ...[]byte) {
	var s system
	inv := Power(-x)
	s.add(q, inv, inv)
	for i, d := range data {
		if i != x {
			c := Power(i - x)
			s.add(d, c, c^1) // once more in P as itself
		}
	}
	s.solve2(data[x], p)
}

// RecoverDataQ makes data[x] and Q from P and the other data. q may be nil if it is not wanted.
func RecoverDataQ(x int, p, q []byte, data ...[]byte) {
	var s system
	s.add(p, 1, Power(x))
	for i, d := range data {
		if i != x {
			s.add(d, 1, Power(i)^Power(x))
		}
	}
	s.solve2(data[x], q)
}

// RecoverTwo makes data[x] and data[y] from P, Q and the other data.
func RecoverTwo(x, y int, p, q []byte, data ...[]byte) {
	var s system
	a, b := TwoData(x, y)
	s.add(p, a, a^1)
	s.add(q, b, b)
	for i, d := range data {
		if i != x && i != y {
			c := a ^ Mul(b, Power(i))
			s.add(d, c, c^1)
		}
	}
	s.solve(data[x], data[y])
}

// system is up to two sums of the blocks of a stripe. 7 KiB on the stack.
type system struct {
	srcs [MaxData + 2][]byte
	a, b [MaxData + 2]byte
	n    int
}

// add adds a block with its coefficients in both sums. A block of nil is all zeros.
func (s *system) add(block []byte, a, b byte) {
	if block != nil {
		s.srcs[s.n], s.a[s.n], s.b[s.n] = block, a, b
		s.n++
	}
}

// solve2 is solve for a second sum that may be unwanted.
func (s *system) solve2(a, b []byte) {
	if b == nil {
		Sum(a, s.a[:s.n], s.srcs[:s.n])
		return
	}
	s.solve(a, b)
}

// solve computes the sums. a may be nil.
func (s *system) solve(a, b []byte) {
	if a == nil {
		Sum(b, s.b[:s.n], s.srcs[:s.n])
		return
	}
	Sums(a, s.a[:s.n], b, s.b[:s.n], s.srcs[:s.n])
}
