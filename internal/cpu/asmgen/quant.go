package main

import (
	"fmt"
	"math"
)

// Dot products of rows of quantised weights with a float32 vector. A row is cut
// into groups of 32·blocks weights with one scale each. Eight-bit weights lie in
// order; of four-bit weights the 16 bytes of a block hold weights 0 to 15 in their
// low and 16 to 31 in their high halves, each less 8.
//
//	out[i] = Σ over groups of scale[i][g]·Σ w[i][k]·x[k], for 1, 2 or 4 rows
const quantDecl = "(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)"

// widenDecl is a kernel that writes groups·blocks·32 weights as float32.
const widenDecl = "(dst *float32, w, scales unsafe.Pointer, groups, blocks int)"

func quantX86() string {
	t := newText()
	consts := map[uint32]bool{15: true, 8: true}
	for _, x := range []x86{{true}, {false}} {
		for _, bits := range []int{8, 4} {
			quantDotsX86(t, x, bits)
			quantWidenX86(t, x, bits)
		}
	}
	for i := range 8 { // -8 to 7, two a line
		t.p("DATA fourBits<>+%d(SB)/8, $0x%08x%08x", 8*i, math.Float32bits(float32(2*i-7)), math.Float32bits(float32(2*i-8)))
	}
	t.p("GLOBL fourBits<>(SB), RODATA|NOPTR, $64")
	constantTables(t, true, consts)
	constantTables(t, false, consts)
	return t.String()
}

// fourBitsX86 widens the low or high halves of the bytes at mem to float32 in
// register r. AVX-512 looks them up in a table of 16 floats, which reads no more
// than four bits of an index; table and eight are registers of constants.
func fourBitsX86(t *text, x x86, mem string, half, r, fifteen, eight, table int) {
	t.p("VPMOVZXBD %s, %s", mem, x.r(r))
	if half == 1 {
		t.p("VPSRLD $4, %s, %s", x.r(r), x.r(r))
	}
	if x.wide {
		t.p("VPERMPS %s, %s, %s", x.r(table), x.r(r), x.r(r))
		return
	}
	if half == 0 {
		t.p("VPAND %s, %s, %s", x.r(fifteen), x.r(r), x.r(r))
	}
	t.p("VPSUBD %s, %s, %s", x.r(eight), x.r(r), x.r(r))
	t.p("VCVTDQ2PS %s, %s", x.r(r), x.r(r))
}

// fourBitsConstants loads what fourBitsX86 needs.
func fourBitsConstants(t *text, x x86, fifteen, eight, table int) {
	if x.wide {
		t.p("VMOVUPS fourBits<>(SB), %s", x.r(table))
		return
	}
	x.constant(t, fifteen, 15)
	x.constant(t, eight, 8)
}

func quantWidenX86(t *text, x x86, bits int) {
	suffix, lanes := "AVX512", x.lanes()
	if !x.wide {
		suffix = "AVX2"
	}
	const scale, fifteen, eight, table = 0, 1, 2, 3
	t.fn(fmt.Sprintf("widenQ%d%s", bits, suffix), widenDecl, 40)
	t.ps("MOVQ dst+0(FP), DI; MOVQ w+8(FP), R8; MOVQ scales+16(FP), R9; MOVQ groups+24(FP), DX")
	if bits == 4 {
		fourBitsConstants(t, x, fifteen, eight, table)
	}
	group, block := t.fresh("group"), t.fresh("block")
	t.label(group)
	t.p("VBROADCASTSS (R9), %s", x.r(scale))
	t.p("MOVQ blocks+32(FP), CX")
	t.label(block)
	for c := range 32 / lanes {
		r := 4 + c
		if bits == 8 {
			t.p("VPMOVSXBD %d(R8), %s", lanes*c, x.r(r))
			t.p("VCVTDQ2PS %s, %s", x.r(r), x.r(r))
		} else {
			fourBitsX86(t, x, fmt.Sprintf("%d(R8)", lanes*c%16), lanes*c/16, r, fifteen, eight, table)
		}
		t.p("VMULPS %s, %s, %s", x.r(scale), x.r(r), x.r(r))
		t.p("VMOVUPS %s, %d(DI)", x.r(r), 4*lanes*c)
	}
	t.p("ADDQ $%d, R8", 32*bits/8)
	t.p("ADDQ $128, DI")
	t.p("DECQ CX")
	t.p("JNE  %s", block)
	t.p("ADDQ $4, R9")
	t.p("DECQ DX")
	t.p("JNE  %s", group)
	t.p("VZEROUPPER")
	t.p("RET")
}

func quantDotsX86(t *text, x x86, bits int) {
	suffix, v := "AVX512", zmm
	if !x.wide {
		suffix, v = "AVX2", ymm
	}
	lanes := x.lanes()
	t.fn(fmt.Sprintf("dotsQ%d%s", bits, suffix), quantDecl, 72)
	t.ps("MOVQ out+0(FP), DI; MOVQ w+8(FP), R8; MOVQ ldw+16(FP), R12; MOVQ scales+24(FP), R9; MOVQ lds+32(FP), R11; MOVQ x+40(FP), SI; MOVQ groups+48(FP), DX; MOVQ rows+64(FP), AX")
	t.ps("LEAQ (R12)(R12*2), R13; LEAQ (R11)(R11*2), R10")
	prefix := fmt.Sprintf("q%d%s", bits, suffix)
	for _, n := range []int{1, 2} {
		t.p("CMPQ AX, $%d", n)
		t.p("JEQ  %s_%d", prefix, n)
	}
	for _, n := range []int{4, 2, 1} {
		// Registers: totals 0-3, group sums 4-7, then x, scratch and constants.
		total, sum := func(i int) int { return i }, func(i int) int { return 4 + i }
		const xr, a, fifteen, eight, table = 8, 9, 11, 12, 13 // a and the one after it alternate
		t.label(fmt.Sprintf("%s_%d", prefix, n))
		if bits == 4 {
			fourBitsConstants(t, x, fifteen, eight, table)
		}
		for i := range n {
			x.constant(t, total(i), 0)
		}
		group, block := t.fresh("group"), t.fresh("block")
		t.label(group)
		for i := range n {
			x.constant(t, sum(i), 0)
		}
		t.p("MOVQ blocks+56(FP), CX")
		t.label(block)
		for c := range 32 / lanes {
			t.p("VMOVUPS %d(SI), %s", 4*lanes*c, x.r(xr))
			for i := range n {
				r, row := a+i&1, "(R8)"+indexed(i, "R12", "R13")
				if bits == 8 {
					t.p("VPMOVSXBD %d%s, %s", lanes*c, row, x.r(r))
					t.p("VCVTDQ2PS %s, %s", x.r(r), x.r(r))
				} else {
					fourBitsX86(t, x, fmt.Sprintf("%d%s", lanes*c%16, row), lanes*c/16, r, fifteen, eight, table)
				}
				t.p("VFMADD231PS %s, %s, %s", x.r(r), x.r(xr), x.r(sum(i)))
			}
		}
		t.p("ADDQ $%d, R8", 32*bits/8)
		t.p("ADDQ $128, SI")
		t.p("DECQ CX")
		t.p("JNE  %s", block)
		for i := range n {
			t.p("VBROADCASTSS (R9)%s, %s", indexed(i, "R11", "R10"), x.r(xr))
			t.p("VFMADD231PS %s, %s, %s", x.r(sum(i)), x.r(xr), x.r(total(i)))
		}
		t.p("ADDQ $4, R9")
		t.p("DECQ DX")
		t.p("JNE  %s", group)
		sumColumns(t, v, 0, n, 0)
		t.p("VZEROUPPER")
		t.p("RET")
	}
}

// quantWidenNEON writes the widening kernel for arm64.
func quantWidenNEON(t *text, bits int) {
	var x neon
	const fifteen, eight, scale = 20, 21, 22
	t.fn(fmt.Sprintf("widenQ%dNEON", bits), widenDecl, 40)
	t.ps("MOVD dst+0(FP), R0; MOVD w+8(FP), R1; MOVD scales+16(FP), R3; MOVD groups+24(FP), R6")
	x.constant(t, fifteen, 15)
	x.constant(t, eight, 8)
	group, block := t.fresh("group"), t.fresh("block")
	t.label(group)
	t.p("VLD1R.P 4(R3), [V%d.S4]", scale)
	t.p("MOVD blocks+32(FP), R7")
	t.label(block)
	for c := range 8 {
		r := c
		if bits == 8 {
			x.load(t, emission{dst: r, elem: i8, mem: fmt.Sprintf("%d(R1)", 4*c)})
		} else {
			x.load(t, emission{dst: r, elem: u8, mem: fmt.Sprintf("%d(R1)", 4*c%16)})
			if c < 4 {
				three(t, neonThree[opAnd], r, r, fifteen)
			} else {
				x.shift(t, opShr, r, r, 4)
			}
			three(t, neonThree[opISub], r, r, eight)
			two(t, neonTwo[opToFloat], r, r)
		}
		three(t, neonThree[opMul], r, r, scale)
		t.p("FMOVQ F%d, %d(R0)", r, 16*c)
	}
	t.p("ADD  $%d, R1, R1", 32*bits/8)
	t.p("ADD  $128, R0, R0")
	t.p("SUBS $1, R7, R7")
	t.p("BNE  %s", block)
	t.p("SUBS $1, R6, R6")
	t.p("BNE  %s", group)
	t.p("RET")
}

func quantNEON() string {
	t := newText()
	var x neon
	for _, bits := range []int{8, 4} {
		quantWidenNEON(t, bits)
		t.fn(fmt.Sprintf("dotsQ%dNEON", bits), quantDecl, 72)
		t.ps("MOVD out+0(FP), R0; MOVD w+8(FP), R1; MOVD ldw+16(FP), R2; MOVD scales+24(FP), R3; MOVD lds+32(FP), R4; MOVD x+40(FP), R5; MOVD groups+48(FP), R6; MOVD rows+64(FP), R9")
		for _, n := range []int{1, 2} {
			t.p("CMP  $%d, R9", n)
			t.p("BEQ  q%d_%d", bits, n)
		}
		for _, n := range []int{4, 2, 1} {
			w := func(i int) int { return 11 + i } // addresses of the rows, with R12, R13, R14
			s := []int{3, 15, 19, 20}              // addresses of their scales
			t.label(fmt.Sprintf("q%d_%d", bits, n))
			t.p("MOVD R1, R%d", w(0))
			for i := 1; i < n; i++ {
				t.p("ADD  R2, R%d, R%d", w(i-1), w(i))
				t.p("ADD  R4, R%d, R%d", s[i-1], s[i])
			}
			const fifteen, eight = 20, 21
			x.constant(t, fifteen, 15)
			x.constant(t, eight, 8)
			for i := range n {
				x.constant(t, i, 0)
			}
			group, block := t.fresh("group"), t.fresh("block")
			t.label(group)
			for i := range n {
				x.constant(t, 4+i, 0)
			}
			t.p("MOVD blocks+56(FP), R7")
			t.label(block)
			use := func(i, r int) {
				two(t, neonTwo[opToFloat], r, r)
				t.p("VFMLA V%d.S4, V8.S4, V%d.S4", r, 4+i)
			}
			halves, chunks := 1, 8
			if bits == 4 {
				halves, chunks = 2, 4
			}
			for c := range chunks {
				for half := range halves {
					t.p("FMOVQ %d(R5), F8", 16*c+64*half)
					for i := range n {
						r := 16 + i
						if bits == 8 {
							x.load(t, emission{dst: r, elem: i8, mem: fmt.Sprintf("%d(R%d)", 4*c, w(i))})
							t.p("VFMLA V%d.S4, V8.S4, V%d.S4", r, 4+i)
							continue
						}
						x.load(t, emission{dst: r, elem: u8, mem: fmt.Sprintf("%d(R%d)", 4*c, w(i))})
						if half == 0 {
							three(t, neonThree[opAnd], r, r, fifteen)
						} else {
							x.shift(t, opShr, r, r, 4)
						}
						three(t, neonThree[opISub], r, r, eight)
						use(i, r)
					}
				}
			}
			for i := range n {
				t.p("ADD  $%d, R%d, R%d", 32*bits/8, w(i), w(i))
			}
			t.p("ADD  $128, R5, R5")
			t.p("SUBS $1, R7, R7")
			t.p("BNE  %s", block)
			for i := range n {
				t.p("VLD1R.P 4(R%d), [V8.S4]", s[i])
				t.p("VFMLA V%d.S4, V8.S4, V%d.S4", 4+i, i)
			}
			t.p("SUBS $1, R6, R6")
			t.p("BNE  %s", group)
			for i := range n {
				t.p("WORD $0x%08x // faddp v%d.4s, v%d.4s, v%d.4s", 0x6E20D400|uint32(i)<<16|uint32(i)<<5|uint32(i), i, i, i)
				t.p("WORD $0x%08x // faddp s%d, v%d.2s", 0x7E30D800|uint32(i)<<5|uint32(i), i, i)
				t.p("FMOVS F%d, %d(R0)", i, 4*i)
			}
			t.p("RET")
		}
	}
	return t.String()
}
