package main

import (
	"fmt"

	"loris/internal/cpu/lane"
)

// x86Rows keeps the five row addresses in SI, DI, R8, R9, R10, out in R11, the
// rows left in DX and the bytes of a row in BX; AX walks along a row. CX is free. The
// lanes that a row has beyond whole vectors are masked by K7 or, without mask
// registers, by the vector at R12.
type x86Rows struct {
	lane.X86
	row string
}

var x86RowPointers = [5]string{"DI", "SI", "R8", "R9", "R10"} // dst, x, a, b, c

func (m *x86Rows) unroll() int {
	if m.Wide {
		return 4
	}
	return 2
}

func (m *x86Rows) begin(t *lane.Text, name string) {
	t.Fn(name, "(r *rowArgs)", 8)
	t.P("MOVQ r+0(FP), R13")
	for i, p := range x86RowPointers {
		t.P("MOVQ %d(R13), %s", rowsPointers+8*i, p)
	}
	t.P("MOVQ %d(R13), R11", rowsPointers+40)
	t.P("MOVQ %d(R13), DX", rowsRows)
	t.P("MOVQ %d(R13), BX", rowsN)
	t.P("MOVQ BX, CX")
	t.P("ANDQ $%d, CX", m.Lanes()-1)
	if m.Wide {
		t.PS("MOVL $1, AX; SHLL CX, AX; DECL AX; KMOVW AX, K7")
	} else {
		t.PS("LEAQ tailMasks<>+32(SB), R12; SHLQ $2, CX; SUBQ CX, R12")
	}
	t.P("SHLQ $2, BX")
	m.row = t.Fresh("nextRow")
	t.Label(m.row)
}

func (m *x86Rows) scalar(t *lane.Text, reg, offset int) {
	t.P("VBROADCASTSS %d(R13), %s", offset, m.Reg(reg))
}

func (m *x86Rows) startPass(t *lane.Text, slots []int) { t.P("XORL AX, AX") }

// passLoop writes a loop over the given number of vectors a turn, as long as so many are left.
func (m *x86Rows) passLoop(t *lane.Text, copies int, slots []int, body func(addr func(slot, index int, store bool) string)) {
	bytes := 4 * m.Lanes()
	loop, done := t.Fresh("loop"), t.Fresh("done")
	t.P("LEAQ %d(AX), CX", bytes*copies)
	t.P("CMPQ CX, BX")
	t.P("JGT  %s", done)
	t.Label(loop)
	body(func(slot, index int, store bool) string {
		return fmt.Sprintf("%d(%s)(AX*1)", bytes*index, x86RowPointers[slot])
	})
	t.P("MOVQ CX, AX")
	t.P("ADDQ $%d, CX", bytes*copies)
	t.P("CMPQ CX, BX")
	t.P("JLE  %s", loop)
	t.Label(done)
}

// MaskRegisters leaves K7 out.
func (m *x86Rows) MaskRegisters() int { return max(0, m.X86.MaskRegisters()-1) }

// tailMasks writes eight lanes of ones and eight of zeros.
func tailMasks(t *lane.Text) {
	for i := range 8 {
		bits := []string{"0xffffffffffffffff", "0"}[i/4]
		t.P("DATA tailMasks<>+%d(SB)/8, $%s", 8*i, bits)
	}
	t.P("GLOBL tailMasks<>(SB), RODATA|NOPTR, $64")
}

// passTail writes one turn over the lanes that are left, if any.
func (m *x86Rows) passTail(t *lane.Text, slots []int, body func(addr func(slot, index int, store bool) string)) {
	done := t.Fresh("done")
	t.P("CMPQ AX, BX")
	t.P("JGE  %s", done)
	body(func(slot, _ int, _ bool) string { return fmt.Sprintf("(%s)(AX*1)", x86RowPointers[slot]) })
	t.Label(done)
}

func (m *x86Rows) MergeTail(t *lane.Text, acc, from int, tmp func() int) {
	if m.Wide {
		t.P("VMOVAPS Z%d, K7, Z%d", from, acc)
		return
	}
	mask := tmp()
	t.P("VMOVUPS (R12), Y%d", mask)
	t.P("VBLENDVPS Y%d, Y%d, Y%d, Y%d", mask, from, acc, acc)
}

func (m *x86Rows) Emit(t *lane.Text, e lane.Emission) {
	switch {
	case e.Part && e.Op == lane.OpLoad && m.Wide:
		t.P("VMOVUPS.Z %s, K7, Z%d", e.Mem, e.Dst)
	case e.Part && e.Op == lane.OpStore && m.Wide:
		t.P("VMOVUPS Z%d, K7, %s", e.Args[0], e.Mem)
	case e.Part && e.Op == lane.OpLoad:
		t.P("VMOVUPS (R12), Y%d", e.Dst)
		t.P("VMASKMOVPS %s, Y%d, Y%d", e.Mem, e.Dst, e.Dst)
	case e.Part && e.Op == lane.OpStore:
		mask := e.Tmp()
		t.P("VMOVUPS (R12), Y%d", mask)
		t.P("VMASKMOVPS Y%d, Y%d, %s", e.Args[0], mask, e.Mem)
	default:
		m.X86.Emit(t, e)
	}
}

func (m *x86Rows) swapLanes(t *lane.Text, step, from, to int) bool {
	f, d := m.Reg(from), m.Reg(to)
	wide := []string{"VSHUFF64X2 $0x4e, %s, %s, %s", "VSHUFF64X2 $0xb1, %s, %s, %s"}
	narrow := []string{"VPERM2F128 $0x01, %s, %s, %s"}
	cross := narrow
	if m.Wide {
		cross = wide
	}
	switch {
	case step < len(cross):
		t.P(cross[step], f, f, d)
	case step == len(cross):
		t.P("VPERMILPS $0x4e, %s, %s", f, d)
	case step == len(cross)+1:
		t.P("VPERMILPS $0xb1, %s, %s", f, d)
	default:
		return false
	}
	return true
}

func (m *x86Rows) storeLane(t *lane.Text, reg, offset int) {
	t.P("VMOVSS X%d, %d(R11)", reg, offset)
}

func (m *x86Rows) endRow(t *lane.Text, outBytes int) {
	for i, p := range []string{"DI", "SI", "R9", "R10"} {
		t.P("ADDQ %d(R13), %s", rowsStrides+8*i, p)
	}
	if outBytes > 0 {
		t.P("ADDQ $%d, R11", outBytes)
	}
	t.P("DECQ DX")
	t.P("JNE  %s", m.row)
}

func (m *x86Rows) finish(t *lane.Text) {
	t.P("VZEROUPPER")
	t.P("RET")
}
