package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// evexOp is an instruction on whole ZMM registers that Go's assembler lacks, of the
// opcode map 0F38.
type evexOp struct {
	name           string
	prefix, opcode byte // prefix: 2 stands for F3, 3 for F2
}

var (
	vdpbf16ps      = evexOp{"VDPBF16PS", 2, 0x52}
	vcvtne2ps2bf16 = evexOp{"VCVTNE2PS2BF16", 3, 0x72}
)

// evex writes an instruction on registers as bytes; the operands are in the order of
// Go's assembler, the destination last. Extension bits are stored inverted.
func evex(t *lane.Text, op evexOp, src2, src1, dst int) {
	bit := func(register, n, at int) byte { return byte(register>>n&1) << at }
	b := [6]byte{
		0x62,
		0xf2 ^ bit(dst, 3, 7) ^ bit(src2, 4, 6) ^ bit(src2, 3, 5) ^ bit(dst, 4, 4),
		0x7c ^ byte(src1&15)<<3 | op.prefix,
		0x48 ^ bit(src1, 4, 3),
		op.opcode,
		0xc0 | byte(dst&7)<<3 | byte(src2&7),
	}
	t.P("LONG $0x%02x%02x%02x%02x; WORD $0x%02x%02x // %s Z%d, Z%d, Z%d", b[3], b[2], b[1], b[0], b[5], b[4], op.name, src2, src1, dst)
}

// pairsX86 writes the micro-kernel of factors rounded to bfloat16, with what rounds them.
func pairsX86() string {
	t := lane.NewText()
	gemmKernelX86(t, "kernelBF16", zmmPairs, 14, 2, 28)
	gemmKernelX86(t, "narrowBF16", zmmPairs, 14, 1, 28)
	roundRowX86(t)
	roundPanelX86(t)
	return t.String()
}

// firstLanes sets K1 and K2 to the first CX (at most 32) lanes of two vectors.
func firstLanes(t *lane.Text) {
	t.PS("MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1; SHRQ $16, AX; KMOVW AX, K2")
}

// roundRowX86 writes the rounding of n elements that lie together, times alpha. The
// last vector is filled up with zeros.
func roundRowX86(t *lane.Text) {
	t.Fn("roundRowBF16", "(dst, src unsafe.Pointer, n int, alpha float32)", 28)
	t.PS("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ n+16(FP), CX; VBROADCASTSS alpha+24(FP), Z31")
	t.P("SUBQ $32, CX")
	t.P("JLT  roundTail")
	t.Label("roundWhole")
	t.PS("VMULPS (SI), Z31, Z0; VMULPS 64(SI), Z31, Z1")
	evex(t, vcvtne2ps2bf16, 0, 1, 2)
	t.PS("VMOVUPS Z2, (DI); ADDQ $128, SI; ADDQ $64, DI; SUBQ $32, CX")
	t.P("JGE  roundWhole")
	t.Label("roundTail")
	t.P("ADDQ $32, CX")
	t.P("JEQ  roundEnd")
	firstLanes(t)
	t.PS("VMULPS.Z (SI), Z31, K1, Z0; VMULPS.Z 64(SI), Z31, K2, Z1")
	evex(t, vcvtne2ps2bf16, 0, 1, 2)
	t.P("VMOVUPS Z2, (DI)")
	t.Label("roundEnd")
	t.PS("VZEROUPPER; RET")
}

// roundPanelX86 writes the rounding of k rows, lds bytes apart, of up to 32 columns,
// times alpha, to rows of 32 pairs: element j of two rows side by side. An odd row is
// paired with zeros.
func roundPanelX86(t *lane.Text) {
	for i := range 8 { // words of two rows by turns
		fmt.Fprintf(t, "DATA byTurns<>+%d(SB)/8, $0x%04x%04x%04x%04x\n", 8*i, 2*i+17, 2*i+1, 2*i+16, 2*i)
	}
	t.WriteString("GLOBL byTurns<>(SB), RODATA, $64\n")
	t.Fn("roundPanelBF16", "(dst, src unsafe.Pointer, lds uintptr, k, cols int, alpha float32)", 44)
	t.PS("MOVQ cols+32(FP), CX")
	firstLanes(t)
	t.PS("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ lds+16(FP), R11; MOVQ k+24(FP), CX; VMOVUPS byTurns<>(SB), Z31; VBROADCASTSS alpha+40(FP), Z30")
	pair := func() {
		for half := range 2 {
			evex(t, vcvtne2ps2bf16, half, 2+half, 4+half)
			t.P("VPERMW Z%d, Z31, Z%d", 4+half, 4+half)
			t.P("VMOVUPS Z%d, %d(DI)", 4+half, 64*half)
		}
	}
	t.P("SUBQ $2, CX")
	t.P("JLT  panelTail")
	t.Label("panelPair")
	t.PS("VMULPS.Z (SI), Z30, K1, Z0; VMULPS.Z 64(SI), Z30, K2, Z1")
	t.PS("VMULPS.Z (SI)(R11*1), Z30, K1, Z2; VMULPS.Z 64(SI)(R11*1), Z30, K2, Z3")
	pair()
	t.PS("LEAQ (SI)(R11*2), SI; ADDQ $128, DI; SUBQ $2, CX")
	t.P("JGE  panelPair")
	t.Label("panelTail")
	t.P("ADDQ $2, CX")
	t.P("JEQ  panelEnd")
	t.PS("VMULPS.Z (SI), Z30, K1, Z0; VMULPS.Z 64(SI), Z30, K2, Z1; VPXORQ Z2, Z2, Z2; VPXORQ Z3, Z3, Z3")
	pair()
	t.Label("panelEnd")
	t.PS("VZEROUPPER; RET")
}
