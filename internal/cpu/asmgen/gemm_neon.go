package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// gemmNEON writes the NEON 7x12 micro-kernel and the dot kernel. Seven rows of
// A, four columns each, stay in registers beside 21 accumulators; the products
// are multiply-adds by element, which Go's assembler lacks.
func gemmNEON() string {
	t := lane.NewText()
	for cols := 3; cols > 0; cols-- {
		gemmKernelNEON(t, []string{"narrow4NEON", "narrow8NEON", "kernelNEON"}[cols-1], cols)
	}
	dotNEON(t)
	return t.String()
}

// fmlaElement encodes FMLA Vd.4S, Vn.4S, Vm.S[i].
func fmlaElement(d, n, m, i int) uint32 {
	return 0x4F801000 | uint32(i&1)<<21 | uint32(m)<<16 | uint32(i>>1)<<11 | uint32(n)<<5 | uint32(d)
}

// gemmKernelNEON writes a kernel with some vectors of columns, up to three.
func gemmKernelNEON(t *lane.Text, name string, cols int) {
	const rows = 7
	t.Fn(name, "(t *tile)", 8)
	// list names the registers of one row of B or C.
	list := func(first int) string {
		s := fmt.Sprintf("[V%d.S4", first)
		for c := 1; c < cols; c++ {
			s += fmt.Sprintf(", V%d.S4", first+c)
		}
		return s + "]"
	}
	t.PS("MOVD t+0(FP), R0; MOVD 32(R0), R1; MOVD 40(R0), R2; ADD $48, R0, R3")
	for m := 1; m < rows; m++ {
		t.P("CMP  $%d, R1", m)
		t.P("BEQ  rows%d", m)
	}
	for m := rows; m > 0; m-- {
		acc := func(r, c int) int { return r*cols + c }
		a := func(r int) int { return 21 + r }
		const b = 28
		// pointers puts the addresses of the rows at R4 into R4, R5, …
		pointers := func(ld string) {
			for r := 1; r < m; r++ {
				t.P("ADD  %s, R%d, R%d", ld, 3+r, 4+r)
			}
		}
		t.Label(fmt.Sprintf("rows%d", m))
		t.PS("MOVD 16(R0), R4; MOVD 24(R0), R11")
		t.P("CBZ  R4, zero%d", m)
		pointers("R11")
		for r := range m {
			t.P("VLD1 (R%d), %s", 4+r, list(acc(r, 0)))
		}
		t.P("MOVD %d(R0), R12", tileNegate)
		t.P("CBZ  R12, segment%d", m)
		t.P("MOVW $0x80000000, R12")
		t.P("VDUP R12, V%d.S4", b)
		for i := range m * cols {
			t.P("VEOR V%d.B16, V%d.B16, V%d.B16", b, i, i)
		}
		t.P("B    segment%d", m)
		t.Label(fmt.Sprintf("zero%d", m))
		for i := range m * cols {
			t.P("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
		}
		t.Label(fmt.Sprintf("segment%d", m))
		t.PS("MOVD (R3), R4; MOVD 8(R3), R11; MOVD 16(R3), R12; MOVD 24(R3), R13; MOVD 32(R3), R14")
		pointers("R11")
		t.P("SUBS $4, R14, R14")
		t.P("BLT  tail%d", m)
		t.Label(fmt.Sprintf("four%d", m))
		for r := range m {
			t.P("VLD1.P 16(R%d), [V%d.S4]", 4+r, a(r))
		}
		for u := range 4 {
			t.P("VLD1 (R12), %s", list(b))
			t.P("ADD  R13, R12, R12")
			for c := range cols {
				for r := range m {
					t.P("WORD $0x%08x // fmla v%d.4s, v%d.4s, v%d.s[%d]", fmlaElement(acc(r, c), b+c, a(r), u), acc(r, c), b+c, a(r), u)
				}
			}
		}
		t.P("SUBS $4, R14, R14")
		t.P("BGE  four%d", m)
		t.Label(fmt.Sprintf("tail%d", m))
		t.P("ADDS $4, R14, R14")
		t.P("BEQ  next%d", m)
		t.Label(fmt.Sprintf("one%d", m))
		t.P("VLD1 (R12), %s", list(b))
		t.P("ADD  R13, R12, R12")
		for r := range m {
			t.P("VLD1R.P 4(R%d), [V%d.S4]", 4+r, a(r))
			for c := range cols {
				t.P("VFMLA V%d.S4, V%d.S4, V%d.S4", a(r), b+c, acc(r, c))
			}
		}
		t.P("SUBS $1, R14, R14")
		t.P("BNE  one%d", m)
		t.Label(fmt.Sprintf("next%d", m))
		t.P("ADD  $40, R3, R3")
		t.P("SUBS $1, R2, R2")
		t.P("BNE  segment%d", m)
		t.PS("MOVD (R0), R4; MOVD 8(R0), R11")
		pointers("R11")
		for r := range m {
			t.P("VST1 %s, (R%d)", list(acc(r, 0)), 4+r)
		}
		t.P("RET")
	}
}

// dotNEON writes the dot kernel of dotX86 for one to three rows and one, two or four columns.
func dotNEON(t *lane.Text) {
	const rows, cols = 3, 4
	t.Fn("dotNEON", "(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)", 64)
	t.PS("MOVD out+0(FP), R0; MOVD x+8(FP), R1; MOVD ldx+16(FP), R2; MOVD y+24(FP), R4; MOVD ldy+32(FP), R8; MOVD k+40(FP), R9; MOVD rows+48(FP), R10; MOVD cols+56(FP), R11")
	type shape struct{ r, c int }
	var shapes []shape
	for r := rows; r > 0; r-- {
		for c := cols; c > 0; c /= 2 {
			shapes = append(shapes, shape{r, c})
		}
	}
	for _, s := range shapes[1:] {
		next := t.Fresh("not")
		t.P("CMP  $%d, R10", s.r)
		t.P("BNE  %s", next)
		t.P("CMP  $%d, R11", s.c)
		t.P("BEQ  dot%dx%d", s.r, s.c)
		t.Label(next)
	}
	for _, s := range shapes {
		t.Label(fmt.Sprintf("dot%dx%d", s.r, s.c))
		xs := []string{"R1", "R12", "R13"}
		for r := 1; r < s.r; r++ {
			t.P("ADD  R2, %s, %s", xs[r-1], xs[r])
		}
		for c := 1; c < s.c; c++ {
			t.P("ADD  R8, R%d, R%d", 3+c, 4+c)
		}
		n := s.r * s.c
		for i := range n {
			t.P("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
		}
		loop := t.Fresh("loop")
		t.Label(loop)
		for r := range s.r {
			t.P("VLD1.P 16(%s), [V%d.S4]", xs[r], 16+r)
		}
		for c := range s.c {
			t.P("VLD1.P 16(R%d), [V%d.S4]", 4+c, 20+c)
			for r := range s.r {
				t.P("VFMLA V%d.S4, V%d.S4, V%d.S4", 16+r, 20+c, r*s.c+c)
			}
		}
		t.P("SUBS $4, R9, R9")
		t.P("BNE  %s", loop)
		for i := range n {
			t.P("WORD $0x%08x // faddp v%d.4s, v%d.4s, v%d.4s", 0x6E20D400|uint32(i)<<16|uint32(i)<<5|uint32(i), i, i, i)
			t.P("WORD $0x%08x // faddp s%d, v%d.2s", 0x7E30D800|uint32(i)<<5|uint32(i), i, i)
			t.P("FMOVS F%d, %d(R0)", i, 4*(i/s.c*cols+i%s.c))
		}
		t.P("RET")
	}
}
