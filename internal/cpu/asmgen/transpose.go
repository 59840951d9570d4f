package main

import "loris/internal/cpu/lane"

// transposeX86 writes the transposition of blocks of 8×8 elements: rows of src, lds
// apart, become columns of dst, whose rows are ldd apart. From block to block dst and
// src move by steps of their own, along rows or columns.
func transposeX86(t *lane.Text) {
	t.Fn("transposeAVX2", "(dst unsafe.Pointer, ldd uintptr, src unsafe.Pointer, lds uintptr, blocks int, dstStep, srcStep uintptr)", 56)
	t.PS("MOVQ dst+0(FP), DI; MOVQ ldd+8(FP), R11; MOVQ src+16(FP), SI; MOVQ lds+24(FP), R12; MOVQ blocks+32(FP), CX; MOVQ dstStep+40(FP), AX; MOVQ srcStep+48(FP), BX")
	t.PS("LEAQ (R11)(R11*2), R13; LEAQ (R12)(R12*2), R8; LEAQ (SI)(R12*4), R9")
	t.Label("transposeBlock")
	for half, base := range []string{"SI", "R9"} {
		for i := range 4 {
			t.P("VMOVUPS (%s)%s, Y%d", base, indexed(i, "R12", "R8"), 4*half+i)
		}
	}
	// Pairs, then fours, then halves of 128 bits.
	for i := 0; i < 8; i += 2 {
		t.P("VUNPCKLPS Y%d, Y%d, Y%d", i+1, i, 8+i)
		t.P("VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 9+i)
	}
	for h := 0; h < 8; h += 4 {
		for i := range 2 {
			t.P("VSHUFPS $0x44, Y%d, Y%d, Y%d", 8+h+2+i, 8+h+i, h+2*i)
			t.P("VSHUFPS $0xee, Y%d, Y%d, Y%d", 8+h+2+i, 8+h+i, h+2*i+1)
		}
	}
	t.P("LEAQ (DI)(R11*4), R10")
	for i := range 4 {
		t.P("VPERM2F128 $0x20, Y%d, Y%d, Y8", i+4, i)
		t.P("VPERM2F128 $0x31, Y%d, Y%d, Y9", i+4, i)
		t.P("VMOVUPS Y8, (DI)%s", indexed(i, "R11", "R13"))
		t.P("VMOVUPS Y9, (R10)%s", indexed(i, "R11", "R13"))
	}
	t.P("ADDQ AX, DI")
	t.P("ADDQ BX, SI")
	t.P("ADDQ BX, R9")
	t.P("DECQ CX")
	t.P("JNE  transposeBlock")
	t.P("VZEROUPPER")
	t.P("RET")
}

// everySecondX86 writes the copy of the even elements of blocks of 16.
func everySecondX86(t *lane.Text) {
	t.Fn("everySecondAVX2", "(dst, src unsafe.Pointer, blocks int)", 24)
	t.PS("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ blocks+16(FP), CX; TESTQ CX, CX; JEQ everySecondDone")
	t.Label("everySecondBlock")
	t.P("VMOVUPS (SI), Y0")
	t.P("VSHUFPS $0x88, 32(SI), Y0, Y0") // of each half: two of the first vector, two of the second
	t.P("VPERMPD $0xd8, Y0, Y0")
	t.PS("VMOVUPS Y0, (DI); ADDQ $64, SI; ADDQ $32, DI; DECQ CX; JNE everySecondBlock")
	t.Label("everySecondDone")
	t.PS("VZEROUPPER; RET")
}

// reverseX86 writes the copy of blocks of 8 elements in reverse order; src is the last
// block that is read.
func reverseX86(t *lane.Text) {
	t.Fn("reverseAVX2", "(dst, src unsafe.Pointer, blocks int)", 24)
	t.PS("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ blocks+16(FP), CX; TESTQ CX, CX; JEQ reverseDone")
	t.Label("reverseBlock")
	t.P("VPERMPD $0x1b, (SI), Y0")
	t.P("VPERMILPS $0xb1, Y0, Y0")
	t.PS("VMOVUPS Y0, (DI); SUBQ $32, SI; ADDQ $32, DI; DECQ CX; JNE reverseBlock")
	t.Label("reverseDone")
	t.PS("VZEROUPPER; RET")
}
