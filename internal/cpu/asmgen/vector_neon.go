package main

import "fmt"

// neon emits arm64 vectors of four lanes. Most of the instructions are unknown to
// Go's assembler and written as words; their names stand beside them, and a test
// compares both with a disassembler.
type neon struct{}

func (neon) lanes() int         { return 4 }
func (neon) registers() int     { return 32 }
func (neon) maskRegisters() int { return 0 }
func (neon) memory() bool       { return false }
func (neon) constName() string  { return "" }

func (neon) free() (r []int) {
	for i := range 32 {
		r = append(r, i)
	}
	return r
}

func (neon) constant(t *text, reg int, c uint32) {
	if c == 0 {
		t.p("VEOR V%d.B16, V%d.B16, V%d.B16", reg, reg, reg)
		return
	}
	t.p("MOVW $0x%08x, R8", c)
	t.p("VDUP R8, V%d.S4", reg)
}

// neonForm is an encoding without its registers, and the name a disassembler prints.
type neonForm struct {
	code uint32
	name string
}

var neonThree = map[op]neonForm{
	opAdd: {0x4E20D400, "fadd"}, opSub: {0x4EA0D400, "fsub"}, opMul: {0x6E20DC00, "fmul"}, opDiv: {0x6E20FC00, "fdiv"},
	opMin: {0x4EA0F400, "fmin"}, opMax: {0x4E20F400, "fmax"}, opFMA: {0x4E20CC00, "fmla"}, opFNMA: {0x4EA0CC00, "fmls"},
	opAnd: {0x4E201C00, "and"}, opAndNot: {0x4E601C00, "bic"}, opOr: {0x4EA01C00, "orr"}, opXor: {0x6E201C00, "eor"},
	opIAdd: {0x4EA08400, "add"}, opISub: {0x6EA08400, "sub"}, opIMul: {0x4EA09C00, "mul"}, opIMin: {0x4EA06C00, "smin"}, opIMax: {0x4EA06400, "smax"},
	opEq: {0x4E20E400, "fcmeq"}, opLt: {0x6EA0E400, "fcmgt"}, opLe: {0x6E20E400, "fcmge"}, opIEq: {0x6EA08C00, "cmeq"}, opIGt: {0x4EA03400, "cmgt"},
	opSelect: {0x6E601C00, "bsl"},
}

var neonTwo = map[op]neonForm{
	opSqrt: {0x6EA1F800, "fsqrt"}, opRound: {0x4E218800, "frintn"}, opFloor: {0x4E219800, "frintm"}, opCeil: {0x4EA18800, "frintp"}, opTrunc: {0x4EA19800, "frintz"},
	opToInt: {0x4E21A800, "fcvtns"}, opToIntTrunc: {0x4EA1B800, "fcvtzs"}, opToFloat: {0x4E21D800, "scvtf"},
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

func three(t *text, f neonForm, d, n, m int) {
	a := arrangement(f.name)
	t.p("WORD $0x%08x // %s v%d.%s, v%d.%s, v%d.%s", f.code|uint32(m)<<16|uint32(n)<<5|uint32(d), f.name, d, a, n, a, m, a)
}

func two(t *text, f neonForm, d, n int) {
	a := arrangement(f.name)
	t.p("WORD $0x%08x // %s v%d.%s, v%d.%s", f.code|uint32(n)<<5|uint32(d), f.name, d, a, n, a)
}

func (neon) shift(t *text, o op, d, n, by int) {
	code, name, field := uint32(0x4F005400), "shl", 32+by
	switch o {
	case opShr:
		code, name, field = 0x6F000400, "ushr", 64-by
	case opSar:
		code, name, field = 0x4F000400, "sshr", 64-by
	}
	t.p("WORD $0x%08x // %s v%d.4s, v%d.4s, #%d", code|uint32(field)<<16|uint32(n)<<5|uint32(d), name, d, n, by)
}

func (neon) move(t *text, d, n int) {
	if d != n {
		t.p("VMOV V%d.B16, V%d.B16", n, d)
	}
}

func (x neon) emit(t *text, e emission) {
	d := e.dst
	switch e.op {
	case opLoad:
		x.load(t, e)
	case opStore:
		x.store(t, e)
	case opAdd, opSub, opMul, opDiv, opMin, opMax, opAnd, opOr, opXor, opIAdd, opISub, opIMul, opIMin, opIMax, opEq, opIEq, opIGt:
		three(t, neonThree[e.op], d, e.args[0], e.args[1])
	case opAndNot, opLt, opLe: // operands the other way round
		three(t, neonThree[e.op], d, e.args[1], e.args[0])
	case opNe:
		three(t, neonThree[opEq], d, e.args[0], e.args[1])
		two(t, neonNot, d, d)
	case opSqrt, opRound, opFloor, opCeil, opTrunc, opToInt, opToIntTrunc, opToFloat:
		two(t, neonTwo[e.op], d, e.args[0])
	case opShl, opShr, opSar:
		x.shift(t, e.op, d, e.args[0], int(e.imm))
	case opFMA, opFNMA, opFMS:
		acc := d
		if d == e.args[0] || d == e.args[1] {
			acc = e.tmp()
		}
		form := neonThree[e.op]
		if e.op == opFMS {
			form = neonThree[opFMA]
			two(t, neonNeg, acc, e.args[2])
		} else {
			x.move(t, acc, e.args[2])
		}
		three(t, form, acc, e.args[0], e.args[1])
		x.move(t, d, acc)
	case opRecip:
		one := e.tmp()
		x.constant(t, one, 0x3f800000)
		three(t, neonThree[opDiv], d, one, e.args[0])
	case opScale:
		n, h, bias := e.tmp(), e.tmp(), e.tmp()
		x.constant(t, bias, 127)
		two(t, neonTwo[opToInt], n, e.args[1])
		x.shift(t, opSar, h, n, 1)
		three(t, neonThree[opISub], n, n, h)
		three(t, neonThree[opIAdd], h, h, bias)
		three(t, neonThree[opIAdd], n, n, bias)
		x.shift(t, opShl, h, h, 23)
		x.shift(t, opShl, n, n, 23)
		three(t, neonThree[opMul], d, e.args[0], h)
		three(t, neonThree[opMul], d, d, n)
	case opMask:
		x.shift(t, opSar, d, e.args[0], 31)
	case opLanes:
		x.move(t, d, e.args[0])
	case opSelect:
		m := e.args[0]
		if d != m {
			if d == e.args[1] || d == e.args[2] {
				m = e.tmp()
			} else {
				m = d
			}
			x.move(t, m, e.args[0])
		}
		three(t, neonThree[opSelect], m, e.args[1], e.args[2])
		x.move(t, d, m)
	default:
		panic(fmt.Sprint("neon: op ", e.op))
	}
}

func (neon) load(t *text, e emission) {
	d := e.dst
	switch e.elem {
	case f32:
		t.p("FMOVQ %s, F%d", e.mem, d)
	case bf16:
		t.p("FMOVD %s, F%d", e.mem, d)
		t.p("WORD $0x%08x // shll v%d.4s, v%d.4h, #16", 0x2E613800|uint32(d)<<5|uint32(d), d, d)
	case f16:
		t.p("FMOVD %s, F%d", e.mem, d)
		t.p("WORD $0x%08x // fcvtl v%d.4s, v%d.4h", 0x0E217800|uint32(d)<<5|uint32(d), d, d)
	case u8:
		t.p("FMOVS %s, F%d", e.mem, d)
		t.p("WORD $0x%08x // ushll v%d.8h, v%d.8b, #0", 0x2F08A400|uint32(d)<<5|uint32(d), d, d)
		t.p("WORD $0x%08x // ushll v%d.4s, v%d.4h, #0", 0x2F10A400|uint32(d)<<5|uint32(d), d, d)
	case i8:
		t.p("FMOVS %s, F%d", e.mem, d)
		t.p("WORD $0x%08x // sshll v%d.8h, v%d.8b, #0", 0x0F08A400|uint32(d)<<5|uint32(d), d, d)
		t.p("WORD $0x%08x // sshll v%d.4s, v%d.4h, #0", 0x0F10A400|uint32(d)<<5|uint32(d), d, d)
		two(t, neonTwo[opToFloat], d, d)
	}
}

func (neon) store(t *text, e emission) {
	s := e.args[0]
	narrow := func(code uint32, name string, d, n int) {
		t.p("WORD $0x%08x // %s", code|uint32(n)<<5|uint32(d), fmt.Sprintf(name, d, n))
	}
	switch e.elem {
	case f32:
		t.p("FMOVQ F%d, %s", s, e.mem)
	case bf16:
		h := e.tmp()
		narrow(0x0E612800, "xtn v%d.4h, v%d.4s", h, s)
		t.p("FMOVD F%d, %s", h, e.mem)
	case f16:
		h := e.tmp()
		narrow(0x0E216800, "fcvtn v%d.4h, v%d.4s", h, s)
		t.p("FMOVD F%d, %s", h, e.mem)
	case u8:
		h := e.tmp()
		narrow(0x0E612800, "xtn v%d.4h, v%d.4s", h, s)
		narrow(0x0E212800, "xtn v%d.8b, v%d.8h", h, h)
		t.p("FMOVS F%d, %s", h, e.mem)
	}
}
