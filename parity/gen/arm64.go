//go:build ignore

package main

// What is where, in all kernels:
//
//	R0, R1  destinations
//	R2, R3  the slice headers of the sources: first, end
//	R4, R5  bytes to do, bytes done
//	R6, R7  the header of the source under way, and its bytes
//	R8, R9  coefficients; R10 which of them; R11 it; R12 their tables; R13 scratch

type neon struct{ *listing }

func arm64() []byte {
	l := &listing{}
	l.header()
	s := neon{l}
	s.xor()
	s.horner()
	s.sum()
	s.sumQ()
	s.sums()
	s.zero()
	return l.Bytes()
}

// loads reads vectors, an even number, from first on out of the bytes at R7.
func (s neon) loads(first, vectors int) { s.pairs("FLDPQ %d(R7), (F%d, F%d)", first, vectors) }

func (s neon) pairs(format string, first, vectors int) {
	for v := 0; v < vectors; v += 2 {
		s.op(format, v*16, first+v, first+v+1)
	}
}

// stores writes vectors from first on to a destination.
func (s neon) stores(first, vectors int, to string) {
	s.op("ADD R5, %s, R13", to)
	for v := 0; v < vectors; v += 2 {
		s.op("FSTPQ (F%d, F%d), %d(R13)", first+v, first+v+1, v*16)
	}
}

func (s neon) three(name string, b, a, to int) {
	s.op("%s V%d.B16, V%d.B16, V%d.B16", name, b, a, to)
}

func (s neon) add(from, to int) { s.three("VEOR", from, to, to) }

func (s neon) clear(r int) { s.three("VEOR", r, r, r) }

func (s neon) constant(x, to int) {
	s.op("MOVD $0x%x, R13", x)
	s.op("VDUP R13, V%d.B16", to)
}

func (s neon) sources(offset, n int) {
	s.op("MOVD srcs_base+%d(FP), R2", offset)
	s.op("MOVD srcs_len+%d(FP), R3", offset+8)
	s.op("ADD R3<<1, R3, R3")
	s.op("ADD R3<<3, R2, R3")
	s.op("MOVD n+%d(FP), R4", n)
	s.op("MOVD ZR, R5")
}

// blocks does blocks of some vectors; n is a multiple of them all, and not 0.
func (s neon) blocks(vectors int, body func()) {
	s.label("block")
	body()
	s.op("ADD $%d, R5", vectors*16)
	s.op("CMP R4, R5")
	s.op("BNE block")
	s.op("RET")
}

// source goes on to the source whose header is at R6.
func (s neon) source() {
	s.op("MOVD (R6), R7")
	s.op("ADD R5, R7")
}

func (s neon) xor() {
	s.text("xorNEON", "func xorNEON(dst *byte, srcs [][]byte, n int)", 40)
	s.op("MOVD dst+0(FP), R0")
	s.sources(8, 32)
	s.blocks(8, func() {
		s.op("MOVD R2, R6")
		s.source()
		s.loads(0, 8)
		s.op("ADD $24, R6")
		s.label("next")
		s.source()
		s.loads(16, 8)
		for v := range 8 {
			s.add(16+v, v)
		}
		s.op("ADD $24, R6")
		s.op("CMP R3, R6")
		s.op("BNE next")
		s.stores(0, 8, "R0")
	})
}

func (s neon) horner() {
	s.text("hornerNEON", "func hornerNEON(p, q *byte, srcs [][]byte, n int)", 48)
	s.op("MOVD p+0(FP), R0")
	s.op("MOVD q+8(FP), R1")
	s.sources(16, 40)
	const high, poly = 30, 31
	s.constant(0x80, high)
	s.constant(0x1d, poly)
	s.blocks(4, func() {
		s.op("SUB $24, R3, R6")
		s.source()
		s.loads(0, 4)
		s.loads(4, 4)
		s.label("next")
		s.op("SUB $24, R6")
		s.source()
		s.loads(8, 4)
		for v := range 4 {
			s.three("VCMTST", high, 4+v, 12+v)
		}
		for v := range 4 {
			s.op("VADD V%d.B16, V%d.B16, V%d.B16", 4+v, 4+v, 4+v)
			s.three("VAND", poly, 12+v, 12+v)
			s.add(8+v, v)
		}
		for v := range 4 {
			s.add(8+v, 12+v)
			s.add(12+v, 4+v)
		}
		s.op("CMP R2, R6")
		s.op("BNE next")
		s.stores(0, 4, "R0")
		s.stores(4, 4, "R1")
	})
}

// halves loads the tables of a coefficient into two registers.
func (s neon) halves(coefs string, to int) {
	s.op("MOVBU (%s)(R10), R11", coefs)
	s.op("ADD R11<<5, R12, R11")
	s.op("FLDPQ (R11), (F%d, F%d)", to, to+1)
}

// times adds the product of a source, split into halves in a and b, to a sum. t and t+1 are clobbered.
func (s neon) times(a, b, tables, sum, t int) {
	s.op("VTBL V%d.B16, [V%d.B16], V%d.B16", a, tables, t)
	s.op("VTBL V%d.B16, [V%d.B16], V%d.B16", b, tables+1, t+1)
	s.add(t, sum)
	s.add(t+1, sum)
}

// split makes of the bytes in a their low halves in a and their high ones in b.
func (s neon) split(a, b, low int) {
	s.op("VUSHR $4, V%d.B16, V%d.B16", a, b)
	s.three("VAND", low, a, a)
}

func (s neon) eachSource(body func()) {
	s.op("MOVD R2, R6")
	s.op("MOVD ZR, R10")
	s.label("next")
	s.source()
	body()
	s.label("done")
	s.op("ADD $1, R10")
	s.op("ADD $24, R6")
	s.op("CMP R3, R6")
	s.op("BNE next")
}

const low = 31

func (s neon) sum() {
	s.text("sumNEON", "func sumNEON(dst, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", 56)
	s.op("MOVD dst+0(FP), R0")
	s.op("MOVD coefs+8(FP), R8")
	s.op("MOVD tables+48(FP), R12")
	s.sources(16, 40)
	s.constant(0x0f, low)
	s.blocks(4, func() {
		for v := range 4 {
			s.clear(v)
		}
		s.eachSource(func() {
			s.loads(4, 4)
			s.op("MOVBU (R8)(R10), R11")
			s.op("CMP $1, R11")
			s.op("BEQ plain")
			s.halves("R8", 28)
			for v := range 4 {
				s.split(4+v, 8+v, low)
				s.times(4+v, 8+v, 28, v, 12+2*v)
			}
			s.op("B done")
			s.label("plain")
			for v := range 4 {
				s.add(4+v, v)
			}
		})
		s.stores(0, 4, "R0")
	})
}

func (s neon) sumQ() {
	s.text("sumQNEON", "func sumQNEON(p, q, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", 64)
	s.op("MOVD p+0(FP), R0")
	s.op("MOVD q+8(FP), R1")
	s.op("MOVD coefs+16(FP), R8")
	s.op("MOVD tables+56(FP), R12")
	s.sources(24, 48)
	s.constant(0x0f, low)
	s.blocks(4, func() {
		for v := range 8 {
			s.clear(v)
		}
		s.eachSource(func() {
			s.loads(8, 4)
			s.halves("R8", 28)
			for v := range 4 {
				s.add(8+v, v)
				s.split(8+v, 12+v, low)
				s.times(8+v, 12+v, 28, 4+v, 16+2*v)
			}
		})
		s.stores(0, 4, "R0")
		s.stores(4, 4, "R1")
	})
}

func (s neon) sums() {
	s.text("sumsNEON", "func sumsNEON(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", 72)
	s.op("MOVD a+0(FP), R0")
	s.op("MOVD b+8(FP), R1")
	s.op("MOVD acoefs+16(FP), R8")
	s.op("MOVD bcoefs+24(FP), R9")
	s.op("MOVD tables+64(FP), R12")
	s.sources(32, 56)
	s.constant(0x0f, low)
	s.blocks(4, func() {
		for v := range 8 {
			s.clear(v)
		}
		s.eachSource(func() {
			s.loads(8, 4)
			s.halves("R8", 26)
			s.halves("R9", 28)
			for v := range 4 {
				s.split(8+v, 12+v, low)
				s.times(8+v, 12+v, 26, v, 16+v%2*2)
				s.times(8+v, 12+v, 28, 4+v, 20+v%2*2)
			}
		})
		s.stores(0, 4, "R0")
		s.stores(4, 4, "R1")
	})
}

// zero finds out whether n bytes are all zero, n being a multiple of four vectors and not 0.
func (s neon) zero() {
	s.text("zeroNEON", "func zeroNEON(b *byte, n int) bool", 17)
	s.op("MOVD b+0(FP), R7")
	s.op("MOVD n+8(FP), R4")
	s.op("ADD R7, R4")
	s.label("next")
	s.loads(0, 4)
	for _, v := range []int{1, 2, 3} {
		s.three("VORR", v, 0, 0)
	}
	for i := range 2 {
		s.op("VMOV V0.D[%d], R%d", i, 8+i)
	}
	s.op("ORR R8, R9")
	s.op("CBNZ R9, not")
	s.op("ADD $64, R7")
	s.op("CMP R4, R7")
	s.op("BNE next")
	s.op("MOVD $1, R8")
	s.op("MOVB R8, ret+16(FP)")
	s.op("RET")
	s.label("not")
	s.op("MOVB ZR, ret+16(FP)")
	s.op("RET")
}
