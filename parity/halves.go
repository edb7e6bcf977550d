//go:build amd64 || arm64

package parity

// halves are the products of every coefficient with the low halves of bytes, 0 to 15, and then with the high ones: what shuffles look up.
var halves = func() (t [256][32]byte) {
	for c := range t {
		for x := range 16 {
			t[c][x] = mulSlow(byte(c), byte(x))
			t[c][16+x] = mulSlow(byte(c), byte(x<<4))
		}
	}
	return t
}()
