package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// x86Vec is a vector width of amd64.
type x86Vec struct {
	reg   string // Z or Y
	bytes int
	xor   string
	elem  elemKind
}

// elemKind is the type of factors and sums.
type elemKind int

const (
	single elemKind = iota
	pairs           // of bfloat16, with sums in float32
	double
)

var (
	zmm       = x86Vec{"Z", 64, "VPXORQ", single}
	ymm       = x86Vec{"Y", 32, "VXORPS", single}
	zmmPairs  = x86Vec{"Z", 64, "VPXORQ", pairs}
	zmmDouble = x86Vec{"Z", 64, "VPXORQ", double}
	ymmDouble = x86Vec{"Y", 32, "VXORPS", double}
)

// size is the bytes of an element, or of a pair.
func (v x86Vec) size() int {
	if v.elem == double {
		return 8
	}
	return 4
}

// name is that of an instruction for the type of the sums.
func (v x86Vec) name(s string) string {
	if v.elem == double {
		return s + "D"
	}
	return s + "S"
}

// multiplyAdd adds the product of two registers to a third.
func (v x86Vec) multiplyAdd(t *lane.Text, a, b, acc int) {
	if v.elem == pairs {
		evex(t, vdpbf16ps, a, b, acc)
		return
	}
	t.P("%s %s%d, %s%d, %s%d", v.name("VFMADD231P"), v.reg, a, v.reg, b, v.reg, acc)
}

// tileNegate is where a tile says that the sum starts from minus its init.
const tileNegate = 368

// signs sets the sign bits of a register, and no others.
func (v x86Vec) signs(t *lane.Text, reg int) {
	if v.reg == "Z" {
		t.P("VPTERNLOGD $0xff, Z%d, Z%d, Z%d", reg, reg, reg)
	} else {
		t.P("VPCMPEQD Y%d, Y%d, Y%d", reg, reg, reg)
	}
	shift := "VPSLLD $31"
	if v.elem == double {
		shift = "VPSLLQ $63"
	}
	t.P("%s, %s%d, %s%d", shift, v.reg, reg, v.reg, reg)
}

// gemmX86 writes the AVX-512 14x32 and the AVX2 6x16 micro-kernel.
func gemmX86() string {
	t := lane.NewText()
	gemmKernelX86(t, "kernelAVX512", zmm, 14, 2, 28)
	gemmKernelX86(t, "narrowAVX512", zmm, 14, 1, 28)
	gemmKernelX86(t, "kernelAVX2", ymm, 6, 2, 12)
	gemmKernelX86(t, "narrowAVX2", ymm, 6, 1, 12)
	dotX86(t, "dotAVX512", zmm, 3, 8)
	dotX86(t, "dotAVX2", ymm, 3, 4)
	transposeX86(t)
	everySecondX86(t)
	reverseX86(t)
	return t.String()
}

// doubleX86 writes the micro-kernels of float64: 14x16 with AVX-512, 6x8 with AVX2.
func doubleX86() string {
	t := lane.NewText()
	gemmKernelX86(t, "doubleAVX512", zmmDouble, 14, 2, 28)
	gemmKernelX86(t, "doubleAVX2", ymmDouble, 6, 2, 12)
	return t.String()
}

// indexed returns the scale part that addresses row i (0 to 4) past a base,
// where ld holds one row and ld3 three.
func indexed(i int, ld, ld3 string) string {
	return [...]string{"", "(" + ld + "*1)", "(" + ld + "*2)", "(" + ld3 + "*1)", "(" + ld + "*4)"}[i]
}

// rowAddress names row i of an operand whose rows 0, 5 and 10 are in base.
func rowAddress(i, off int, base [3]string, ld, ld3 string) string {
	return fmt.Sprintf("%d(%s)%s", off, base[i/5], indexed(i%5, ld, ld3))
}

// Memory bounds products of few rows: the kernels prefetch their panel 2^prefetchShift
// rows ahead, as some processors do not foresee a stream that is used at once.
const (
	prefetchMost  = 4
	prefetchShift = 5
)

// gemmKernelX86 writes a kernel with one or two vectors of columns for every number
// of rows up to rows. free is the first register after the accumulators: two for
// B, two for A. Few rows use several sets of accumulators, which hides the
// latency of the multiply-add.
func gemmKernelX86(t *lane.Text, name string, v x86Vec, rows, cols, free int) {
	t.Fn(name, "(t *tile)", 8)
	t.PS("MOVQ t+0(FP), AX; MOVQ 32(AX), CX; MOVQ 40(AX), DX; LEAQ 48(AX), BX")
	for m := 1; m < rows; m++ {
		t.P("CMPQ CX, $%d", m)
		t.P("JEQ  rows%d", m)
	}
	base := [3]string{"R8", "R9", "R10"}
	three := func(m int, ld, ld3 string) {
		t.P("LEAQ (%s)(%s*2), %s", ld, ld, ld3)
		if m > 5 {
			t.PS(fmt.Sprintf("LEAQ (R8)(%s*4), R9; ADDQ %s, R9", ld, ld))
		}
		if m > 10 {
			t.PS(fmt.Sprintf("LEAQ (R9)(%s*4), R10; ADDQ %s, R10", ld, ld))
		}
	}
	for m := rows; m > 0; m-- {
		sets := 1
		for sets < 4 && cols*m*sets*2 <= free && cols*m*sets < 8 {
			sets *= 2
		}
		acc := func(set, row, col int) int { return (set*m+row)*cols + col }
		t.Label(fmt.Sprintf("rows%d", m))
		t.PS("MOVQ 16(AX), R8; MOVQ 24(AX), R11")
		for i := cols * m; i < cols*m*sets; i++ {
			t.P("%s %s%d, %s%d, %s%d", v.xor, v.reg, i, v.reg, i, v.reg, i)
		}
		t.P("TESTQ R8, R8")
		t.P("JEQ  zero%d", m)
		three(m, "R11", "R12")
		for r := range m {
			for c := range cols {
				t.P("VMOVUPS %s, %s%d", rowAddress(r, v.bytes*c, base, "R11", "R12"), v.reg, acc(0, r, c))
			}
		}
		t.P("CMPQ %d(AX), $0", tileNegate)
		t.P("JEQ  segment%d", m)
		v.signs(t, free)
		for i := range cols * m {
			t.P("%s %s%d, %s%d, %s%d", v.xor, v.reg, free, v.reg, i, v.reg, i)
		}
		t.P("JMP  segment%d", m)
		t.Label(fmt.Sprintf("zero%d", m))
		for i := range cols * m {
			t.P("%s %s%d, %s%d, %s%d", v.xor, v.reg, i, v.reg, i, v.reg, i)
		}
		t.Label(fmt.Sprintf("segment%d", m))
		t.PS("MOVQ (BX), R8; MOVQ 8(BX), R11; MOVQ 16(BX), SI; MOVQ 24(BX), DI; MOVQ 32(BX), CX; LEAQ (DI)(DI*2), R13")
		three(m, "R11", "R12")
		step := func(u int, ahead bool) {
			b := "(SI)" + indexed(u, "DI", "R13")
			for line := 0; ahead && line < v.bytes*cols; line += 64 {
				t.P("PREFETCHT0 %d(R14)%s", line, indexed(u, "DI", "R13"))
			}
			for c := range cols {
				t.P("VMOVUPS %d%s, %s%d", v.bytes*c, b, v.reg, free+c)
			}
			for r := range m {
				a := free + 2 + r&1
				t.P("%s %s, %s%d", v.name("VBROADCASTS"), rowAddress(r, v.size()*u, base, "R11", "R12"), v.reg, a)
				for c := range cols {
					v.multiplyAdd(t, a, free+c, acc(u%sets, r, c))
				}
			}
		}
		next := func(bytes int) {
			for i := 0; i < m; i += 5 {
				t.P("ADDQ $%d, %s", bytes, base[i/5])
			}
		}
		t.P("SUBQ $4, CX")
		t.P("JLT  tail%d", m)
		t.Label(fmt.Sprintf("four%d", m))
		if m <= prefetchMost {
			t.PS(fmt.Sprintf("MOVQ DI, R14; SHLQ $%d, R14; ADDQ SI, R14", prefetchShift))
		}
		for u := range 4 {
			step(u, m <= prefetchMost)
		}
		next(4 * v.size())
		t.P("LEAQ (SI)(DI*4), SI")
		t.P("SUBQ $4, CX")
		t.P("JGE  four%d", m)
		t.Label(fmt.Sprintf("tail%d", m))
		t.P("ADDQ $4, CX")
		t.P("JEQ  next%d", m)
		t.Label(fmt.Sprintf("one%d", m))
		step(0, false)
		next(v.size())
		t.P("ADDQ DI, SI")
		t.P("DECQ CX")
		t.P("JNE  one%d", m)
		t.Label(fmt.Sprintf("next%d", m))
		t.P("ADDQ $40, BX")
		t.P("DECQ DX")
		t.P("JNE  segment%d", m)
		for n := sets; n > 1; n /= 2 {
			for i := range m * cols * n / 2 {
				t.P("%s %s%d, %s%d, %s%d", v.name("VADDP"), v.reg, i+m*cols*n/2, v.reg, i, v.reg, i)
			}
		}
		t.PS("MOVQ (AX), R8; MOVQ 8(AX), R11")
		three(m, "R11", "R12")
		for r := range m {
			for c := range cols {
				t.P("VMOVUPS %s%d, %s", v.reg, acc(0, r, c), rowAddress(r, v.bytes*c, base, "R11", "R12"))
			}
		}
		t.P("VZEROUPPER")
		t.P("RET")
	}
}

// dotX86 writes the dot-product kernel: sums of k products of up to rows rows of
// x with up to cols rows of y, all contiguous along k; k is a multiple of the
// vector's lanes. The sums of row r and column c go to out[cols*r+c].
func dotX86(t *lane.Text, name string, v x86Vec, rows, cols int) {
	t.Fn(name, "(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)", 64)
	t.PS("MOVQ out+0(FP), DI; MOVQ x+8(FP), SI; MOVQ ldx+16(FP), R11; MOVQ y+24(FP), R8; MOVQ ldy+32(FP), R12; MOVQ k+40(FP), CX; MOVQ rows+48(FP), AX; MOVQ cols+56(FP), BX")
	t.PS("LEAQ (R12)(R12*2), R13; LEAQ (R8)(R12*4), R9; ADDQ R12, R9")
	type shape struct{ r, c int }
	var shapes []shape
	for r := rows; r > 0; r-- {
		for c := cols; c > 0; c /= 2 {
			shapes = append(shapes, shape{r, c})
		}
	}
	for _, s := range shapes[1:] {
		next := t.Fresh("not")
		t.P("CMPQ AX, $%d", s.r)
		t.P("JNE  %s", next)
		t.P("CMPQ BX, $%d", s.c)
		t.P("JEQ  dot%s%dx%d", v.reg, s.r, s.c)
		t.Label(next)
	}
	for _, s := range shapes {
		t.Label(fmt.Sprintf("dot%s%dx%d", v.reg, s.r, s.c))
		loop := t.Fresh("loop")
		n := s.r * s.c
		for i := range n {
			t.P("%s %s%d, %s%d, %s%d", v.xor, v.reg, i, v.reg, i, v.reg, i)
		}
		t.Label(loop)
		for r := range s.r {
			t.P("VMOVUPS (SI)%s, %s%d", indexed(r, "R11", "R11"), v.reg, n+r)
		}
		tmp := n + s.r
		for c := range s.c {
			t.P("VMOVUPS %s, %s%d", rowAddress(c, 0, [3]string{"R8", "R9"}, "R12", "R13"), v.reg, tmp)
			for r := range s.r {
				t.P("VFMADD231PS %s%d, %s%d, %s%d", v.reg, n+r, v.reg, tmp, v.reg, r*s.c+c)
			}
		}
		t.PS(fmt.Sprintf("ADDQ $%d, SI; ADDQ $%d, R8; ADDQ $%d, R9; SUBQ $%d, CX", v.bytes, v.bytes, v.bytes, v.bytes/4))
		t.P("JNE  %s", loop)
		for r := range s.r {
			sumColumns(t, v, r*s.c, s.c, 4*r*cols)
		}
		t.P("VZEROUPPER")
		t.P("RET")
	}
}

// sumColumns adds up the lanes of n accumulators from first on (n = 1, 2, 4 or 8)
// and stores the n sums at off(DI). It works in Y0 to Y7, which earlier rows no longer need.
func sumColumns(t *lane.Text, v x86Vec, first, n, off int) {
	for j := range n {
		if v.reg == "Z" {
			t.P("VEXTRACTF64X4 $1, Z%d, Y24", first+j)
			t.P("VADDPS Y24, Y%d, Y%d", first+j, j)
		} else if first > 0 {
			t.P("VMOVAPS Y%d, Y%d", first+j, j)
		}
	}
	hadd := func(a, b int) { t.P("VHADDPS Y%d, Y%d, Y%d", b, a, a) }
	switch n {
	case 8:
		for _, h := range [][2]int{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 2}, {4, 6}} {
			hadd(h[0], h[1])
		}
		t.P("VPERM2F128 $0x20, Y4, Y0, Y1")
		t.P("VPERM2F128 $0x31, Y4, Y0, Y2")
		t.P("VADDPS Y2, Y1, Y0")
		t.P("VMOVUPS Y0, %d(DI)", off)
		return
	case 4:
		hadd(0, 1)
		hadd(2, 3)
		hadd(0, 2)
	case 2:
		hadd(0, 1)
		hadd(0, 0)
	case 1:
		hadd(0, 0)
		hadd(0, 0)
	}
	tmp := 1
	if n == 1 {
		tmp = 4 // 1 to 3 may hold later rows
	}
	t.P("VEXTRACTF128 $1, Y0, X%d", tmp)
	t.P("VADDPS X%d, X0, X0", tmp)
	t.P("%s X0, %d(DI)", map[int]string{4: "VMOVUPS", 2: "VMOVLPS", 1: "VMOVSS"}[n], off)
}
