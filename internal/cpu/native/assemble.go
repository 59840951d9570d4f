package native

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// form is how an instruction's operands lie in its encoding.
type form uint8

const (
	threeOperands form = iota // second source (or memory), first source, destination
	twoOperands               // source (or memory), destination
	store                     // source, memory (or destination)
	shift                     // immediate, source, destination
	blend                     // second source, first source, mask, destination
)

// encoding is an instruction on whole ZMM registers: VEX prefix and opcode map as EVEX
// counts them, and the bytes that its memory operand reads, by which a short
// displacement is scaled.
type encoding struct {
	form          form
	prefix, opmap byte // prefix: 0 none, 1 66, 2 F3, 3 F2; map: 1 0F, 2 0F38, 3 0F3A
	opcode        byte
	bytes         int
	immediate     bool // comes first and last
	extension     byte // of a shift's opcode
}

var encodings = map[string]encoding{
	"VADDPS": {threeOperands, 0, 1, 0x58, 64, false, 0}, "VMULPS": {threeOperands, 0, 1, 0x59, 64, false, 0},
	"VSUBPS": {threeOperands, 0, 1, 0x5c, 64, false, 0}, "VMINPS": {threeOperands, 0, 1, 0x5d, 64, false, 0},
	"VDIVPS": {threeOperands, 0, 1, 0x5e, 64, false, 0}, "VMAXPS": {threeOperands, 0, 1, 0x5f, 64, false, 0},
	"VFMADD213PS": {threeOperands, 1, 2, 0xa8, 64, false, 0}, "VFMADD231PS": {threeOperands, 1, 2, 0xb8, 64, false, 0},
	"VFMSUB213PS": {threeOperands, 1, 2, 0xaa, 64, false, 0}, "VFMSUB231PS": {threeOperands, 1, 2, 0xba, 64, false, 0},
	"VFNMADD213PS": {threeOperands, 1, 2, 0xac, 64, false, 0}, "VFNMADD231PS": {threeOperands, 1, 2, 0xbc, 64, false, 0},
	"VPADDD": {threeOperands, 1, 1, 0xfe, 64, false, 0}, "VPSUBD": {threeOperands, 1, 1, 0xfa, 64, false, 0},
	"VPMULLD": {threeOperands, 1, 2, 0x40, 64, false, 0}, "VPMINSD": {threeOperands, 1, 2, 0x39, 64, false, 0},
	"VPMAXSD": {threeOperands, 1, 2, 0x3d, 64, false, 0}, "VPANDD": {threeOperands, 1, 1, 0xdb, 64, false, 0},
	"VPANDND": {threeOperands, 1, 1, 0xdf, 64, false, 0}, "VPORD": {threeOperands, 1, 1, 0xeb, 64, false, 0},
	"VPXORD": {threeOperands, 1, 1, 0xef, 64, false, 0}, "VSCALEFPS": {threeOperands, 1, 2, 0x2c, 64, false, 0},
	"VCMPPS": {threeOperands, 0, 1, 0xc2, 64, true, 0}, "VPCMPEQD": {threeOperands, 1, 1, 0x76, 64, false, 0},
	"VPCMPGTD": {threeOperands, 1, 1, 0x66, 64, false, 0},

	"VSQRTPS": {twoOperands, 0, 1, 0x51, 64, false, 0}, "VRCP14PS": {twoOperands, 1, 2, 0x4c, 64, false, 0},
	"VCVTPS2DQ": {twoOperands, 1, 1, 0x5b, 64, false, 0}, "VCVTTPS2DQ": {twoOperands, 2, 1, 0x5b, 64, false, 0},
	"VCVTDQ2PS": {twoOperands, 0, 1, 0x5b, 64, false, 0}, "VRNDSCALEPS": {twoOperands, 1, 3, 0x08, 64, true, 0},
	"VMOVAPS": {store, 0, 1, 0x29, 64, false, 0}, "VMOVUPS": {twoOperands, 0, 1, 0x10, 64, false, 0},
	"VBROADCASTSS": {twoOperands, 1, 2, 0x18, 4, false, 0}, "VCVTPH2PS": {twoOperands, 1, 2, 0x13, 32, false, 0},
	"VPMOVZXWD": {twoOperands, 1, 2, 0x33, 32, false, 0}, "VPMOVZXBD": {twoOperands, 1, 2, 0x31, 16, false, 0},
	"VPMOVD2M": {twoOperands, 2, 2, 0x39, 64, false, 0}, "VPMOVM2D": {twoOperands, 2, 2, 0x38, 64, false, 0},

	"VSHUFF32X4": {threeOperands, 1, 3, 0x23, 64, true, 0}, "VPERMILPS": {twoOperands, 1, 3, 0x04, 64, true, 0},

	"VPMOVDW": {store, 2, 2, 0x33, 32, false, 0}, "VPMOVDB": {store, 2, 2, 0x31, 16, false, 0},
	"VCVTPS2PH": {store, 1, 3, 0x1d, 32, true, 0},

	"VPSLLD": {shift, 1, 1, 0x72, 64, true, 6}, "VPSRLD": {shift, 1, 1, 0x72, 64, true, 2}, "VPSRAD": {shift, 1, 1, 0x72, 64, true, 4},
	"VBLENDMPS": {blend, 1, 2, 0x65, 64, false, 0},
}

// storeUnaligned is VMOVUPS to memory.
var storeUnaligned = encoding{store, 0, 1, 0x11, 64, false, 0}

// storeLane is VMOVSS to memory, which Go's assembler encodes as AVX.
var storeLane = encoding{store, 2, 1, 0x11, 4, false, 0}

// assembler collects code and the places in it that refer to constants.
type assembler struct {
	code []byte
	refs []constantRef
}

// constantRef is a 32-bit displacement from the end of its instruction.
type constantRef struct {
	at, end int
	bits    uint32
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
		o, err := parseOperand(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("native: %q: %w", line, err)
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
	var imm byte
	if e.immediate {
		if len(ops) == 0 || ops[0].kind != immediate {
			return false
		}
		imm, ops = byte(ops[0].n), ops[1:]
	}
	var rm operand
	var reg, vvvv, mask int
	switch {
	case e.form == threeOperands && len(ops) == 3:
		rm, vvvv, reg = ops[0], ops[1].n, ops[2].n
	case e.form == twoOperands && len(ops) == 2:
		rm, reg = ops[0], ops[1].n
	case e.form == store && len(ops) == 2:
		rm, reg = ops[1], ops[0].n
	case e.form == shift && len(ops) == 2:
		rm, reg, vvvv = ops[0], int(e.extension), ops[1].n
	case e.form == blend && len(ops) == 4:
		rm, vvvv, mask, reg = ops[0], ops[1].n, ops[2].n, ops[3].n
	default:
		return false
	}
	bit := func(n, i, at int) byte { return byte(n>>i&1) << at }
	// Extension bits are stored inverted. Those of the memory operand's registers are
	// where the bits of a register operand are.
	low, middle, high := rm.n, rm.n>>3, rm.n>>4 // ModRM's register, and bits 3 and 4
	if rm.kind == memory {
		low, middle, high = rm.base, rm.base>>3, max(0, rm.index)>>3
	}
	if rm.kind == constant {
		low, middle, high = 5, 0, 0
	}
	b := byte(0)
	if broadcast {
		b = 1
	}
	a.code = append(a.code,
		0x62,
		0xf0^bit(reg, 3, 7)^bit(high, 0, 6)^bit(middle, 0, 5)^bit(reg, 4, 4)|e.opmap,
		0x7c^byte(vvvv&15)<<3|e.prefix,
		0x48^bit(vvvv, 4, 3)|b<<4|byte(mask),
		e.opcode)
	r := byte(reg&7) << 3
	size := e.bytes
	if broadcast {
		size = 4
	}
	end := 0
	if e.immediate {
		end = 1
	}
	switch rm.kind {
	case memory:
		a.address(r, byte(low&7), rm, size)
	case constant:
		at := len(a.code) + 1
		a.code = append(a.code, r|5, 0, 0, 0, 0)
		a.refs = append(a.refs, constantRef{at, at + 4 + end, uint32(rm.n)})
	default:
		a.code = append(a.code, 0xc0|r|byte(low&7))
	}
	if e.immediate {
		a.code = append(a.code, imm)
	}
	return true
}

// address writes ModRM, SIB and displacement of a memory operand of size bytes.
func (a *assembler) address(reg, base byte, m operand, size int) {
	mode, disp := byte(0x80), binary.LittleEndian.AppendUint32(nil, uint32(int32(m.n)))
	switch {
	case m.n == 0 && base != 5:
		mode, disp = 0, nil
	case m.n%size == 0 && m.n/size == int(int8(m.n/size)):
		mode, disp = 0x40, []byte{byte(m.n / size)}
	}
	switch {
	case m.index >= 0:
		scale := map[int]byte{1: 0, 2: 0x40, 4: 0x80, 8: 0xc0}[m.scale]
		a.code = append(a.code, mode|reg|4, scale|byte(m.index&7)<<3|base)
	case base == 4:
		a.code = append(a.code, mode|reg|4, 0x24)
	default:
		a.code = append(a.code, mode|reg|base)
	}
	a.code = append(a.code, disp...)
}

// operand is a register, an immediate, or memory: n + base + index·scale, or a constant
// that lies behind the code.
type operand struct {
	kind               operandKind
	n                  int // register, immediate, displacement or a constant's bits
	base, index, scale int // index -1: none
}

type operandKind uint8

const (
	vector operandKind = iota
	maskRegister
	immediate
	memory
	constant
)

// general are the general registers by number.
var general = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SP": 4, "BP": 5, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

func parseOperand(s string) (operand, error) {
	bad := fmt.Errorf("operand %q", s)
	if s == "" {
		return operand{}, bad
	}
	switch s[0] {
	case 'Z', 'K':
		n, err := strconv.Atoi(s[1:])
		kind := map[byte]operandKind{'Z': vector, 'K': maskRegister}[s[0]]
		if err != nil || n < 0 || n > 31 || kind == maskRegister && n > 7 {
			return operand{}, bad
		}
		return operand{kind: kind, n: n}, nil
	case '$':
		n, err := strconv.ParseUint(s[1:], 0, 8)
		if err != nil {
			return operand{}, bad
		}
		return operand{kind: immediate, n: int(n)}, nil
	}
	if name, ok := strings.CutSuffix(s, "<>(SB)"); ok {
		bits, err := strconv.ParseUint(strings.TrimPrefix(name, "once_"), 16, 32)
		if err != nil {
			return operand{}, bad
		}
		return operand{kind: constant, n: int(bits)}, nil
	}
	return parseMemory(s, bad)
}

// parseMemory reads "8(SI)" and "8(SI)(CX*4)".
func parseMemory(s string, bad error) (operand, error) {
	m := operand{kind: memory, index: -1}
	disp, rest, ok := strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return m, bad
	}
	if disp != "" {
		n, err := strconv.ParseInt(disp, 10, 32)
		if err != nil {
			return m, bad
		}
		m.n = int(n)
	}
	base, index, two := strings.Cut(rest[:len(rest)-1], ")(")
	if m.base, ok = general[base]; !ok {
		return m, bad
	}
	if two {
		name, scale, ok := strings.Cut(index, "*")
		n, err := strconv.Atoi(scale)
		if m.index, m.scale = general[name], n; !ok || err != nil || m.index == 0 || m.index == 4 || n != 1 && n != 2 && n != 4 && n != 8 {
			return m, bad
		}
	}
	return m, nil
}
