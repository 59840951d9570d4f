package tensorlib

import (
	"math"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// MatMul is the matrix product by NumPy's rules: [… m k] @ [… k n] = [… m n],
// batch axes broadcast; a tensor of one axis is a row on the left, a column on
// the right. Integers are multiplied as i64. Against a quantised matrix w [n k],
// x.MatMul(w.T()) unpacks w on the way.
func (x *Tensor) MatMul(w *Tensor) *Tensor {
	const name = "MatMul"
	a, b := x.n(name), w.n(name)
	if b.DType == Q8 || b.DType == Q4 {
		return matmulQuantised(name, a, b)
	}
	if a.DType != b.DType || !a.DType.IsFloat() {
		d := ir.Promote(a.DType, b.DType)
		if !d.IsFloat() {
			d = I64
		}
		a, b = op.CastTo(a, d), op.CastTo(b, d)
	}
	ra, rb := len(a.Shape), len(b.Shape)
	if ra >= 2 && rb >= 2 {
		return wrap(matmul(a, b))
	}
	if ra == 0 || rb == 0 {
		op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: "a scalar has no matrix product", Hint: "did you mean x.Mul(w)?"}, a, b)
	}
	if k := b.Shape[max(0, rb-2)]; a.Shape[ra-1] != k {
		op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: "inner dimensions differ: " + a.Shape.String() + " @ " + b.Shape.String(),
			Hint: "the last axis of x must be as long as the last but one of w"}, a, b)
	}
	if ra == 1 {
		a = op.ReshapeTo(a, Shape{1, a.Shape[0]})
	}
	if rb == 1 {
		b = op.ReshapeTo(b, Shape{b.Shape[0], 1})
	}
	y := matmul(a, b)
	s := slices.Clone(y.Shape)
	if rb == 1 {
		s = s[:len(s)-1]
	}
	if ra == 1 {
		at := len(s) - 2
		if rb == 1 {
			at = len(s) - 1
		}
		s = slices.Delete(s, at, at+1)
	}
	return via(op.MatMul, wrap(op.ReshapeTo(y, s)))
}

// matmul is the product of matrices of one dtype. Devices have none of integers:
// these are multiplied and added up, which is exact modulo 2⁶⁴.
func matmul(a, b *ir.Node) *ir.Node {
	if a.DType.IsFloat() {
		return op.Apply(op.MatMul, nil, a, b)
	}
	m, k, n := a.Shape[len(a.Shape)-2], a.Shape[len(a.Shape)-1], b.Shape[len(b.Shape)-1]
	batch, ok := ir.Broadcast(a.Shape[:len(a.Shape)-2], b.Shape[:len(b.Shape)-2])
	if !ok || b.Shape[len(b.Shape)-2] != k {
		return op.Apply(op.MatMul, nil, op.CastTo(a, F32), op.CastTo(b, F32)) // raises the error
	}
	x, y := wrap(a).Unsqueeze(-2), wrap(b).T().Unsqueeze(-3)
	if k == 0 {
		return filled(0, I64, slices.Concat(batch, Shape{m, n})).n("MatMul")
	}
	return x.Mul(y).Sum(-1).n("MatMul")
}

func matmulQuantised(name string, a, b *ir.Node) *Tensor {
	if b.Op == op.Transpose {
		if !a.DType.IsFloat() {
			a = op.CastTo(a, F32)
		}
		w := b.Inputs()[0]
		if k := w.Shape[1]; len(a.Shape) == 0 || a.Shape[len(a.Shape)-1] != k {
			op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: "inner dimensions differ: " + a.Shape.String() + " @ " + b.Shape.String(),
				Hint: "the last axis of x must be as long as the rows of the quantised matrix"}, a, b)
		}
		return via(op.MatMul, wrap(op.Apply(op.QMatMul, nil, a, w)))
	}
	return wrap(a).MatMul(wrap(op.Apply(op.Dequantize, op.To{DType: F32}, b)))
}

// Quantize packs a matrix [n k] into 8 or 4 bits (Q8, Q4), in groups of 64 (or
// the size given) along k, each with a scale and an offset. The result can be
// multiplied with, by x.MatMul(w.T()), and unpacked by Dequantize.
func (x *Tensor) Quantize(dtype DType, group ...int) *Tensor {
	q := op.Quant{DType: dtype, Group: 64}
	if len(group) > 0 {
		q.Group = group[0]
	}
	return wrap(op.Apply(op.Quantize, q, x.n("Quantize")))
}

// Dequantize unpacks a quantised matrix into f32.
func (x *Tensor) Dequantize() *Tensor {
	return wrap(op.Apply(op.Dequantize, op.To{DType: F32}, x.n("Dequantize")))
}

// ConvOptions are the parameters of Conv1d and Conv2d. Conv1d uses the first of
// each pair; for Conv2d they are for height and width, and a second Stride or
// Dilation of 0 stands for the first.
type ConvOptions struct {
	Stride   [2]int  // step of the kernel, 1 if 0
	Pad      [2]int  // zeros on both sides
	Dilation [2]int  // distance of the kernel's elements, 1 if 0
	Groups   int     // independent groups of channels, 1 if 0
	Bias     *Tensor // [out], or nil
}

func (o ConvOptions) attrs() op.Conv {
	c := op.Conv{Stride: o.Stride, Pad: o.Pad, Dilation: o.Dilation, Groups: max(o.Groups, 1)}
	for _, p := range []*[2]int{&c.Stride, &c.Dilation} {
		if p[0] == 0 {
			p[0] = 1
		}
		if p[1] == 0 {
			p[1] = p[0]
		}
	}
	if o.Groups < 0 {
		c.Groups = o.Groups
	}
	return c
}

// Conv2d slides the kernels w [out in/groups kh kw] over x [n in h w], without
// turning them (cross-correlation, as in PyTorch); the result is [n out h' w'].
func (x *Tensor) Conv2d(w *Tensor, options ...ConvOptions) *Tensor {
	var o ConvOptions
	if len(options) > 0 {
		o = options[0]
	}
	in := promoteAll([]*ir.Node{x.n("Conv2d"), w.n("Conv2d")})
	y := wrap(op.Apply(op.Conv2d, o.attrs(), in...))
	if o.Bias != nil {
		y = via(op.Conv2d, y.Add(o.Bias.Reshape(-1, 1, 1)))
	}
	return y
}

// Conv1d slides the kernels w [out in/groups k] over x [n in length]; the
// result is [n out length'].
func (x *Tensor) Conv1d(w *Tensor, options ...ConvOptions) *Tensor {
	const name = "Conv1d"
	a, b := x.n(name), w.n(name)
	if len(a.Shape) != 3 || len(b.Shape) != 3 {
		op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: "x and w need three axes each: [n in length] and [out in/groups k]"}, a, b)
	}
	var o ConvOptions
	if len(options) > 0 {
		o = options[0]
	}
	o.Stride, o.Pad, o.Dilation = [2]int{1, o.Stride[0]}, [2]int{0, o.Pad[0]}, [2]int{1, o.Dilation[0]}
	if o.Stride[1] == 0 {
		o.Stride[1] = 1
	}
	if o.Dilation[1] == 0 {
		o.Dilation[1] = 1
	}
	return via(op.Conv1d, x.unsqueeze(name, 2).Conv2d(w.unsqueeze(name, 2), o).Squeeze(2))
}

// AttentionOptions are the parameters of Attention.
type AttentionOptions struct {
	// Scale multiplies the scores, 1/√width if 0.
	Scale float64
	// Causal hides from query i of t all keys after i + (s - t).
	Causal bool
	// Mask is broadcast to [b h t s]: bool (true = look) or added to the scores.
	Mask *Tensor
}

// Attention is softmax(x·kᵀ·scale + mask)·v for the queries x [b h t d], keys k
// [b hk s d] and values v [b hk s dv]. Each of the hk heads of k and v serves
// h/hk heads of x. A query that may look at nothing gives zeros.
func (x *Tensor) Attention(k, v *Tensor, options ...AttentionOptions) *Tensor {
	const name = "Attention"
	var o AttentionOptions
	if len(options) > 0 {
		o = options[0]
	}
	in := promoteAll([]*ir.Node{x.n(name), k.n(name), v.n(name)})
	a := op.Attend{Scale: o.Scale, Causal: o.Causal}
	if a.Scale == 0 && len(in[0].Shape) > 0 {
		a.Scale = 1 / math.Sqrt(float64(max(1, in[0].Shape[len(in[0].Shape)-1])))
	}
	if o.Mask != nil {
		m := o.Mask.n(name)
		if m.DType != Bool {
			m = op.CastTo(m, in[0].DType)
		}
		in, a.Mask = append(in, m), 3
	}
	return wrap(op.Apply(op.Attention, a, in...))
}

// RoPEOptions are the parameters of RoPE.
type RoPEOptions struct {
	Offset      any     // position of the first row: int or scalar *Tensor
	Dims        int     // leading part of the last axis that turns, all if 0
	Base        float64 // 10000 if 0
	Scale       float64 // of positions, 1 if 0
	Interleaved bool    // pairs are (0,1), (2,3), …; else (0,d/2), (1,d/2+1), …
	Frequencies *Tensor // f32 [dims/2], instead of Base
}

// RoPE turns pairs of the last axis of x [… t d] by angles proportional to the
// position: rotary position embedding (Su et al. 2021).
func (x *Tensor) RoPE(options ...RoPEOptions) *Tensor {
	const name = "RoPE"
	var o RoPEOptions
	if len(options) > 0 {
		o = options[0]
	}
	n := x.n(name)
	a := op.Rotary{Dims: o.Dims, Base: o.Base, Scale: o.Scale, Interleaved: o.Interleaved}
	if a.Dims == 0 && len(n.Shape) > 0 {
		a.Dims = n.Shape[len(n.Shape)-1]
	}
	if a.Base == 0 {
		a.Base = 10000
	}
	if a.Scale == 0 {
		a.Scale = 1
	}
	if o.Offset == nil {
		o.Offset = 0
	}
	in := []*ir.Node{n, op.CastTo(operand(name, o.Offset, I64), I64)}
	if o.Frequencies != nil {
		in = append(in, op.CastTo(o.Frequencies.n(name), F32))
	}
	return wrap(op.Apply(op.RoPE, a, in...))
}

// QR factors x [… m n] into q [… m k] with orthonormal columns and an upper
// triangular r [… k n] with a diagonal ≥ 0, where k = min(m, n).
func (x *Tensor) QR() (q, r *Tensor) {
	n := x.n("QR")
	return wrap(op.Apply(op.QR, nil, n)), wrap(op.ApplyOutput(op.QR, nil, 1, n))
}

// SVD factors x [… m n] into u [… m k], the singular values s [… k] in
// descending order, and vh [… k n], where k = min(m, n) and x = u·diag(s)·vh.
func (x *Tensor) SVD() (u, s, vh *Tensor) {
	n := x.n("SVD")
	return wrap(op.Apply(op.SVD, nil, n)), wrap(op.ApplyOutput(op.SVD, nil, 1, n)), wrap(op.ApplyOutput(op.SVD, nil, 2, n))
}

// Solve returns w with x·w = b, for square x [… n n] and b [… n m], or b [n]
// beside a single matrix. A singular x gives Inf or NaN.
func (x *Tensor) Solve(b *Tensor) *Tensor {
	const name = "Solve"
	in := promoteAll([]*ir.Node{x.n(name), b.n(name)})
	if len(in[1].Shape) == 1 {
		y := op.Apply(op.Solve, nil, in[0], op.ReshapeTo(in[1], Shape{in[1].Shape[0], 1}))
		return via(op.Solve, wrap(op.ReshapeTo(y, y.Shape[:len(y.Shape)-1])))
	}
	return wrap(op.Apply(op.Solve, nil, in...))
}
