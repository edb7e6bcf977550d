//go:build ignore

package main

import "fmt"

// set is an instruction set: what its kernels have in common.
type set struct {
	*listing
	name   string // as it is called in Go
	width  int    // of a vector, bytes
	prefix string // of its registers
	xors   int    // vectors in a block of a plain sum
	pairs  int    // vectors in a block of two sums
}

// What is where, in all kernels:
//
//	AX, BX  destinations
//	SI, DI  the slice headers of the sources: first, end
//	CX, DX  bytes to do, bytes done
//	R8, R9  the header of the source under way, and its bytes
//	R10, R15  coefficients; R11 which of them; R12 it; R13 their tables

func amd64() []byte {
	l := &listing{}
	l.header()
	// The values of a byte that the tests of its high bit and its halves need.
	for _, c := range []struct {
		name string
		x    int
	}{{"poly", 0x1d}, {"low", 0x0f}} {
		for i := range 8 {
			fmt.Fprintf(l, "\nDATA %s<>+%d(SB)/8, $0x%016x", c.name, i*8, uint64(c.x)*0x0101010101010101)
		}
		fmt.Fprintf(l, "\nGLOBL %s<>(SB), RODATA|NOPTR, $64\n", c.name)
	}
	s2 := set{l, "SSE2", 16, "X", 8, 4}
	a2 := set{l, "AVX2", 32, "Y", 8, 4}
	a5 := set{l, "AVX512", 64, "Z", 8, 4}
	for _, s := range []set{s2, a2, a5} {
		s.xor("", false)
		s.xor("Stream", true)
		s.horner("", false)
		s.horner("Stream", true)
		s.zero()
	}
	for _, s := range []set{a2, a5} {
		s.sum()
		s.sumQ()
		s.sums()
	}
	g := set{l, "GFNI", 64, "Z", 8, 8}
	g.affineSum()
	g.affineSumQ("", false)
	g.affineSumQ("Stream", true)
	g.affineSums()
	return l.Bytes()
}

// reg is the i-th vector register.
func (s set) reg(i int) string { return fmt.Sprintf("%s%d", s.prefix, i) }

func at(disp int, base string) string {
	if disp == 0 {
		return "(" + base + ")"
	}
	return fmt.Sprintf("%d(%s)", disp, base)
}

func (s set) load(from string, to int) {
	s.op("%s %s, %s", map[int]string{16: "MOVOU", 32: "VMOVDQU", 64: "VMOVDQU64"}[s.width], from, s.reg(to))
}

func (s set) store(from int, to string, stream bool) {
	name := map[int]string{16: "MOVOU", 32: "VMOVDQU", 64: "VMOVDQU64"}[s.width]
	if stream {
		name = map[int]string{16: "MOVNTO", 32: "VMOVNTDQ", 64: "VMOVNTDQ"}[s.width]
	}
	s.op("%s %s, %s", name, s.reg(from), to)
}

// two is an operation with a register into another: to = to op from.
func (s set) two(name string, from, to int) {
	switch {
	case s.width == 16:
		s.op("%s %s, %s", name, s.reg(from), s.reg(to))
	case s.width == 64 && (name == "PXOR" || name == "PAND" || name == "POR"):
		s.op("V%sQ %s, %s, %s", name, s.reg(from), s.reg(to), s.reg(to))
	default:
		s.op("V%s %s, %s, %s", name, s.reg(from), s.reg(to), s.reg(to))
	}
}

func (s set) add(from, to int) { s.two("PXOR", from, to) }

// addAt adds memory.
func (s set) addAt(from string, to, scratch int) {
	switch s.width {
	case 16:
		s.load(from, scratch)
		s.add(scratch, to)
	case 32:
		s.op("VPXOR %s, %s, %s", from, s.reg(to), s.reg(to))
	case 64:
		s.op("VPXORQ %s, %s, %s", from, s.reg(to), s.reg(to))
	}
}

// zeroes clears a register.
func (s set) clear(r int) {
	switch s.width {
	case 16:
		s.op("PXOR X%d, X%d", r, r)
	default:
		s.op("VPXOR X%d, X%d, X%d", r, r, r) // the rest of the register goes with it
	}
}

// constant is a byte in all places of a register.
func (s set) constant(name string, to int) {
	s.load(name+"<>(SB)", to)
}

func (s set) ret(stream bool) {
	if stream {
		s.op("SFENCE")
	}
	if s.width > 16 {
		s.op("VZEROUPPER")
	}
	s.op("RET")
}

// sources loads where the sources are.
func (s set) sources(offset, n int) {
	s.op("MOVQ srcs_base+%d(FP), SI", offset)
	s.op("MOVQ srcs_len+%d(FP), DI", offset+8)
	s.op("LEAQ (DI)(DI*2), DI")
	s.op("LEAQ (SI)(DI*8), DI")
	s.op("MOVQ n+%d(FP), CX", n)
	s.op("XORQ DX, DX")
}

// blocks does whole blocks of some vectors as long as there are any, then of one vector each.
func (s set) blocks(vectors int, stream bool, body func(vectors int, tag string)) {
	for _, v := range []int{vectors, 1} {
		tag := fmt.Sprintf("of%d", v)
		next := map[bool]string{true: "end", false: "of1"}[v == 1]
		s.label(tag)
		s.op("LEAQ %d(DX), R12", v*s.width)
		s.op("CMPQ R12, CX")
		s.op("JHI %s", next)
		body(v, tag)
		s.op("ADDQ $%d, DX", v*s.width)
		s.op("JMP %s", tag)
	}
	s.label("end")
	s.ret(stream)
}

// stores writes vectors from first on to a destination.
func (s set) stores(first, vectors int, to string, stream bool) {
	s.op("LEAQ (%s)(DX*1), R9", to)
	for v := range vectors {
		s.store(first+v, at(v*s.width, "R9"), stream)
	}
}

func (s set) xor(suffix string, stream bool) {
	if s.width == 64 {
		s.xorPairs(suffix, stream)
		return
	}
	s.text("xor"+s.name+suffix, fmt.Sprintf("func xor%s%s(dst *byte, srcs [][]byte, n int)", s.name, suffix), 40)
	s.op("MOVQ dst+0(FP), AX")
	s.sources(8, 32)
	s.blocks(s.xors, stream, func(vectors int, tag string) {
		s.op("MOVQ (SI), R9")
		s.op("ADDQ DX, R9")
		for v := range vectors {
			s.load(at(v*s.width, "R9"), v)
		}
		s.op("LEAQ 24(SI), R8")
		s.label(tag + "next")
		s.op("MOVQ (R8), R9")
		s.op("ADDQ DX, R9")
		for v := range vectors {
			s.addAt(at(v*s.width, "R9"), v, vectors+v%4)
		}
		s.op("ADDQ $24, R8")
		s.op("CMPQ R8, DI")
		s.op("JNE %snext", tag)
		s.stores(0, vectors, "AX", stream)
	})
}

// xorPairs is xor for sets that add two vectors to a third at once. Measured with 3, 7 and 10 sources in L2, GB/s: 512 bytes at a time and in
// pairs 106, 120, 122; 256 bytes 102, 117, 112; 128 bytes 96, 107, 101; one by one 512 bytes 104, 119, 118, 256 bytes 101, 115, 108. With
// prefetches of 512 or 1024 bytes it lost a tenth.
func (s set) xorPairs(suffix string, stream bool) {
	s.text("xor"+s.name+suffix, fmt.Sprintf("func xor%s%s(dst *byte, srcs [][]byte, n int)", s.name, suffix), 40)
	s.op("MOVQ dst+0(FP), AX")
	s.sources(8, 32)
	s.blocks(s.xors, stream, func(vectors int, tag string) {
		s.op("MOVQ SI, R8")
		s.op("MOVQ DI, R12")
		s.op("SUBQ SI, R12")
		s.op("MOVQ (R8), R9")
		s.op("ADDQ DX, R9")
		for v := range vectors {
			s.load(at(v*64, "R9"), v)
		}
		s.op("ADDQ $24, R8")
		s.op("TESTQ $8, R12") // 24 times an odd number
		s.op("JNE %snext", tag)
		s.op("MOVQ (R8), R9")
		s.op("ADDQ DX, R9")
		for v := range vectors {
			s.addAt(at(v*64, "R9"), v, 0)
		}
		s.op("ADDQ $24, R8")
		s.op("CMPQ R8, DI")
		s.op("JEQ %sdone", tag)
		s.label(tag + "next")
		s.op("MOVQ (R8), R9")
		s.op("MOVQ 24(R8), R14")
		s.op("ADDQ DX, R9")
		s.op("ADDQ DX, R14")
		for v := range vectors {
			s.load(at(v*64, "R9"), 8+v)
		}
		for v := range vectors {
			s.op("VPTERNLOGQ $0x96, %s, Z%d, Z%d", at(v*64, "R14"), 8+v, v)
		}
		s.op("ADDQ $48, R8")
		s.op("CMPQ R8, DI")
		s.op("JNE %snext", tag)
		s.label(tag + "done")
		s.stores(0, vectors, "AX", stream)
	})
}

// horner is P and Q from the last source to the first, doubling Q on the way.
func (s set) horner(suffix string, stream bool) {
	s.text("horner"+s.name+suffix, fmt.Sprintf("func horner%s%s(p, q *byte, srcs [][]byte, n int)", s.name, suffix), 48)
	s.op("MOVQ p+0(FP), AX")
	s.op("MOVQ q+8(FP), BX")
	s.sources(16, 40)
	s.op("SUBQ $24, SI")
	s.op("SUBQ $24, DI")
	const poly = 15
	s.constant("poly", poly)
	s.blocks(s.pairs, stream, func(vectors int, tag string) {
		p, q, d := 0, vectors, 2*vectors
		s.op("MOVQ (DI), R9")
		s.op("ADDQ DX, R9")
		for v := range vectors {
			s.load(at(v*s.width, "R9"), p+v)
		}
		for v := range vectors {
			s.op("%s %s, %s", map[int]string{16: "MOVO", 32: "VMOVDQA", 64: "VMOVDQA64"}[s.width], s.reg(p+v), s.reg(q+v))
		}
		s.op("LEAQ -24(DI), R8")
		s.label(tag + "next")
		s.op("MOVQ (R8), R9")
		s.op("ADDQ DX, R9")
		if s.width == 64 {
			for v := range vectors {
				s.op("VPMOVB2M Z%d, K%d", q+v, 1+v)
			}
			for v := range vectors {
				s.load(at(v*s.width, "R9"), d+v)
			}
			for v := range vectors {
				s.two("PADDB", q+v, q+v)
				s.op("VMOVDQU8.Z Z%d, K%d, Z%d", poly, 1+v, 16+v)
			}
			for v := range vectors {
				s.add(d+v, p+v)
				s.op("VPTERNLOGQ $0x96, Z%d, Z%d, Z%d", d+v, 16+v, q+v)
			}
		} else {
			// Two vectors at a time: 8 for sums and 4 for these leave room for the constants.
			for v := 0; v < vectors; v += 2 {
				pair := min(2, vectors-v)
				for i := range pair {
					s.clear(d + i)
					if s.width == 16 {
						s.op("PCMPGTB X%d, X%d", q+v+i, d+i)
					} else {
						s.op("VPCMPGTB Y%d, Y%d, Y%d", q+v+i, d+i, d+i)
					}
				}
				for i := range pair {
					s.load(at((v+i)*s.width, "R9"), d+2+i)
					s.two("PADDB", q+v+i, q+v+i)
					s.two("PAND", poly, d+i)
				}
				for i := range pair {
					s.add(d+2+i, p+v+i)
					s.add(d+i, q+v+i)
				}
				for i := range pair {
					s.add(d+2+i, q+v+i)
				}
			}
		}
		s.op("SUBQ $24, R8")
		s.op("CMPQ R8, SI")
		s.op("JNE %snext", tag)
		s.stores(p, vectors, "AX", stream)
		s.stores(q, vectors, "BX", stream)
	})
}

// halves loads the tables of a coefficient: its products with the low and with the high half of a byte.
func (s set) halves(coefs string, low, high int) {
	s.op("MOVBLZX (%s)(R11*1), R12", coefs)
	s.op("SHLQ $5, R12")
	name := map[int]string{32: "VBROADCASTI128", 64: "VBROADCASTI32X4"}[s.width]
	s.op("%s (R13)(R12*1), %s", name, s.reg(low))
	s.op("%s 16(R13)(R12*1), %s", name, s.reg(high))
}

// split makes of the bytes in a their low halves in a and their high ones in b.
func (s set) split(a, b, low int) {
	s.op("VPSRLQ $4, %s, %s", s.reg(a), s.reg(b))
	s.two("PAND", low, a)
	s.two("PAND", low, b)
}

// times adds to sum what the halves of bytes in a and b make of the tables. t and u are clobbered.
func (s set) times(a, b, low, high, sum, t, u int) {
	s.op("VPSHUFB %s, %s, %s", s.reg(a), s.reg(low), s.reg(t))
	s.op("VPSHUFB %s, %s, %s", s.reg(b), s.reg(high), s.reg(u))
	if s.width == 64 {
		s.op("VPTERNLOGQ $0x96, Z%d, Z%d, Z%d", t, u, sum)
		return
	}
	s.add(t, sum)
	s.add(u, sum)
}

// eachSource is a loop over the sources, with the bytes of one at R9.
func (s set) eachSource(tag string, body func()) {
	s.op("MOVQ SI, R8")
	s.op("XORQ R11, R11")
	s.label(tag + "next")
	s.op("MOVQ (R8), R9")
	s.op("ADDQ DX, R9")
	body()
	s.label(tag + "done")
	s.op("INCQ R11")
	s.op("ADDQ $24, R8")
	s.op("CMPQ R8, DI")
	s.op("JNE %snext", tag)
}

func (s set) sum() {
	s.text("sum"+s.name, fmt.Sprintf("func sum%s(dst, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", s.name), 56)
	s.op("MOVQ dst+0(FP), AX")
	s.op("MOVQ coefs+8(FP), R10")
	s.op("MOVQ tables+48(FP), R13")
	s.sources(16, 40)
	const low, high, mask = 12, 13, 14
	s.constant("low", mask)
	s.blocks(4, false, func(vectors int, tag string) {
		for v := range vectors {
			s.clear(v)
		}
		s.eachSource(tag, func() {
			s.op("CMPB (R10)(R11*1), $1")
			s.op("JEQ %splain", tag)
			s.halves("R10", low, high)
			for v := range vectors {
				a := 4 + v%2*4
				s.load(at(v*s.width, "R9"), a)
				s.split(a, a+1, mask)
				s.times(a, a+1, low, high, v, a+2, a+3)
			}
			s.op("JMP %sdone", tag)
			s.label(tag + "plain")
			for v := range vectors {
				s.addAt(at(v*s.width, "R9"), v, 4)
			}
		})
		s.stores(0, vectors, "AX", false)
	})
}

func (s set) sumQ() {
	s.text("sumQ"+s.name, fmt.Sprintf("func sumQ%s(p, q, coefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", s.name), 64)
	s.op("MOVQ p+0(FP), AX")
	s.op("MOVQ q+8(FP), BX")
	s.op("MOVQ coefs+16(FP), R10")
	s.op("MOVQ tables+56(FP), R13")
	s.sources(24, 48)
	const low, high, mask = 12, 13, 14
	s.constant("low", mask)
	s.blocks(4, false, func(vectors int, tag string) {
		for v := range vectors {
			s.clear(v)
			s.clear(4 + v)
		}
		s.eachSource(tag, func() {
			s.halves("R10", low, high)
			for v := range vectors {
				s.load(at(v*s.width, "R9"), 8)
				s.add(8, v)
				s.split(8, 9, mask)
				s.times(8, 9, low, high, 4+v, 10, 11)
			}
		})
		s.stores(0, vectors, "AX", false)
		s.stores(4, vectors, "BX", false)
	})
}

func (s set) sums() {
	s.text("sums"+s.name, fmt.Sprintf("func sums%s(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, tables *[256][32]byte)", s.name), 72)
	s.op("MOVQ a+0(FP), AX")
	s.op("MOVQ b+8(FP), BX")
	s.op("MOVQ acoefs+16(FP), R10")
	s.op("MOVQ bcoefs+24(FP), R15")
	s.op("MOVQ tables+64(FP), R13")
	s.sources(32, 56)
	const mask = 14
	s.constant("low", mask)
	s.blocks(2, false, func(vectors int, tag string) {
		for v := range vectors {
			s.clear(v)
			s.clear(2 + v)
		}
		s.eachSource(tag, func() {
			s.halves("R10", 10, 11)
			s.halves("R15", 12, 13)
			for v := range vectors {
				s.load(at(v*s.width, "R9"), 4)
				s.split(4, 5, mask)
				s.times(4, 5, 10, 11, v, 6, 7)
				s.times(4, 5, 12, 13, 2+v, 8, 9)
			}
		})
		s.stores(0, vectors, "AX", false)
		s.stores(2, vectors, "BX", false)
	})
}

// matrix loads the multiplication by a coefficient as a matrix of bits.
func (s set) matrix(coefs string, which, to int) {
	s.op("MOVBLZX %d(%s)(R11*1), R12", which, coefs)
	s.op("VPBROADCASTQ (R13)(R12*8), Z%d", to)
}

func (s set) affine(matrix, from, to int) {
	s.op("VGF2P8AFFINEQB $0, Z%d, Z%d, Z%d", matrix, from, to)
}

func (s set) three(a, b, to int) { s.op("VPTERNLOGQ $0x96, Z%d, Z%d, Z%d", a, b, to) }

// inPairs is a loop over the sources two by two, with their bytes at R9 and R14; one is first alone if their number is odd.
func (s set) inPairs(tag string, one, two func()) {
	s.op("MOVQ SI, R8")
	s.op("XORQ R11, R11")
	s.op("MOVQ DI, R12")
	s.op("SUBQ SI, R12")
	s.op("TESTQ $8, R12") // 24 times an odd number
	s.op("JEQ %snext", tag)
	s.op("MOVQ (R8), R9")
	s.op("ADDQ DX, R9")
	one()
	s.op("INCQ R11")
	s.op("ADDQ $24, R8")
	s.op("CMPQ R8, DI")
	s.op("JEQ %sdone", tag)
	s.label(tag + "next")
	s.op("MOVQ (R8), R9")
	s.op("MOVQ 24(R8), R14")
	s.op("ADDQ DX, R9")
	s.op("ADDQ DX, R14")
	two()
	s.op("ADDQ $2, R11")
	s.op("ADDQ $48, R8")
	s.op("CMPQ R8, DI")
	s.op("JNE %snext", tag)
	s.label(tag + "done")
}

func (s set) affineSum() {
	s.text("sum"+s.name, fmt.Sprintf("func sum%s(dst, coefs *byte, srcs [][]byte, n int, matrices *[256]uint64)", s.name), 56)
	s.op("MOVQ dst+0(FP), AX")
	s.op("MOVQ coefs+8(FP), R10")
	s.op("MOVQ matrices+48(FP), R13")
	s.sources(16, 40)
	s.blocks(4, false, func(vectors int, tag string) {
		for v := range vectors {
			s.clear(v)
		}
		s.inPairs(tag, func() {
			s.matrix("R10", 0, 16)
			for v := range vectors {
				s.load(at(v*64, "R9"), 4+v)
				s.affine(16, 4+v, v)
			}
		}, func() {
			s.matrix("R10", 0, 16)
			s.matrix("R10", 1, 17)
			for v := range vectors {
				s.load(at(v*64, "R9"), 4+v)
				s.load(at(v*64, "R14"), 8+v)
				s.affine(16, 4+v, 4+v)
				s.affine(17, 8+v, 8+v)
				s.three(4+v, 8+v, v)
			}
		})
		s.stores(0, vectors, "AX", false)
	})
}

func (s set) affineSumQ(suffix string, stream bool) {
	s.text("sumQ"+s.name+suffix, fmt.Sprintf("func sumQ%s%s(p, q, coefs *byte, srcs [][]byte, n int, matrices *[256]uint64)", s.name, suffix), 64)
	s.op("MOVQ p+0(FP), AX")
	s.op("MOVQ q+8(FP), BX")
	s.op("MOVQ coefs+16(FP), R10")
	s.op("MOVQ matrices+56(FP), R13")
	s.sources(24, 48)
	s.blocks(s.pairs, stream, func(vectors int, tag string) {
		const p, q, m, t = 0, 8, 16, 18 // t to t+11 in three turns
		for v := range vectors {
			s.clear(p + v)
			s.clear(q + v)
		}
		s.inPairs(tag, func() {
			s.matrix("R10", 0, m)
			for v := range vectors {
				s.load(at(v*64, "R9"), p+v)
				s.affine(m, p+v, q+v)
			}
		}, func() {
			s.matrix("R10", 0, m)
			s.matrix("R10", 1, m+1)
			for v := range vectors {
				t := t + v%3*4
				s.load(at(v*64, "R9"), t)
				s.load(at(v*64, "R14"), t+1)
				s.affine(m, t, t+2)
				s.affine(m+1, t+1, t+3)
				s.three(t, t+1, p+v)
				s.three(t+2, t+3, q+v)
			}
		})
		s.stores(p, vectors, "AX", stream)
		s.stores(q, vectors, "BX", stream)
	})
}

func (s set) affineSums() {
	s.text("sums"+s.name, fmt.Sprintf("func sums%s(a, b, acoefs, bcoefs *byte, srcs [][]byte, n int, matrices *[256]uint64)", s.name), 72)
	s.op("MOVQ a+0(FP), AX")
	s.op("MOVQ b+8(FP), BX")
	s.op("MOVQ acoefs+16(FP), R10")
	s.op("MOVQ bcoefs+24(FP), R15")
	s.op("MOVQ matrices+64(FP), R13")
	s.sources(32, 56)
	s.blocks(4, false, func(vectors int, tag string) {
		for v := range vectors {
			s.clear(v)
			s.clear(4 + v)
		}
		s.inPairs(tag, func() {
			s.matrix("R10", 0, 24)
			s.matrix("R15", 0, 25)
			for v := range vectors {
				s.load(at(v*64, "R9"), 8+v)
				s.affine(24, 8+v, v)
				s.affine(25, 8+v, 4+v)
			}
		}, func() {
			s.matrix("R10", 0, 24)
			s.matrix("R15", 0, 25)
			s.matrix("R10", 1, 26)
			s.matrix("R15", 1, 27)
			for v := range vectors {
				s.load(at(v*64, "R9"), 8+v)
				s.load(at(v*64, "R14"), 12+v)
				s.affine(24, 8+v, 16+v)
				s.affine(26, 12+v, 20+v)
				s.three(16+v, 20+v, v)
				s.affine(25, 8+v, 8+v)
				s.affine(27, 12+v, 12+v)
				s.three(8+v, 12+v, 4+v)
			}
		})
		s.stores(0, vectors, "AX", false)
		s.stores(4, vectors, "BX", false)
	})
}

// zero finds out whether n bytes are all zero, n being a multiple of four vectors and not 0.
func (s set) zero() {
	s.text("zero"+s.name, fmt.Sprintf("func zero%s(b *byte, n int) bool", s.name), 17)
	s.op("MOVQ b+0(FP), AX")
	s.op("MOVQ n+8(FP), CX")
	s.op("ADDQ AX, CX")
	if s.width == 16 {
		s.clear(7)
	}
	s.label("next")
	for v := range 4 {
		s.load(at(v*s.width, "AX"), v)
	}
	or := "POR"
	s.two(or, 1, 0)
	s.two(or, 3, 2)
	s.two(or, 2, 0)
	switch s.width {
	case 16:
		s.op("PCMPEQB X7, X0")
		s.op("PMOVMSKB X0, R8")
		s.op("CMPL R8, $0xffff")
		s.op("JNE not")
	case 32:
		s.op("VPTEST Y0, Y0")
		s.op("JNE not")
	case 64:
		s.op("VPTESTMQ Z0, Z0, K1")
		s.op("KORTESTB K1, K1")
		s.op("JNE not")
	}
	s.op("ADDQ $%d, AX", 4*s.width)
	s.op("CMPQ AX, CX")
	s.op("JNE next")
	s.op("MOVB $1, ret+16(FP)")
	s.ret(false)
	s.label("not")
	s.op("MOVB $0, ret+16(FP)")
	s.ret(false)
}
