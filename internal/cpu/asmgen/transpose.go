package main

// transposeX86 writes the transposition of blocks of 8×8 elements: rows of src, lds
// apart, become columns of dst, whose rows are ldd apart. From block to block dst and
// src move by steps of their own, along rows or columns.
func transposeX86(t *text) {
	t.fn("transposeAVX2", "(dst unsafe.Pointer, ldd uintptr, src unsafe.Pointer, lds uintptr, blocks int, dstStep, srcStep uintptr)", 56)
	t.ps("MOVQ dst+0(FP), DI; MOVQ ldd+8(FP), R11; MOVQ src+16(FP), SI; MOVQ lds+24(FP), R12; MOVQ blocks+32(FP), CX; MOVQ dstStep+40(FP), AX; MOVQ srcStep+48(FP), BX")
	t.ps("LEAQ (R11)(R11*2), R13; LEAQ (R12)(R12*2), R8; LEAQ (SI)(R12*4), R9")
	t.label("transposeBlock")
	for half, base := range []string{"SI", "R9"} {
		for i := range 4 {
			t.p("VMOVUPS (%s)%s, Y%d", base, indexed(i, "R12", "R8"), 4*half+i)
		}
	}
	// Pairs, then fours, then halves of 128 bits.
	for i := 0; i < 8; i += 2 {
		t.p("VUNPCKLPS Y%d, Y%d, Y%d", i+1, i, 8+i)
		t.p("VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 9+i)
	}
	for h := 0; h < 8; h += 4 {
		for i := range 2 {
			t.p("VSHUFPS $0x44, Y%d, Y%d, Y%d", 8+h+2+i, 8+h+i, h+2*i)
			t.p("VSHUFPS $0xee, Y%d, Y%d, Y%d", 8+h+2+i, 8+h+i, h+2*i+1)
		}
	}
	t.p("LEAQ (DI)(R11*4), R10")
	for i := range 4 {
		t.p("VPERM2F128 $0x20, Y%d, Y%d, Y8", i+4, i)
		t.p("VPERM2F128 $0x31, Y%d, Y%d, Y9", i+4, i)
		t.p("VMOVUPS Y8, (DI)%s", indexed(i, "R11", "R13"))
		t.p("VMOVUPS Y9, (R10)%s", indexed(i, "R11", "R13"))
	}
	t.p("ADDQ AX, DI")
	t.p("ADDQ BX, SI")
	t.p("ADDQ BX, R9")
	t.p("DECQ CX")
	t.p("JNE  transposeBlock")
	t.p("VZEROUPPER")
	t.p("RET")
}
