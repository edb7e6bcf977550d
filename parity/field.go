package parity

// poly is x^8+x^4+x^3+x^2+1, Linux md's choice (lib/raid6). 2 generates all 255 elements but zero.
const poly = 0x11d

// MaxData is how many data blocks a P and Q can cover: the powers of 2 repeat after as many.
const MaxData = 255

// products[c][x] is c*x in the field. 64 KiB, computed once at start: cheaper than carrying it in the source.
var products = func() (t [256][256]byte) {
	for c := range 256 {
		for x := range 256 {
			t[c][x] = mulSlow(byte(c), byte(x))
		}
	}
	return t
}()

// powers[e] is 2^e; logs[powers[e]] is e.
var powers, logs = func() (p [MaxData]byte, l [256]byte) {
	x := byte(1)
	for e := range p {
		p[e], l[x] = x, byte(e)
		x = mulSlow(x, 2)
	}
	return p, l
}()

func mulSlow(a, b byte) (p byte) {
	for x, y := int(a), int(b); y != 0; y >>= 1 {
		if y&1 != 0 {
			p ^= byte(x)
		}
		if x <<= 1; x&0x100 != 0 {
			x ^= poly
		}
	}
	return p
}

// Mul is a*b in the field.
func Mul(a, b byte) byte { return products[a][b] }

// Div is a/b in the field. b is not 0.
func Div(a, b byte) byte {
	if b == 0 {
		panic("parity: division by zero")
	}
	if a == 0 {
		return 0
	}
	return powers[(int(logs[a])+MaxData-int(logs[b]))%MaxData]
}

// Power is 2^e, the coefficient in Q of data block e. e may be negative.
func Power(e int) byte { return powers[(e%MaxData+MaxData)%MaxData] }

// TwoData is how the data blocks x and y (x != y), both lost, come back from the other blocks: with d the sum of P and the data that is left,
// and e the sum of Q and that data times its powers, block x is a*d + b*e, and block y is d plus block x.
func TwoData(x, y int) (a, b byte) {
	both := Power(x) ^ Power(y)
	return Div(Power(y), both), Div(1, both)
}
