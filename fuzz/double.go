package fuzz

import (
	"crypto/subtle"
	"slices"
)

// product is the multiplication table of GF(2^8) modulo x^8+x^4+x^3+x^2+1, made by shifting and adding.
var product = func() (t [256][256]byte) {
	for a := range 256 {
		for b := range 256 {
			sum, x := 0, a
			for y := b; y > 0; y >>= 1 {
				if y&1 != 0 {
					sum ^= x
				}
				if x <<= 1; x > 255 {
					x ^= 0x11d
				}
			}
			t[a][b] = byte(sum)
		}
	}
	return t
}()

// quotient is a/b, found by trying.
func quotient(a, b byte) byte {
	for x := range 256 {
		if product[x][b] == a {
			return byte(x)
		}
	}
	panic("fuzz: division by zero")
}

// power is 2 to the n.
func power(n int) byte {
	x := byte(1)
	for range n {
		x = product[x][2]
	}
	return x
}

// withTwo is raid6: md's algorithms 0 to 5, those of DDF, and those that are a raid5 with Q on the last member.
func (l *layout) withTwo(algorithm int) {
	n := l.members
	for stripe := range int(l.rows / l.chunk) {
		var p, q int
		first, around := 0, n // data goes round from first, over that many members
		switch algorithm {
		case 0, 2, 10:
			p = n - 1 - stripe%n
		case 1, 3, 8:
			p = stripe % n
		case 9:
			p = n - 1 - (stripe+1)%n
		case 5:
			p = n - 2
		case 16, 18:
			p = n - 2 - stripe%(n-1)
		case 17, 19:
			p = stripe % (n - 1)
		}
		q = (p + 1) % n
		switch algorithm {
		case 2, 3:
			first = q + 1
		case 10:
			q, first = (p+n-1)%n, p+1
		case 18, 19:
			q, first, around = n-1, p+1, n-1
		case 16, 17, 20:
			q = n - 1
		}
		l.parity, l.second = append(l.parity, p), append(l.second, q)
		for i := range around {
			if role := (first + i) % around; role != p && role != q {
				l.chunks = append(l.chunks, []place{{role, int64(stripe) * l.chunk}})
			}
		}
		coef, exponent := make([]byte, n), 0
		for i := range n {
			role := (q + 1 + i) % n
			if algorithm >= 8 && algorithm <= 10 {
				role, exponent = i, i
			}
			if role != p && role != q {
				coef[role] = power(exponent)
				exponent++
			}
		}
		l.coef = append(l.coef, coef)
	}
}

// sums is what the equations of the row that those sectors, by role, are of come to: both are zeroes where parity is true. Sectors that
// are nil count for nothing.
func (l *layout) sums(row int64, of [][]byte) (p, q [sector]byte) {
	stripe := row / l.chunk
	for role, b := range of {
		if b == nil {
			continue
		}
		inP, c := l.second == nil || role != l.second[stripe], byte(0)
		if l.second != nil {
			if c = l.coef[stripe][role]; role == l.second[stripe] {
				c = 1
			}
		}
		if inP {
			subtle.XORBytes(p[:], p[:], b)
		}
		if c == 0 {
			continue
		}
		for i, times := 0, &product[c]; i < len(b); i++ {
			q[i] ^= times[b[i]]
		}
	}
	return p, q
}

// holds says whether the parity of a row is right, as far as that can be told with at most one sector missing.
func (l *layout) holds(row int64, of [][]byte) bool {
	p, q := l.sums(row, of)
	missing := slices.IndexFunc(of, func(b []byte) bool { return b == nil })
	if l.second == nil || missing < 0 {
		return p == [sector]byte{} && (l.second == nil || q == [sector]byte{})
	}
	switch stripe := row / l.chunk; missing {
	case l.parity[stripe]:
		return q == [sector]byte{}
	case l.second[stripe]:
		return p == [sector]byte{}
	default: // what P says it is must be what Q says it is
		for i := range q {
			if product[l.coef[stripe][missing]][p[i]] != q[i] {
				return false
			}
		}
		return true
	}
}

// solve is what the data sector of role in that row must be, computed from those of the others; nil if too many of them are missing.
func (l *layout) solve(row int64, role int, of [][]byte) []byte {
	others := slices.Clone(of)
	others[role] = nil
	stripe, missing := row/l.chunk, -1
	for r, b := range others {
		if b != nil || r == role {
			continue
		}
		if missing >= 0 || l.second == nil {
			return nil
		}
		missing = r
	}
	p, q := l.sums(row, others)
	if missing < 0 || missing == l.second[stripe] {
		return p[:]
	}
	// With x for role and y for missing: x + y = p and cx·x + cy·y = q. If P is missing the second is all there is, and y is not in it.
	cx, cy := l.coef[stripe][role], l.coef[stripe][missing]
	inverse := &product[quotient(1, cx^cy)]
	for i := range q {
		q[i] = inverse[q[i]^product[cy][p[i]]]
	}
	return q[:]
}
