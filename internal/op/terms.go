package op

import (
	"slices"

	"loris/internal/ir"
)

// Terms in which derivatives and expansions are written.

func neg(x *ir.Node) *ir.Node       { return Unary(Neg, x) }
func exp(x *ir.Node) *ir.Node       { return Unary(Exp, x) }
func square(x *ir.Node) *ir.Node    { return Unary(Square, x) }
func add(a, b *ir.Node) *ir.Node    { return Binary(Add, a, b) }
func sub(a, b *ir.Node) *ir.Node    { return Binary(Sub, a, b) }
func mul(a, b *ir.Node) *ir.Node    { return Binary(Mul, a, b) }
func matmul(a, b *ir.Node) *ir.Node { return Apply(MatMul, nil, a, b) }

// div is a/b; of two constants, as in the gradient of a mean, a constant.
func div(a, b *ir.Node) *ir.Node {
	if a.Op == Const && b.Op == Const && a.DType == b.DType && a.DType.IsFloat() && len(b.Shape) == 0 {
		return Filled(a.Const/b.Const, a.DType, a.Shape)
	}
	return Binary(Div, a, b)
}

func scale(x *ir.Node, v float64) *ir.Node { return Binary(Mul, x, scalar(v, x.DType)) }
func plus(x *ir.Node, v float64) *ir.Node  { return Binary(Add, x, scalar(v, x.DType)) }

func where(c, a, b *ir.Node) *ir.Node { return Apply(Where, nil, c, a, b) }

// zerosLike is 0 in the shape and dtype of x.
func zerosLike(x *ir.Node) *ir.Node { return Filled(0, x.DType, x.Shape) }

// ReshapeTo returns x with another shape of the same size.
func ReshapeTo(x *ir.Node, shape ir.Shape) *ir.Node {
	if x.Shape.Equal(shape) {
		return x
	}
	return Apply(Reshape, Fill{shape}, x)
}

// ExpandTo returns x broadcast to shape.
func ExpandTo(x *ir.Node, shape ir.Shape) *ir.Node {
	if x.Shape.Equal(shape) {
		return x
	}
	return Apply(Expand, Fill{shape}, x)
}

// SwapLast exchanges the last two axes.
func SwapLast(x *ir.Node) *ir.Node { return Apply(Transpose, swaps[len(x.Shape)], x) }

// swaps are the attributes of SwapLast by rank: all nodes share them.
var swaps = func() (list [MaxRank + 1]ir.Attrs) {
	for n := range list {
		perm := make([]int, n)
		for i := range perm {
			perm[i] = i
		}
		if n >= 2 {
			perm[n-1], perm[n-2] = n-2, n-1
		}
		list[n] = Perm{perm}
	}
	return list
}()

func reduce(id ir.Op, x *ir.Node, keep bool, axes ...int) *ir.Node {
	return Apply(id, Reduce{Axes: axes, Keep: keep}, x)
}

// sumLast sums the last axis and keeps it with size 1.
func sumLast(x *ir.Node) *ir.Node { return reduce(Sum, x, true, len(x.Shape)-1) }

// meanLast is sumLast over the size of the axis.
func meanLast(x *ir.Node) *ir.Node {
	return scale(sumLast(x), 1/float64(max(1, x.Shape[len(x.Shape)-1])))
}

// sumTo undoes a broadcast: it sums g over the axes along which shape was repeated.
func sumTo(g *ir.Node, shape ir.Shape) *ir.Node {
	if g.Shape.Equal(shape) {
		return g
	}
	extra := len(g.Shape) - len(shape)
	var axes []int
	for i, d := range g.Shape {
		if i < extra || shape[i-extra] == 1 && d != 1 {
			axes = append(axes, i)
		}
	}
	if len(axes) > 0 {
		g = reduce(Sum, g, true, axes...)
	}
	return ReshapeTo(g, shape)
}

// restoreAxes gives the result of a reduction the axes it lost, with size 1.
func restoreAxes(r *ir.Node, a Reduce, input ir.Shape) *ir.Node {
	if a.Keep {
		return r
	}
	return ReshapeTo(r, keptShape(input, a.Axes))
}

func keptShape(s ir.Shape, axes []int) ir.Shape {
	out := slices.Clone(s)
	for _, a := range axes {
		out[a] = 1
	}
	return out
}

// countAlong counts 0, 1, … along axis of shape.
func countAlong(shape ir.Shape, axis int, dtype ir.DType) *ir.Node {
	return Apply(Iota, Range{Shape: shape, DType: dtype, Axis: axis, Step: 1})
}

// triangle is true at [i, j] of [n m] when j − i ≤ k.
func triangle(n, m, k int) *ir.Node {
	s := ir.Shape{n, m}
	return Binary(Le, sub(countAlong(s, 1, ir.I64), countAlong(s, 0, ir.I64)), scalar(float64(k), ir.I64))
}

// tril keeps the lower triangle of the last two axes, up to diagonal k.
func tril(x *ir.Node, k int) *ir.Node {
	n := len(x.Shape)
	return where(triangle(x.Shape[n-2], x.Shape[n-1], k), x, scalar(0, x.DType))
}

// wide returns x in f32 if it is a half type: statistics of halves are computed in f32.
func wide(x *ir.Node) *ir.Node {
	if x.DType == ir.F16 || x.DType == ir.BF16 {
		return CastTo(x, ir.F32)
	}
	return x
}
