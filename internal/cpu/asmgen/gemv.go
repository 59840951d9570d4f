package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// rowsDecl declares a kernel that adds sums of rows of w to y, times times: of rows
// that lie ldw bytes apart in w and their factors ldx bytes apart in x, and each
// time nextw and nextx bytes further. It does so for outputs vectors y, ldy bytes
// apart, with x that lie ldv apart.
const rowsDecl = "(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)"

// dotsDecl declares a kernel that sets out to the dot products of rows of w with x, and
// for outputs vectors x, ldx bytes apart, what follows out to those of the others.
const dotsDecl = "(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)"

// rowsShape is a number of outputs and of rows that a kernel takes at once.
type rowsShape struct{ outputs, rows int }

// rowsShapes lists them for a number of registers: all factors stay in registers.
func rowsShapes(registers int) []rowsShape {
	shapes := []rowsShape{{1, 8}, {1, 4}, {1, 2}, {1, 1}}
	for outputs := 2; outputs <= registers/8; outputs++ {
		shapes = append(shapes, rowsShape{outputs, 4}, rowsShape{outputs, 1})
	}
	return shapes
}

// gemvAhead is how many elements ahead the kernels of two rows prefetch both. Two
// streams at such a distance are as fast as reading alone; without, how well the
// hardware foresees streams differs from process to process.
const gemvAhead = 512

// gemvX86 writes matrix-vector kernels for weights of one element type:
//
//	rows: y[j] += Σ x[i]·w[i][j] for up to eight rows of w, contiguous along j
//	dots: out[i] = Σ x[k]·w[i][k] for up to four rows of w (eight of bytes), contiguous along k
//
// Both take whole vectors only.
func gemvX86(t *lane.Text, x lane.X86, e lane.Elem, suffix string, consts map[uint32]bool) {
	w := x.Lanes()
	base := [3]string{"R8", "R9"}
	pointers := func(n int) {
		t.P("LEAQ (R12)(R12*2), R13")
		if n > 5 {
			t.P("LEAQ (R8)(R12*4), R9")
			t.P("ADDQ R12, R9")
		}
	}
	next := func(n, bytes int) {
		t.P("ADDQ $%d, R8", bytes)
		if n > 5 {
			t.P("ADDQ $%d, R9", bytes)
		}
	}
	load := func(i, off, to int) {
		x.Load(t, lane.Emission{Dst: to, Elem: e, Mem: rowAddress(i, off, base, "R12", "R13")})
	}
	ahead := func(n, i, off int) {
		if n == 2 && off%64 == 0 && e.Size() > 1 { // bytes are widened more slowly than they come
			t.P("PREFETCHT0 %s", rowAddress(i, gemvAhead*e.Size()+off, base, "R12", "R13"))
		}
	}

	t.Fn("gemvRows"+suffix, rowsDecl, 104)
	t.PS("MOVQ w+8(FP), R8; MOVQ ldw+16(FP), R12; MOVQ nextw+24(FP), R10; MOVQ x+32(FP), SI; MOVQ times+72(FP), R11; MOVQ ldy+88(FP), AX")
	// What is left to the next rows at the end of these.
	t.PS(fmt.Sprintf("MOVQ n+56(FP), CX; IMULQ $%d, CX; SUBQ CX, R10", e.Size()))
	t.PS("MOVQ outputs+80(FP), DX; SHLQ $4, DX; ADDQ rows+64(FP), DX")
	shapes := rowsShapes(x.Registers())
	for _, s := range shapes[1:] {
		t.P("CMPQ DX, $%d", s.outputs<<4+s.rows)
		t.P("JEQ  rows%dx%d", s.outputs, s.rows)
	}
	for _, s := range shapes {
		n := s.rows
		unroll := 2
		if s.outputs > 1 && !x.Wide {
			unroll = 1
		}
		t.Label(fmt.Sprintf("rows%dx%d", s.outputs, n))
		time := t.Fresh("time")
		t.Label(time)
		pointers(n)
		factor := func(o, i int) int { return x.Registers() - 1 - o*n - i }
		t.PS("MOVQ ldx+40(FP), BX; MOVQ SI, R14")
		for o := range s.outputs {
			t.P("MOVQ R14, DX")
			for i := range n {
				t.P("VBROADCASTSS (DX), %s", x.Reg(factor(o, i)))
				t.P("ADDQ BX, DX")
			}
			t.P("ADDQ ldv+96(FP), R14")
		}
		t.PS("ADDQ nextx+48(FP), SI; MOVQ y+0(FP), DI; MOVQ n+56(FP), CX; LEAQ (AX)(AX*2), BX")
		for u := unroll; u > 0; u-- {
			loop, done := t.Fresh("loop"), t.Fresh("done")
			t.P("SUBQ $%d, CX", u*w)
			t.P("JLT  %s", done)
			t.Label(loop)
			if s.outputs == 1 {
				for v := range u {
					t.P("VMOVUPS %d(DI), %s", 4*w*v, x.Reg(v))
				}
				for i := range n {
					for v := range u {
						load(i, v*w*e.Size(), 2+v)
						ahead(n, i, v*w*e.Size())
						t.P("VFMADD231PS %s, %s, %s", x.Reg(2+v), x.Reg(factor(0, i)), x.Reg(v))
					}
				}
				for v := range u {
					t.P("VMOVUPS %s, %d(DI)", x.Reg(v), 4*w*v)
				}
			} else {
				for v := range u {
					for i := range n {
						load(i, v*w*e.Size(), 2+v*n+i)
					}
				}
				for o := range s.outputs {
					for v := range u {
						y := fmt.Sprintf("%d(DI)%s", 4*w*v, indexed(o, "AX", "BX"))
						t.P("VMOVUPS %s, %s", y, x.Reg(v))
						for i := range n {
							t.P("VFMADD231PS %s, %s, %s", x.Reg(2+v*n+i), x.Reg(factor(o, i)), x.Reg(v))
						}
						t.P("VMOVUPS %s, %s", x.Reg(v), y)
					}
				}
			}
			t.P("ADDQ $%d, DI", 4*w*u)
			next(n, w*u*e.Size())
			t.P("SUBQ $%d, CX", u*w)
			t.P("JGE  %s", loop)
			t.Label(done)
			t.P("ADDQ $%d, CX", u*w)
		}
		t.P("ADDQ R10, R8")
		t.P("DECQ R11")
		t.P("JNE  %s", time)
		t.P("VZEROUPPER")
		t.P("RET")
	}

	t.Fn("gemvDots"+suffix, dotsDecl, 64)
	t.PS("MOVQ out+0(FP), DI; MOVQ w+8(FP), R8; MOVQ ldw+16(FP), R12; MOVQ x+24(FP), SI; MOVQ k+32(FP), CX; MOVQ ldx+56(FP), R10; LEAQ (R10)(R10*2), R11")
	t.PS("MOVQ outputs+48(FP), DX; SHLQ $4, DX; ADDQ rows+40(FP), DX")
	dots := dotsShapes(e, x.Registers())
	for _, s := range dots[1:] {
		t.P("CMPQ DX, $%d", s.outputs<<4+s.rows)
		t.P("JEQ  dots%dx%d", s.outputs, s.rows)
	}
	v := zmm
	if !x.Wide {
		v = ymm
	}
	for _, s := range dots {
		n := s.rows
		t.Label(fmt.Sprintf("dots%dx%d", s.outputs, n))
		pointers(n)
		// Few rows read more of each at once, with sums of their own.
		turns := map[int]int{8: 1, 4: 1, 2: 4, 1: 4}[n]
		if s.outputs > 1 {
			turns = 1
		}
		sums := n * turns * s.outputs
		for i := range sums {
			x.Constant(t, i, 0)
		}
		xs := sums
		step := func(u, set int) {
			if s.outputs > 1 {
				for i := range n {
					load(i, 0, sums+i)
				}
				for o := range s.outputs {
					t.P("VMOVUPS (SI)%s, %s", indexed(o, "R10", "R11"), x.Reg(sums+n+o%2))
					for i := range n {
						t.P("VFMADD231PS %s, %s, %s", x.Reg(sums+i), x.Reg(sums+n+o%2), x.Reg(o*n+i))
					}
				}
				return
			}
			t.P("VMOVUPS %d(SI), %s", 4*w*u, x.Reg(xs+u%2))
			for i := range n {
				tmp := xs + 2 + (u*n+i)%3
				load(i, u*w*e.Size(), tmp)
				ahead(n, i, u*w*e.Size())
				t.P("VFMADD231PS %s, %s, %s", x.Reg(tmp), x.Reg(xs+u%2), x.Reg(set*n+i))
			}
		}
		for _, u := range []int{turns, 1} {
			if turns == 1 {
				break
			}
			loop, skip := t.Fresh("loop"), t.Fresh("skip")
			t.P("SUBQ $%d, CX", u*w)
			t.P("JLT  %s", skip)
			t.Label(loop)
			for i := range u {
				step(i, i)
			}
			t.P("ADDQ $%d, SI", 4*w*u)
			next(n, u*w*e.Size())
			t.P("SUBQ $%d, CX", u*w)
			t.P("JGE  %s", loop)
			t.Label(skip)
			t.P("ADDQ $%d, CX", u*w)
		}
		if turns == 1 {
			loop := t.Fresh("loop")
			t.Label(loop)
			step(0, 0)
			t.P("ADDQ $%d, SI", 4*w)
			next(n, w*e.Size())
			t.P("SUBQ $%d, CX", w)
			t.P("JNE  %s", loop)
		}
		for h := turns; h > 1; h /= 2 {
			for i := range n * h / 2 {
				t.P("VADDPS %s, %s, %s", x.Reg(i+n*h/2), x.Reg(i), x.Reg(i))
			}
		}
		for o := range s.outputs {
			sumColumns(t, v, o*n, n, 4*n*o)
		}
		t.P("VZEROUPPER")
		t.P("RET")
	}
}

// dotsShapes lists what a dots kernel takes at once.
func dotsShapes(e lane.Elem, registers int) (shapes []rowsShape) {
	for _, n := range dotRows(e) {
		shapes = append(shapes, rowsShape{1, n})
	}
	for outputs := 2; outputs <= registers/8; outputs++ {
		shapes = append(shapes, rowsShape{outputs, 4}, rowsShape{outputs, 1})
	}
	return shapes
}

// dotRows lists the numbers of rows that dots takes at once, the largest first.
// Memory serves four streams best; bytes are widened so slowly that eight do not
// hurt, and save sums.
func dotRows(e lane.Elem) []int {
	if e.Size() == 1 {
		return []int{8, 4, 2, 1}
	}
	return []int{4, 2, 1}
}

// gemvNEON writes the same for arm64.
func gemvNEON(t *lane.Text, e lane.Elem, suffix string) {
	var x lane.NEON
	reg := func(i int) int { return []int{3, 9, 10, 11, 12, 13, 14, 15}[i] } // addresses of the rows
	pointers := func(n int) {
		for i := 1; i < n; i++ {
			t.P("ADD  R4, R%d, R%d", reg(i-1), reg(i))
		}
	}
	load := func(i, to int) {
		x.Load(t, lane.Emission{Dst: to, Elem: e, Mem: fmt.Sprintf("(R%d)", reg(i))})
		t.P("ADD  $%d, R%d, R%d", 4*e.Size(), reg(i), reg(i))
	}
	t.Fn("gemvRows"+suffix, rowsDecl, 104)
	t.PS("MOVD w+8(FP), R3; MOVD ldw+16(FP), R4; MOVD nextw+24(FP), R16; MOVD x+32(FP), R2; MOVD ldx+40(FP), R17; MOVD nextx+48(FP), R19; MOVD times+72(FP), R7; MOVD ldy+88(FP), R20; MOVD ldv+96(FP), R21")
	// What is left to the next rows at the end of these.
	t.PS(fmt.Sprintf("MOVD n+56(FP), R5; MOVD $%d, R8; MUL R8, R5, R5; SUB R5, R16, R16", e.Size()))
	t.PS("MOVD outputs+80(FP), R6; LSL $4, R6, R6; MOVD rows+64(FP), R8; ADD R8, R6, R6")
	shapes := rowsShapes(32)
	for _, s := range shapes[1:] {
		t.P("CMP  $%d, R6", s.outputs<<4+s.rows)
		t.P("BEQ  rows%dx%d", s.outputs, s.rows)
	}
	for _, s := range shapes {
		n := s.rows
		t.Label(fmt.Sprintf("rows%dx%d", s.outputs, n))
		time, loop := t.Fresh("time"), t.Fresh("loop")
		t.Label(time)
		pointers(n)
		factor := func(o, i int) int { return 31 - o*n - i }
		t.P("MOVD R2, R22")
		for o := range s.outputs {
			t.P("MOVD R22, R8")
			for i := range n {
				t.P("VLD1R (R8), [V%d.S4]", factor(o, i))
				t.P("ADD  R17, R8, R8")
			}
			t.P("ADD  R21, R22, R22")
		}
		t.PS("ADD R19, R2, R2; MOVD y+0(FP), R1; MOVD n+56(FP), R5")
		t.Label(loop)
		for i := range n {
			load(i, 4+i)
		}
		t.P("MOVD R1, R8")
		for o := range s.outputs {
			t.P("FMOVQ (R8), F%d", o)
			for i := range n {
				t.P("VFMLA V%d.S4, V%d.S4, V%d.S4", 4+i, factor(o, i), o)
			}
			t.P("FMOVQ F%d, (R8)", o)
			t.P("ADD  R20, R8, R8")
		}
		t.P("ADD  $16, R1, R1")
		t.P("SUBS $4, R5, R5")
		t.P("BNE  %s", loop)
		t.P("ADD  R16, R3, R3")
		t.P("SUBS $1, R7, R7")
		t.P("BNE  %s", time)
		t.P("RET")
	}
	t.Fn("gemvDots"+suffix, dotsDecl, 64)
	t.PS("MOVD out+0(FP), R1; MOVD w+8(FP), R3; MOVD ldw+16(FP), R4; MOVD x+24(FP), R2; MOVD k+32(FP), R5; MOVD ldx+56(FP), R17")
	t.PS("MOVD outputs+48(FP), R6; LSL $4, R6, R6; MOVD rows+40(FP), R8; ADD R8, R6, R6")
	dots := dotsShapes(e, 32)
	for _, s := range dots[1:] {
		t.P("CMP  $%d, R6", s.outputs<<4+s.rows)
		t.P("BEQ  dots%dx%d", s.outputs, s.rows)
	}
	for _, s := range dots {
		n := s.rows
		t.Label(fmt.Sprintf("dots%dx%d", s.outputs, n))
		pointers(n)
		for i := range s.outputs * n {
			x.Constant(t, 16+i, 0)
		}
		loop := t.Fresh("loop")
		t.Label(loop)
		for i := range n {
			load(i, 4+i)
		}
		t.P("MOVD R2, R8")
		for o := range s.outputs {
			t.P("FMOVQ (R8), F%d", o)
			t.P("ADD  R17, R8, R8")
			for i := range n {
				t.P("VFMLA V%d.S4, V%d.S4, V%d.S4", 4+i, o, 16+o*n+i)
			}
		}
		t.P("ADD  $16, R2, R2")
		t.P("SUBS $4, R5, R5")
		t.P("BNE  %s", loop)
		for i := range s.outputs * n {
			r := 16 + i
			t.P("WORD $0x%08x // faddp v%d.4s, v%d.4s, v%d.4s", 0x6E20D400|uint32(r)<<16|uint32(r)<<5|uint32(r), r, r, r)
			t.P("WORD $0x%08x // faddp s%d, v%d.2s", 0x7E30D800|uint32(r)<<5|uint32(r), r, r)
			t.P("FMOVS F%d, %d(R1)", r, 4*i)
		}
		t.P("RET")
	}
}

// gemvTypes are the element types of weights, with the part of the names.
var gemvTypes = []struct {
	e    lane.Elem
	name string
}{{lane.F32, "F32"}, {lane.BF16, "BF16"}, {lane.F16, "F16"}, {lane.I8, "I8"}}

func gemvFile(arch string) string {
	t := lane.NewText()
	consts := map[uint32]bool{}
	for _, g := range gemvTypes {
		if arch == "arm64" {
			gemvNEON(t, g.e, g.name+"NEON")
			continue
		}
		gemvX86(t, lane.X86{Wide: true}, g.e, g.name+"AVX512", consts)
		gemvX86(t, lane.X86{}, g.e, g.name+"AVX2", consts)
	}
	return t.String()
}
