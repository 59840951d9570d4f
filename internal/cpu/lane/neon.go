package lane

import "fmt"

// NEON emits arm64 vectors of four lanes. Most of the instructions are unknown to
// Go's assembler and written as words; their names stand beside them, and a test
// compares both with a disassembler.
type NEON struct{}

// The methods of ISA.

func (NEON) Lanes() int         { return 4 }
func (NEON) MaskRegisters() int { return 0 }
func (NEON) Memory() bool       { return false }

func (NEON) Free() (r []int) {
	for i := range 32 {
		r = append(r, i)
	}
	return r
}

func (NEON) Constant(t *Text, reg int, c uint32) {
	if c == 0 {
		t.P("VEOR V%d.B16, V%d.B16, V%d.B16", reg, reg, reg)
		return
	}
	t.P("MOVW $0x%08x, R8", c)
	t.P("VDUP R8, V%d.S4", reg)
}

// neonForm is an encoding without its registers, and the name a disassembler prints.
type neonForm struct {
	code uint32
	name string
}

// NeonThree are the instructions with two sources.
var NeonThree = map[Op]neonForm{
	OpAdd: {0x4E20D400, "fadd"}, OpSub: {0x4EA0D400, "fsub"}, OpMul: {0x6E20DC00, "fmul"}, OpDiv: {0x6E20FC00, "fdiv"},
	OpMin: {0x4EA0F400, "fmin"}, OpMax: {0x4E20F400, "fmax"}, OpFMA: {0x4E20CC00, "fmla"}, OpFNMA: {0x4EA0CC00, "fmls"},
	OpAnd: {0x4E201C00, "and"}, OpAndNot: {0x4E601C00, "bic"}, OpOr: {0x4EA01C00, "orr"}, OpXor: {0x6E201C00, "eor"},
	OpIAdd: {0x4EA08400, "add"}, OpISub: {0x6EA08400, "sub"}, OpIMul: {0x4EA09C00, "mul"}, OpIMin: {0x4EA06C00, "smin"}, OpIMax: {0x4EA06400, "smax"},
	OpEq: {0x4E20E400, "fcmeq"}, OpLt: {0x6EA0E400, "fcmgt"}, OpLe: {0x6E20E400, "fcmge"}, OpIEq: {0x6EA08C00, "cmeq"}, OpIGt: {0x4EA03400, "cmgt"},
	OpSelect: {0x6E601C00, "bsl"},
}

// NeonTwo are the instructions with one source.
var NeonTwo = map[Op]neonForm{
	OpSqrt: {0x6EA1F800, "fsqrt"}, OpRound: {0x4E218800, "frintn"}, OpFloor: {0x4E219800, "frintm"}, OpCeil: {0x4EA18800, "frintp"}, OpTrunc: {0x4EA19800, "frintz"},
	OpToInt: {0x4E21A800, "fcvtns"}, OpToIntTrunc: {0x4EA1B800, "fcvtzs"}, OpToFloat: {0x4E21D800, "scvtf"},
}

var (
	neonNot = neonForm{0x6E205800, "mvn"}
	neonNeg = neonForm{0x6EA0F800, "fneg"}
)

// arrangement is .4s, or .16b for the bitwise instructions.
func arrangement(name string) string {
	switch name {
	case "and", "bic", "orr", "eor", "bsl", "mvn":
		return "16b"
	}
	return "4s"
}

// Three writes an instruction with two sources.
func Three(t *Text, f neonForm, d, n, m int) {
	a := arrangement(f.name)
	t.P("WORD $0x%08x // %s v%d.%s, v%d.%s, v%d.%s", f.code|uint32(m)<<16|uint32(n)<<5|uint32(d), f.name, d, a, n, a, m, a)
}

// Two writes an instruction with one source.
func Two(t *Text, f neonForm, d, n int) {
	a := arrangement(f.name)
	t.P("WORD $0x%08x // %s v%d.%s, v%d.%s", f.code|uint32(n)<<5|uint32(d), f.name, d, a, n, a)
}

// Shift writes a shift by a constant.
func (NEON) Shift(t *Text, o Op, d, n, by int) {
	code, name, field := uint32(0x4F005400), "shl", 32+by
	switch o {
	case OpShr:
		code, name, field = 0x6F000400, "ushr", 64-by
	case OpSar:
		code, name, field = 0x4F000400, "sshr", 64-by
	}
	t.P("WORD $0x%08x // %s v%d.4s, v%d.4s, #%d", code|uint32(field)<<16|uint32(n)<<5|uint32(d), name, d, n, by)
}

func (NEON) move(t *Text, d, n int) {
	if d != n {
		t.P("VMOV V%d.B16, V%d.B16", n, d)
	}
}

func (x NEON) Emit(t *Text, e Emission) {
	d := e.Dst
	switch e.Op {
	case OpLoad:
		x.Load(t, e)
	case OpStore:
		x.store(t, e)
	case OpAdd, OpSub, OpMul, OpDiv, OpMin, OpMax, OpAnd, OpOr, OpXor, OpIAdd, OpISub, OpIMul, OpIMin, OpIMax, OpEq, OpIEq, OpIGt:
		Three(t, NeonThree[e.Op], d, e.Args[0], e.Args[1])
	case OpAndNot, OpLt, OpLe: // operands the other way round
		Three(t, NeonThree[e.Op], d, e.Args[1], e.Args[0])
	case OpNe:
		Three(t, NeonThree[OpEq], d, e.Args[0], e.Args[1])
		Two(t, neonNot, d, d)
	case OpSqrt, OpRound, OpFloor, OpCeil, OpTrunc, OpToInt, OpToIntTrunc, OpToFloat:
		Two(t, NeonTwo[e.Op], d, e.Args[0])
	case OpShl, OpShr, OpSar:
		x.Shift(t, e.Op, d, e.Args[0], int(e.imm))
	case OpFMA, OpFNMA, OpFMS:
		acc := d
		if d == e.Args[0] || d == e.Args[1] {
			acc = e.Tmp()
		}
		form := NeonThree[e.Op]
		if e.Op == OpFMS {
			form = NeonThree[OpFMA]
			Two(t, neonNeg, acc, e.Args[2])
		} else {
			x.move(t, acc, e.Args[2])
		}
		Three(t, form, acc, e.Args[0], e.Args[1])
		x.move(t, d, acc)
	case OpRecip:
		one := e.Tmp()
		x.Constant(t, one, 0x3f800000)
		Three(t, NeonThree[OpDiv], d, one, e.Args[0])
	case OpScale:
		n, h, bias := e.Tmp(), e.Tmp(), e.Tmp()
		x.Constant(t, bias, 127)
		Two(t, NeonTwo[OpToInt], n, e.Args[1])
		x.Shift(t, OpSar, h, n, 1)
		Three(t, NeonThree[OpISub], n, n, h)
		Three(t, NeonThree[OpIAdd], h, h, bias)
		Three(t, NeonThree[OpIAdd], n, n, bias)
		x.Shift(t, OpShl, h, h, 23)
		x.Shift(t, OpShl, n, n, 23)
		Three(t, NeonThree[OpMul], d, e.Args[0], h)
		Three(t, NeonThree[OpMul], d, d, n)
	case OpMask:
		x.Shift(t, OpSar, d, e.Args[0], 31)
	case OpLanes:
		x.move(t, d, e.Args[0])
	case OpSelect:
		m := e.Args[0]
		if d != m {
			if d == e.Args[1] || d == e.Args[2] {
				m = e.Tmp()
			} else {
				m = d
			}
			x.move(t, m, e.Args[0])
		}
		Three(t, NeonThree[OpSelect], m, e.Args[1], e.Args[2])
		x.move(t, d, m)
	default:
		panic(fmt.Sprint("neon: op ", e.Op))
	}
}

// Load writes the load of an operand.
func (NEON) Load(t *Text, e Emission) {
	d := e.Dst
	switch e.Elem {
	case F32:
		t.P("FMOVQ %s, F%d", e.Mem, d)
	case BF16:
		t.P("FMOVD %s, F%d", e.Mem, d)
		t.P("WORD $0x%08x // shll v%d.4s, v%d.4h, #16", 0x2E613800|uint32(d)<<5|uint32(d), d, d)
	case F16:
		t.P("FMOVD %s, F%d", e.Mem, d)
		t.P("WORD $0x%08x // fcvtl v%d.4s, v%d.4h", 0x0E217800|uint32(d)<<5|uint32(d), d, d)
	case U8:
		t.P("FMOVS %s, F%d", e.Mem, d)
		t.P("WORD $0x%08x // ushll v%d.8h, v%d.8b, #0", 0x2F08A400|uint32(d)<<5|uint32(d), d, d)
		t.P("WORD $0x%08x // ushll v%d.4s, v%d.4h, #0", 0x2F10A400|uint32(d)<<5|uint32(d), d, d)
	case I8:
		t.P("FMOVS %s, F%d", e.Mem, d)
		t.P("WORD $0x%08x // sshll v%d.8h, v%d.8b, #0", 0x0F08A400|uint32(d)<<5|uint32(d), d, d)
		t.P("WORD $0x%08x // sshll v%d.4s, v%d.4h, #0", 0x0F10A400|uint32(d)<<5|uint32(d), d, d)
		Two(t, NeonTwo[OpToFloat], d, d)
	}
}

func (NEON) store(t *Text, e Emission) {
	s := e.Args[0]
	narrow := func(code uint32, name string, d, n int) {
		t.P("WORD $0x%08x // %s", code|uint32(n)<<5|uint32(d), fmt.Sprintf(name, d, n))
	}
	switch e.Elem {
	case F32:
		t.P("FMOVQ F%d, %s", s, e.Mem)
	case BF16:
		h := e.Tmp()
		narrow(0x0E612800, "xtn v%d.4h, v%d.4s", h, s)
		t.P("FMOVD F%d, %s", h, e.Mem)
	case F16:
		h := e.Tmp()
		narrow(0x0E216800, "fcvtn v%d.4h, v%d.4s", h, s)
		t.P("FMOVD F%d, %s", h, e.Mem)
	case U8:
		h := e.Tmp()
		narrow(0x0E612800, "xtn v%d.4h, v%d.4s", h, s)
		narrow(0x0E212800, "xtn v%d.8b, v%d.8h", h, h)
		t.P("FMOVS F%d, %s", h, e.Mem)
	}
}
