package op

import (
	"math"

	"loris/internal/ir"
)

// grad1 is the derivative of y = f(x) times g.
type grad1 func(x, y, g *ir.Node) *ir.Node

// zero1 marks functions whose derivative is 0 almost everywhere.
func zero1(x, y, g *ir.Node) *ir.Node { return nil }

const gaussian = 0.3989422804014327 // 1/√(2π)

func init() {
	unary := []struct {
		op    ir.Op
		name  string
		flops float64
		grad  grad1
		doc   string
	}{
		{Neg, "Neg", 1, func(x, y, g *ir.Node) *ir.Node { return neg(g) }, "Neg is -x."},
		{Abs, "Abs", 1, func(x, y, g *ir.Node) *ir.Node { return mul(g, Unary(Sign, x)) }, "Abs is |x|; its derivative at 0 is 0."},
		{Sign, "Sign", 1, zero1, "Sign is -1, 0 or 1."},
		{Sqrt, "Sqrt", 4, func(x, y, g *ir.Node) *ir.Node { return div(scale(g, 0.5), y) }, "Sqrt is √x, NaN below 0."},
		{Rsqrt, "Rsqrt", 4, func(x, y, g *ir.Node) *ir.Node { return mul(scale(g, -0.5), mul(y, square(y))) }, "Rsqrt is 1/√x."},
		{Square, "Square", 1, func(x, y, g *ir.Node) *ir.Node { return mul(scale(g, 2), x) }, "Square is x²."},
		{Reciprocal, "Reciprocal", 4, func(x, y, g *ir.Node) *ir.Node { return neg(mul(g, square(y))) }, "Reciprocal is 1/x."},
		{Exp, "Exp", 12, func(x, y, g *ir.Node) *ir.Node { return mul(g, y) }, "Exp is eˣ."},
		{Expm1, "Expm1", 14, func(x, y, g *ir.Node) *ir.Node { return mul(g, plus(y, 1)) }, "Expm1 is eˣ-1, exact near 0."},
		{Log, "Log", 12, func(x, y, g *ir.Node) *ir.Node { return div(g, x) }, "Log is the natural logarithm, -Inf at 0, NaN below."},
		{Log1p, "Log1p", 14, func(x, y, g *ir.Node) *ir.Node { return div(g, plus(x, 1)) }, "Log1p is ln(1+x), exact near 0."},
		{Sin, "Sin", 14, func(x, y, g *ir.Node) *ir.Node { return mul(g, Unary(Cos, x)) }, "Sin is the sine of x in radians."},
		{Cos, "Cos", 14, func(x, y, g *ir.Node) *ir.Node { return neg(mul(g, Unary(Sin, x))) }, "Cos is the cosine of x in radians."},
		{Tanh, "Tanh", 14, func(x, y, g *ir.Node) *ir.Node { return mul(g, sub(onesScalar(y), square(y))) }, "Tanh is the hyperbolic tangent."},
		{Erf, "Erf", 16, func(x, y, g *ir.Node) *ir.Node { return mul(g, scale(exp(neg(square(x))), 2/math.SqrtPi)) }, "Erf is the error function."},
		{Sigmoid, "Sigmoid", 14, func(x, y, g *ir.Node) *ir.Node { return mul(g, mul(y, sub(onesScalar(y), y))) }, "Sigmoid is 1/(1+e⁻ˣ)."},
		{Relu, "Relu", 1, func(x, y, g *ir.Node) *ir.Node { return where(positive(x), g, scalar(0, g.DType)) }, "Relu is max(x, 0); its derivative at 0 is 0."},
		{Gelu, "Gelu", 20, gradGelu, "Gelu is x·Φ(x), the exact form (PyTorch's default)."},
		{GeluTanh, "GeluTanh", 20, gradGeluTanh, "GeluTanh is the tanh approximation of Gelu: x/2·(1+tanh(√(2/π)·(x+0.044715x³)))."},
		{Silu, "Silu", 15, gradSilu, "Silu is x·Sigmoid(x), also called swish."},
		{Not, "Not", 1, nil, "Not is true where x is 0 or false."},
		{Floor, "Floor", 1, zero1, "Floor rounds down."},
		{Ceil, "Ceil", 1, zero1, "Ceil rounds up."},
		{Round, "Round", 1, zero1, "Round rounds to the nearest integer, halves to even."},
		{IsNaN, "IsNaN", 1, nil, "IsNaN is true where x is NaN."},
		{IsInf, "IsInf", 1, nil, "IsInf is true where x is +Inf or -Inf."},
	}
	for _, u := range unary {
		r := Row{Op: u.op, Name: u.name, API: u.name, Infer: inferUnary(u.op), Cost: elementCost(u.flops),
			Doc: u.doc + " Integers become f32 where the function needs floats.", Example: "lt.Of(0.5, 2)." + u.name + "()"}
		if class[u.op] != floating {
			r.Doc = u.doc
		}
		if u.grad == nil {
			r.NoGrad = "the result is true or false"
		} else {
			r.VJP = func(n, g *ir.Node, _ int) *ir.Node { return u.grad(n.Inputs()[0], n, g) }
		}
		addRows(Elementwise, r)
	}

	binary := []struct {
		op   ir.Op
		name string
		grad func(n, g *ir.Node, i int) *ir.Node
		doc  string
	}{
		{Add, "Add", func(n, g *ir.Node, i int) *ir.Node { return g }, "Add is x+w, broadcast; two bools are added as i64."},
		{Sub, "Sub", gradSub, "Sub is x-w, broadcast."},
		{Mul, "Mul", func(n, g *ir.Node, i int) *ir.Node { return mul(g, n.Inputs()[1-i]) }, "Mul is x·w, element by element, broadcast."},
		{Div, "Div", gradDiv, "Div is x/w, broadcast; integers become f32."},
		{Pow, "Pow", gradPow, "Pow is x to the power w, broadcast. A negative integer exponent of an integer gives 0, or ±1 for the bases ±1."},
		{Mod, "Mod", gradMod, "Mod is x - w·⌊x/w⌋, which has the sign of w; an integer modulo 0 is 0."},
		{Maximum, "Maximum", gradExtremum(Gt), "Maximum is the larger of x and w; NaN if either is. A tie shares the gradient; with a number, it gives x none."},
		{Minimum, "Minimum", gradExtremum(Lt), "Minimum is the smaller of x and w; NaN if either is. A tie shares the gradient; with a number, it gives x none."},
		{Eq, "Eq", nil, "Eq is true where x = w."},
		{Ne, "Ne", nil, "Ne is true where x ≠ w."},
		{Lt, "Lt", nil, "Lt is true where x < w."},
		{Le, "Le", nil, "Le is true where x ≤ w."},
		{Gt, "Gt", nil, "Gt is true where x > w."},
		{Ge, "Ge", nil, "Ge is true where x ≥ w."},
		{And, "And", nil, "And is true where both are (numbers count as true if not 0)."},
		{Or, "Or", nil, "Or is true where either is (numbers count as true if not 0)."},
	}
	for _, b := range binary {
		r := Row{Op: b.op, Name: b.name, API: b.name, Infer: inferBinary(b.op), Doc: b.doc,
			Example: "lt.Of(1, 2, 3)." + b.name + "(lt.Of(3, 2, 1))"}
		if b.op == Pow {
			r.Cost = elementCost(25)
		}
		if b.grad == nil {
			r.NoGrad = "the result is true or false"
		} else {
			r.VJP = func(n, g *ir.Node, i int) *ir.Node {
				if g = b.grad(n, g, i); g == nil {
					return nil
				}
				return sumTo(g, n.Inputs()[i].Shape)
			}
		}
		addRows(Elementwise, r)
	}
	addRows(Elementwise, Row{Op: Where, Name: "Where", API: "Where", Function: true, Infer: inferWhere,
		VJP: func(n, g *ir.Node, i int) *ir.Node {
			c, zero := n.Inputs()[0], scalar(0, g.DType)
			switch i {
			case 1:
				return sumTo(where(c, g, zero), n.Inputs()[1].Shape)
			case 2:
				return sumTo(where(c, zero, g), n.Inputs()[2].Shape)
			}
			return nil
		},
		Doc: "Where takes a where the condition is true and b elsewhere, all broadcast.", Example: "lt.Where(lt.Of(1, -1).Gt(0), lt.Of(1, 2), 0)"})
}

func onesScalar(x *ir.Node) *ir.Node { return scalar(1, x.DType) }

func positive(x *ir.Node) *ir.Node { return Binary(Gt, x, scalar(0, x.DType)) }

// Φ(x) + x·φ(x)
func gradGelu(x, y, g *ir.Node) *ir.Node {
	cdf := scale(plus(Unary(Erf, scale(x, math.Sqrt2/2)), 1), 0.5)
	pdf := scale(exp(scale(square(x), -0.5)), gaussian)
	return mul(g, add(cdf, mul(x, pdf)))
}

// With u = √(2/π)(x + ax³) and t = tanh u: ½(1+t) + ½x(1−t²)·√(2/π)(1+3ax²).
func gradGeluTanh(x, y, g *ir.Node) *ir.Node {
	const a, c = 0.044715, 0.7978845608028654
	x2 := square(x)
	t := Unary(Tanh, mul(scale(x, c), plus(scale(x2, a), 1)))
	du := plus(scale(x2, 3*a*c), c)
	d := add(scale(plus(t, 1), 0.5), mul(scale(x, 0.5), mul(sub(onesScalar(t), square(t)), du)))
	return mul(g, d)
}

// s(1 + x(1−s))
func gradSilu(x, y, g *ir.Node) *ir.Node {
	s := Unary(Sigmoid, x)
	return mul(g, mul(s, plus(mul(x, sub(onesScalar(s), s)), 1)))
}

func gradSub(n, g *ir.Node, i int) *ir.Node {
	if i == 1 {
		return neg(g)
	}
	return g
}

func gradDiv(n, g *ir.Node, i int) *ir.Node {
	b := n.Inputs()[1]
	if i == 0 {
		return div(g, b)
	}
	return neg(div(mul(g, n), b))
}

// d(aᵇ) = b·aᵇ⁻¹ da + aᵇ·ln a db, where 0·∞ counts as 0.
func gradPow(n, g *ir.Node, i int) *ir.Node {
	a, b := n.Inputs()[0], n.Inputs()[1]
	zero := scalar(0, g.DType)
	if i == 0 {
		d := mul(b, Binary(Pow, a, sub(b, onesScalar(b))))
		return mul(g, where(Binary(Eq, b, zero), zero, d))
	}
	isZero := Binary(Eq, a, zero)
	log := Unary(Log, where(isZero, onesScalar(a), a))
	return mul(g, where(Unary(Not, isZero), mul(n, log), where(Binary(Ge, b, zero), zero, mul(n, Unary(Log, a)))))
}

func gradMod(n, g *ir.Node, i int) *ir.Node {
	if i == 0 {
		return g
	}
	return neg(mul(g, Unary(Floor, div(n.Inputs()[0], n.Inputs()[1]))))
}

func gradExtremum(wins ir.Op) func(n, g *ir.Node, i int) *ir.Node {
	return func(n, g *ir.Node, i int) *ir.Node {
		x, w := n.Inputs()[i], n.Inputs()[1-i]
		zero := scalar(0, g.DType)
		if w.Op == Const && len(w.Shape) == 0 {
			return where(Binary(wins, x, w), g, zero) // as Relu at 0, and Clip in PyTorch
		}
		return where(Binary(wins, x, w), g, where(Binary(Eq, x, w), scale(g, 0.5), zero))
	}
}

func inferUnary(id ir.Op) func([]*ir.Node, ir.Attrs, int) (ir.DType, ir.Shape, *ir.Error) {
	return func(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
		out, need, err := unaryDType(id, in[0].DType)
		if err == nil && need != in[0].DType {
			err = problem(ir.CodeDType, "input is %s; %s is needed", in[0].DType, need)
		}
		return out, in[0].Shape, err
	}
}

func inferBinary(id ir.Op) func([]*ir.Node, ir.Attrs, int) (ir.DType, ir.Shape, *ir.Error) {
	return func(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
		out, need, err := binaryDType(id, in[0].DType, in[1].DType)
		if err == nil && (need != in[0].DType || need != in[1].DType) {
			err = problem(ir.CodeDType, "inputs are %s and %s; %s is needed", in[0].DType, in[1].DType, need)
		}
		shape, ok := ir.Broadcast(in[0].Shape, in[1].Shape)
		if err == nil && !ok {
			err = broadcastError(in[0].Shape, in[1].Shape)
		}
		return out, shape, err
	}
}

func inferWhere(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	if in[0].DType != ir.Bool {
		return 0, nil, hinted("compare first: x.Gt(0)").with(problem(ir.CodeDType, "the condition is %s; bool is needed", in[0].DType))
	}
	if err := firstError(checkDense(in), checkSame(in[1:])); err != nil {
		return 0, nil, err
	}
	s, ok := ir.Broadcast(in[1].Shape, in[2].Shape)
	if !ok {
		return 0, nil, broadcastError(in[1].Shape, in[2].Shape)
	}
	out, ok := ir.Broadcast(in[0].Shape, s)
	if !ok {
		return 0, nil, broadcastError(in[0].Shape, s)
	}
	return in[1].DType, out, nil
}
