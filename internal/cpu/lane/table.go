package lane

// Function is an elementwise kernel: its name in package vec, the types of its
// operands and result in memory, and the body.
type Function struct {
	Name string
	In   []Elem
	Out  Elem
	Body func(b *Builder, x []Value) Value
}

func unary(name string, f func(b *Builder, x Value) Value) Function {
	return Function{name, []Elem{F32}, F32, func(b *Builder, x []Value) Value { return f(b, x[0]) }}
}

func binary(name string, o Op) Function {
	return Function{name, []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return b.Add(o, 0, x...) }}
}

func ternary(name string, o Op) Function {
	return Function{name, []Elem{F32, F32, F32}, F32, func(b *Builder, x []Value) Value { return b.Add(o, 0, x...) }}
}

func compare(name string, o Op) Function {
	return Function{name, []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return b.Add(OpLanes, 0, b.Add(o, 0, x...)) }}
}

// of applies a function to a product or sum of two operands.
func of(name string, o Op, f func(b *Builder, x Value) Value) Function {
	return Function{name, []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return f(b, b.Add(o, 0, x...)) }}
}

// Functions lists the elementwise kernels. vec has a Go twin under each name.
var Functions = []Function{
	binary("Add", OpAdd), binary("Sub", OpSub), binary("Mul", OpMul), binary("Div", OpDiv),
	ternary("MulAdd", OpFMA), ternary("MulSub", OpFMS), ternary("SubMul", OpFNMA),
	{"Minimum", []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return b.Smaller(x[0], x[1]) }},
	{"Maximum", []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return b.Larger(x[0], x[1]) }},
	compare("Eq", OpEq), compare("Ne", OpNe), compare("Lt", OpLt), compare("Le", OpLe),
	{"Select", []Elem{F32, F32, F32}, F32, func(b *Builder, x []Value) Value { return b.sel(b.Add(OpMask, 0, x[0]), x[1], x[2]) }},
	binary("And", OpAnd), binary("Or", OpOr), binary("Xor", OpXor),
	binary("AddInt", OpIAdd), binary("SubInt", OpISub), binary("MulInt", OpIMul), binary("MinInt", OpIMin), binary("MaxInt", OpIMax),
	compare("EqInt", OpIEq), compare("GtInt", OpIGt),
	unary("Neg", func(b *Builder, x Value) Value { return b.xor(x, b.Bits(0x80000000)) }),
	unary("Abs", func(b *Builder, x Value) Value { return b.abs(x) }),
	unary("Sign", func(b *Builder, x Value) Value {
		v := b.or(b.and(x, b.Bits(0x80000000)), b.F(1))
		v = b.sel(b.Add(OpEq, 0, x, b.F(0)), x, v)
		return b.sel(b.Add(OpNe, 0, x, x), x, v)
	}),
	unary("Not", func(b *Builder, x Value) Value { return b.xor(x, b.Bits(0xffffffff)) }),
	unary("Square", func(b *Builder, x Value) Value { return b.Times(x, x) }),
	unary("Sqrt", func(b *Builder, x Value) Value { return b.Add(OpSqrt, 0, x) }),
	unary("Rsqrt", func(b *Builder, x Value) Value { return b.Add(OpDiv, 0, b.F(1), b.Add(OpSqrt, 0, x)) }),
	unary("Reciprocal", func(b *Builder, x Value) Value { return b.Add(OpDiv, 0, b.F(1), x) }),
	unary("Relu", func(b *Builder, x Value) Value { return b.Larger(x, b.F(0)) }),
	unary("Floor", func(b *Builder, x Value) Value { return b.Add(OpFloor, 0, x) }),
	unary("Ceil", func(b *Builder, x Value) Value { return b.Add(OpCeil, 0, x) }),
	unary("Trunc", func(b *Builder, x Value) Value { return b.Add(OpTrunc, 0, x) }),
	unary("Round", func(b *Builder, x Value) Value { return b.Add(OpRound, 0, x) }),
	{"Pow", []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { return b.pow(x[0], x[1]) }},
	unary("Exp", (*Builder).Exp),
	unary("Expm1", (*Builder).expm1),
	unary("Log", (*Builder).Log),
	unary("Log1p", (*Builder).log1p),
	unary("Tanh", (*Builder).tanh),
	unary("Sigmoid", (*Builder).sigmoid),
	unary("Silu", func(b *Builder, x Value) Value { return b.Times(x, b.sigmoid(x)) }),
	unary("Erf", (*Builder).erf),
	unary("Gelu", (*Builder).gelu),
	unary("GeluTanh", (*Builder).geluTanh),
	unary("sinSmall", func(b *Builder, x Value) Value { return b.sinCos(x, 0) }),
	unary("cosSmall", func(b *Builder, x Value) Value { return b.sinCos(x, 1) }),
	of("ExpMul", OpMul, (*Builder).Exp),
	of("ExpSub", OpSub, (*Builder).Exp),
	of("SigmoidMul", OpMul, (*Builder).sigmoid),
	of("TanhMul", OpMul, (*Builder).tanh),
	{"SiluMul", []Elem{F32, F32}, F32, func(b *Builder, x []Value) Value { // silu(a)·b, the gate of a gated MLP
		return b.Times(b.Times(x[0], b.sigmoid(x[0])), x[1])
	}},
	unary("WordToNormal", (*Builder).normal),
	unary("FloatToInt", (*Builder).toInt32),
	unary("IntToFloat", func(b *Builder, x Value) Value { return b.Add(OpToFloat, 0, x) }),
	{"BF16ToFloat", []Elem{BF16}, F32, func(b *Builder, x []Value) Value { return x[0] }},
	{"FloatToBF16", []Elem{F32}, BF16, func(b *Builder, x []Value) Value { return b.toBF16(x[0]) }},
	{"F16ToFloat", []Elem{F16}, F32, func(b *Builder, x []Value) Value { return x[0] }},
	{"FloatToF16", []Elem{F32}, F16, func(b *Builder, x []Value) Value { return x[0] }},
	{"U8ToInt", []Elem{U8}, F32, func(b *Builder, x []Value) Value { return x[0] }},
	{"IntToU8", []Elem{F32}, U8, func(b *Builder, x []Value) Value { return b.and(x[0], b.Bits(255)) }},
	{"BoolToMask", []Elem{U8}, F32, func(b *Builder, x []Value) Value {
		return b.Add(OpISub, 0, b.Bits(0), x[0])
	}},
	{"MaskToBool", []Elem{F32}, U8, func(b *Builder, x []Value) Value { return b.Add(OpShr, 31, x[0]) }},
}

// BodyOf builds a function's body: loads, the function, a store.
func (f Function) BodyOf() *Builder {
	b := &Builder{In: f.In, Out: []Elem{f.Out}}
	var x []Value
	for i := range f.In {
		x = append(x, b.Add(OpLoad, uint32(i)))
	}
	b.Add(OpStore, 0, f.Body(b, x))
	return b
}
