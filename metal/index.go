package metal

import (
	"fmt"
	"math"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).take, op.Take, op.TakeAlong)
	register((*lowering).scatter, op.Scatter)
	register((*lowering).updateSlice, op.UpdateSlice)
	register((*lowering).pad, op.Pad)
	register((*lowering).concat, op.Concat)
}

// indices returns an operand row-major as int32; what does not fit saturates,
// and so stays out of range.
func (l *lowering) indices(o *plan.Operand) (place, error) {
	p, t, err := l.dense(o)
	if err != nil || t == kernels.I32 {
		return p, err
	}
	if t != kernels.I64 {
		return place{}, errNoKernel
	}
	n := o.Shape.Size()
	to := l.temp(kernels.I32, n)
	long := func(c kernels.Code, literal float64, args ...int) kernels.Op {
		return kernels.Op{Code: c, Type: kernels.I64, Literal: literal, Args: args}
	}
	return to, l.elementwise(n, p, kernels.I64, to, kernels.I32, long("const", math.MaxInt32), long("minimum", 0, 0, 1),
		long("const", math.MinInt32), long("maximum", 0, 2, 3), kernels.Op{Code: "cast", Type: kernels.I32, Args: []int{4}})
}

// indexing describes a tensor seen along an axis.
func indexing(t kernels.Type, shape ir.Shape, axis, count int) kernels.Index {
	return kernels.Index{Type: t, Outer: shape[:axis].Size(), Axis: shape[axis], Count: count, Inner: shape[axis+1:].Size()}
}

func (l *lowering) take() error {
	s := l.s
	axis := s.Attrs.(op.Axis).Axis
	x, t, err := l.dense(&s.In[0])
	if err != nil {
		return err
	}
	index, err := l.indices(&s.In[1])
	if err != nil {
		return err
	}
	g := indexing(t, s.In[0].Shape, axis, s.In[1].Shape.Size())
	if s.Op == op.TakeAlong {
		g.Along, g.Count = true, s.In[1].Shape[axis]
	}
	status := l.status(check{operand: &s.In[1], axis: g.Axis, ignored: math.MinInt64, least: -int64(g.Axis)})
	l.add(g.Gather(), x, index, at(&s.Out[0]), status)
	return nil
}

func (l *lowering) scatter() error {
	s, a := l.s, l.s.Attrs.(op.Scattering)
	if err := l.copyOperand(&s.In[0], &s.Out[0]); err != nil {
		return err
	}
	index, err := l.indices(&s.In[1])
	if err != nil {
		return err
	}
	source, t, err := l.dense(&s.In[2])
	if err != nil {
		return err
	}
	g := indexing(t, s.In[0].Shape, a.Axis, s.In[1].Shape.Size())
	g.Add = a.Mode == op.ScatterAdd
	if a.Along {
		g.Along, g.Count = true, s.In[1].Shape[a.Axis]
	}
	status := l.status(check{operand: &s.In[1], axis: g.Axis, ignored: math.MinInt64, least: -int64(g.Axis)})
	l.add(g.Scatter(), source, index, at(&s.Out[0]), status)
	return nil
}

func (l *lowering) updateSlice() error {
	s, w := l.s, l.s.Attrs.(op.Window)
	if err := l.copyOperand(&s.In[0], &s.Out[0]); err != nil {
		return err
	}
	to := s.Out[0]
	to.View = to.Slice(w.Start, w.Step, w.Size)
	return l.copyOperand(&s.In[1], &to)
}

func (l *lowering) pad() error {
	s, m := l.s, l.s.Attrs.(op.Margins)
	out := s.Out[0]
	if err := l.fill(&out, m.Value); err != nil {
		return err
	}
	step := make([]int, len(out.Shape))
	for i := range step {
		step[i] = 1
	}
	out.View = out.Slice(m.Before, step, s.In[0].Shape)
	return l.copyOperand(&s.In[0], &out)
}

// fill makes all elements of an output the same.
func (l *lowering) fill(o *plan.Operand, value float64) error {
	t, err := typeOf(o)
	if err != nil {
		return err
	}
	g := kernels.Group{Shape: []int{o.Shape.Size()}, Ops: []kernels.Op{{Code: "const", Type: t, Literal: value}}, Outputs: []kernels.Output{{Type: t}}}
	k, err := g.Launch()
	if err != nil {
		return errNoKernel
	}
	l.add(k, at(o))
	return nil
}

func (l *lowering) concat() error {
	s, axis := l.s, l.s.Attrs.(op.Axis).Axis
	start, step := make([]int, len(s.Out[0].Shape)), make([]int, len(s.Out[0].Shape))
	for i := range step {
		step[i] = 1
	}
	for i := range s.In {
		if s.In[i].Shape.Size() == 0 {
			continue
		}
		to := s.Out[0]
		to.View = to.Slice(start, step, s.In[i].Shape)
		if err := l.copyOperand(&s.In[i], &to); err != nil {
			return err
		}
		start[axis] += s.In[i].Shape[axis]
	}
	return nil
}

// badIndex looks at what kernels reported, and at the indices that none does.
func (r *instance) badIndex() error {
	for i, l := range r.x.steps {
		for k := range l.checks {
			c := &l.checks[k]
			if !c.host && *(*uint32)(unsafe.Pointer(&r.status.Bytes()[4*c.status])) == 0 {
				continue
			}
			if err := r.outOfRange(c); err != nil {
				at := r.x.from + i
				return &plan.StepError{Step: at, Name: r.x.plan.Steps[at].Name, Err: err}
			}
		}
	}
	return nil
}

// outOfRange finds the first index that is not on its axis.
func (r *instance) outOfRange(c *check) error {
	o := c.operand
	base := unsafe.Add(r.b.Buffers[o.Buffer], o.Offset*o.DType.Bytes())
	index := make([]int, len(o.Shape))
	offset := 0
	for range o.Shape.Size() {
		var v int64
		if o.DType == ir.I64 {
			v = *(*int64)(unsafe.Add(base, 8*offset))
		} else {
			v = int64(*(*int32)(unsafe.Add(base, 4*offset)))
		}
		if v != c.ignored && (v < c.least || v >= int64(c.axis)) {
			if c.least == 0 {
				return &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("target %d is none of the %d classes", v, c.axis)}
			}
			return &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("index %d is out of range for an axis of %d", v, c.axis)}
		}
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			offset += o.Strides[d]
			if index[d] < o.Shape[d] {
				break
			}
			offset -= index[d] * o.Strides[d]
			index[d] = 0
		}
	}
	return nil
}
