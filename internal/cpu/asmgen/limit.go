package main

import "loris/internal/cpu/lane"

// limitX86 writes the loops that package limit times: multiply-adds that depend on
// nothing, and reads of a block of memory.
func limitX86() string {
	t := lane.NewText()
	for _, l := range []struct {
		suffix string
		v      x86Vec
		chains int
	}{{"AVX512", zmm, 24}, {"AVX2", ymm, 12}} {
		r := l.v.reg
		t.Fn("fma"+l.suffix, "(turns int)", 8)
		t.P("MOVQ turns+0(FP), CX")
		for i := range l.chains + 2 {
			t.P("%s %s%d, %s%d, %s%d", l.v.xor, r, i, r, i, r, i)
		}
		loop := t.Fresh("loop")
		t.Label(loop)
		for i := range l.chains {
			t.P("VFMADD231PS %s%d, %s%d, %s%d", r, l.chains, r, l.chains+1, r, i)
		}
		t.P("DECQ CX")
		t.P("JNE  %s", loop)
		t.P("VZEROUPPER")
		t.P("RET")

		t.Fn("read"+l.suffix, "(p unsafe.Pointer, bytes int)", 16)
		t.P("MOVQ p+0(FP), SI")
		t.P("MOVQ bytes+8(FP), CX")
		loop = t.Fresh("loop")
		t.Label(loop)
		for i := range 512 / l.v.bytes {
			t.P("VMOVUPS %d(SI), %s%d", i*l.v.bytes, r, i%12)
		}
		t.P("ADDQ $512, SI")
		t.P("SUBQ $512, CX")
		t.P("JNE  %s", loop)
		t.P("VZEROUPPER")
		t.P("RET")
	}
	return t.String()
}

func limitNEON() string {
	t := lane.NewText()
	t.Fn("fmaNEON", "(turns int)", 8)
	t.P("MOVD turns+0(FP), R0")
	const chains = 24
	for i := range chains + 2 {
		t.P("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	t.Label("loop")
	for i := range chains {
		t.P("VFMLA V%d.S4, V%d.S4, V%d.S4", chains, chains+1, i)
	}
	t.P("SUBS $1, R0, R0")
	t.P("BNE  loop")
	t.P("RET")

	t.Fn("readNEON", "(p unsafe.Pointer, bytes int)", 16)
	t.P("MOVD p+0(FP), R0")
	t.P("MOVD bytes+8(FP), R1")
	t.Label("read")
	for i := range 8 {
		t.P("VLD1.P 64(R0), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", 4*(i%4), 4*(i%4)+1, 4*(i%4)+2, 4*(i%4)+3)
	}
	t.P("SUBS $512, R1, R1")
	t.P("BNE  read")
	t.P("RET")
	return t.String()
}
