package main

import "fmt"

// neonRows keeps the row addresses in R1 to R5, out in R6, the rows left in R7;
// R9 counts the elements left in a pass and R11 to R15 walk along the row. R8 is
// for constants.
type neonRows struct {
	neon
	row string
}

func (m *neonRows) unroll() int { return 2 }

func (m *neonRows) begin(t *text, name string) {
	t.fn(name, "(r *rowArgs)", 8)
	t.p("MOVD r+0(FP), R0")
	for i := range 6 {
		t.p("MOVD %d(R0), R%d", rowsPointers+8*i, 1+i)
	}
	t.p("MOVD %d(R0), R7", rowsRows)
	m.row = t.fresh("nextRow")
	t.label(m.row)
}

func (m *neonRows) scalar(t *text, reg, offset int) {
	t.p("MOVWU %d(R0), R8", offset)
	t.p("VDUP R8, V%d.S4", reg)
}

func (m *neonRows) startPass(t *text, slots []int) {
	t.p("MOVD %d(R0), R9", rowsN)
	for _, s := range slots {
		t.p("MOVD R%d, R%d", 1+s, 11+s)
	}
}

func (m *neonRows) passLoop(t *text, copies int, slots []int, body func(addr func(slot, index int, store bool) string)) {
	loop, done := t.fresh("loop"), t.fresh("done")
	t.p("SUBS $%d, R9, R9", 4*copies)
	t.p("BLT  %s", done)
	t.label(loop)
	body(func(slot, index int, store bool) string { return fmt.Sprintf("%d(R%d)", 16*index, 11+slot) })
	for _, s := range slots {
		t.p("ADD  $%d, R%d, R%d", 16*copies, 11+s, 11+s)
	}
	t.p("SUBS $%d, R9, R9", 4*copies)
	t.p("BGE  %s", loop)
	t.label(done)
	t.p("ADD  $%d, R9, R9", 4*copies)
}

// passTail writes a loop over the elements that are left, one by one in lane 0.
func (m *neonRows) passTail(t *text, slots []int, body func(addr func(slot, index int, store bool) string)) {
	loop, done := t.fresh("loop"), t.fresh("done")
	t.p("CBZ  R9, %s", done)
	t.label(loop)
	body(func(slot, _ int, _ bool) string { return fmt.Sprintf("(R%d)", 11+slot) })
	for _, s := range slots {
		t.p("ADD  $4, R%d, R%d", 11+s, 11+s)
	}
	t.p("SUBS $1, R9, R9")
	t.p("BNE  %s", loop)
	t.label(done)
}

func (m *neonRows) mergeTail(t *text, acc, from int, _ func() int) {
	t.p("VMOV V%d.S[0], V%d.S[0]", from, acc)
}

func (m *neonRows) emit(t *text, e emission) {
	switch {
	case e.part && e.op == opLoad:
		t.p("FMOVS %s, F%d", e.mem, e.dst)
	case e.part && e.op == opStore:
		t.p("FMOVS F%d, %s", e.args[0], e.mem)
	default:
		m.neon.emit(t, e)
	}
}

func (m *neonRows) swapLanes(t *text, step, from, to int) bool {
	switch step {
	case 0:
		t.p("VEXT $8, V%d.B16, V%d.B16, V%d.B16", from, from, to)
	case 1:
		t.p("VREV64 V%d.S4, V%d.S4", from, to)
	default:
		return false
	}
	return true
}

func (m *neonRows) storeLane(t *text, reg, offset int) {
	t.p("FMOVS F%d, %d(R6)", reg, offset)
}

func (m *neonRows) endRow(t *text, outBytes int) {
	for i, r := range []int{1, 2, 4, 5} {
		t.p("MOVD %d(R0), R8", rowsStrides+8*i)
		t.p("ADD  R8, R%d, R%d", r, r)
	}
	if outBytes > 0 {
		t.p("ADD  $%d, R6, R6", outBytes)
	}
	t.p("SUBS $1, R7, R7")
	t.p("BNE  %s", m.row)
}

func (m *neonRows) finish(t *text) { t.p("RET") }
