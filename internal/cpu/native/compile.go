package native

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"loris/internal/cpu/lane"
)

// MaxOperands bounds the operands of code: each has a general register.
const MaxOperands = 10

// SumBlock is how many elements of a row each of a sum's numbers is of.
const SumBlock = 32

// Arguments are what code is called with.
type Arguments struct {
	Operands [MaxOperands]unsafe.Pointer // where inputs, outputs and sums begin
	N        int                         // elements of a row, a multiple of 16
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

// lanes is the elements of a vector.
const lanes = 16

// SumRegister returns the vector register that the body adds the values of sum i to.
func SumRegister(i int) int { return i }

// Compile makes a loop over rows of body, whose loads and stores are numbered like in
// and out. For each of the sums it writes a number for every SumBlock elements of a
// row, or what is left of it. It fails if there are too many operands, or too many
// values live at once.
func Compile(body *lane.Builder, in, out []Operand, sums int) (*Code, error) {
	if n := len(in) + len(out) + sums; n > MaxOperands {
		return nil, fmt.Errorf("native: %d operands are more than %d", n, MaxOperands)
	}
	for _, o := range in {
		body.In = append(body.In, o.Elem)
	}
	for _, o := range out {
		body.Out = append(body.Out, o.Elem)
	}
	l := loop{body: body, in: in, out: out, sums: sums, isa: repeating{lane.X86{Wide: true}, in}}
	copies := 4
	if sums > 0 {
		copies = SumBlock / lanes // a turn is a block
		for i := range sums + 1 { // and one register to fold with
			l.fixed = append(l.fixed, SumRegister(i))
		}
	}
	n, pinned := lane.Fits(l.isa, l.fixed, copies, body)
	if n == 0 || sums > 0 && n < copies {
		return nil, fmt.Errorf("native: too many values at once")
	}
	l.pinned = pinned
	if err := l.write(n); err != nil {
		return nil, err
	}
	return load(l.a.code)
}

// repeating is AVX-512 with inputs that repeat one element.
type repeating struct {
	lane.X86
	in []Operand
}

func (r repeating) Emit(t *lane.Text, e lane.Emission) {
	if e.Op == lane.OpLoad && r.in[e.Slot].Repeat {
		t.P("VBROADCASTSS %s, %s", e.Mem, r.Reg(e.Dst))
		return
	}
	r.X86.Emit(t, e)
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
	if copies > 1 {
		if err := l.turns(copies); err != nil {
			return err
		}
	}
	if err := l.turns(1); err != nil {
		return err
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

// turns writes a loop that takes n vectors of a row at a time while so many are left.
func (l *loop) turns(n int) error {
	a := &l.a
	var body lane.Text
	for i := range l.sums {
		l.isa.Constant(&body, SumRegister(i), 0)
	}
	c := lane.Compiler{T: &body, ISA: l.isa, Pinned: l.pinned, Fixed: l.fixed, Use: map[uint32]bool{}, Addr: l.address}
	c.Compile(l.body, n)
	a.bytes(0x48, 0x81, 0xea).int32(n * lanes) // SUBQ $n, DX
	a.bytes(0x48, 0x39, 0xd1)                  // CMPQ CX, DX
	skip := a.bytes(0x0f, 0x8f).int32(0)       // JGT end
	start := len(a.code)
	if err := a.vectorLines(body.String()); err != nil {
		return err
	}
	for i := range l.sums {
		if err := l.storeSum(i); err != nil {
			return err
		}
	}
	a.bytes(0x48, 0x81, 0xc1).int32(n * lanes) // ADDQ $n, CX
	a.bytes(0x48, 0x39, 0xd1)                  // CMPQ CX, DX
	back := a.bytes(0x0f, 0x8e).int32(0)       // JLE start
	a.jump(back, start)
	a.jump(skip, len(a.code))
	a.bytes(0x48, 0x81, 0xc2).int32(n * lanes) // ADDQ $n, DX
	return nil
}

// storeSum adds the lanes of sum i, in the order of package vec's kernels of sums, and
// writes the result behind the last one.
func (l *loop) storeSum(i int) error {
	a := &l.a
	var fold lane.Text
	s, t := l.isa.Reg(SumRegister(i)), l.isa.Reg(SumRegister(l.sums))
	for _, swap := range []string{"VSHUFF32X4 $0x4e, %s, %s, %s", "VSHUFF32X4 $0xb1, %s, %s, %s"} {
		fold.P(swap, s, s, t)
		fold.P("VADDPS %s, %s, %s", t, s, s)
	}
	for _, swap := range []string{"VPERMILPS $0x4e, %s, %s", "VPERMILPS $0xb1, %s, %s"} {
		fold.P(swap, s, t)
		fold.P("VADDPS %s, %s, %s", t, s, s)
	}
	if err := a.vectorLines(fold.String()); err != nil {
		return err
	}
	r := general[operandRegisters[len(l.in)+len(l.out)+i]]
	a.encode(storeLane, []operand{{n: SumRegister(i)}, {kind: memory, base: r, index: -1}}, false)
	a.bytes(0x48|byte(r>>3), 0x83, 0xc0|byte(r&7), 4) // ADDQ $4, r
	return nil
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
	return fmt.Sprintf("%d(%s)(CX*%d)", index*size*lanes, register[slot], size)
}

func (a *assembler) bytes(b ...byte) *assembler {
	a.code = append(a.code, b...)
	return a
}

// int32 writes a 32-bit number and returns where it ends.
func (a *assembler) int32(n int) (end int) {
	a.code = binary.LittleEndian.AppendUint32(a.code, uint32(int32(n)))
	return len(a.code)
}

// jump lets the displacement that ends at end lead to target.
func (a *assembler) jump(end, target int) {
	binary.LittleEndian.PutUint32(a.code[end-4:], uint32(int32(target-end)))
}

// vectorLines assembles lines of package lane.
func (a *assembler) vectorLines(text string) error {
	for line := range strings.Lines(text) {
		if err := a.vectorLine(line); err != nil {
			return err
		}
	}
	return nil
}

// placeConstants writes the constants behind the code and lets instructions find them.
func (a *assembler) placeConstants() {
	for len(a.code)%64 != 0 {
		a.bytes(0xcc)
	}
	var placed []uint32
	base := len(a.code)
	for _, r := range a.refs {
		i := slices.Index(placed, r.bits)
		if i < 0 {
			i = len(placed)
			placed = append(placed, r.bits)
			a.int32(int(int32(r.bits)))
		}
		binary.LittleEndian.PutUint32(a.code[r.at:], uint32(int32(base+4*i-r.end)))
	}
}
