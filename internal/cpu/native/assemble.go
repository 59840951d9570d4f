package native

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// assembler collects code and the places in it that refer to constants.
type assembler struct {
	code []byte
	refs []constantRef
}

// constantRef is a 32-bit displacement from the end of its instruction to a constant.
type constantRef struct {
	at, end int
	bits    uint32
	copies  int // of the constant: as many as the instruction reads
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

// vectorLine assembles one line of package lane.
func (a *assembler) vectorLine(line string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	name, broadcast := strings.CutSuffix(name, ".BCST")
	e, ok := encodings[name]
	if !ok {
		return fmt.Errorf("native: unknown instruction %q", line)
	}
	var ops []operand
	for s := range strings.SplitSeq(rest, ",") {
		o, ok := parseOperand(strings.TrimSpace(s))
		if !ok {
			return fmt.Errorf("native: operand %q of %q", s, line)
		}
		ops = append(ops, o)
	}
	if name == "VMOVUPS" && ops[len(ops)-1].kind >= memory {
		e = storeUnaligned
	}
	if !a.encode(e, ops, broadcast) {
		return fmt.Errorf("native: operands of %q", line)
	}
	return nil
}

// encode writes an instruction; it reports whether the operands are of its form.
func (a *assembler) encode(e encoding, ops []operand, broadcast bool) bool {
	width, ok := widthOf(ops)
	if !ok || int(e.widths)&width == 0 || broadcast && width != zmm {
		return false
	}
	var last []byte // what follows the memory operand
	if e.immediate {
		if ops[0].kind != immediate {
			return false
		}
		last, ops = []byte{byte(ops[0].n)}, ops[1:]
	}
	var rm operand
	p := prefix{encoding: e, width: width, broadcast: broadcast}
	switch {
	case e.form == threeOperands && len(ops) == 3:
		rm, p.vvvv, p.reg = ops[0], ops[1].n, ops[2].n
	case e.form == twoOperands && len(ops) == 2:
		rm, p.reg = ops[0], ops[1].n
	case e.form == store && len(ops) == 2:
		rm, p.reg = ops[1], ops[0].n
	case e.form == shift && len(ops) == 2:
		rm, p.reg, p.vvvv = ops[0], int(e.extension), ops[1].n
	case e.form == blend && len(ops) == 4:
		rm, p.vvvv, p.mask, p.reg = ops[0], ops[1].n, ops[2].n, ops[3].n
	case e.form == blendLanes && len(ops) == 4:
		last, rm, p.vvvv, p.reg = []byte{byte(ops[0].n << 4)}, ops[1], ops[2].n, ops[3].n
	default:
		return false
	}
	// The bits of a memory operand's registers are where those of a register are.
	low := rm.n
	p.middle, p.high = rm.n>>3&1, rm.n>>4&1
	if rm.kind == memory {
		low, p.middle, p.high = rm.base, rm.base>>3, max(0, rm.index)>>3
	}
	if rm.kind == constant {
		low, p.middle, p.high = 5, 0, 0
	}
	scale := 1
	if width == zmm {
		a.code = p.evex(a.code)
		if scale = e.bytes; broadcast {
			scale = 4
		}
	} else {
		a.code = p.vex(a.code)
	}
	a.bytes(e.opcode)
	r := byte(p.reg&7) << 3
	switch rm.kind {
	case memory:
		a.address(r, byte(low&7), rm, scale)
	case constant:
		at := len(a.code) + 1
		a.bytes(r|5, 0, 0, 0, 0)
		copies := 1
		if width != zmm {
			copies = width / 4
		}
		a.refs = append(a.refs, constantRef{at, at + 4 + len(last), uint32(rm.n), copies})
	default:
		a.bytes(0xc0 | r | byte(low&7))
	}
	a.bytes(last...)
	return true
}

// widthOf returns the width of the vector registers among operands, if it is one.
func widthOf(ops []operand) (width int, ok bool) {
	for _, o := range ops {
		if o.kind == vector {
			if width != 0 && width != o.width {
				return 0, false
			}
			width = o.width
		}
	}
	return width, true
}

// prefix is what comes before an opcode, in one of two ways.
type prefix struct {
	encoding
	width        int
	reg, vvvv    int
	mask         int
	middle, high int // bits 3 and 4 of a register, or bit 3 of base and index
	broadcast    bool
}

// bit returns bit i of n at another place.
func bit(n, i, at int) byte { return byte(n>>i&1) << at }

// evex appends the prefix with Z registers. Bits that extend registers are inverted.
func (p *prefix) evex(code []byte) []byte {
	b := byte(0)
	if p.broadcast {
		b = 1
	}
	return append(code,
		0x62,
		0xf0^bit(p.reg, 3, 7)^bit(p.high, 0, 6)^bit(p.middle, 0, 5)^bit(p.reg, 4, 4)|p.opmap,
		0x7c^byte(p.vvvv&15)<<3|p.prefix,
		0x48^bit(p.vvvv, 4, 3)|b<<4|byte(p.mask))
}

// vex appends the prefix with X and Y registers, in two bytes where they are enough.
func (p *prefix) vex(code []byte) []byte {
	second := 0x78 ^ byte(p.vvvv)<<3 | bit(p.width, 5, 2) | p.prefix
	if p.opmap == 1 && p.middle == 0 && p.high == 0 && p.prefix < wide64 {
		return append(code, 0xc5, 0x80^bit(p.reg, 3, 7)|second)
	}
	return append(code, 0xc4, 0xe0^bit(p.reg, 3, 7)^bit(p.high, 0, 6)^bit(p.middle, 0, 5)|p.opmap, second)
}

// address writes ModRM, SIB and displacement of a memory operand; a displacement of one
// byte counts in steps of scale.
func (a *assembler) address(reg, base byte, m operand, scale int) {
	mode, disp := byte(0x80), binary.LittleEndian.AppendUint32(nil, uint32(int32(m.n)))
	switch {
	case m.n == 0 && base != 5:
		mode, disp = 0, nil
	case m.n%scale == 0 && m.n/scale == int(int8(m.n/scale)):
		mode, disp = 0x40, []byte{byte(m.n / scale)}
	}
	switch {
	case m.index >= 0:
		scale := map[int]byte{1: 0, 2: 0x40, 4: 0x80, 8: 0xc0}[m.scale]
		a.bytes(mode|reg|4, scale|byte(m.index&7)<<3|base)
	case base == 4:
		a.bytes(mode|reg|4, 0x24)
	default:
		a.bytes(mode | reg | base)
	}
	a.bytes(disp...)
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

// placeConstants writes the constants behind the code and lets instructions find them.
func (a *assembler) placeConstants() {
	for len(a.code)%64 != 0 {
		a.bytes(0xcc)
	}
	type block struct {
		bits   uint32
		copies int
	}
	placed := map[block]int{}
	for _, r := range a.refs {
		b := block{r.bits, r.copies}
		at, known := placed[b]
		if !known {
			at = len(a.code)
			placed[b] = at
			a.code = append(a.code, slices.Repeat(binary.LittleEndian.AppendUint32(nil, r.bits), r.copies)...)
		}
		binary.LittleEndian.PutUint32(a.code[r.at:], uint32(int32(at-r.end)))
	}
}
