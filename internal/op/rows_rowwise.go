package op

import (
	"math"
	"slices"

	"loris/internal/ir"
)

func init() {
	addRows(Rowwise,
		Row{Op: Softmax, Name: "Softmax", API: "Softmax", Infer: inferSoftmax, VJP: vjpSoftmax, Expand: expandSoftmax, Cost: elementCost(16),
			Doc: "Softmax is exp(x)/Σexp(x) along an axis (the last one if none is given), computed without overflow.", Example: "lt.Of(1, 2, 3).Softmax()"},
		Row{Op: LogSoftmax, Name: "LogSoftmax", API: "LogSoftmax", Infer: inferSoftmax, VJP: vjpLogSoftmax, Expand: expandLogSoftmax, Cost: elementCost(16),
			Doc: "LogSoftmax is x - log Σexp(x) along an axis (the last one if none is given).", Example: "lt.Of(1, 2, 3).LogSoftmax()"},
		Row{Op: RMSNorm, Name: "RMSNorm", API: "RMSNorm", Infer: inferNorm, VJP: vjpRMSNorm, Expand: expandRMSNorm, Cost: elementCost(5),
			Doc:     "RMSNorm is x/√(mean(x²)+eps)·weight over the last axis; the weight may be nil.",
			Example: "lt.Of(1, 2, 3).RMSNorm(lt.Ones(3), 1e-6)"},
		Row{Op: LayerNorm, Name: "LayerNorm", API: "LayerNorm", Infer: inferNorm, VJP: vjpLayerNorm, Expand: expandLayerNorm, Cost: elementCost(8),
			Doc:     "LayerNorm is (x-mean)/√(variance+eps)·weight+bias over the last axis, with the biased variance; weight and bias may be nil.",
			Example: "lt.Of(1, 2, 3).LayerNorm(lt.Ones(3), lt.Zeros(3), 1e-5)"},
		Row{Op: RoPE, Name: "RoPE", API: "RoPE", Infer: inferRoPE, VJP: vjpRoPE, Expand: expandRoPE, Cost: elementCost(8),
			Doc:     "RoPE rotates pairs of the last axis of x [… t d] by angles that grow with the position t (rotary position embedding, Su et al. 2021).",
			Example: "lt.Ones(1, 2, 5, 8).RoPE(lt.RoPEOptions{Offset: 3})"},
		Row{Op: CrossEntropy, Name: "CrossEntropy", API: "CrossEntropy", Infer: inferCrossEntropy, VJP: vjpCrossEntropy, Expand: expandCrossEntropy, Cost: lossCost,
			Doc:     "CrossEntropy is -log softmax(x)[target] for each row of x [… classes] and its target (an index, i64 or i32); 0 for ignored targets.",
			Example: "lt.Ones(2, 5).CrossEntropy(lt.Ints(1, 4))"},
		Row{Op: CrossEntropyGrad, Name: "CrossEntropyGrad", Infer: inferCrossEntropyGrad, Expand: expandCrossEntropyGrad, Cost: elementCost(18),
			Doc: "The gradient of CrossEntropy for its logits."},
	)
}

func lossCost(n *ir.Node) (float64, float64) {
	return 16 * float64(n.Inputs()[0].Shape.Size()), Traffic(n)
}

func inferSoftmax(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x := in[0]
	return x.DType, x.Shape, firstError(checkDense(in), checkFloat(x, "x"), checkAxis(attrs.(Axis).Axis, len(x.Shape)))
}

func vjpSoftmax(n, g *ir.Node, _ int) *ir.Node {
	gy := mul(g, n)
	return sub(gy, mul(n, reduce(Sum, gy, true, n.Attrs.(Axis).Axis)))
}

func vjpLogSoftmax(n, g *ir.Node, _ int) *ir.Node {
	return sub(g, mul(exp(n), reduce(Sum, g, true, n.Attrs.(Axis).Axis)))
}

// shifted returns x minus its largest element along axis (0 where that is
// infinite, so that no NaN comes up), as a constant for gradients.
func shifted(x *ir.Node, axis int) *ir.Node {
	top := Apply(Detach, nil, reduce(Max, x, true, axis))
	top = where(Unary(IsInf, top), scalar(0, x.DType), top)
	return sub(x, top)
}

func expandSoftmax(n *ir.Node) *ir.Node {
	x, axis := n.Inputs()[0], n.Attrs.(Axis).Axis
	if n.Shape[axis] == 0 {
		return x
	}
	e := exp(shifted(wide(x), axis))
	return CastTo(div(e, reduce(Sum, e, true, axis)), n.DType)
}

func expandLogSoftmax(n *ir.Node) *ir.Node {
	x, axis := n.Inputs()[0], n.Attrs.(Axis).Axis
	if n.Shape[axis] == 0 {
		return x
	}
	s := shifted(wide(x), axis)
	return CastTo(sub(s, Unary(Log, reduce(Sum, exp(s), true, axis))), n.DType)
}

func inferNorm(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, a := in[0], attrs.(Norm)
	if err := firstError(checkDense(in), checkFloat(x, "x"), checkRank(x, "x", 1)); err != nil {
		return 0, nil, err
	}
	if !(a.Eps >= 0) {
		return 0, nil, problem(ir.CodeValue, "eps = %v must not be negative", a.Eps)
	}
	width := x.Shape[len(x.Shape)-1]
	for _, w := range in[1:] {
		if len(w.Shape) != 1 || w.Shape[0] != width {
			return 0, nil, problem(ir.CodeShape, "weight or bias has shape %v; [%d] is needed for x %v", w.Shape, width, x.Shape)
		}
		if w.DType != x.DType {
			return 0, nil, problem(ir.CodeDType, "x is %s, weight or bias %s", x.DType, w.DType)
		}
	}
	return x.DType, x.Shape, nil
}

// normalised returns the normalised x, and the factor it was multiplied by.
func normalised(n *ir.Node, centre bool) (xhat, r *ir.Node) {
	x := wide(n.Inputs()[0])
	if centre {
		x = sub(x, meanLast(x))
	}
	r = Unary(Rsqrt, plus(meanLast(square(x)), n.Attrs.(Norm).Eps))
	return mul(x, r), r
}

func expandRMSNorm(n *ir.Node) *ir.Node   { return expandNorm(n, false) }
func expandLayerNorm(n *ir.Node) *ir.Node { return expandNorm(n, true) }

func expandNorm(n *ir.Node, centre bool) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Norm)
	y, _ := normalised(n, centre)
	if a.Weight {
		y = mul(y, wide(in[1]))
	}
	if a.Bias {
		y = add(y, wide(in[len(in)-1]))
	}
	return CastTo(y, n.DType)
}

func vjpRMSNorm(n, g *ir.Node, i int) *ir.Node   { return vjpNorm(n, g, i, false) }
func vjpLayerNorm(n, g *ir.Node, i int) *ir.Node { return vjpNorm(n, g, i, true) }

// With x̂ the normalised rows and r the factor: dx = r·(gw − [mean(gw)] − x̂·mean(gw·x̂)).
func vjpNorm(n, g *ir.Node, i int, centre bool) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Norm)
	g = wide(g)
	if a.Bias && i == len(in)-1 {
		return CastTo(sumTo(g, in[i].Shape), n.DType)
	}
	xhat, r := normalised(n, centre)
	if i == 1 {
		return CastTo(sumTo(mul(g, xhat), in[1].Shape), n.DType)
	}
	if a.Weight {
		g = mul(g, wide(in[1]))
	}
	d := sub(g, mul(xhat, meanLast(mul(g, xhat))))
	if centre {
		d = sub(d, meanLast(g))
	}
	return CastTo(mul(r, d), n.DType)
}

func inferRoPE(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, a := in[0], attrs.(Rotary)
	if err := firstError(checkDense(in), checkFloat(x, "x"), checkRank(x, "x", 2), checkIndex(in[1], "the offset")); err != nil {
		return 0, nil, err
	}
	d := x.Shape[len(x.Shape)-1]
	if a.Dims <= 0 || a.Dims%2 != 0 || a.Dims > d {
		return 0, nil, problem(ir.CodeValue, "%d dims of x %v; an even number up to %d is needed", a.Dims, x.Shape, d)
	}
	if len(in[1].Shape) != 0 {
		return 0, nil, problem(ir.CodeShape, "the offset has shape %v; a scalar is needed", in[1].Shape)
	}
	if len(in) > 2 && (len(in[2].Shape) != 1 || in[2].Shape[0] != a.Dims/2 || in[2].DType != ir.F32) {
		return 0, nil, problem(ir.CodeShape, "frequencies are %s%v; f32[%d] is needed", in[2].DType, in[2].Shape, a.Dims/2)
	}
	return x.DType, x.Shape, nil
}

func vjpRoPE(n, g *ir.Node, i int) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Rotary)
	switch i {
	case 1:
		return nil
	case 2:
		panic(problem(ir.CodeGradient, "RoPE has no derivative for its frequencies"))
	}
	a.Inverse = !a.Inverse
	return Apply(RoPE, a, append([]*ir.Node{g}, in[1:]...)...)
}

func expandRoPE(n *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Rotary)
	x := wide(in[0])
	rank := len(x.Shape)
	t, half := x.Shape[rank-2], a.Dims/2
	s := ir.Shape{t, half}
	var freq *ir.Node
	if len(in) > 2 {
		freq = CastTo(in[2], x.DType)
	} else {
		freq = exp(scale(countAlong(ir.Shape{half}, 0, x.DType), -2*math.Log(a.Base)/float64(a.Dims)))
	}
	position := CastTo(add(countAlong(s, 0, ir.I64), CastTo(in[1], ir.I64)), x.DType)
	angle := mul(scale(position, a.Scale), freq)
	cos, sin := Unary(Cos, angle), Unary(Sin, angle)
	if a.Inverse {
		sin = neg(sin)
	}
	part := func(start, step int) *ir.Node {
		w := Window{make([]int, rank), slices.Clone(x.Shape), make([]int, rank)}
		for i := range w.Step {
			w.Step[i] = 1
		}
		w.Start[rank-1], w.Step[rank-1], w.Size[rank-1] = start, step, half
		return Apply(Slice, w, x)
	}
	var p, q *ir.Node
	if a.Interleaved {
		p, q = part(0, 2), part(1, 2)
	} else {
		p, q = part(0, 1), part(half, 1)
	}
	p, q = sub(mul(p, cos), mul(q, sin)), add(mul(p, sin), mul(q, cos))
	var y *ir.Node
	if a.Interleaved {
		each := append(slices.Clone(p.Shape), 1)
		y = Apply(Concat, Axis{rank}, ReshapeTo(p, each), ReshapeTo(q, each))
		y = ReshapeTo(y, append(slices.Clone(x.Shape[:rank-1]), a.Dims))
	} else {
		y = Apply(Concat, Axis{rank - 1}, p, q)
	}
	if rest := x.Shape[rank-1] - a.Dims; rest > 0 {
		start, size := make([]int, rank), slices.Clone(x.Shape)
		start[rank-1], size[rank-1] = a.Dims, rest
		y = Apply(Concat, Axis{rank - 1}, y, SliceOf(x, start, size))
	}
	return CastTo(y, n.DType)
}

func inferCrossEntropy(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, t, a := in[0], in[1], attrs.(Targets)
	if err := firstError(checkDense(in), checkFloat(x, "x"), checkRank(x, "x", 1), checkIndex(t, "the targets")); err != nil {
		return 0, nil, err
	}
	rows := x.Shape[:len(x.Shape)-1]
	if !t.Shape.Equal(rows) {
		return 0, nil, problem(ir.CodeShape, "targets have shape %v; %v is needed for x %v: one class index for each row", t.Shape, rows, x.Shape)
	}
	if !(a.Smoothing >= 0 && a.Smoothing <= 1) {
		return 0, nil, problem(ir.CodeValue, "smoothing %v is not between 0 and 1", a.Smoothing)
	}
	if x.Shape[len(x.Shape)-1] == 0 {
		return 0, nil, problem(ir.CodeShape, "x %v has no classes", x.Shape)
	}
	return x.DType, rows, nil
}

func inferCrossEntropyGrad(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	_, rows, err := inferCrossEntropy(in[:2], attrs, 0)
	if err == nil && (in[2].DType != in[0].DType || !in[2].Shape.Equal(rows)) {
		err = problem(ir.CodeShape, "g is %s%v; %s%v is needed", in[2].DType, in[2].Shape, in[0].DType, rows)
	}
	return in[0].DType, in[0].Shape, err
}

func vjpCrossEntropy(n, g *ir.Node, i int) *ir.Node {
	if i == 1 {
		return nil
	}
	return Apply(CrossEntropyGrad, n.Attrs, n.Inputs()[0], n.Inputs()[1], g)
}

// targetWeights returns the distribution that the loss compares with, zero in
// ignored rows, which valid marks.
func targetWeights(logits, targets *ir.Node, a Targets) (q, valid *ir.Node) {
	rows := append(slices.Clone(targets.Shape), 1)
	t := ReshapeTo(CastTo(targets, ir.I64), rows)
	classes := logits.Shape[len(logits.Shape)-1]
	if a.Index {
		t = where(Binary(Lt, t, scalar(0, ir.I64)), plus(t, float64(classes)), t)
		valid = Binary(Eq, t, t)
	} else {
		valid = Binary(Ne, t, scalar(float64(a.Ignore), ir.I64))
	}
	hit := Binary(Eq, countAlong(ir.Shape{classes}, 0, ir.I64), t)
	q = plus(scale(CastTo(hit, logits.DType), 1-a.Smoothing), a.Smoothing/float64(classes))
	return where(valid, q, scalar(0, q.DType)), valid
}

func expandCrossEntropy(n *ir.Node) *ir.Node {
	a := n.Attrs.(Targets)
	logits := wide(n.Inputs()[0])
	logp := Apply(LogSoftmax, Axis{len(logits.Shape) - 1}, logits)
	q, _ := targetWeights(logits, n.Inputs()[1], a)
	// 0·(−∞) counts as 0: a class with no weight may be impossible.
	zero := scalar(0, q.DType)
	terms := where(Binary(Eq, q, zero), zero, mul(q, logp))
	return CastTo(neg(reduce(Sum, terms, false, len(terms.Shape)-1)), n.DType)
}

// (softmax(x) − q)·g in the rows that count.
func expandCrossEntropyGrad(n *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Targets)
	logits, g := wide(in[0]), wide(in[2])
	q, valid := targetWeights(logits, in[1], a)
	p := Apply(Softmax, Axis{len(logits.Shape) - 1}, logits)
	d := where(valid, sub(p, q), scalar(0, q.DType))
	return CastTo(mul(d, ReshapeTo(g, append(slices.Clone(g.Shape), 1))), n.DType)
}
