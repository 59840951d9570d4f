package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// neonRows keeps the row addresses in R1 to R5, out in R6, the rows left in R7;
// R9 counts the elements left in a pass and R11 to R15 walk along the row. R8 is
// for constants.
type neonRows struct {
	lane.NEON
	row string
}

func (m *neonRows) unroll() int { return 2 }

func (m *neonRows) begin(t *lane.Text, name string) {
	t.Fn(name, "(r *rowArgs)", 8)
	t.P("MOVD r+0(FP), R0")
	for i := range 6 {
		t.P("MOVD %d(R0), R%d", rowsPointers+8*i, 1+i)
	}
	t.P("MOVD %d(R0), R7", rowsRows)
	m.row = t.Fresh("nextRow")
	t.Label(m.row)
}

func (m *neonRows) scalar(t *lane.Text, reg, offset int) {
	t.P("MOVWU %d(R0), R8", offset)
	t.P("VDUP R8, V%d.S4", reg)
}

func (m *neonRows) startPass(t *lane.Text, slots []int) {
	t.P("MOVD %d(R0), R9", rowsN)
	for _, s := range slots {
		t.P("MOVD R%d, R%d", 1+s, 11+s)
	}
}

func (m *neonRows) passLoop(t *lane.Text, copies int, slots []int, body func(addr func(slot, index int, store bool) string)) {
	loop, done := t.Fresh("loop"), t.Fresh("done")
	t.P("SUBS $%d, R9, R9", 4*copies)
	t.P("BLT  %s", done)
	t.Label(loop)
	body(func(slot, index int, store bool) string { return fmt.Sprintf("%d(R%d)", 16*index, 11+slot) })
	for _, s := range slots {
		t.P("ADD  $%d, R%d, R%d", 16*copies, 11+s, 11+s)
	}
	t.P("SUBS $%d, R9, R9", 4*copies)
	t.P("BGE  %s", loop)
	t.Label(done)
	t.P("ADD  $%d, R9, R9", 4*copies)
}

// passTail writes a loop over the elements that are left, one by one in lane 0.
func (m *neonRows) passTail(t *lane.Text, slots []int, body func(addr func(slot, index int, store bool) string)) {
	loop, done := t.Fresh("loop"), t.Fresh("done")
	t.P("CBZ  R9, %s", done)
	t.Label(loop)
	body(func(slot, _ int, _ bool) string { return fmt.Sprintf("(R%d)", 11+slot) })
	for _, s := range slots {
		t.P("ADD  $4, R%d, R%d", 11+s, 11+s)
	}
	t.P("SUBS $1, R9, R9")
	t.P("BNE  %s", loop)
	t.Label(done)
}

func (m *neonRows) MergeTail(t *lane.Text, acc, from int, _ func() int) {
	t.P("VMOV V%d.S[0], V%d.S[0]", from, acc)
}

func (m *neonRows) Emit(t *lane.Text, e lane.Emission) {
	switch {
	case e.Part && e.Op == lane.OpLoad:
		t.P("FMOVS %s, F%d", e.Mem, e.Dst)
	case e.Part && e.Op == lane.OpStore:
		t.P("FMOVS F%d, %s", e.Args[0], e.Mem)
	default:
		m.NEON.Emit(t, e)
	}
}

func (m *neonRows) swapLanes(t *lane.Text, step, from, to int) bool {
	switch step {
	case 0:
		t.P("VEXT $8, V%d.B16, V%d.B16, V%d.B16", from, from, to)
	case 1:
		t.P("VREV64 V%d.S4, V%d.S4", from, to)
	default:
		return false
	}
	return true
}

func (m *neonRows) storeLane(t *lane.Text, reg, offset int) {
	t.P("FMOVS F%d, %d(R6)", reg, offset)
}

func (m *neonRows) endRow(t *lane.Text, outBytes int) {
	for i, r := range []int{1, 2, 4, 5} {
		t.P("MOVD %d(R0), R8", rowsStrides+8*i)
		t.P("ADD  R8, R%d, R%d", r, r)
	}
	if outBytes > 0 {
		t.P("ADD  $%d, R6, R6", outBytes)
	}
	t.P("SUBS $1, R7, R7")
	t.P("BNE  %s", m.row)
}

func (m *neonRows) finish(t *lane.Text) { t.P("RET") }
