package main

// limitX86 writes the loops that package limit times: multiply-adds that depend on
// nothing, and reads of a block of memory.
func limitX86() string {
	t := newText()
	for _, l := range []struct {
		suffix string
		v      x86Vec
		chains int
	}{{"AVX512", zmm, 24}, {"AVX2", ymm, 12}} {
		r := l.v.reg
		t.fn("fma"+l.suffix, "(turns int)", 8)
		t.p("MOVQ turns+0(FP), CX")
		for i := range l.chains + 2 {
			t.p("%s %s%d, %s%d, %s%d", l.v.xor, r, i, r, i, r, i)
		}
		loop := t.fresh("loop")
		t.label(loop)
		for i := range l.chains {
			t.p("VFMADD231PS %s%d, %s%d, %s%d", r, l.chains, r, l.chains+1, r, i)
		}
		t.p("DECQ CX")
		t.p("JNE  %s", loop)
		t.p("VZEROUPPER")
		t.p("RET")

		t.fn("read"+l.suffix, "(p unsafe.Pointer, bytes int)", 16)
		t.p("MOVQ p+0(FP), SI")
		t.p("MOVQ bytes+8(FP), CX")
		loop = t.fresh("loop")
		t.label(loop)
		for i := range 512 / l.v.bytes {
			t.p("VMOVUPS %d(SI), %s%d", i*l.v.bytes, r, i%12)
		}
		t.p("ADDQ $512, SI")
		t.p("SUBQ $512, CX")
		t.p("JNE  %s", loop)
		t.p("VZEROUPPER")
		t.p("RET")
	}
	return t.String()
}

func limitNEON() string {
	t := newText()
	t.fn("fmaNEON", "(turns int)", 8)
	t.p("MOVD turns+0(FP), R0")
	const chains = 24
	for i := range chains + 2 {
		t.p("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i)
	}
	t.label("loop")
	for i := range chains {
		t.p("VFMLA V%d.S4, V%d.S4, V%d.S4", chains, chains+1, i)
	}
	t.p("SUBS $1, R0, R0")
	t.p("BNE  loop")
	t.p("RET")

	t.fn("readNEON", "(p unsafe.Pointer, bytes int)", 16)
	t.p("MOVD p+0(FP), R0")
	t.p("MOVD bytes+8(FP), R1")
	t.label("read")
	for i := range 8 {
		t.p("VLD1.P 64(R0), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", 4*(i%4), 4*(i%4)+1, 4*(i%4)+2, 4*(i%4)+3)
	}
	t.p("SUBS $512, R1, R1")
	t.p("BNE  read")
	t.p("RET")
	return t.String()
}
