package op

import (
	"math"
	"slices"

	"loris/internal/ir"
)

func init() {
	addRows(Contract,
		Row{Op: MatMul, Name: "MatMul", API: "MatMul", Infer: inferMatMul, VJP: vjpMatMul,
			Cost: func(n *ir.Node) (float64, float64) {
				a := n.Inputs()[0]
				return 2 * float64(n.Shape.Size()) * float64(a.Shape[len(a.Shape)-1]), Traffic(n)
			},
			Doc:     "MatMul is the matrix product by NumPy's rules: [… m k] @ [… k n] = [… m n]; batch axes broadcast; a tensor with one axis is a row on the left and a column on the right.",
			Example: "lt.Ones(2, 3).MatMul(lt.Ones(3, 4))"},
		Row{Op: Conv2d, Name: "Conv2d", API: "Conv2d", Infer: inferConv2d, VJP: vjpConv2d, Cost: convCost,
			Doc:     "Conv2d slides the kernels w [out in/groups kh kw] over x [n in h w] (cross-correlation, as in PyTorch) with stride, padding, dilation and groups of its options.",
			Example: "lt.Ones(1, 3, 8, 8).Conv2d(lt.Ones(4, 3, 3, 3), lt.ConvOptions{Pad: [2]int{1, 1}})"},
		Row{Op: Conv2dInputGrad, Name: "Conv2dInputGrad", Infer: inferConvGrad, VJP: vjpConvInputGrad, Cost: convCost,
			Doc: "The gradient of Conv2d for x, from the output's gradient and w."},
		Row{Op: Conv2dWeightGrad, Name: "Conv2dWeightGrad", Infer: inferConvGrad, VJP: vjpConvWeightGrad, Cost: convCost,
			Doc: "The gradient of Conv2d for w, from x and the output's gradient."},
		Row{Op: Attention, Name: "Attention", API: "Attention", Infer: inferAttention, VJP: vjpAttention, Expand: expandAttention, Cost: attentionCost(2),
			Doc:     "Attention is softmax(q·kᵀ·scale + mask)·v for q [b h t d], k [b hk s d], v [b hk s dv]; each of the hk heads of k and v serves h/hk heads of q.",
			Example: "lt.Ones(1, 4, 5, 8).Attention(lt.Ones(1, 2, 5, 8), lt.Ones(1, 2, 5, 8), lt.AttentionOptions{Causal: true})"},
		Row{Op: AttentionGrad, Name: "AttentionGrad", NumOutputs: 3, Infer: inferAttentionGrad, Expand: expandAttentionGrad, Cost: attentionCost(5),
			Doc: "The gradients of Attention for q, k and v."},
		Row{Op: QMatMul, Name: "QMatMul", Infer: inferQMatMul, VJP: vjpQMatMul, Expand: expandQMatMul,
			Cost: func(n *ir.Node) (float64, float64) {
				w := n.Inputs()[1]
				return 2 * float64(n.Shape.Size()) * float64(w.Shape[1]), Traffic(n)
			},
			Doc: "x @ wᵀ with a quantised w [n k]."},
	)
	addRows(Copy,
		Row{Op: Quantize, Name: "Quantize", API: "Quantize", Infer: inferQuantize, NoGrad: "quantised weights are constants",
			Doc:     "Quantize packs a matrix [n k] into 8 or 4 bits (lt.Q8, lt.Q4), in groups of 64 along k that share a scale and a bias.",
			Example: "lt.Ones(4, 64).Quantize(lt.Q8)"},
		Row{Op: Dequantize, Name: "Dequantize", API: "Dequantize", Infer: inferDequantize, NoGrad: "quantised weights are constants",
			Doc: "Dequantize unpacks a quantised matrix into f32.", Example: "lt.Ones(4, 64).Quantize(lt.Q8).Dequantize()"},
	)
}

func inferMatMul(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	a, b := in[0], in[1]
	if err := firstError(checkDense(in), checkSame(in), checkFloat(a, "x"), checkRank(a, "x", 2), checkRank(b, "w", 2)); err != nil {
		return 0, nil, err
	}
	ra, rb := len(a.Shape), len(b.Shape)
	m, k, n := a.Shape[ra-2], a.Shape[ra-1], b.Shape[rb-1]
	if k != b.Shape[rb-2] {
		return 0, nil, innerError(a.Shape, b.Shape)
	}
	batch, ok := ir.Broadcast(a.Shape[:ra-2], b.Shape[:rb-2])
	if !ok {
		return 0, nil, problem(ir.CodeShape, "batch axes of %v and %v do not broadcast", a.Shape, b.Shape)
	}
	out := append(append(make(ir.Shape, 0, len(batch)+2), batch...), m, n)
	return a.DType, out, CheckShape(out)
}

func innerError(a, b ir.Shape) *ir.Error {
	e := problem(ir.CodeShape, "inner dimensions differ: %v @ %v", a, b)
	ra, rb := len(a), len(b)
	switch {
	case rb == 2 && a[ra-1] == b[1]:
		e.Hint = "did you mean x.MatMul(w.T())?"
	case ra == 2 && a[0] == b[rb-2]:
		e.Hint = "did you mean x.T().MatMul(w)?"
	case rb > 2 && a[ra-1] == b[rb-1]:
		e.Hint = "did you mean x.MatMul(w.Transpose(…)) with the last two axes exchanged?"
	default:
		e.Hint = "the last axis of x must be as long as the last but one of w"
	}
	return e
}

func vjpMatMul(n, g *ir.Node, i int) *ir.Node {
	a, b := n.Inputs()[0], n.Inputs()[1]
	if i == 0 {
		return sumTo(matmul(g, SwapLast(b)), a.Shape)
	}
	// A batch of rows times one matrix: one product over all rows, instead of
	// one per batch element and a sum.
	if len(b.Shape) == 2 && len(a.Shape) > 2 {
		k, m := a.Shape[len(a.Shape)-1], g.Shape[len(g.Shape)-1]
		rows := a.Shape[:len(a.Shape)-1].Size()
		a, g = ReshapeTo(a, ir.Shape{rows, k}), ReshapeTo(g, ir.Shape{rows, m})
	}
	return sumTo(matmul(SwapLast(a), g), b.Shape)
}

func inferConv2d(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, w, a := in[0], in[1], attrs.(Conv)
	if err := firstError(checkDense(in), checkSame(in), checkFloat(x, "x")); err != nil {
		return 0, nil, err
	}
	if len(x.Shape) != 4 || len(w.Shape) != 4 {
		return 0, nil, problem(ir.CodeShape, "x %v and w %v need four axes each: [n in h w] and [out in/groups kh kw]", x.Shape, w.Shape)
	}
	if a.Groups < 1 || w.Shape[0]%a.Groups != 0 || x.Shape[1] != w.Shape[1]*a.Groups {
		return 0, nil, problem(ir.CodeShape, "x has %d channels; w %v with %d groups takes %d", x.Shape[1], w.Shape, a.Groups, w.Shape[1]*a.Groups)
	}
	out := ir.Shape{x.Shape[0], w.Shape[0], 0, 0}
	for i := range 2 {
		const most = 1 << 20
		if a.Stride[i] < 1 || a.Dilation[i] < 1 || a.Pad[i] < 0 || w.Shape[2+i] < 1 || a.Stride[i] > most || a.Dilation[i] > most || a.Pad[i] > most {
			return 0, nil, problem(ir.CodeValue, "stride %d, dilation %d, padding %d, kernel size %d", a.Stride[i], a.Dilation[i], a.Pad[i], w.Shape[2+i])
		}
		room := x.Shape[2+i] + 2*a.Pad[i] - a.Dilation[i]*(w.Shape[2+i]-1) - 1
		if room < 0 {
			return 0, nil, problem(ir.CodeShape, "the kernel %v is larger than the padded input %v", w.Shape, x.Shape)
		}
		out[2+i] = room/a.Stride[i] + 1
	}
	return x.DType, out, CheckShape(out)
}

func inferConvGrad(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	return in[0].DType, attrs.(Conv).Shape, firstError(checkSame(in), checkFloat(in[0], "x"))
}

func convCost(n *ir.Node) (float64, float64) {
	a := n.Attrs.(Conv)
	in := n.Inputs()
	var out, w ir.Shape
	switch n.Op {
	case Conv2d:
		out, w = n.Shape, in[1].Shape
	case Conv2dInputGrad:
		out, w = in[0].Shape, in[1].Shape
	default:
		out, w = in[1].Shape, a.Shape
	}
	return 2 * float64(out.Size()) * float64(w[1]*w[2]*w[3]), Traffic(n)
}

// The three convolutions are one trilinear form of x, w and g, so that each
// gradient is one of them again.
func convOf(id ir.Op, a Conv, shape ir.Shape, p, q *ir.Node) *ir.Node {
	a.Shape = shape
	return Apply(id, a, p, q)
}

func vjpConv2d(n, g *ir.Node, i int) *ir.Node {
	x, w, a := n.Inputs()[0], n.Inputs()[1], n.Attrs.(Conv)
	if i == 0 {
		return convOf(Conv2dInputGrad, a, x.Shape, g, w)
	}
	return convOf(Conv2dWeightGrad, a, w.Shape, x, g)
}

func vjpConvInputGrad(n, c *ir.Node, i int) *ir.Node {
	g, w, a := n.Inputs()[0], n.Inputs()[1], n.Attrs.(Conv)
	if i == 0 {
		return convOf(Conv2d, a, nil, c, w)
	}
	return convOf(Conv2dWeightGrad, a, w.Shape, c, g)
}

func vjpConvWeightGrad(n, c *ir.Node, i int) *ir.Node {
	x, g, a := n.Inputs()[0], n.Inputs()[1], n.Attrs.(Conv)
	if i == 0 {
		return convOf(Conv2dInputGrad, a, x.Shape, g, c)
	}
	return convOf(Conv2d, a, nil, x, c)
}

func inferAttention(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	q, k, v, a := in[0], in[1], in[2], attrs.(Attend)
	if err := firstError(checkDense(in), checkSame(in[:3]), checkFloat(q, "q")); err != nil {
		return 0, nil, err
	}
	if len(q.Shape) != 4 || len(k.Shape) != 4 || len(v.Shape) != 4 {
		return 0, nil, problem(ir.CodeShape, "q %v, k %v and v %v need four axes each: [batch heads length width]", q.Shape, k.Shape, v.Shape)
	}
	switch {
	case q.Shape[0] != k.Shape[0] || k.Shape[0] != v.Shape[0]:
		return 0, nil, problem(ir.CodeShape, "batch sizes of q %v, k %v and v %v differ", q.Shape, k.Shape, v.Shape)
	case k.Shape[1] != v.Shape[1] || k.Shape[1] == 0 || q.Shape[1]%k.Shape[1] != 0:
		return 0, nil, problem(ir.CodeShape, "%d heads of q, %d of k, %d of v: those of q must be a multiple of the others", q.Shape[1], k.Shape[1], v.Shape[1])
	case k.Shape[2] != v.Shape[2]:
		return 0, nil, problem(ir.CodeShape, "k %v and v %v have different lengths", k.Shape, v.Shape)
	case q.Shape[3] != k.Shape[3]:
		return 0, nil, problem(ir.CodeShape, "q %v and k %v have different widths", q.Shape, k.Shape)
	}
	if a.Mask > 0 {
		m := in[a.Mask]
		full := ir.Shape{q.Shape[0], q.Shape[1], q.Shape[2], k.Shape[2]}
		if s, ok := ir.Broadcast(m.Shape, full); !ok || !s.Equal(full) {
			return 0, nil, problem(ir.CodeShape, "mask %v does not broadcast to %v", m.Shape, full)
		}
		if m.DType != ir.Bool && m.DType != q.DType {
			return 0, nil, problem(ir.CodeDType, "the mask is %s; bool or %s is needed", m.DType, q.DType)
		}
	}
	return q.DType, ir.Shape{q.Shape[0], q.Shape[1], q.Shape[2], v.Shape[3]}, nil
}

func inferAttentionGrad(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	return in[0].DType, in[output].Shape, firstError(checkDense(in), checkSame(in[:4]), checkFloat(in[0], "q"))
}

func attentionCost(products float64) func(n *ir.Node) (float64, float64) {
	return func(n *ir.Node) (float64, float64) {
		q, k, v := n.Inputs()[0].Shape, n.Inputs()[1].Shape, n.Inputs()[2].Shape
		f := products * float64(q[0]*q[1]*q[2]*k[2]) * float64(q[3]+v[3])
		if n.Attrs.(Attend).Causal {
			f /= 2
		}
		return f, Traffic(n)
	}
}

func vjpAttention(n, g *ir.Node, i int) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Attend)
	if i == a.Mask && i > 0 {
		// A trained additive mask (a position bias) is rare: its gradient goes
		// through the expansion.
		return maskGrad(n, g)
	}
	args := []*ir.Node{in[0], in[1], in[2], g}
	if a.Mask > 0 {
		args = append(args, in[a.Mask])
		a.Mask = 4
	}
	return ApplyOutput(AttentionGrad, a, i, args...)
}

func maskGrad(n, g *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Attend)
	mask := in[a.Mask]
	if mask.DType == ir.Bool {
		return nil
	}
	p := attentionWeights(in[0], in[1], mask, a)
	dp := matmul(groupHeads(g, in[1].Shape[1]), SwapLast(oneGroup(in[2])))
	ds := mul(p, sub(dp, sumLast(mul(dp, p))))
	s := ir.Shape{n.Shape[0], n.Shape[1], n.Shape[2], in[1].Shape[2]}
	return sumTo(ReshapeTo(ds, s), mask.Shape)
}

// groupHeads splits the heads of x into groups that share a head of k and v:
// [b h t d] becomes [b hk h/hk t d], against [b hk 1 s d].
func groupHeads(x *ir.Node, hk int) *ir.Node {
	s := x.Shape
	return ReshapeTo(x, ir.Shape{s[0], hk, s[1] / hk, s[2], s[3]})
}

func oneGroup(x *ir.Node) *ir.Node {
	s := x.Shape
	return ReshapeTo(x, ir.Shape{s[0], s[1], 1, s[2], s[3]})
}

// attentionWeights returns softmax(q·kᵀ·scale + mask) [b hk h/hk t s].
func attentionWeights(q, k, mask *ir.Node, a Attend) *ir.Node {
	hk, t, s := k.Shape[1], q.Shape[2], k.Shape[2]
	scores := scale(matmul(groupHeads(q, hk), SwapLast(oneGroup(k))), a.Scale)
	low := scalar(math.Inf(-1), scores.DType)
	if mask != nil {
		full := ir.Shape{q.Shape[0], q.Shape[1], t, s}
		m := ReshapeTo(ExpandTo(mask, full), scores.Shape)
		if mask.DType == ir.Bool {
			scores = where(m, scores, low)
		} else {
			scores = add(scores, m)
		}
	}
	if a.Causal {
		scores = where(triangle(t, s, s-t), scores, low)
	}
	// A row with nothing to look at is all −∞, whose softmax is NaN: it gives zeros.
	dead := Binary(Eq, reduce(Max, scores, true, 4), low)
	return where(dead, scalar(0, scores.DType), Apply(Softmax, Axis{4}, where(dead, scalar(0, scores.DType), scores)))
}

func maskOf(n *ir.Node, a Attend) *ir.Node {
	if a.Mask == 0 {
		return nil
	}
	return n.Inputs()[a.Mask]
}

func expandAttention(n *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Attend)
	if in[1].Shape[2] == 0 {
		return Filled(0, n.DType, n.Shape)
	}
	p := attentionWeights(in[0], in[1], maskOf(n, a), a)
	return ReshapeTo(matmul(p, oneGroup(in[2])), n.Shape)
}

// With P the weights and S the scores: dV = Pᵀg, dP = g·Vᵀ,
// dS = P∘(dP − rowsum(dP∘P)), dQ = s·dS·K, dK = s·dSᵀ·Q.
func expandAttentionGrad(n *ir.Node) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Attend)
	q, k, v := in[0], in[1], in[2]
	if k.Shape[2] == 0 {
		return Filled(0, n.DType, n.Shape)
	}
	hk := k.Shape[1]
	g := groupHeads(in[3], hk)
	p := attentionWeights(q, k, maskOf(n, a), a)
	if n.Output == 2 {
		return ReshapeTo(reduce(Sum, matmul(SwapLast(p), g), false, 2), n.Shape)
	}
	dp := matmul(g, SwapLast(oneGroup(v)))
	ds := scale(mul(p, sub(dp, sumLast(mul(dp, p)))), a.Scale)
	if n.Output == 0 {
		return ReshapeTo(matmul(ds, oneGroup(k)), n.Shape)
	}
	return ReshapeTo(reduce(Sum, matmul(SwapLast(ds), groupHeads(q, hk)), false, 2), n.Shape)
}

func inferQuantize(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, a := in[0], attrs.(Quant)
	if a.DType != ir.Q8 && a.DType != ir.Q4 {
		return 0, nil, problem(ir.CodeDType, "cannot quantise to %s; lt.Q8 and lt.Q4 are possible", a.DType)
	}
	if err := firstError(checkDense(in), checkFloat(x, "x")); err != nil {
		return 0, nil, err
	}
	if len(x.Shape) != 2 {
		return 0, nil, problem(ir.CodeShape, "shape %v; a matrix [n k] is needed", x.Shape)
	}
	if a.Group != 32 && a.Group != 64 && a.Group != 128 {
		return 0, nil, problem(ir.CodeValue, "group size %d; 32, 64 and 128 are possible", a.Group)
	}
	if x.Shape[1]%a.Group != 0 {
		return 0, nil, problem(ir.CodeShape, "shape %v: the last axis is not a multiple of the group size %d", x.Shape, a.Group)
	}
	return a.DType, x.Shape, nil
}

func inferDequantize(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, to := in[0], attrs.(To).DType
	if x.DType != ir.Q8 && x.DType != ir.Q4 {
		return 0, nil, problem(ir.CodeDType, "x is %s, which is not quantised", x.DType)
	}
	if !to.IsFloat() {
		return 0, nil, problem(ir.CodeDType, "cannot dequantise to %s", to)
	}
	return to, x.Shape, nil
}

func inferQMatMul(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, w := in[0], in[1]
	if err := firstError(checkFloat(x, "x"), checkRank(x, "x", 1)); err != nil {
		return 0, nil, err
	}
	last := len(x.Shape) - 1
	if w.DType != ir.Q8 && w.DType != ir.Q4 || len(w.Shape) != 2 {
		return 0, nil, problem(ir.CodeDType, "w is %s%v; a quantised matrix is needed", w.DType, w.Shape)
	}
	if x.Shape[last] != w.Shape[1] {
		return 0, nil, innerError(x.Shape, ir.Shape{w.Shape[1], w.Shape[0]})
	}
	return x.DType, append(slices.Clone(x.Shape[:last]), w.Shape[0]), nil
}

func vjpQMatMul(n, g *ir.Node, i int) *ir.Node {
	if i == 1 {
		return nil
	}
	return matmulRows(g, Apply(Dequantize, To{g.DType}, n.Inputs()[1]))
}

func expandQMatMul(n *ir.Node) *ir.Node {
	return matmulRows(n.Inputs()[0], SwapLast(Apply(Dequantize, To{n.DType}, n.Inputs()[1])))
}

// matmulRows multiplies the last axis of x, of any rank, with a matrix.
func matmulRows(x, w *ir.Node) *ir.Node {
	if len(x.Shape) > 1 {
		return matmul(x, w)
	}
	y := matmul(ReshapeTo(x, ir.Shape{1, x.Shape[0]}), w)
	return ReshapeTo(y, ir.Shape{w.Shape[1]})
}
