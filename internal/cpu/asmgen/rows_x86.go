package main

import "fmt"

// x86Rows keeps the five row addresses in SI, DI, R8, R9, R10, out in R11, the
// rows left in DX and the bytes of a row in BX; AX walks along a row. CX is free. The
// lanes that a row has beyond whole vectors are masked by K7 or, without mask
// registers, by the vector at R12.
type x86Rows struct {
	x86
	row string
}

var x86RowPointers = [5]string{"DI", "SI", "R8", "R9", "R10"} // dst, x, a, b, c

func (m *x86Rows) unroll() int {
	if m.wide {
		return 4
	}
	return 2
}

func (m *x86Rows) begin(t *text, name string) {
	t.fn(name, "(r *rowArgs)", 8)
	t.p("MOVQ r+0(FP), R13")
	for i, p := range x86RowPointers {
		t.p("MOVQ %d(R13), %s", rowsPointers+8*i, p)
	}
	t.p("MOVQ %d(R13), R11", rowsPointers+40)
	t.p("MOVQ %d(R13), DX", rowsRows)
	t.p("MOVQ %d(R13), BX", rowsN)
	t.p("MOVQ BX, CX")
	t.p("ANDQ $%d, CX", m.lanes()-1)
	if m.wide {
		t.ps("MOVL $1, AX; SHLL CX, AX; DECL AX; KMOVW AX, K7")
	} else {
		t.ps("LEAQ tailMasks<>+32(SB), R12; SHLQ $2, CX; SUBQ CX, R12")
	}
	t.p("SHLQ $2, BX")
	m.row = t.fresh("nextRow")
	t.label(m.row)
}

func (m *x86Rows) scalar(t *text, reg, offset int) {
	t.p("VBROADCASTSS %d(R13), %s", offset, m.r(reg))
}

func (m *x86Rows) startPass(t *text, slots []int) { t.p("XORL AX, AX") }

// passLoop writes a loop over the given number of vectors a turn, as long as so many are left.
func (m *x86Rows) passLoop(t *text, copies int, slots []int, body func(addr func(slot, index int, store bool) string)) {
	bytes := 4 * m.lanes()
	loop, done := t.fresh("loop"), t.fresh("done")
	t.p("LEAQ %d(AX), CX", bytes*copies)
	t.p("CMPQ CX, BX")
	t.p("JGT  %s", done)
	t.label(loop)
	body(func(slot, index int, store bool) string {
		return fmt.Sprintf("%d(%s)(AX*1)", bytes*index, x86RowPointers[slot])
	})
	t.p("MOVQ CX, AX")
	t.p("ADDQ $%d, CX", bytes*copies)
	t.p("CMPQ CX, BX")
	t.p("JLE  %s", loop)
	t.label(done)
}

// maskRegisters leaves K7 out.
func (m *x86Rows) maskRegisters() int { return max(0, m.x86.maskRegisters()-1) }

// tailMasks writes eight lanes of ones and eight of zeros.
func tailMasks(t *text) {
	for i := range 8 {
		bits := []string{"0xffffffffffffffff", "0"}[i/4]
		t.p("DATA tailMasks<>+%d(SB)/8, $%s", 8*i, bits)
	}
	t.p("GLOBL tailMasks<>(SB), RODATA|NOPTR, $64")
}

// passTail writes one turn over the lanes that are left, if any.
func (m *x86Rows) passTail(t *text, slots []int, body func(addr func(slot, index int, store bool) string)) {
	done := t.fresh("done")
	t.p("CMPQ AX, BX")
	t.p("JGE  %s", done)
	body(func(slot, _ int, _ bool) string { return fmt.Sprintf("(%s)(AX*1)", x86RowPointers[slot]) })
	t.label(done)
}

func (m *x86Rows) mergeTail(t *text, acc, from int, tmp func() int) {
	if m.wide {
		t.p("VMOVAPS Z%d, K7, Z%d", from, acc)
		return
	}
	mask := tmp()
	t.p("VMOVUPS (R12), Y%d", mask)
	t.p("VBLENDVPS Y%d, Y%d, Y%d, Y%d", mask, from, acc, acc)
}

func (m *x86Rows) emit(t *text, e emission) {
	switch {
	case e.part && e.op == opLoad && m.wide:
		t.p("VMOVUPS.Z %s, K7, Z%d", e.mem, e.dst)
	case e.part && e.op == opStore && m.wide:
		t.p("VMOVUPS Z%d, K7, %s", e.args[0], e.mem)
	case e.part && e.op == opLoad:
		t.p("VMOVUPS (R12), Y%d", e.dst)
		t.p("VMASKMOVPS %s, Y%d, Y%d", e.mem, e.dst, e.dst)
	case e.part && e.op == opStore:
		mask := e.tmp()
		t.p("VMOVUPS (R12), Y%d", mask)
		t.p("VMASKMOVPS Y%d, Y%d, %s", e.args[0], mask, e.mem)
	default:
		m.x86.emit(t, e)
	}
}

func (m *x86Rows) swapLanes(t *text, step, from, to int) bool {
	f, d := m.r(from), m.r(to)
	wide := []string{"VSHUFF64X2 $0x4e, %s, %s, %s", "VSHUFF64X2 $0xb1, %s, %s, %s"}
	narrow := []string{"VPERM2F128 $0x01, %s, %s, %s"}
	cross := narrow
	if m.wide {
		cross = wide
	}
	switch {
	case step < len(cross):
		t.p(cross[step], f, f, d)
	case step == len(cross):
		t.p("VPERMILPS $0x4e, %s, %s", f, d)
	case step == len(cross)+1:
		t.p("VPERMILPS $0xb1, %s, %s", f, d)
	default:
		return false
	}
	return true
}

func (m *x86Rows) storeLane(t *text, reg, offset int) {
	t.p("VMOVSS X%d, %d(R11)", reg, offset)
}

func (m *x86Rows) endRow(t *text, outBytes int) {
	for i, p := range []string{"DI", "SI", "R9", "R10"} {
		t.p("ADDQ %d(R13), %s", rowsStrides+8*i, p)
	}
	if outBytes > 0 {
		t.p("ADDQ $%d, R11", outBytes)
	}
	t.p("DECQ DX")
	t.p("JNE  %s", m.row)
}

func (m *x86Rows) finish(t *text) {
	t.p("VZEROUPPER")
	t.p("RET")
}
