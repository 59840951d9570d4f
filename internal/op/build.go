package op

import (
	"math"
	"sync/atomic"

	"loris/internal/ir"
)

// Apply makes the node of op id with the given attributes and inputs (of which
// none is nil), or panics with *ir.Error.
func Apply(id ir.Op, attrs ir.Attrs, in ...*ir.Node) *ir.Node {
	return ApplyOutput(id, attrs, 0, in...)
}

// OutputsOf returns how many outputs an op with these attributes has.
func OutputsOf(id ir.Op, attrs ir.Attrs) int {
	if k, ok := attrs.(*Kernel); ok {
		return len(k.Shapes)
	}
	return max(1, Table[id].NumOutputs)
}

// ApplyOutput is Apply for one output of an op that has several.
func ApplyOutput(id ir.Op, attrs ir.Attrs, output int, in ...*ir.Node) *ir.Node {
	row := &Table[id]
	n := ir.NewNode(id, 0, nil, attrs, in...) // its inputs, not in, go to infer: in stays on the caller's stack
	dtype, shape, err := row.infer(n.Inputs(), attrs, output)
	if err != nil {
		Raise(row.Name, err, n.Inputs()...)
	}
	n.DType, n.Shape, n.Output = dtype, shape, uint8(output)
	return finish(n)
}

// infer is Infer with a limit on what operands may make together: sizes must not
// overflow.
func (r *Row) infer(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	dtype, shape, err := r.Infer(in, attrs, output)
	if err == nil {
		err = CheckShape(shape)
	}
	return dtype, shape, err
}

// ApplyAll makes out, which is all zero, the nodes of the first outputs of an op
// that has several. They share in, which is retained.
func ApplyAll(id ir.Op, attrs ir.Attrs, out []ir.Node, in []*ir.Node) {
	row := &Table[id]
	for i := range out {
		dtype, shape, err := row.infer(in, attrs, i)
		if err != nil {
			Raise(row.Name, err, in...)
		}
		n := &out[i]
		n.Init(id, dtype, shape, attrs, in)
		n.Output = uint8(i)
		finish(n)
	}
}

func finish(n *ir.Node) *ir.Node {
	if h := ir.CurrentHost(); h != nil {
		n.Pos = h.Pos()
	}
	return ir.Finish(n)
}

// Unary makes an elementwise node with one input. Integers and bools become
// f32 where the function needs floats.
func Unary(id ir.Op, x *ir.Node) *ir.Node {
	dtype, need, err := unaryDType(id, x.DType)
	if err != nil {
		Raise(Table[id].Name, err, x)
	}
	if x.DType != need {
		x = CastTo(x, need)
	}
	return finish(ir.NewNode1(id, dtype, x.Shape, nil, x))
}

// Binary makes an elementwise node with two inputs of any dtypes and
// broadcastable shapes.
func Binary(id ir.Op, a, b *ir.Node) *ir.Node {
	dtype, need, err := binaryDType(id, a.DType, b.DType)
	if err != nil {
		Raise(Table[id].Name, err, a, b)
	}
	shape, ok := ir.Broadcast(a.Shape, b.Shape)
	if !ok || len(shape) > MaxRank {
		Raise(Table[id].Name, broadcastError(a.Shape, b.Shape), a, b)
	}
	if !shape.Equal(a.Shape) && !shape.Equal(b.Shape) {
		if err := CheckShape(shape); err != nil {
			Raise(Table[id].Name, err, a, b)
		}
	}
	if a.DType != need {
		a = CastTo(a, need)
	}
	if b.DType != need {
		b = CastTo(b, need)
	}
	return finish(ir.NewNode2(id, dtype, shape, nil, a, b))
}

func broadcastError(a, b ir.Shape) *ir.Error {
	e := problem(ir.CodeShape, "shapes %v and %v do not broadcast", a, b)
	if len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0] {
		e.Hint = "one of them is transposed: did you mean x.T()?"
		return e
	}
	if len(b) == 1 && len(a) >= 2 && a[0] == b[0] {
		e.Hint = "axes are matched from the right: did you mean w.Unsqueeze(-1)?"
		return e
	}
	e.Hint = "axes are matched from the right; each pair must be equal, or one of them 1"
	return e
}

// CastTo returns x with the given dtype: x itself if it has it.
func CastTo(x *ir.Node, dtype ir.DType) *ir.Node {
	if x.DType == dtype {
		return x
	}
	if x.Op == Const {
		return Filled(castConst(x.Const, dtype), dtype, x.Shape)
	}
	return Apply(Cast, To{dtype}, x)
}

// Filled returns a constant.
func Filled(v float64, dtype ir.DType, shape ir.Shape) *ir.Node {
	if len(shape) == 0 {
		return scalar(v, dtype)
	}
	n := ir.NewNode0(Const, dtype, shape, nil)
	n.Const = castConst(v, dtype)
	return finish(n)
}

// scalars holds recently used scalar constants: they never change, and most
// programs use few.
var scalars [256]atomic.Pointer[ir.Node]

// scalar returns a constant without axes; it may be shared.
func scalar(v float64, dtype ir.DType) *ir.Node { return shared(castConst(v, dtype), dtype) }

// HalfScalar returns a Go number as an operand of an op on halves. Devices compute
// these in f32, so that arithmetic takes the number in f32 too, as PyTorch does:
// 0.5·70000 fits f16, though 70000 does not. Comparisons take the rounded number,
// which is what a tensor that was made of the same number holds.
func HalfScalar(id ir.Op, v float64, dtype ir.DType) *ir.Node {
	switch id {
	case Add, Sub, Mul, Div:
		return shared(ir.F32.Round(v), dtype)
	}
	return scalar(v, dtype)
}

// shared returns a constant node of a value that dtype holds.
func shared(v float64, dtype ir.DType) *ir.Node {
	bits := math.Float64bits(v)
	slot := &scalars[(bits>>52^bits>>44^bits>>20^uint64(dtype)*37)&255]
	if n := slot.Load(); n != nil && math.Float64bits(n.Const) == bits && n.DType == dtype {
		return n
	}
	n := ir.NewNode0(Const, dtype, nil, nil)
	n.Const = v
	ir.Finish(n)
	slot.Store(n)
	return n
}

// WeakScalar returns a Go number as an operand for a tensor of the given
// dtype: it takes that dtype, but for a float against an integer or bool (f32)
// and an integer against a bool (i64).
func WeakScalar(v float64, isFloat bool, other ir.DType) *ir.Node {
	switch {
	case other.IsFloat():
	case isFloat || other == ir.Q8 || other == ir.Q4:
		other = ir.F32
	case other == ir.Bool:
		other = ir.I64
	case v < minOf(other) || v > maxOf(other):
		other = ir.I64
	}
	return scalar(v, other)
}

func minOf(d ir.DType) float64 {
	switch d {
	case ir.I32:
		return math.MinInt32
	case ir.I64:
		return math.MinInt64
	}
	return 0
}

func maxOf(d ir.DType) float64 {
	switch d {
	case ir.I32:
		return math.MaxInt32
	case ir.I64:
		return math.MaxInt64
	case ir.Bool:
		return 1
	}
	return math.MaxUint8
}

// castConst rounds v to a value that dtype can hold, as Cast does.
func castConst(v float64, dtype ir.DType) float64 {
	switch {
	case dtype.IsFloat():
		return dtype.Round(v)
	case dtype == ir.Bool:
		if v != 0 {
			return 1
		}
		return 0
	case v != v:
		return 0
	}
	return max(minOf(dtype), min(maxOf(dtype), math.Trunc(v)))
}

// Classes of elementwise functions by the dtypes they take and give.
const (
	numeric   = iota + 1 // any but bool (bools become i64)
	anyDense             // any
	floating             // integers and bools become f32
	predicate            // any → bool
	logical              // made bool → bool
)

var class = [NumOps]uint8{
	Neg: numeric, Abs: numeric, Sign: numeric, Square: numeric, Relu: numeric,
	Floor: numeric, Ceil: numeric, Round: numeric,
	Sqrt: floating, Rsqrt: floating, Reciprocal: floating, Exp: floating, Expm1: floating, Log: floating,
	Log1p: floating, Sin: floating, Cos: floating, Tanh: floating, Erf: floating, Sigmoid: floating,
	Gelu: floating, GeluTanh: floating, Silu: floating,
	Not: logical, IsNaN: predicate, IsInf: predicate,
	Add: numeric, Sub: numeric, Mul: numeric, Div: floating, Pow: numeric, Mod: numeric,
	Maximum: anyDense, Minimum: anyDense,
	Eq: predicate, Ne: predicate, Lt: predicate, Le: predicate, Gt: predicate, Ge: predicate,
	And: logical, Or: logical,
}

// unaryDType returns the dtype of the result and the one its input must have.
func unaryDType(id ir.Op, x ir.DType) (out, need ir.DType, err *ir.Error) {
	if x == ir.Q8 || x == ir.Q4 || x == ir.Invalid {
		return 0, 0, problem(ir.CodeDType, "%s does not work on %s", Table[id].Name, x)
	}
	switch class[id] {
	case numeric:
		if x == ir.Bool {
			x = ir.I64
		}
	case floating:
		if !x.IsFloat() {
			x = ir.F32
		}
	case predicate:
		return ir.Bool, x, nil
	case logical:
		return ir.Bool, ir.Bool, nil
	}
	return x, x, nil
}

// binaryDType returns the dtype of the result and the one both inputs must have.
func binaryDType(id ir.Op, a, b ir.DType) (out, need ir.DType, err *ir.Error) {
	if a != b {
		for _, d := range [2]ir.DType{a, b} {
			if d == ir.Q8 || d == ir.Q4 {
				return 0, 0, hinted("call Dequantize first").with(problem(ir.CodeDType, "%s does not work on %s", Table[id].Name, d))
			}
		}
		a = ir.Promote(a, b)
	}
	return unaryDType(id, a)
}
