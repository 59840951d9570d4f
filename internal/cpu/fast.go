package cpu

import (
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// vecOps are the ops that package vec knows under one name.
var vecOps = map[ir.Op]vec.Op{
	op.Add: vec.Add, op.Sub: vec.Sub, op.Mul: vec.Mul, op.Div: vec.Div, op.Mod: vec.Mod, op.Pow: vec.Pow,
	op.Minimum: vec.Minimum, op.Maximum: vec.Maximum,
	op.Eq: vec.Eq, op.Ne: vec.Ne, op.Lt: vec.Lt, op.Le: vec.Le, op.Gt: vec.Gt, op.Ge: vec.Ge,
	op.And: vec.And, op.Or: vec.Or, op.Not: vec.Not, op.Where: vec.Select,
	op.Neg: vec.Neg, op.Abs: vec.Abs, op.Sign: vec.Sign, op.Square: vec.Square, op.Sqrt: vec.Sqrt,
	op.Rsqrt: vec.Rsqrt, op.Reciprocal: vec.Reciprocal, op.Relu: vec.Relu,
	op.Floor: vec.Floor, op.Ceil: vec.Ceil, op.Round: vec.Round,
	op.Exp: vec.Exp, op.Expm1: vec.Expm1, op.Log: vec.Log, op.Log1p: vec.Log1p, op.Sin: vec.Sin, op.Cos: vec.Cos,
	op.Tanh: vec.Tanh, op.Sigmoid: vec.Sigmoid, op.Silu: vec.Silu, op.Erf: vec.Erf, op.Gelu: vec.Gelu, op.GeluTanh: vec.GeluTanh,
}

// fast returns the kernel of an instruction where there is a better one than
// the generic: float32 arithmetic in assembly.
func fast(in *plan.Instr, from ir.DType) micro {
	v, ok := vecOps[in.Op]
	if !ok || from != ir.F32 || in.DType == ir.Bool || in.Op == op.Where || !v.Supports(vec.F32) {
		return nil
	}
	if v.Arity() == 1 {
		return func(dst, a, _, _ unsafe.Pointer, n int) {
			vec.Unary(v, slice[float32](dst, n), slice[float32](a, n))
		}
	}
	return func(dst, a, b, _ unsafe.Pointer, n int) {
		vec.Binary(v, slice[float32](dst, n), slice[float32](a, n), slice[float32](b, n))
	}
}

// rowMicro computes rows of cols float32, of which one operand has blocks of one number.
type rowMicro func(dst, a, b unsafe.Pointer, rows, cols int)

// byRow returns the kernel of a binary operation whose operand 0 or 1 is repeated.
func byRow(o vec.Op, repeated int) rowMicro {
	return func(dst, a, b unsafe.Pointer, rows, cols int) {
		lens := [2]int{cols, cols}
		lens[repeated] = vec.Repeats
		for i := range rows {
			x, y := slice[float32](unsafe.Add(a, 4*i*lens[0]), lens[0]), slice[float32](unsafe.Add(b, 4*i*lens[1]), lens[1])
			vec.BinaryRepeated(o, slice[float32](unsafe.Add(dst, 4*i*cols), cols), x, y, repeated)
		}
	}
}
