package native

import (
	"fmt"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/lane"
)

// MaxOperands bounds the operands of code: each has a general register.
const MaxOperands = 10

// SumBlock is how many elements of a row each of a sum's numbers is of.
const SumBlock = 32

// Arguments are what code is called with.
type Arguments struct {
	Operands [MaxOperands]unsafe.Pointer // where inputs, outputs and sums begin
	N        int                         // elements of a row, a multiple of 16, and of SumBlock if there are sums
	Rows     int                         // at least one; the code counts it down
	Strides  [MaxOperands]int            // bytes from row to row; of a sum, from the end of a row's numbers
}

// Operand is an input or output of a loop.
type Operand struct {
	Elem   lane.Elem
	Repeat bool // an input of 32-bit elements: one for a whole row
}

// operandRegisters hold where the operands of a row begin. R15 has the arguments, CX
// counts the elements done and DX is the last place where a turn may begin.
var operandRegisters = [MaxOperands]string{"AX", "BX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13"}

// unit is what code is made for.
type unit struct {
	lane.X86
	// Sums are added in the order of package vec's kernels of sums, as those take a row
	// of SumBlock elements: vectors in turn to so many accumulators, then those, then the
	// lanes that each of the swaps brings together.
	accumulators int
	swaps        []string
}

var units = map[feature.Level]unit{
	feature.AVX512: {lane.X86{Wide: true}, 1, []string{"VSHUFF32X4 $0x4e, %[1]s, %[1]s, %[2]s", "VSHUFF32X4 $0xb1, %[1]s, %[1]s, %[2]s",
		"VPERMILPS $0x4e, %s, %s", "VPERMILPS $0xb1, %s, %s"}},
	feature.AVX2: {lane.X86{}, 2, []string{"VPERM2F128 $0x01, %[1]s, %[1]s, %[2]s", "VPERMILPS $0x4e, %s, %s", "VPERMILPS $0xb1, %s, %s"}},
}

// HasLevel reports whether there is code for a level on this system, if that allows it.
func HasLevel(l feature.Level) bool {
	_, ok := units[l]
	return ok && system
}

// SumRegister returns the vector register from which on the body accumulates the values
// of sum i, see [lane.Builder.Accumulate].
func SumRegister(l feature.Level, i int) int { return i * units[l].accumulators }

// Compile makes a loop over rows of body, whose loads and stores are numbered like in
// and out. For each of the sums it writes a number for every SumBlock elements of a
// row. It fails if there are too many operands, or too many values live at once.
func Compile(level feature.Level, body *lane.Builder, in, out []Operand, sums int) (*Code, error) {
	u, ok := units[level]
	if !ok {
		return nil, fmt.Errorf("native: no code for %s", level)
	}
	if n := len(in) + len(out) + sums; n > MaxOperands {
		return nil, fmt.Errorf("native: %d operands are more than %d", n, MaxOperands)
	}
	for _, o := range in {
		body.In = append(body.In, o.Elem)
	}
	for _, o := range out {
		body.Out = append(body.Out, o.Elem)
	}
	l := loop{body: body, in: in, out: out, sums: sums, isa: repeating{u, in}}
	for i := range SumRegister(level, sums) {
		l.fixed = append(l.fixed, i)
	}
	if sums > 0 && u.accumulators == 1 { // and one to fold with
		l.fixed = append(l.fixed, SumRegister(level, sums))
	}
	copies := 4
	if sums > 0 {
		copies = min(copies, SumBlock/u.Lanes())
	}
	n, pinned := lane.Fits(l.isa, l.fixed, copies, body)
	if n == 0 {
		return nil, fmt.Errorf("native: too many values at once")
	}
	l.pinned = pinned
	if err := l.write(n); err != nil {
		return nil, err
	}
	return load(l.a.code)
}

// repeating is a unit with inputs that repeat one element.
type repeating struct {
	unit
	in []Operand
}

func (r repeating) Emit(t *lane.Text, e lane.Emission) {
	if e.Op == lane.OpLoad && r.in[e.Slot].Repeat {
		t.P("VBROADCASTSS %s, %s", e.Mem, r.Reg(e.Dst))
		return
	}
	r.unit.Emit(t, e)
}

// loop writes the code of a loop over rows.
type loop struct {
	a       assembler
	body    *lane.Builder
	in, out []Operand
	sums    int
	isa     repeating
	pinned  map[uint32]int
	fixed   []int
}

func (l *loop) write(copies int) error {
	a := &l.a
	var layout Arguments
	n, rows, strides := int(unsafe.Offsetof(layout.N)), int(unsafe.Offsetof(layout.Rows)), int(unsafe.Offsetof(layout.Strides))
	operands := len(l.in) + len(l.out) + l.sums
	a.bytes(0x49, 0x89, 0xc7) // MOVQ AX, R15
	for i := range operands {
		r := general[operandRegisters[i]]
		a.bytes(0x49|byte(r>>3)<<2, 0x8b, 0x87|byte(r&7)<<3).int32(8 * i) // MOVQ Operands[i](R15), r
	}
	var constants lane.Text
	for _, c := range l.body.Constants() {
		if r, ok := l.pinned[c]; ok {
			l.isa.Constant(&constants, r, c)
		}
	}
	if err := a.vectorLines(constants.String()); err != nil {
		return err
	}
	row := len(a.code)
	a.bytes(0x49, 0x8b, 0x97).int32(n) // MOVQ N(R15), DX
	a.bytes(0x31, 0xc9)                // XORL CX, CX
	turns := []int{copies, 1}
	if l.sums > 0 {
		turns = []int{SumBlock / l.isa.Lanes()}
	} else if copies == 1 {
		turns = turns[1:]
	}
	for _, vectors := range turns {
		if err := l.turns(vectors, min(copies, vectors)); err != nil {
			return err
		}
	}
	for i := range operands {
		r := general[operandRegisters[i]]
		a.bytes(0x49|byte(r>>3)<<2, 0x03, 0x87|byte(r&7)<<3).int32(strides + 8*i) // ADDQ Strides[i](R15), r
	}
	a.bytes(0x49, 0xff, 0x8f).int32(rows)     // DECQ Rows(R15)
	a.jump(a.bytes(0x0f, 0x85).int32(0), row) // JNE row
	a.bytes(0xc5, 0xf8, 0x77, 0xc3)           // VZEROUPPER; RET
	a.placeConstants()
	return nil
}

// turns writes a loop that takes so many vectors of a row at a time, of which copies are
// interleaved, while so many are left.
func (l *loop) turns(vectors, copies int) error {
	a := &l.a
	var body lane.Text
	accumulators := l.isa.accumulators
	for i := range l.sums * accumulators {
		l.isa.Constant(&body, i, 0)
	}
	for first := 0; first < vectors; first += copies {
		c := lane.Compiler{T: &body, ISA: l.isa, Pinned: l.pinned, Fixed: l.fixed, Use: map[uint32]bool{}, Addr: l.address, First: first, Accumulators: accumulators}
		c.Compile(l.body, copies)
	}
	for i := range l.sums {
		l.fold(&body, i*accumulators)
	}
	elements := vectors * l.isa.Lanes()
	a.bytes(0x48, 0x81, 0xea).int32(elements) // SUBQ $elements, DX
	a.bytes(0x48, 0x39, 0xd1)                 // CMPQ CX, DX
	skip := a.bytes(0x0f, 0x8f).int32(0)      // JGT end
	start := len(a.code)
	if err := a.vectorLines(body.String()); err != nil {
		return err
	}
	for i := range l.sums {
		r := general[operandRegisters[len(l.in)+len(l.out)+i]]
		a.encode(encodings["VMOVSS"], []operand{{n: i * accumulators, width: xmm}, {kind: memory, base: r, index: -1}}, false)
		a.bytes(0x48|byte(r>>3), 0x83, 0xc0|byte(r&7), 4) // ADDQ $4, r
	}
	a.bytes(0x48, 0x81, 0xc1).int32(elements) // ADDQ $elements, CX
	a.bytes(0x48, 0x39, 0xd1)                 // CMPQ CX, DX
	back := a.bytes(0x0f, 0x8e).int32(0)      // JLE start
	a.jump(back, start)
	a.jump(skip, len(a.code))
	a.bytes(0x48, 0x81, 0xc2).int32(elements) // ADDQ $elements, DX
	return nil
}

// fold adds the accumulators from a register on, and the lanes of the first.
func (l *loop) fold(t *lane.Text, register int) {
	s, other := l.isa.Reg(register), l.isa.Reg(l.sums) // the register that is kept to fold with
	if l.isa.accumulators == 2 {
		other = l.isa.Reg(register + 1)
		t.P("VADDPS %s, %s, %s", other, s, s)
	}
	for _, swap := range l.isa.swaps {
		t.P(swap, s, other)
		t.P("VADDPS %s, %s, %s", other, s, s)
	}
}

// address returns where vector index of a turn lies.
func (l *loop) address(slot, index int, store bool) string {
	o, register := l.in, operandRegisters[:]
	if store {
		o, register = l.out, operandRegisters[len(l.in):]
	}
	size := o[slot].Elem.Size()
	if o[slot].Repeat {
		return fmt.Sprintf("(%s)", register[slot])
	}
	return fmt.Sprintf("%d(%s)(CX*%d)", index*size*l.isa.Lanes(), register[slot], size)
}
