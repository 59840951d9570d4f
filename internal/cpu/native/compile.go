package native

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"loris/internal/cpu/lane"
)

// Operand is an input or output of a loop.
type Operand struct {
	Elem   lane.Elem
	Repeat bool // an input: one block of equal values, read again for each vector
}

// operandRegisters hold where the operands begin; the first holds the arguments before.
var operandRegisters = [MaxOperands]string{"AX", "BX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13"}

// lanes is the elements of a vector.
const lanes = 16

// Compile makes a loop of body, whose loads and stores are numbered like in and out.
// It fails if there are too many operands, or too many values live at once.
func Compile(body *lane.Builder, in, out []Operand) (*Code, error) {
	if len(in)+len(out) > MaxOperands {
		return nil, fmt.Errorf("native: %d operands are more than %d", len(in)+len(out), MaxOperands)
	}
	for _, o := range in {
		body.In = append(body.In, o.Elem)
	}
	for _, o := range out {
		body.Out = append(body.Out, o.Elem)
	}
	isa := lane.X86{Wide: true}
	copies, pinned := lane.Fits(isa, nil, 4, body)
	if copies == 0 {
		return nil, fmt.Errorf("native: too many values at once")
	}
	l := loop{body: body, in: in, out: out, isa: isa, pinned: pinned}
	if err := l.write(copies); err != nil {
		return nil, err
	}
	return load(l.a.code)
}

// loop writes the code of a loop over vectors. CX counts the elements done.
type loop struct {
	a       assembler
	body    *lane.Builder
	in, out []Operand
	isa     lane.X86
	pinned  map[uint32]int
}

func (l *loop) write(copies int) error {
	a := &l.a
	a.bytes(0x48, 0x8b, 0x90).int32(8 * MaxOperands) // MOVQ N(AX), DX
	for i := len(l.in) + len(l.out) - 1; i >= 0; i-- {
		r := general[operandRegisters[i]]
		a.bytes(0x48|byte(r>>3)<<2, 0x8b, 0x80|byte(r&7)<<3).int32(8 * i) // MOVQ Operands[i](AX), register
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
	a.bytes(0x31, 0xc9) // XORL CX, CX
	if copies > 1 {
		if err := l.turns(copies); err != nil {
			return err
		}
	}
	if err := l.turns(1); err != nil {
		return err
	}
	a.bytes(0xc5, 0xf8, 0x77, 0xc3) // VZEROUPPER; RET
	a.placeConstants()
	return nil
}

// turns writes a loop that takes n vectors at a time while so many are left.
func (l *loop) turns(n int) error {
	a := &l.a
	var body lane.Text
	c := lane.Compiler{T: &body, ISA: l.isa, Pinned: l.pinned, Use: map[uint32]bool{}, Addr: l.address}
	c.Compile(l.body, n)
	a.bytes(0x48, 0x81, 0xea).int32(n * lanes) // SUBQ $n, DX: the last place for a turn
	a.bytes(0x48, 0x39, 0xd1)                  // CMPQ CX, DX
	skip := a.bytes(0x0f, 0x8f).int32(0)       // JGT end
	start := len(a.code)
	if err := a.vectorLines(body.String()); err != nil {
		return err
	}
	a.bytes(0x48, 0x81, 0xc1).int32(n * lanes) // ADDQ $n, CX
	a.bytes(0x48, 0x39, 0xd1)                  // CMPQ CX, DX
	back := a.bytes(0x0f, 0x8e).int32(0)       // JLE start
	a.jump(back, start)
	a.jump(skip, len(a.code))
	a.bytes(0x48, 0x81, 0xc2).int32(n * lanes) // ADDQ $n, DX
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
