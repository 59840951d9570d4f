package main

import (
	"fmt"
	"sort"
	"strings"
)

// function is an elementwise kernel: its name in package vec, the types of its
// operands and result in memory, and the body.
type function struct {
	name string
	in   []elem
	out  elem
	body func(b *builder, x []value) value
}

func unary(name string, f func(b *builder, x value) value) function {
	return function{name, []elem{f32}, f32, func(b *builder, x []value) value { return f(b, x[0]) }}
}

func binary(name string, o op) function {
	return function{name, []elem{f32, f32}, f32, func(b *builder, x []value) value { return b.add(o, 0, x...) }}
}

func ternary(name string, o op) function {
	return function{name, []elem{f32, f32, f32}, f32, func(b *builder, x []value) value { return b.add(o, 0, x...) }}
}

func compare(name string, o op) function {
	return function{name, []elem{f32, f32}, f32, func(b *builder, x []value) value { return b.add(opLanes, 0, b.add(o, 0, x...)) }}
}

// of applies a function to a product or sum of two operands.
func of(name string, o op, f func(b *builder, x value) value) function {
	return function{name, []elem{f32, f32}, f32, func(b *builder, x []value) value { return f(b, b.add(o, 0, x...)) }}
}

// functions lists the elementwise kernels. vec has a Go twin under each name.
var functions = []function{
	binary("Add", opAdd), binary("Sub", opSub), binary("Mul", opMul), binary("Div", opDiv),
	ternary("MulAdd", opFMA), ternary("MulSub", opFMS), ternary("SubMul", opFNMA),
	{"Minimum", []elem{f32, f32}, f32, func(b *builder, x []value) value { return b.smaller(x[0], x[1]) }},
	{"Maximum", []elem{f32, f32}, f32, func(b *builder, x []value) value { return b.larger(x[0], x[1]) }},
	compare("Eq", opEq), compare("Ne", opNe), compare("Lt", opLt), compare("Le", opLe),
	{"Select", []elem{f32, f32, f32}, f32, func(b *builder, x []value) value { return b.sel(b.add(opMask, 0, x[0]), x[1], x[2]) }},
	binary("And", opAnd), binary("Or", opOr), binary("Xor", opXor),
	binary("AddInt", opIAdd), binary("SubInt", opISub), binary("MulInt", opIMul), binary("MinInt", opIMin), binary("MaxInt", opIMax),
	compare("EqInt", opIEq), compare("GtInt", opIGt),
	unary("Neg", func(b *builder, x value) value { return b.xor(x, b.bits(0x80000000)) }),
	unary("Abs", func(b *builder, x value) value { return b.abs(x) }),
	unary("Sign", func(b *builder, x value) value {
		v := b.or(b.and(x, b.bits(0x80000000)), b.f(1))
		v = b.sel(b.add(opEq, 0, x, b.f(0)), x, v)
		return b.sel(b.add(opNe, 0, x, x), x, v)
	}),
	unary("Not", func(b *builder, x value) value { return b.xor(x, b.bits(0xffffffff)) }),
	unary("Square", func(b *builder, x value) value { return b.times(x, x) }),
	unary("Sqrt", func(b *builder, x value) value { return b.add(opSqrt, 0, x) }),
	unary("Rsqrt", func(b *builder, x value) value { return b.add(opDiv, 0, b.f(1), b.add(opSqrt, 0, x)) }),
	unary("Reciprocal", func(b *builder, x value) value { return b.add(opDiv, 0, b.f(1), x) }),
	unary("Relu", func(b *builder, x value) value { return b.larger(x, b.f(0)) }),
	unary("Floor", func(b *builder, x value) value { return b.add(opFloor, 0, x) }),
	unary("Ceil", func(b *builder, x value) value { return b.add(opCeil, 0, x) }),
	unary("Trunc", func(b *builder, x value) value { return b.add(opTrunc, 0, x) }),
	unary("Round", func(b *builder, x value) value { return b.add(opRound, 0, x) }),
	{"Pow", []elem{f32, f32}, f32, func(b *builder, x []value) value { return b.pow(x[0], x[1]) }},
	unary("Exp", (*builder).exp),
	unary("Expm1", (*builder).expm1),
	unary("Log", (*builder).log),
	unary("Log1p", (*builder).log1p),
	unary("Tanh", (*builder).tanh),
	unary("Sigmoid", (*builder).sigmoid),
	unary("Silu", func(b *builder, x value) value { return b.times(x, b.sigmoid(x)) }),
	unary("Erf", (*builder).erf),
	unary("Gelu", (*builder).gelu),
	unary("GeluTanh", (*builder).geluTanh),
	unary("sinSmall", func(b *builder, x value) value { return b.sinCos(x, 0) }),
	unary("cosSmall", func(b *builder, x value) value { return b.sinCos(x, 1) }),
	of("ExpMul", opMul, (*builder).exp),
	of("ExpSub", opSub, (*builder).exp),
	of("SigmoidMul", opMul, (*builder).sigmoid),
	of("TanhMul", opMul, (*builder).tanh),
	{"SiluMul", []elem{f32, f32}, f32, func(b *builder, x []value) value { // silu(a)·b, the gate of a gated MLP
		return b.times(b.times(x[0], b.sigmoid(x[0])), x[1])
	}},
	unary("FloatToInt", (*builder).toInt32),
	unary("IntToFloat", func(b *builder, x value) value { return b.add(opToFloat, 0, x) }),
	{"BF16ToFloat", []elem{bf16}, f32, func(b *builder, x []value) value { return x[0] }},
	{"FloatToBF16", []elem{f32}, bf16, func(b *builder, x []value) value { return b.toBF16(x[0]) }},
	{"F16ToFloat", []elem{f16}, f32, func(b *builder, x []value) value { return x[0] }},
	{"FloatToF16", []elem{f32}, f16, func(b *builder, x []value) value { return x[0] }},
	{"U8ToInt", []elem{u8}, f32, func(b *builder, x []value) value { return x[0] }},
	{"IntToU8", []elem{f32}, u8, func(b *builder, x []value) value { return b.and(x[0], b.bits(255)) }},
	{"BoolToMask", []elem{u8}, f32, func(b *builder, x []value) value {
		return b.add(opISub, 0, b.bits(0), x[0])
	}},
	{"MaskToBool", []elem{f32}, u8, func(b *builder, x []value) value { return b.add(opShr, 31, x[0]) }},
}

// bodyOf builds a function's body: loads, the function, a store.
func (f function) bodyOf() *builder {
	b := &builder{in: f.in, out: []elem{f.out}}
	var x []value
	for i := range f.in {
		x = append(x, b.add(opLoad, uint32(i)))
	}
	b.add(opStore, 0, f.body(b, x))
	return b
}

const microDecl = "(dst, a, b, c unsafe.Pointer, sa, sb, sc, n int)"

// elementwiseX86 writes the functions for one vector width. An operand with
// step 0 is one block of equal values, read again in each turn.
func elementwiseX86(t *text, x x86, suffix string, consts map[uint32]bool) {
	for _, f := range functions {
		b := f.bodyOf()
		n, pinned := fits(x, nil, 4, b)
		if len(b.code) < 6 {
			n = min(n, 4)
		} else {
			n = min(n, 2)
		}
		if m, p := fits(x, nil, n, b); m == n {
			pinned = p
		}
		t.fn(unexport(f.name)+suffix, microDecl, 64)
		t.p("MOVQ dst+0(FP), DI")
		ptr, step := []string{"SI", "DX", "R8"}, []string{"R9", "R10", "R11"}
		for i := range f.in {
			t.p("MOVQ %c+%d(FP), %s", "abc"[i], 8+8*i, ptr[i])
		}
		t.p("MOVQ n+56(FP), CX")
		use := map[uint32]bool{}
		for c := range pinned {
			use[c] = true
		}
		for _, c := range b.constants() {
			if r, ok := pinned[c]; ok {
				x.constant(t, r, c)
			}
		}
		loop := func(n int) {
			for i, e := range f.in {
				t.p("MOVQ s%c+%d(FP), AX", "abc"[i], 32+8*i)
				t.p("IMUL3Q $%d, AX, %s", n*e.size()*x.lanes(), step[i])
			}
			f.loop(t, x, b, n, pinned, use, ptr, step)
		}
		label := t.fresh("tail")
		t.p("SUBQ $%d, CX", n*x.lanes())
		t.p("JLT  %s", label)
		loop(n)
		t.label(label)
		if n > 1 {
			done := t.fresh("done")
			t.p("ADDQ $%d, CX", n*x.lanes())
			t.p("JEQ  %s", done)
			t.p("SUBQ $%d, CX", x.lanes())
			loop(1)
			t.label(done)
		}
		t.p("VZEROUPPER")
		t.p("RET")
		for c := range use {
			consts[c] = true
		}
	}
}

// loop writes the loop over n vectors a turn.
func (f function) loop(t *text, x x86, b *builder, n int, pinned map[uint32]int, use map[uint32]bool, ptr, step []string) {
	l := t.fresh("loop")
	t.label(l)
	c := &compiler{t: t, isa: x, pinned: pinned, use: use, addr: func(slot, index int, store bool) string {
		if store {
			return fmt.Sprintf("%d(DI)", index*f.out.size()*x.lanes())
		}
		return fmt.Sprintf("%d(%s)", index*f.in[slot].size()*x.lanes(), ptr[slot])
	}}
	c.compile(b, n)
	t.p("ADDQ $%d, DI", n*f.out.size()*x.lanes())
	for i := range f.in {
		t.p("ADDQ %s, %s", step[i], ptr[i])
	}
	t.p("SUBQ $%d, CX", n*x.lanes())
	t.p("JGE  %s", l)
}

// elementwiseNEON is elementwiseX86 for arm64.
func elementwiseNEON(t *text) {
	var x neon
	for _, f := range functions {
		b := f.bodyOf()
		n, pinned := fits(x, nil, 2, b)
		t.fn(unexport(f.name)+"NEON", microDecl, 64)
		t.p("MOVD dst+0(FP), R0")
		for i := range f.in {
			t.p("MOVD %c+%d(FP), R%d", "abc"[i], 8+8*i, 1+i)
			t.p("MOVD s%c+%d(FP), R%d", "abc"[i], 32+8*i, 9+i)
		}
		t.p("MOVD n+56(FP), R7")
		for _, c := range b.constants() {
			if r, ok := pinned[c]; ok {
				x.constant(t, r, c)
			}
		}
		loop := func(n int) {
			for i, e := range f.in {
				t.p("MOVD $%d, R8", n*e.size()*4)
				t.p("MUL  R8, R%d, R%d", 9+i, 4+i)
			}
			l := t.fresh("loop")
			t.label(l)
			c := &compiler{t: t, isa: x, pinned: pinned, use: map[uint32]bool{}, addr: func(slot, index int, store bool) string {
				if store {
					return fmt.Sprintf("%d(R0)", index*f.out.size()*4)
				}
				return fmt.Sprintf("%d(R%d)", index*f.in[slot].size()*4, 1+slot)
			}}
			c.compile(b, n)
			t.p("ADD  $%d, R0, R0", n*f.out.size()*4)
			for i := range f.in {
				t.p("ADD  R%d, R%d, R%d", 4+i, 1+i, 1+i)
			}
			t.p("SUBS $%d, R7, R7", n*4)
			t.p("BGE  %s", l)
		}
		tail := t.fresh("tail")
		t.p("SUBS $%d, R7, R7", n*4)
		t.p("BLT  %s", tail)
		loop(n)
		t.label(tail)
		if n > 1 {
			done := t.fresh("done")
			t.p("ADDS $%d, R7, R7", n*4)
			t.p("BEQ  %s", done)
			t.p("SUB  $4, R7, R7")
			loop(1)
			t.label(done)
		}
		t.p("RET")
	}
}

// vecNames writes the list of kernels.
func vecNames() string {
	var s strings.Builder
	s.WriteString("// Code generated by asmgen; DO NOT EDIT.\n\npackage vec\n\n// kernel names an elementwise kernel.\ntype kernel int\n\nconst (\n")
	for i, f := range functions {
		fmt.Fprintf(&s, "\tk%s", export(f.name))
		if i == 0 {
			s.WriteString(" kernel = iota")
		}
		s.WriteString("\n")
	}
	s.WriteString("\n\tkernelCount\n)\n\nvar kernelNames = [kernelCount]string{\n")
	for _, f := range functions {
		fmt.Fprintf(&s, "\t%q,\n", f.name)
	}
	s.WriteString("}\n")
	return s.String()
}

func export(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func unexport(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// constants writes the tables that x86 kernels read.
func constantTables(t *text, wide bool, consts map[uint32]bool) {
	var list []uint32
	for c := range consts {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	t.WriteString("\n")
	for _, c := range list {
		if wide {
			fmt.Fprintf(t, "DATA once_%08x<>+0(SB)/4, $0x%08x\nGLOBL once_%08x<>(SB), RODATA|NOPTR, $4\n", c, c, c)
			continue
		}
		for i := range 4 {
			fmt.Fprintf(t, "DATA eight_%08x<>+%d(SB)/8, $0x%08x%08x\n", c, 8*i, c, c)
		}
		fmt.Fprintf(t, "GLOBL eight_%08x<>(SB), RODATA|NOPTR, $32\n", c)
	}
}

// vecX86 writes the elementwise kernels of one level of amd64.
func vecX86(x x86, suffix string) string {
	t := newText()
	consts := map[uint32]bool{}
	elementwiseX86(t, x, suffix, consts)
	consts[0x3f800000], consts[127] = true, true
	constantTables(t, x.wide, consts)
	return t.String()
}

func vecNEON() string {
	t := newText()
	elementwiseNEON(t)
	return t.String()
}

// vecTable writes the Go declarations of the functions and the table of a level.
func vecTable(levels ...string) string {
	var s strings.Builder
	s.WriteString("// Code generated by asmgen; DO NOT EDIT.\n\n//go:build !noasm\n\npackage vec\n\nimport (\n\t\"unsafe\"\n\n\t\"loris/internal/cpu/feature\"\n)\n")
	for _, l := range levels {
		for _, f := range functions {
			fmt.Fprintf(&s, "\n//go:noescape\nfunc %s%s%s\n", unexport(f.name), l, microDecl)
		}
	}
	s.WriteString("\nvar micros = map[feature.Level][kernelCount]micro{\n")
	for _, l := range levels {
		fmt.Fprintf(&s, "\tfeature.%s: {\n", l)
		for _, f := range functions {
			fmt.Fprintf(&s, "\t\tk%s: %s%s,\n", export(f.name), unexport(f.name), l)
		}
		s.WriteString("\t},\n")
	}
	s.WriteString("}\n")
	return s.String()
}
