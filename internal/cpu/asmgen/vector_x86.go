package main

import (
	"fmt"
	"strings"
)

// x86 emits AVX2 (16 ymm registers) or AVX-512 (32 zmm and 7 mask registers).
type x86 struct{ wide bool }

func (x x86) lanes() int {
	if x.wide {
		return 16
	}
	return 8
}

func (x x86) registers() int {
	if x.wide {
		return 32
	}
	return 16
}

func (x x86) maskRegisters() int {
	if x.wide {
		return 7
	}
	return 0
}

func (x x86) memory() bool { return true }

func (x x86) free() (r []int) {
	for i := range x.registers() {
		r = append(r, i)
	}
	return r
}

func (x x86) r(i int) string {
	if x.wide {
		return fmt.Sprintf("Z%d", i)
	}
	return fmt.Sprintf("Y%d", i)
}

// Constants lie in a table, once for AVX-512 (which broadcasts) and eight times for AVX2.
func (x x86) constName() string {
	if x.wide {
		return "once"
	}
	return "eight"
}

func (x x86) constMem(c uint32) string {
	return fmt.Sprintf("%s_%08x<>(SB)", x.constName(), c)
}

func (x x86) constant(t *text, reg int, c uint32) {
	if c == 0 {
		t.p("%s %s, %s, %s", map[bool]string{true: "VPXORD", false: "VPXOR"}[x.wide], x.r(reg), x.r(reg), x.r(reg))
	} else if c == 0xffffffff && !x.wide {
		t.p("VPCMPEQD %s, %s, %s", x.r(reg), x.r(reg), x.r(reg))
	} else if x.wide {
		t.p("VBROADCASTSS %s, %s", x.constMem(c), x.r(reg))
	} else {
		t.p("VMOVUPS %s, %s", x.constMem(c), x.r(reg))
	}
}

var x86Names = map[op]string{
	opAdd: "VADDPS", opSub: "VSUBPS", opMul: "VMULPS", opDiv: "VDIVPS", opMin: "VMINPS", opMax: "VMAXPS",
	opIAdd: "VPADDD", opISub: "VPSUBD", opIMul: "VPMULLD", opIMin: "VPMINSD", opIMax: "VPMAXSD",
	opShl: "VPSLLD", opShr: "VPSRLD", opSar: "VPSRAD",
	opToInt: "VCVTPS2DQ", opToIntTrunc: "VCVTTPS2DQ", opToFloat: "VCVTDQ2PS", opSqrt: "VSQRTPS",
}

var x86Compare = map[op]int{opEq: 0, opLt: 1, opLe: 2, opNe: 4}

func (x x86) emit(t *text, e emission) {
	a := func(i int) string { return x.r(e.args[i]) }
	d := x.r(e.dst)
	suffix := ""
	lastArg := func() string { // the operand that may be memory
		if c, ok := strings.CutPrefix(e.mem, "const:"); ok {
			if x.wide {
				suffix = ".BCST"
			}
			var u uint32
			fmt.Sscan(c, &u)
			return x.constMem(u)
		}
		return a(len(e.args) - 1)
	}
	switch e.op {
	case opLoad:
		x.load(t, e)
	case opStore:
		x.store(t, e)
	case opAdd, opSub, opMul, opDiv, opMin, opMax:
		m := lastArg()
		t.p("%s%s %s, %s, %s", x86Names[e.op], suffix, m, a(0), d)
	case opIAdd, opISub, opIMul, opIMin, opIMax:
		t.p("%s %s, %s, %s", x86Names[e.op], a(1), a(0), d)
	case opAnd, opOr, opXor, opAndNot:
		name := map[op]string{opAnd: "VPAND", opOr: "VPOR", opXor: "VPXOR", opAndNot: "VPANDN"}[e.op]
		if x.wide {
			name += "D"
		}
		t.p("%s %s, %s, %s", name, a(1), a(0), d)
	case opShl, opShr, opSar:
		t.p("%s $%d, %s, %s", x86Names[e.op], e.imm, a(0), d)
	case opSqrt, opToInt, opToIntTrunc, opToFloat:
		t.p("%s %s, %s", x86Names[e.op], a(0), d)
	case opFMA, opFNMA, opFMS:
		m := lastArg()
		x.fma(t, e, m, suffix)
	case opFloor, opCeil, opTrunc, opRound:
		mode := map[op]int{opRound: 8, opFloor: 9, opCeil: 10, opTrunc: 11}[e.op]
		name := "VROUNDPS"
		if x.wide {
			name = "VRNDSCALEPS"
		}
		t.p("%s $%d, %s, %s", name, mode, a(0), d)
	case opRecip:
		one := e.tmp()
		x.constant(t, one, 0x3f800000)
		if !x.wide {
			t.p("VDIVPS %s, %s, %s", a(0), x.r(one), d)
			return
		}
		t.p("VRCP14PS %s, %s", a(0), d)
		t.p("VFNMADD231PS %s, %s, %s", d, a(0), x.r(one)) // 1 - a·r
		t.p("VFMADD231PS %s, %s, %s", x.r(one), d, d)
	case opScale:
		x.scale(t, e)
	case opEq, opLt, opLe, opNe:
		if x.wide {
			t.p("VCMPPS $%d, %s, %s, K%d", x86Compare[e.op], a(1), a(0), e.dst)
			return
		}
		t.p("VCMPPS $%d, %s, %s, %s", x86Compare[e.op], a(1), a(0), d)
	case opIEq, opIGt:
		name := map[op]string{opIEq: "VPCMPEQD", opIGt: "VPCMPGTD"}[e.op]
		if x.wide {
			d = fmt.Sprintf("K%d", e.dst)
		}
		t.p("%s %s, %s, %s", name, a(1), a(0), d)
	case opMask:
		if x.wide {
			t.p("VPMOVD2M %s, K%d", a(0), e.dst)
		} else if e.dst != e.args[0] {
			t.p("VMOVAPS %s, %s", a(0), d)
		}
	case opLanes:
		if x.wide {
			t.p("VPMOVM2D K%d, %s", e.args[0], d)
		} else if e.dst != e.args[0] {
			t.p("VMOVAPS %s, %s", a(0), d)
		}
	case opSelect:
		if x.wide {
			t.p("VBLENDMPS %s, %s, K%d, %s", a(1), a(2), e.args[0], d)
			return
		}
		t.p("VBLENDVPS %s, %s, %s, %s", a(0), a(1), a(2), d)
	default:
		panic(fmt.Sprint("x86: op ", e.op))
	}
}

// fma picks the form whose overwritten operand is dst; m is the third operand c.
func (x x86) fma(t *text, e emission, m, suffix string) {
	name := map[op]string{opFMA: "VFMADD", opFNMA: "VFNMADD", opFMS: "VFMSUB"}[e.op]
	d, a0, a1 := x.r(e.dst), x.r(e.args[0]), x.r(e.args[1])
	switch e.dst {
	case e.args[2]:
		t.p("%s231PS %s, %s, %s", name, a1, a0, d)
	case e.args[0]:
		t.p("%s213PS%s %s, %s, %s", name, suffix, m, a1, d)
	case e.args[1]:
		t.p("%s213PS%s %s, %s, %s", name, suffix, m, a0, d)
	default:
		t.p("VMOVAPS %s, %s", a0, d)
		t.p("%s213PS%s %s, %s, %s", name, suffix, m, a1, d)
	}
}

// scale is a·2^b. Without VSCALEFPS it multiplies by two powers, so that results
// that overflow or lose bits below the normal range are right.
func (x x86) scale(t *text, e emission) {
	a, b, d := x.r(e.args[0]), x.r(e.args[1]), x.r(e.dst)
	if x.wide {
		t.p("VSCALEFPS %s, %s, %s", b, a, d)
		return
	}
	n, h, bias := x.r(e.tmp()), x.r(e.tmp()), e.tmp()
	x.constant(t, bias, 127)
	t.p("VCVTPS2DQ %s, %s", b, n)
	t.p("VPSRAD $1, %s, %s", n, h)
	t.p("VPSUBD %s, %s, %s", h, n, n)
	t.p("VPADDD %s, %s, %s", x.r(bias), h, h)
	t.p("VPADDD %s, %s, %s", x.r(bias), n, n)
	t.p("VPSLLD $23, %s, %s", h, h)
	t.p("VPSLLD $23, %s, %s", n, n)
	t.p("VMULPS %s, %s, %s", h, a, d)
	t.p("VMULPS %s, %s, %s", n, d, d)
}

func (x x86) load(t *text, e emission) {
	d := x.r(e.dst)
	switch e.elem {
	case f32:
		t.p("VMOVUPS %s, %s", e.mem, d)
	case bf16:
		t.p("VPMOVZXWD %s, %s", e.mem, d)
		t.p("VPSLLD $16, %s, %s", d, d)
	case f16:
		t.p("VCVTPH2PS %s, %s", e.mem, d)
	case u8:
		t.p("VPMOVZXBD %s, %s", e.mem, d)
	case i8:
		t.p("VPMOVSXBD %s, %s", e.mem, d)
		t.p("VCVTDQ2PS %s, %s", d, d)
	}
}

func (x x86) store(t *text, e emission) {
	s := x.r(e.args[0])
	switch e.elem {
	case f32:
		t.p("VMOVUPS %s, %s", s, e.mem)
	case f16:
		t.p("VCVTPS2PH $0, %s, %s", s, e.mem)
	case bf16: // the lanes hold the result in their low halves
		if x.wide {
			t.p("VPMOVDW %s, %s", s, e.mem)
			return
		}
		h := e.tmp()
		t.p("VPACKUSDW %s, %s, Y%d", s, s, h)
		t.p("VPERMQ $0x08, Y%d, Y%d", h, h)
		t.p("VMOVUPS X%d, %s", h, e.mem)
	case u8:
		if x.wide {
			t.p("VPMOVDB %s, %s", s, e.mem)
			return
		}
		h := e.tmp()
		t.p("VPACKUSDW %s, %s, Y%d", s, s, h)
		t.p("VPERMQ $0x08, Y%d, Y%d", h, h)
		t.p("VPACKUSWB X%d, X%d, X%d", h, h, h)
		t.p("VMOVQ X%d, %s", h, e.mem)
	}
}
