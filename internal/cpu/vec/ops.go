package vec

import "math"

// Op is an elementwise operation.
type Op uint8

// The operations. Comparisons give Bool; And, Or, Xor and Not work on Bool and on
// the bits of integers; Select(m, a, b) is a where m is true, else b.
const (
	Add Op = iota
	Sub
	Mul
	Div      // integers: towards zero, and 0 for a zero divisor
	FloorDiv // rounded down; integers: 0 for a zero divisor
	Mod      // a - b·⌊a/b⌋, with the sign of b; integers: 0 for a zero divisor
	Pow
	Minimum // NaN if either operand is
	Maximum
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	And
	Or
	Xor
	Not
	Select
	MulAdd // a·b + c, rounded once
	MulSub // a·b - c
	SubMul // c - a·b
	Neg
	Abs
	Sign
	Square
	Sqrt
	Rsqrt
	Reciprocal
	Relu
	Floor
	Ceil
	Trunc
	Round // ties to even
	Exp
	Expm1
	Log
	Log1p
	Sin
	Cos
	Tanh
	Sigmoid
	Silu
	Erf
	Gelu     // x·Φ(x)
	GeluTanh // the tanh approximation of Gelu
	ExpMul   // exp(a·b)
	ExpSub   // exp(a - b)
	SigmoidMul
	TanhMul
	SiluMul // silu(a)·b

	opCount
)

// opRow says how an operation is done for each type of operands.
type opRow struct {
	name  string
	arity int
	fast  map[Type]kernel // assembly with a twin
	slow  map[Type]micro  // plain Go only
	swap  bool            // exchange the two operands
	truth bool            // the result is Bool
}

// String returns the operation's name, such as "add".
func (o Op) String() string { return rows[o].name }

// Arity returns the number of operands.
func (o Op) Arity() int { return rows[o].arity }

// Supports reports whether the operation exists for operands of a register type
// (F32, F64, I32, I64 or Bool).
func (o Op) Supports(t Type) bool {
	if o >= opCount {
		return false
	}
	return fastKernels[o][t] >= 0 || rows[o].slow[t] != nil
}

type integer interface{ ~int32 | ~int64 }

func floatOnly(name string, k kernel, f func(float64) float64) opRow {
	return opRow{name: name, arity: 1, fast: map[Type]kernel{F32: k}, slow: map[Type]micro{F64: each1(f)}}
}

func float2(name string, k kernel, f func(a, b float64) float64) opRow {
	return opRow{name: name, arity: 2, fast: map[Type]kernel{F32: k}, slow: map[Type]micro{F64: each2(f)}}
}

// comparison is of the kernels for F32 and I32, without one for the latter if that is -1,
// and of loops.
func comparison(name string, k, ki kernel, swap bool, f64, i32, i64 micro) opRow {
	r := opRow{name: name, arity: 2, swap: swap, truth: true, fast: map[Type]kernel{F32: k, I32: ki}, slow: map[Type]micro{F64: f64, I64: i64}}
	if ki < 0 {
		delete(r.fast, I32)
		r.slow[I32] = i32
	}
	return r
}

func quotient[T integer](a, b T) T {
	if b == 0 {
		return 0
	}
	return a / b
}

func floorQuotient[T integer](a, b T) T {
	q := quotient(a, b)
	if q*b != a && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func floorMod[T integer](a, b T) T {
	if b == 0 {
		return 0
	}
	return a - b*floorQuotient(a, b)
}

// floatMod has the sign of b, as in Python; it is exact where math.Mod is.
func floatMod(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	if m == 0 {
		m = math.Copysign(0, b)
	}
	return m
}

func in32(f func(a, b float64) float64) micro {
	return each2(func(a, b float32) float32 { return float32(f(float64(a), float64(b))) })
}

// intPow is a power of integers; negative exponents give what the quotient rounds to.
func intPow[T integer](a, b T) T {
	if b < 0 {
		switch a {
		case 1:
			return 1
		case -1:
			return 1 - 2*(-b&1)
		}
		return 0
	}
	r := T(1)
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			r *= a
		}
		a *= a
	}
	return r
}

func abs[T integer](x T) T { return max(x, -x) }

var rows = [opCount]opRow{
	Add: {name: "add", arity: 2, fast: map[Type]kernel{F32: kAdd, I32: kAddInt}, slow: map[Type]micro{
		F64: plainAdd[float64], I64: plainAdd[int64]}},
	Sub: {name: "sub", arity: 2, fast: map[Type]kernel{F32: kSub, I32: kSubInt}, slow: map[Type]micro{
		F64: plainSub[float64], I64: plainSub[int64]}},
	Mul: {name: "mul", arity: 2, fast: map[Type]kernel{F32: kMul, I32: kMulInt}, slow: map[Type]micro{
		F64: plainMul[float64], I64: plainMul[int64]}},
	Div: {name: "div", arity: 2, fast: map[Type]kernel{F32: kDiv}, slow: map[Type]micro{
		F64: plainDiv, I32: each2(quotient[int32]), I64: each2(quotient[int64])}},
	FloorDiv: {name: "floordiv", arity: 2, slow: map[Type]micro{
		F32: in32(func(a, b float64) float64 { return math.Floor(a / b) }),
		F64: each2(func(a, b float64) float64 { return math.Floor(a / b) }), I32: each2(floorQuotient[int32]), I64: each2(floorQuotient[int64])}},
	Mod: {name: "mod", arity: 2, slow: map[Type]micro{
		F32: in32(floatMod), F64: each2(floatMod), I32: each2(floorMod[int32]), I64: each2(floorMod[int64])}},
	Pow: {name: "pow", arity: 2, fast: map[Type]kernel{F32: kPow}, slow: map[Type]micro{
		F64: each2(math.Pow), I32: each2(intPow[int32]), I64: each2(intPow[int64])}},
	Minimum: {name: "minimum", arity: 2, fast: map[Type]kernel{F32: kMinimum, I32: kMinInt}, slow: map[Type]micro{
		F64: plainMin[float64], I64: plainMin[int64]}},
	Maximum: {name: "maximum", arity: 2, fast: map[Type]kernel{F32: kMaximum, I32: kMaxInt}, slow: map[Type]micro{
		F64: plainMax[float64], I64: plainMax[int64]}},
	Eq:  withBool(comparison("eq", kEq, kEqInt, false, plainEq[float64], plainEq[int32], plainEq[int64]), kEqInt),
	Ne:  withBool(comparison("ne", kNe, -1, false, plainNe[float64], plainNe[int32], plainNe[int64]), kXor),
	Lt:  comparison("lt", kLt, -1, false, plainLt[float64], plainLt[int32], plainLt[int64]),
	Le:  comparison("le", kLe, -1, false, plainLe[float64], plainLe[int32], plainLe[int64]),
	Gt:  comparison("gt", kLt, -1, true, plainLt[float64], plainLt[int32], plainLt[int64]),
	Ge:  comparison("ge", kLe, -1, true, plainLe[float64], plainLe[int32], plainLe[int64]),
	And: bitwise("and", kAnd, func(a, b int64) int64 { return a & b }),
	Or:  bitwise("or", kOr, func(a, b int64) int64 { return a | b }),
	Xor: bitwise("xor", kXor, func(a, b int64) int64 { return a ^ b }),
	Not: {name: "not", arity: 1, fast: map[Type]kernel{I32: kNot, Bool: kNot}, slow: map[Type]micro{I64: each1(func(x int64) int64 { return ^x })}},
	Select: {name: "select", arity: 3, fast: map[Type]kernel{F32: kSelect, I32: kSelect, Bool: kSelect}, slow: map[Type]micro{
		F64: plainSelect, I64: plainSelect}},
	MulAdd: {name: "muladd", arity: 3, fast: map[Type]kernel{F32: kMulAdd}, slow: map[Type]micro{F64: each3(math.FMA)}},
	MulSub: {name: "mulsub", arity: 3, fast: map[Type]kernel{F32: kMulSub}, slow: map[Type]micro{
		F64: each3(func(a, b, c float64) float64 { return math.FMA(a, b, -c) })}},
	SubMul: {name: "submul", arity: 3, fast: map[Type]kernel{F32: kSubMul}, slow: map[Type]micro{
		F64: each3(func(a, b, c float64) float64 { return math.FMA(-a, b, c) })}},
	Neg: {name: "neg", arity: 1, fast: map[Type]kernel{F32: kNeg}, slow: map[Type]micro{
		F64: each1(func(x float64) float64 { return -x }), I32: each1(func(x int32) int32 { return -x }), I64: each1(func(x int64) int64 { return -x })}},
	Abs: {name: "abs", arity: 1, fast: map[Type]kernel{F32: kAbs}, slow: map[Type]micro{F64: each1(math.Abs), I32: each1(abs[int32]), I64: each1(abs[int64])}},
	Sign: {name: "sign", arity: 1, fast: map[Type]kernel{F32: kSign}, slow: map[Type]micro{
		F64: each1(sign[float64]), I32: each1(sign[int32]), I64: each1(sign[int64])}},
	Square: {name: "square", arity: 1, fast: map[Type]kernel{F32: kSquare}, slow: map[Type]micro{
		F64: each1(func(x float64) float64 { return x * x }), I32: each1(func(x int32) int32 { return x * x }), I64: each1(func(x int64) int64 { return x * x })}},
	Sqrt:       floatOnly("sqrt", kSqrt, math.Sqrt),
	Rsqrt:      floatOnly("rsqrt", kRsqrt, func(x float64) float64 { return 1 / math.Sqrt(x) }),
	Reciprocal: floatOnly("reciprocal", kReciprocal, func(x float64) float64 { return 1 / x }),
	Relu: {name: "relu", arity: 1, fast: map[Type]kernel{F32: kRelu}, slow: map[Type]micro{
		F64: each1(func(x float64) float64 { return larger(x, 0) }), I32: each1(func(x int32) int32 { return max(x, 0) }), I64: each1(func(x int64) int64 { return max(x, 0) })}},
	Floor:      floatOnly("floor", kFloor, math.Floor),
	Ceil:       floatOnly("ceil", kCeil, math.Ceil),
	Trunc:      floatOnly("trunc", kTrunc, math.Trunc),
	Round:      floatOnly("round", kRound, math.RoundToEven),
	Exp:        floatOnly("exp", kExp, math.Exp),
	Expm1:      floatOnly("expm1", kExpm1, math.Expm1),
	Log:        floatOnly("log", kLog, math.Log),
	Log1p:      floatOnly("log1p", kLog1p, math.Log1p),
	Sin:        floatOnly("sin", kSinSmall, math.Sin),
	Cos:        floatOnly("cos", kCosSmall, math.Cos),
	Tanh:       floatOnly("tanh", kTanh, math.Tanh),
	Sigmoid:    floatOnly("sigmoid", kSigmoid, sigmoid),
	Silu:       floatOnly("silu", kSilu, func(x float64) float64 { return x * sigmoid(x) }),
	Erf:        floatOnly("erf", kErf, math.Erf),
	Gelu:       floatOnly("gelu", kGelu, gelu),
	GeluTanh:   floatOnly("gelutanh", kGeluTanh, geluTanh),
	ExpMul:     float2("expmul", kExpMul, func(a, b float64) float64 { return math.Exp(a * b) }),
	ExpSub:     float2("expsub", kExpSub, func(a, b float64) float64 { return math.Exp(a - b) }),
	SigmoidMul: float2("sigmoidmul", kSigmoidMul, func(a, b float64) float64 { return sigmoid(a * b) }),
	TanhMul:    float2("tanhmul", kTanhMul, func(a, b float64) float64 { return math.Tanh(a * b) }),
	SiluMul:    float2("silumul", kSiluMul, func(a, b float64) float64 { return a * sigmoid(a) * b }),
}

func withBool(r opRow, k kernel) opRow {
	r.fast[Bool] = k
	return r
}

func bitwise(name string, k kernel, f func(a, b int64) int64) opRow {
	return opRow{name: name, arity: 2, fast: map[Type]kernel{I32: k, Bool: k}, slow: map[Type]micro{I64: each2(f)}}
}

// fastKernels is what rows says of assembly, without the look-up in a map; -1 for none.
var fastKernels = func() (table [opCount][typeCount]kernel) {
	for o := range table {
		for t := range table[o] {
			k, ok := rows[o].fast[Type(t)]
			if !ok {
				k = -1
			}
			table[o][t] = k
		}
	}
	return table
}()

// find returns the micro-operation for operands of a type.
func (o Op) find(t Type) micro {
	if k := fastKernels[o][t]; k >= 0 {
		return active[k]
	}
	return rows[o].slow[t]
}

// result returns the type of the result for operands of a type.
func (o Op) result(t Type) Type {
	if rows[o].truth {
		return Bool
	}
	return t
}

// reads and writes convert between memory and registers where they differ.
var (
	reads  = map[Type]kernel{F16: kF16ToFloat, BF16: kBF16ToFloat, U8: kU8ToInt, Bool: kBoolToMask}
	writes = map[Type]kernel{F16: kFloatToF16, BF16: kFloatToBF16, U8: kIntToU8, Bool: kMaskToBool}
)
