package main

import (
	"fmt"
	"math"

	"loris/internal/cpu/lane"
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
	t := lane.NewText()
	consts := map[uint32]bool{15: true, 8: true}
	for _, x := range []lane.X86{{Wide: true}, {}} {
		for _, bits := range []int{8, 4} {
			quantDotsX86(t, x, bits)
			quantWidenX86(t, x, bits)
		}
	}
	for i := range 8 { // -8 to 7, two a line
		t.P("DATA fourBits<>+%d(SB)/8, $0x%08x%08x", 8*i, math.Float32bits(float32(2*i-7)), math.Float32bits(float32(2*i-8)))
	}
	t.P("GLOBL fourBits<>(SB), RODATA|NOPTR, $64")
	constantTables(t, true, consts)
	constantTables(t, false, consts)
	return t.String()
}

// fourBitsX86 widens the low or high halves of the bytes at mem to float32 in
// register r. AVX-512 looks them up in a table of 16 floats, which reads no more
// than four bits of an index; table and eight are registers of constants.
func fourBitsX86(t *lane.Text, x lane.X86, mem string, half, r, fifteen, eight, table int) {
	t.P("VPMOVZXBD %s, %s", mem, x.Reg(r))
	if half == 1 {
		t.P("VPSRLD $4, %s, %s", x.Reg(r), x.Reg(r))
	}
	if x.Wide {
		t.P("VPERMPS %s, %s, %s", x.Reg(table), x.Reg(r), x.Reg(r))
		return
	}
	if half == 0 {
		t.P("VPAND %s, %s, %s", x.Reg(fifteen), x.Reg(r), x.Reg(r))
	}
	t.P("VPSUBD %s, %s, %s", x.Reg(eight), x.Reg(r), x.Reg(r))
	t.P("VCVTDQ2PS %s, %s", x.Reg(r), x.Reg(r))
}

// fourBitsConstants loads what fourBitsX86 needs.
func fourBitsConstants(t *lane.Text, x lane.X86, fifteen, eight, table int) {
	if x.Wide {
		t.P("VMOVUPS fourBits<>(SB), %s", x.Reg(table))
		return
	}
	x.Constant(t, fifteen, 15)
	x.Constant(t, eight, 8)
}

func quantWidenX86(t *lane.Text, x lane.X86, bits int) {
	suffix, lanes := "AVX512", x.Lanes()
	if !x.Wide {
		suffix = "AVX2"
	}
	const scale, fifteen, eight, table = 0, 1, 2, 3
	t.Fn(fmt.Sprintf("widenQ%d%s", bits, suffix), widenDecl, 40)
	t.PS("MOVQ dst+0(FP), DI; MOVQ w+8(FP), R8; MOVQ scales+16(FP), R9; MOVQ groups+24(FP), DX")
	if bits == 4 {
		fourBitsConstants(t, x, fifteen, eight, table)
	}
	group, block := t.Fresh("group"), t.Fresh("block")
	t.Label(group)
	t.P("VBROADCASTSS (R9), %s", x.Reg(scale))
	t.P("MOVQ blocks+32(FP), CX")
	t.Label(block)
	for c := range 32 / lanes {
		r := 4 + c
		if bits == 8 {
			t.P("VPMOVSXBD %d(R8), %s", lanes*c, x.Reg(r))
			t.P("VCVTDQ2PS %s, %s", x.Reg(r), x.Reg(r))
		} else {
			fourBitsX86(t, x, fmt.Sprintf("%d(R8)", lanes*c%16), lanes*c/16, r, fifteen, eight, table)
		}
		t.P("VMULPS %s, %s, %s", x.Reg(scale), x.Reg(r), x.Reg(r))
		t.P("VMOVUPS %s, %d(DI)", x.Reg(r), 4*lanes*c)
	}
	t.P("ADDQ $%d, R8", 32*bits/8)
	t.P("ADDQ $128, DI")
	t.P("DECQ CX")
	t.P("JNE  %s", block)
	t.P("ADDQ $4, R9")
	t.P("DECQ DX")
	t.P("JNE  %s", group)
	t.P("VZEROUPPER")
	t.P("RET")
}

func quantDotsX86(t *lane.Text, x lane.X86, bits int) {
	suffix, v := "AVX512", zmm
	if !x.Wide {
		suffix, v = "AVX2", ymm
	}
	lanes := x.Lanes()
	t.Fn(fmt.Sprintf("dotsQ%d%s", bits, suffix), quantDecl, 72)
	t.PS("MOVQ out+0(FP), DI; MOVQ w+8(FP), R8; MOVQ ldw+16(FP), R12; MOVQ scales+24(FP), R9; MOVQ lds+32(FP), R11; MOVQ x+40(FP), SI; MOVQ groups+48(FP), DX; MOVQ rows+64(FP), AX")
	t.PS("LEAQ (R12)(R12*2), R13; LEAQ (R11)(R11*2), R10")
	prefix := fmt.Sprintf("q%d%s", bits, suffix)
	for _, n := range []int{1, 2} {
		t.P("CMPQ AX, $%d", n)
		t.P("JEQ  %s_%d", prefix, n)
	}
	for _, n := range []int{4, 2, 1} {
		// Registers: totals 0-3, group sums 4-7, then x, scratch and constants.
		total, sum := func(i int) int { return i }, func(i int) int { return 4 + i }
		const xr, a, fifteen, eight, table = 8, 9, 11, 12, 13 // a and the one after it alternate
		t.Label(fmt.Sprintf("%s_%d", prefix, n))
		if bits == 4 {
			fourBitsConstants(t, x, fifteen, eight, table)
		}
		for i := range n {
			x.Constant(t, total(i), 0)
		}
		group, block := t.Fresh("group"), t.Fresh("block")
		t.Label(group)
		for i := range n {
			x.Constant(t, sum(i), 0)
		}
		t.P("MOVQ blocks+56(FP), CX")
		t.Label(block)
		for c := range 32 / lanes {
			t.P("VMOVUPS %d(SI), %s", 4*lanes*c, x.Reg(xr))
			for i := range n {
				r, row := a+i&1, "(R8)"+indexed(i, "R12", "R13")
				if bits == 8 {
					t.P("VPMOVSXBD %d%s, %s", lanes*c, row, x.Reg(r))
					t.P("VCVTDQ2PS %s, %s", x.Reg(r), x.Reg(r))
				} else {
					fourBitsX86(t, x, fmt.Sprintf("%d%s", lanes*c%16, row), lanes*c/16, r, fifteen, eight, table)
				}
				t.P("VFMADD231PS %s, %s, %s", x.Reg(r), x.Reg(xr), x.Reg(sum(i)))
			}
		}
		t.P("ADDQ $%d, R8", 32*bits/8)
		t.P("ADDQ $128, SI")
		t.P("DECQ CX")
		t.P("JNE  %s", block)
		for i := range n {
			t.P("VBROADCASTSS (R9)%s, %s", indexed(i, "R11", "R10"), x.Reg(xr))
			t.P("VFMADD231PS %s, %s, %s", x.Reg(sum(i)), x.Reg(xr), x.Reg(total(i)))
		}
		t.P("ADDQ $4, R9")
		t.P("DECQ DX")
		t.P("JNE  %s", group)
		sumColumns(t, v, 0, n, 0)
		t.P("VZEROUPPER")
		t.P("RET")
	}
}

// quantWidenNEON writes the widening kernel for arm64.
func quantWidenNEON(t *lane.Text, bits int) {
	var x lane.NEON
	const fifteen, eight, scale = 20, 21, 22
	t.Fn(fmt.Sprintf("widenQ%dNEON", bits), widenDecl, 40)
	t.PS("MOVD dst+0(FP), R0; MOVD w+8(FP), R1; MOVD scales+16(FP), R3; MOVD groups+24(FP), R6")
	x.Constant(t, fifteen, 15)
	x.Constant(t, eight, 8)
	group, block := t.Fresh("group"), t.Fresh("block")
	t.Label(group)
	t.P("VLD1R.P 4(R3), [V%d.S4]", scale)
	t.P("MOVD blocks+32(FP), R7")
	t.Label(block)
	for c := range 8 {
		r := c
		if bits == 8 {
			x.Load(t, lane.Emission{Dst: r, Elem: lane.I8, Mem: fmt.Sprintf("%d(R1)", 4*c)})
		} else {
			x.Load(t, lane.Emission{Dst: r, Elem: lane.U8, Mem: fmt.Sprintf("%d(R1)", 4*c%16)})
			if c < 4 {
				lane.Three(t, lane.NeonThree[lane.OpAnd], r, r, fifteen)
			} else {
				x.Shift(t, lane.OpShr, r, r, 4)
			}
			lane.Three(t, lane.NeonThree[lane.OpISub], r, r, eight)
			lane.Two(t, lane.NeonTwo[lane.OpToFloat], r, r)
		}
		lane.Three(t, lane.NeonThree[lane.OpMul], r, r, scale)
		t.P("FMOVQ F%d, %d(R0)", r, 16*c)
	}
	t.P("ADD  $%d, R1, R1", 32*bits/8)
	t.P("ADD  $128, R0, R0")
	t.P("SUBS $1, R7, R7")
	t.P("BNE  %s", block)
	t.P("SUBS $1, R6, R6")
	t.P("BNE  %s", group)
	t.P("RET")
}

func quantNEON() string {
	t := lane.NewText()
	var x lane.NEON
	for _, bits := range []int{8, 4} {
		quantWidenNEON(t, bits)
		t.Fn(fmt.Sprintf("dotsQ%dNEON", bits), quantDecl, 72)
		t.PS("MOVD out+0(FP), R0; MOVD w+8(FP), R1; MOVD ldw+16(FP), R2; MOVD scales+24(FP), R3; MOVD lds+32(FP), R4; MOVD x+40(FP), R5; MOVD groups+48(FP), R6; MOVD rows+64(FP), R9")
		for _, n := range []int{1, 2} {
			t.P("CMP  $%d, R9", n)
			t.P("BEQ  q%d_%d", bits, n)
		}
		for _, n := range []int{4, 2, 1} {
			w := func(i int) int { return 11 + i } // addresses of the rows, with R12, R13, R14
			s := []int{3, 15, 19, 20}              // addresses of their scales
			t.Label(fmt.Sprintf("q%d_%d", bits, n))
			t.P("MOVD R1, R%d", w(0))
			for i := 1; i < n; i++ {
				t.P("ADD  R2, R%d, R%d", w(i-1), w(i))
				t.P("ADD  R4, R%d, R%d", s[i-1], s[i])
			}
			const fifteen, eight = 20, 21
			x.Constant(t, fifteen, 15)
			x.Constant(t, eight, 8)
			for i := range n {
				x.Constant(t, i, 0)
			}
			group, block := t.Fresh("group"), t.Fresh("block")
			t.Label(group)
			for i := range n {
				x.Constant(t, 4+i, 0)
			}
			t.P("MOVD blocks+56(FP), R7")
			t.Label(block)
			use := func(i, r int) {
				lane.Two(t, lane.NeonTwo[lane.OpToFloat], r, r)
				t.P("VFMLA V%d.S4, V8.S4, V%d.S4", r, 4+i)
			}
			halves, chunks := 1, 8
			if bits == 4 {
				halves, chunks = 2, 4
			}
			for c := range chunks {
				for half := range halves {
					t.P("FMOVQ %d(R5), F8", 16*c+64*half)
					for i := range n {
						r := 16 + i
						if bits == 8 {
							x.Load(t, lane.Emission{Dst: r, Elem: lane.I8, Mem: fmt.Sprintf("%d(R%d)", 4*c, w(i))})
							t.P("VFMLA V%d.S4, V8.S4, V%d.S4", r, 4+i)
							continue
						}
						x.Load(t, lane.Emission{Dst: r, Elem: lane.U8, Mem: fmt.Sprintf("%d(R%d)", 4*c, w(i))})
						if half == 0 {
							lane.Three(t, lane.NeonThree[lane.OpAnd], r, r, fifteen)
						} else {
							x.Shift(t, lane.OpShr, r, r, 4)
						}
						lane.Three(t, lane.NeonThree[lane.OpISub], r, r, eight)
						use(i, r)
					}
				}
			}
			for i := range n {
				t.P("ADD  $%d, R%d, R%d", 32*bits/8, w(i), w(i))
			}
			t.P("ADD  $128, R5, R5")
			t.P("SUBS $1, R7, R7")
			t.P("BNE  %s", block)
			for i := range n {
				t.P("VLD1R.P 4(R%d), [V8.S4]", s[i])
				t.P("VFMLA V%d.S4, V8.S4, V%d.S4", 4+i, i)
			}
			t.P("SUBS $1, R6, R6")
			t.P("BNE  %s", group)
			for i := range n {
				t.P("WORD $0x%08x // faddp v%d.4s, v%d.4s, v%d.4s", 0x6E20D400|uint32(i)<<16|uint32(i)<<5|uint32(i), i, i, i)
				t.P("WORD $0x%08x // faddp s%d, v%d.2s", 0x7E30D800|uint32(i)<<5|uint32(i), i, i)
				t.P("FMOVS F%d, %d(R0)", i, 4*i)
			}
			t.P("RET")
		}
	}
	return t.String()
}
