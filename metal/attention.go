package metal

import (
	"math"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).attention, op.Attention)
	register((*lowering).attentionGrad, op.AttentionGrad)
}

func (l *lowering) attention() error {
	n, args, err := l.heads()
	if err != nil {
		return err
	}
	l.add(n.Launch(), append(args, at(&l.s.Out[0]))...)
	return nil
}

// attentionGrad makes dQ, dK and dV; its fourth input is the gradient of the result.
func (l *lowering) attentionGrad() error {
	n, args, err := l.heads()
	if err != nil {
		return err
	}
	gradient, _, err := l.dense(&l.s.In[3])
	if err != nil {
		return err
	}
	out := l.s.Out
	launches := n.Gradient()
	statistics := l.temp(kernels.F32, 2*n.Batches*n.Heads*n.Queries)
	args = append(args, gradient)
	l.add(launches[0], append(args[:5:5], at(&out[0]), statistics)...)
	l.add(launches[1], append(args[:5:5], statistics, at(&out[1]), at(&out[2]))...)
	return nil
}

// heads describes the attention of a step, and returns where Q, K, V and the mask lie.
func (l *lowering) heads() (n kernels.Attention, args []place, err error) {
	s, a := l.s, l.s.Attrs.(op.Attend)
	q, k, v := s.In[0].Shape, s.In[1].Shape, s.In[2].Shape
	if max(q[3], v[3]) > kernels.MaxHeadSize {
		return n, nil, errNoKernel
	}
	var t kernels.Type
	for i := range 3 {
		var p place
		if p, t, err = l.dense(&s.In[i]); err != nil {
			return n, nil, err
		}
		args = append(args, p)
	}
	if !t.Float() {
		return n, nil, errNoKernel
	}
	n = kernels.Attention{Type: t, Batches: q[0], Heads: q[1], KeyHeads: k[1], Queries: q[2], Keys: k[2], Size: q[3], ValueSize: v[3], Scale: float32(a.Scale), Causal: a.Causal}
	var mask place
	if a.Mask > 0 {
		mask, err = l.mask(&s.In[a.Mask], &n)
	}
	return n, append(args, mask), err
}

// mask returns a mask that is added, row-major over what it does not repeat.
func (l *lowering) mask(o *plan.Operand, n *kernels.Attention) (place, error) {
	t, err := typeOf(o)
	if err != nil {
		return place{}, err
	}
	n.Mask = true
	full := o.View.Expand(ir.Shape{n.Batches, n.Heads, n.Queries, n.Keys})
	for axis, stride := range map[int]*int{0: &n.MaskBatch, 1: &n.MaskHead} {
		if full.Strides[axis] == 0 {
			full.Shape = append(ir.Shape{}, full.Shape...)
			full.Shape[axis] = 1
		} else {
			*stride = 1
		}
	}
	size := n.Queries * n.Keys
	if n.MaskHead > 0 {
		n.MaskHead = size
		size *= n.Heads
	}
	if n.MaskBatch > 0 {
		n.MaskBatch = size
	}
	part := &plan.Operand{Buffer: o.Buffer, DType: o.DType, View: full}
	if t != kernels.Bool {
		return l.denseAs(part, n.Type)
	}
	from, _, err := l.dense(part)
	if err != nil {
		return place{}, err
	}
	count := full.Shape.Size()
	to := l.temp(n.Type, count)
	return to, l.elementwise(count, from, kernels.Bool, to, n.Type,
		kernels.Op{Code: "const", Type: kernels.F32}, kernels.Op{Code: "const", Type: kernels.F32, Literal: math.Inf(-1)}, kernels.Op{Code: "where", Type: kernels.F32, Args: []int{0, 1, 2}})
}
