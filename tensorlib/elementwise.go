package tensorlib

import (
	"math"

	"loris/internal/ir"
	"loris/internal/op"
)

// The elementwise ops. The shapes of two operands broadcast by NumPy's rules:
// they are aligned at the last axis, and sizes must be equal or 1. Different
// dtypes are promoted: the wider float wins, a float over an integer, f16 with
// bf16 gives f32. Op table rows hold the rest: see internal/op.

func unary(id ir.Op, name string, x *Tensor) *Tensor { return wrap(op.Unary(id, x.n(name))) }

func binary(id ir.Op, name string, x *Tensor, w any) *Tensor {
	a := x.n(name)
	b := operand(name, w, a.DType)
	if f, _, ok := number(w); ok && (b.DType == F16 || b.DType == BF16) {
		b = op.HalfScalar(id, f, b.DType)
	}
	return wrap(op.Binary(id, a, b))
}

// Neg returns -x, for each element.
func (x *Tensor) Neg() *Tensor { return unary(op.Neg, "Neg", x) }

// Abs returns |x|, for each element.
func (x *Tensor) Abs() *Tensor { return unary(op.Abs, "Abs", x) }

// Sign returns -1, 0 or 1, for each element.
func (x *Tensor) Sign() *Tensor { return unary(op.Sign, "Sign", x) }

// Sqrt returns √x, for each element.
func (x *Tensor) Sqrt() *Tensor { return unary(op.Sqrt, "Sqrt", x) }

// Rsqrt returns 1/√x, for each element.
func (x *Tensor) Rsqrt() *Tensor { return unary(op.Rsqrt, "Rsqrt", x) }

// Square returns x², for each element.
func (x *Tensor) Square() *Tensor { return unary(op.Square, "Square", x) }

// Reciprocal returns 1/x, for each element.
func (x *Tensor) Reciprocal() *Tensor { return unary(op.Reciprocal, "Reciprocal", x) }

// Exp returns eˣ, for each element.
func (x *Tensor) Exp() *Tensor { return unary(op.Exp, "Exp", x) }

// Expm1 returns eˣ-1, exact near 0, for each element.
func (x *Tensor) Expm1() *Tensor { return unary(op.Expm1, "Expm1", x) }

// Log returns the natural logarithm, for each element.
func (x *Tensor) Log() *Tensor { return unary(op.Log, "Log", x) }

// Log1p returns ln(1+x), exact near 0, for each element.
func (x *Tensor) Log1p() *Tensor { return unary(op.Log1p, "Log1p", x) }

// Sin returns the sine of x in radians, for each element.
func (x *Tensor) Sin() *Tensor { return unary(op.Sin, "Sin", x) }

// Cos returns the cosine of x in radians, for each element.
func (x *Tensor) Cos() *Tensor { return unary(op.Cos, "Cos", x) }

// Tanh returns the hyperbolic tangent, for each element.
func (x *Tensor) Tanh() *Tensor { return unary(op.Tanh, "Tanh", x) }

// Erf returns the error function, for each element.
func (x *Tensor) Erf() *Tensor { return unary(op.Erf, "Erf", x) }

// Sigmoid returns 1/(1+e⁻ˣ), for each element.
func (x *Tensor) Sigmoid() *Tensor { return unary(op.Sigmoid, "Sigmoid", x) }

// Relu returns max(x, 0), for each element.
func (x *Tensor) Relu() *Tensor { return unary(op.Relu, "Relu", x) }

// Gelu returns x·Φ(x), the exact form of GELU, for each element.
func (x *Tensor) Gelu() *Tensor { return unary(op.Gelu, "Gelu", x) }

// GeluTanh returns the tanh approximation of Gelu, for each element.
func (x *Tensor) GeluTanh() *Tensor { return unary(op.GeluTanh, "GeluTanh", x) }

// Silu returns x·Sigmoid(x), also called swish, for each element.
func (x *Tensor) Silu() *Tensor { return unary(op.Silu, "Silu", x) }

// Floor returns x rounded down, for each element.
func (x *Tensor) Floor() *Tensor { return unary(op.Floor, "Floor", x) }

// Ceil returns x rounded up, for each element.
func (x *Tensor) Ceil() *Tensor { return unary(op.Ceil, "Ceil", x) }

// Round returns x rounded to the nearest integer, halves to even, for each element.
func (x *Tensor) Round() *Tensor { return unary(op.Round, "Round", x) }

// Not returns true where x is 0 or false, for each element.
func (x *Tensor) Not() *Tensor { return unary(op.Not, "Not", x) }

// IsNaN returns true where x is NaN, for each element.
func (x *Tensor) IsNaN() *Tensor { return unary(op.IsNaN, "IsNaN", x) }

// IsInf returns true where x is infinite, for each element.
func (x *Tensor) IsInf() *Tensor { return unary(op.IsInf, "IsInf", x) }

// Add returns x+w, for each pair of elements, broadcast.
func (x *Tensor) Add(w any) *Tensor { return binary(op.Add, "Add", x, w) }

// Sub returns x-w, for each pair of elements, broadcast.
func (x *Tensor) Sub(w any) *Tensor { return binary(op.Sub, "Sub", x, w) }

// Mul returns x·w, for each pair of elements, broadcast.
func (x *Tensor) Mul(w any) *Tensor { return binary(op.Mul, "Mul", x, w) }

// Div returns x/w; integers become f32, for each pair of elements, broadcast.
func (x *Tensor) Div(w any) *Tensor { return binary(op.Div, "Div", x, w) }

// Pow returns x to the power w, for each pair of elements, broadcast.
func (x *Tensor) Pow(w any) *Tensor { return binary(op.Pow, "Pow", x, w) }

// Mod returns the remainder of x/w with the sign of w, for each pair of elements, broadcast.
func (x *Tensor) Mod(w any) *Tensor { return binary(op.Mod, "Mod", x, w) }

// Maximum returns the larger of x and w, for each pair of elements, broadcast.
func (x *Tensor) Maximum(w any) *Tensor { return binary(op.Maximum, "Maximum", x, w) }

// Minimum returns the smaller of x and w, for each pair of elements, broadcast.
func (x *Tensor) Minimum(w any) *Tensor { return binary(op.Minimum, "Minimum", x, w) }

// Eq returns true where x = w, for each pair of elements, broadcast.
func (x *Tensor) Eq(w any) *Tensor { return binary(op.Eq, "Eq", x, w) }

// Ne returns true where x ≠ w, for each pair of elements, broadcast.
func (x *Tensor) Ne(w any) *Tensor { return binary(op.Ne, "Ne", x, w) }

// Lt returns true where x < w, for each pair of elements, broadcast.
func (x *Tensor) Lt(w any) *Tensor { return binary(op.Lt, "Lt", x, w) }

// Le returns true where x ≤ w, for each pair of elements, broadcast.
func (x *Tensor) Le(w any) *Tensor { return binary(op.Le, "Le", x, w) }

// Gt returns true where x > w, for each pair of elements, broadcast.
func (x *Tensor) Gt(w any) *Tensor { return binary(op.Gt, "Gt", x, w) }

// Ge returns true where x ≥ w, for each pair of elements, broadcast.
func (x *Tensor) Ge(w any) *Tensor { return binary(op.Ge, "Ge", x, w) }

// And returns true where both are, for each pair of elements, broadcast.
func (x *Tensor) And(w any) *Tensor { return binary(op.And, "And", x, w) }

// Or returns true where either is, for each pair of elements, broadcast.
func (x *Tensor) Or(w any) *Tensor { return binary(op.Or, "Or", x, w) }

// Clip returns x limited to lo … hi, which may be tensors; nil sets no limit.
// Where lo is above hi, the result is hi.
func (x *Tensor) Clip(lo, hi any) *Tensor {
	x.n("Clip")
	y := x
	if lo != nil {
		y = y.Maximum(lo)
	}
	if hi != nil {
		y = y.Minimum(hi)
	}
	return via(op.Clip, y, x)
}

// Trunc returns x rounded towards zero.
func (x *Tensor) Trunc() *Tensor {
	n := x.n("Trunc")
	if !n.DType.IsFloat() {
		return x
	}
	return via(op.Trunc, Where(x.Lt(0), x.Ceil(), x.Floor()), x)
}

// IsFinite returns true where x is neither NaN nor infinite.
func (x *Tensor) IsFinite() *Tensor {
	x.n("IsFinite")
	return via(op.IsFinite, x.IsNaN().Or(x.IsInf()).Not(), x)
}

// NaNToNum returns x with 0 in the place of NaN, and the largest and smallest number
// of the dtype in that of ±Inf. (Where does it with other numbers.)
func (x *Tensor) NaNToNum() *Tensor {
	const name = "NaNToNum"
	n := x.n(name)
	largest, ok := map[DType]float64{F16: 65504, BF16: 0x1.fep127, F32: math.MaxFloat32, F64: math.MaxFloat64}[n.DType]
	if !ok {
		if n.DType.Bytes() == 0 {
			fail(name, ir.CodeDType, n, "%s does not work on %s", name, n.DType)
		}
		return x
	}
	return via(op.NaNToNum, Where(x.IsNaN(), 0, x).Clip(-largest, largest), x)
}

// ErfInv returns the y with Erf(y) = x, for x in [-1, 1]; NaN elsewhere.
func (x *Tensor) ErfInv() *Tensor {
	x.n("ErfInv")
	y := CustomVJP(func(x ...*Tensor) *Tensor { return erfInv(x[0]) },
		func(x []*Tensor, y, g *Tensor) []*Tensor { // y' = ½√π·e^y²
			return []*Tensor{g.Mul(y.Square().Exp().Mul(math.Sqrt(math.Pi) / 2))}
		})(x.floating("ErfInv"))
	return via(op.ErfInv, y, x)
}

// erfInv by Giles 2010, "Approximating the erfinv function", in f32 to a few units in
// the last place: a polynomial in w = -log(1-x²), or in √w near ±1. In f64 two
// steps of Newton's method follow.
func erfInv(x *Tensor) *Tensor {
	polynomial := func(w *Tensor, c ...float64) *Tensor {
		p := w.Mul(c[0]).Add(c[1])
		for _, a := range c[2:] {
			p = p.Mul(w).Add(a)
		}
		return p
	}
	w := x.Neg().Add(1).Mul(x.Add(1)).Log().Neg()
	near := polynomial(w.Sub(2.5), 2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
	far := polynomial(w.Sqrt().Sub(3), -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
	y := Where(w.Lt(5), near, far).Mul(x)
	if x.DType() == F64 {
		for range 2 {
			y = y.Sub(y.Erf().Sub(x).Mul(y.Square().Exp()).Mul(math.Sqrt(math.Pi) / 2))
		}
	}
	return Where(x.Abs().Eq(1), x.Div(0), y)
}

// Where returns a where condition is true and b elsewhere, all broadcast. The
// condition is a bool tensor; a and b are tensors or numbers.
func Where(condition *Tensor, a, b any) *Tensor {
	const name = "Where"
	c := condition.n(name)
	// Of two operands a tensor decides about the dtype of a number.
	p, q := F32, F32
	if t, ok := b.(*Tensor); ok {
		p = t.n(name).DType
	} else if _, isFloat, ok := number(b); ok && !isFloat {
		if _, otherFloat, ok := number(a); ok && !otherFloat {
			p = I64
		}
	}
	x := operand(name, a, p)
	q = x.DType
	y := operand(name, b, q)
	if d := ir.Promote(x.DType, y.DType); x.DType != y.DType {
		x, y = op.CastTo(x, d), op.CastTo(y, d)
	}
	return wrap(op.Apply(op.Where, nil, c, x, y))
}

// Cast converts to another dtype. Floats become integers by truncation,
// saturating, NaN as 0; anything but 0 becomes true.
func (x *Tensor) Cast(dtype DType) *Tensor {
	n := x.n("Cast")
	if n.DType == dtype {
		return x
	}
	return wrap(op.Apply(op.Cast, op.To{DType: dtype}, n))
}
