package lane

import "fmt"

// X86 emits AVX2 (16 ymm registers) or AVX-512 (32 zmm and 7 mask registers).
type X86 struct{ Wide bool }

// The methods of ISA.

func (x X86) Lanes() int {
	if x.Wide {
		return 16
	}
	return 8
}

// Registers returns the number of vector registers.
func (x X86) Registers() int {
	if x.Wide {
		return 32
	}
	return 16
}

func (x X86) MaskRegisters() int {
	if x.Wide {
		return 7
	}
	return 0
}

func (x X86) Memory() bool { return true }

func (x X86) Free() (r []int) {
	for i := range x.Registers() {
		r = append(r, i)
	}
	return r
}

// Reg returns the name of a vector register.
func (x X86) Reg(i int) string {
	if x.Wide {
		return zmm[i]
	}
	return ymm[i]
}

var zmm, ymm = func() (z, y [32]string) {
	for i := range z {
		z[i], y[i] = fmt.Sprintf("Z%d", i), fmt.Sprintf("Y%d", i)
	}
	return z, y
}()

// constName is of the tables of constants: once for AVX-512 (which broadcasts), eight times for AVX2.
func (x X86) constName() string {
	if x.Wide {
		return "once"
	}
	return "eight"
}

func (x X86) constMem(c uint32) string {
	return fmt.Sprintf("%s_%08x<>(SB)", x.constName(), c)
}

func (x X86) Constant(t *Text, reg int, c uint32) {
	if c == 0 {
		t.P("%s %s, %s, %s", map[bool]string{true: "VPXORD", false: "VPXOR"}[x.Wide], x.Reg(reg), x.Reg(reg), x.Reg(reg))
	} else if c == 0xffffffff && !x.Wide {
		t.P("VPCMPEQD %s, %s, %s", x.Reg(reg), x.Reg(reg), x.Reg(reg))
	} else if x.Wide {
		t.P("VBROADCASTSS %s, %s", x.constMem(c), x.Reg(reg))
	} else {
		t.P("VMOVUPS %s, %s", x.constMem(c), x.Reg(reg))
	}
}

var x86Names = map[Op]string{
	OpAdd: "VADDPS", OpSub: "VSUBPS", OpMul: "VMULPS", OpDiv: "VDIVPS", OpMin: "VMINPS", OpMax: "VMAXPS",
	OpIAdd: "VPADDD", OpISub: "VPSUBD", OpIMul: "VPMULLD", OpIMin: "VPMINSD", OpIMax: "VPMAXSD",
	OpAnd: "VPAND", OpOr: "VPOR", OpXor: "VPXOR", OpAndNot: "VPANDN", // and D for Z registers
	OpIEq: "VPCMPEQD", OpIGt: "VPCMPGTD", OpFMA: "VFMADD", OpFNMA: "VFNMADD", OpFMS: "VFMSUB",
	OpShl: "VPSLLD", OpShr: "VPSRLD", OpSar: "VPSRAD",
	OpToInt: "VCVTPS2DQ", OpToIntTrunc: "VCVTTPS2DQ", OpToFloat: "VCVTDQ2PS", OpSqrt: "VSQRTPS",
}

var (
	x86Compare  = map[Op]int{OpEq: 0, OpLt: 1, OpLe: 2, OpNe: 4}
	x86Rounding = map[Op]int{OpRound: 8, OpFloor: 9, OpCeil: 10, OpTrunc: 11}
)

func (x X86) Emit(t *Text, e Emission) {
	a := func(i int) string { return x.Reg(e.Args[i]) }
	d := x.Reg(e.Dst)
	suffix := ""
	lastArg := func() string { // the operand that may be memory
		if e.inMemory {
			if x.Wide {
				suffix = ".BCST"
			}
			return x.constMem(e.constant)
		}
		return a(len(e.Args) - 1)
	}
	switch e.Op {
	case OpLoad:
		x.Load(t, e)
	case OpStore:
		x.store(t, e)
	case OpAdd, OpSub, OpMul, OpDiv, OpMin, OpMax:
		m := lastArg()
		t.P("%s%s %s, %s, %s", x86Names[e.Op], suffix, m, a(0), d)
	case OpIAdd, OpISub, OpIMul, OpIMin, OpIMax:
		t.P("%s %s, %s, %s", x86Names[e.Op], a(1), a(0), d)
	case OpAnd, OpOr, OpXor, OpAndNot:
		name := x86Names[e.Op]
		if x.Wide {
			name += "D"
		}
		t.P("%s %s, %s, %s", name, a(1), a(0), d)
	case OpShl, OpShr, OpSar:
		t.P("%s $%d, %s, %s", x86Names[e.Op], e.imm, a(0), d)
	case OpSqrt, OpToInt, OpToIntTrunc, OpToFloat:
		t.P("%s %s, %s", x86Names[e.Op], a(0), d)
	case OpFMA, OpFNMA, OpFMS:
		m := lastArg()
		x.Fma(t, e, m, suffix)
	case OpFloor, OpCeil, OpTrunc, OpRound:
		name := "VROUNDPS"
		if x.Wide {
			name = "VRNDSCALEPS"
		}
		t.P("%s $%d, %s, %s", name, x86Rounding[e.Op], a(0), d)
	case OpRecip:
		one := e.Tmp()
		x.Constant(t, one, 0x3f800000)
		if !x.Wide {
			t.P("VDIVPS %s, %s, %s", a(0), x.Reg(one), d)
			return
		}
		t.P("VRCP14PS %s, %s", a(0), d)
		t.P("VFNMADD231PS %s, %s, %s", d, a(0), x.Reg(one)) // 1 - a·r
		t.P("VFMADD231PS %s, %s, %s", x.Reg(one), d, d)
	case OpScale:
		x.scale(t, e)
	case OpEq, OpLt, OpLe, OpNe:
		if x.Wide {
			t.P("VCMPPS $%d, %s, %s, K%d", x86Compare[e.Op], a(1), a(0), e.Dst)
			return
		}
		t.P("VCMPPS $%d, %s, %s, %s", x86Compare[e.Op], a(1), a(0), d)
	case OpIEq, OpIGt:
		if x.Wide {
			d = fmt.Sprintf("K%d", e.Dst)
		}
		t.P("%s %s, %s, %s", x86Names[e.Op], a(1), a(0), d)
	case OpMask:
		if x.Wide {
			t.P("VPMOVD2M %s, K%d", a(0), e.Dst)
		} else if e.Dst != e.Args[0] {
			t.P("VMOVAPS %s, %s", a(0), d)
		}
	case OpLanes:
		if x.Wide {
			t.P("VPMOVM2D K%d, %s", e.Args[0], d)
		} else if e.Dst != e.Args[0] {
			t.P("VMOVAPS %s, %s", a(0), d)
		}
	case OpSelect:
		if x.Wide {
			t.P("VBLENDMPS %s, %s, K%d, %s", a(1), a(2), e.Args[0], d)
			return
		}
		t.P("VBLENDVPS %s, %s, %s, %s", a(0), a(1), a(2), d)
	default:
		panic(fmt.Sprint("x86: op ", e.Op))
	}
}

// Fma picks the form whose overwritten operand is dst; m is the third operand c.
func (x X86) Fma(t *Text, e Emission, m, suffix string) {
	name := x86Names[e.Op]
	d, a0, a1 := x.Reg(e.Dst), x.Reg(e.Args[0]), x.Reg(e.Args[1])
	switch e.Dst {
	case e.Args[2]:
		t.P("%s231PS %s, %s, %s", name, a1, a0, d)
	case e.Args[0]:
		t.P("%s213PS%s %s, %s, %s", name, suffix, m, a1, d)
	case e.Args[1]:
		t.P("%s213PS%s %s, %s, %s", name, suffix, m, a0, d)
	default:
		t.P("VMOVAPS %s, %s", a0, d)
		t.P("%s213PS%s %s, %s, %s", name, suffix, m, a1, d)
	}
}

// scale is a·2^b. Without VSCALEFPS it multiplies by two powers, so that results
// that overflow or lose bits below the normal range are right.
func (x X86) scale(t *Text, e Emission) {
	a, b, d := x.Reg(e.Args[0]), x.Reg(e.Args[1]), x.Reg(e.Dst)
	if x.Wide {
		t.P("VSCALEFPS %s, %s, %s", b, a, d)
		return
	}
	n, h, bias := x.Reg(e.Tmp()), x.Reg(e.Tmp()), e.Tmp()
	x.Constant(t, bias, 127)
	t.P("VCVTPS2DQ %s, %s", b, n)
	t.P("VPSRAD $1, %s, %s", n, h)
	t.P("VPSUBD %s, %s, %s", h, n, n)
	t.P("VPADDD %s, %s, %s", x.Reg(bias), h, h)
	t.P("VPADDD %s, %s, %s", x.Reg(bias), n, n)
	t.P("VPSLLD $23, %s, %s", h, h)
	t.P("VPSLLD $23, %s, %s", n, n)
	t.P("VMULPS %s, %s, %s", h, a, d)
	t.P("VMULPS %s, %s, %s", n, d, d)
}

// Load writes the load of an operand.
func (x X86) Load(t *Text, e Emission) {
	d := x.Reg(e.Dst)
	switch e.Elem {
	case F32:
		t.P("VMOVUPS %s, %s", e.Mem, d)
	case BF16:
		t.P("VPMOVZXWD %s, %s", e.Mem, d)
		t.P("VPSLLD $16, %s, %s", d, d)
	case F16:
		t.P("VCVTPH2PS %s, %s", e.Mem, d)
	case U8:
		t.P("VPMOVZXBD %s, %s", e.Mem, d)
	case I8:
		t.P("VPMOVSXBD %s, %s", e.Mem, d)
		t.P("VCVTDQ2PS %s, %s", d, d)
	}
}

func (x X86) store(t *Text, e Emission) {
	s := x.Reg(e.Args[0])
	switch e.Elem {
	case F32:
		t.P("VMOVUPS %s, %s", s, e.Mem)
	case F16:
		t.P("VCVTPS2PH $0, %s, %s", s, e.Mem)
	case BF16: // the lanes hold the result in their low halves
		if x.Wide {
			t.P("VPMOVDW %s, %s", s, e.Mem)
			return
		}
		h := e.Tmp()
		t.P("VPACKUSDW %s, %s, Y%d", s, s, h)
		t.P("VPERMQ $0x08, Y%d, Y%d", h, h)
		t.P("VMOVUPS X%d, %s", h, e.Mem)
	case U8:
		if x.Wide {
			t.P("VPMOVDB %s, %s", s, e.Mem)
			return
		}
		h := e.Tmp()
		t.P("VPACKUSDW %s, %s, Y%d", s, s, h)
		t.P("VPERMQ $0x08, Y%d, Y%d", h, h)
		t.P("VPACKUSWB X%d, X%d, X%d", h, h, h)
		t.P("VMOVQ X%d, %s", h, e.Mem)
	}
}
