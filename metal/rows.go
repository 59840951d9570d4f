package metal

import (
	"math"

	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).softmax, op.Softmax, op.LogSoftmax)
	register((*lowering).norm, op.RMSNorm, op.LayerNorm)
	register((*lowering).rope, op.RoPE)
	register((*lowering).crossEntropy, op.CrossEntropy, op.CrossEntropyGrad)
	register((*lowering).reduce, op.Sum, op.Prod, op.Max, op.Min, op.Any, op.All)
	register((*lowering).argReduce, op.ArgMax, op.ArgMin)
	register((*lowering).cumSum, op.CumSum)
	register((*lowering).sort, op.Sort, op.TopK)
}

// axisLast is the operand with an axis moved behind the others.
func axisLast(o *plan.Operand, axis int) *plan.Operand {
	perm := make([]int, 0, len(o.Shape))
	for i := range o.Shape {
		if i != axis {
			perm = append(perm, i)
		}
	}
	return &plan.Operand{Buffer: o.Buffer, DType: o.DType, View: o.Permute(append(perm, axis))}
}

// result returns where a kernel that writes row-major, the axis last, is to
// write an output, and what brings it into place afterwards.
func (l *lowering) result(o *plan.Operand, axis int, t kernels.Type) (to place, finish func() error, err error) {
	want, err := typeOf(o)
	if err != nil {
		return place{}, nil, err
	}
	moved := axisLast(o, axis)
	if t == want && moved.IsDense() {
		return at(o), func() error { return nil }, nil
	}
	to = l.temp(t, o.Shape.Size())
	return to, func() error {
		return l.copy(plan.Dense(moved.Shape), t, to, moved.View, want, at(o))
	}, nil
}

func (l *lowering) softmax() error {
	x, y := &l.s.In[0], &l.s.Out[0]
	axis := l.s.Attrs.(op.Axis).Axis
	from, t, err := l.dense(axisLast(x, axis))
	if err != nil {
		return err
	}
	to, finish, err := l.result(y, axis, t)
	if err != nil {
		return err
	}
	n := x.Shape[axis]
	l.add(kernels.Softmax(t, x.Shape.Size()/n, n, l.s.Op == op.LogSoftmax), from, to)
	return finish()
}

func (l *lowering) norm() error {
	s, a := l.s, l.s.Attrs.(op.Norm)
	x, t, err := l.dense(&s.In[0])
	if err != nil {
		return err
	}
	var weight, bias place
	if a.Weight {
		if weight, _, err = l.dense(&s.In[1]); err != nil {
			return err
		}
	}
	if a.Bias {
		if bias, _, err = l.dense(&s.In[len(s.In)-1]); err != nil {
			return err
		}
	}
	cols := s.In[0].Shape[len(s.In[0].Shape)-1]
	n := kernels.Norm{Type: t, Rows: s.In[0].Shape.Size() / cols, Columns: cols, Eps: float32(a.Eps), Weight: a.Weight, Offset: a.Bias}
	if s.Op == op.RMSNorm {
		l.add(n.RMS(), x, place{}, weight, at(&s.Out[0]), place{})
	} else {
		l.add(n.Layer(), x, place{}, weight, bias, at(&s.Out[0]), place{})
	}
	return nil
}

func (l *lowering) rope() error {
	s, a := l.s, l.s.Attrs.(op.Rotary)
	x, t, err := l.dense(&s.In[0])
	if err != nil {
		return err
	}
	offset, err := l.denseAs(&s.In[1], kernels.I64)
	if err != nil {
		return err
	}
	shape := s.In[0].Shape
	n := len(shape)
	r := kernels.Rope{Type: t, Outer: shape[:n-2].Size(), Sequence: shape[n-2], Heads: 1, Size: shape[n-1], Rotated: a.Dims, Base: a.Base, Factor: float32(a.Scale),
		Interleaved: a.Interleaved, Offset: true, Gradient: a.Inverse}
	var frequencies place
	if len(s.In) > 2 {
		r.Frequencies = true
		if r.Base == 0 {
			r.Base = 1
		}
		if frequencies, err = l.denseAs(&s.In[2], kernels.F32); err != nil {
			return err
		}
	}
	l.add(r.Launch(), x, offset, frequencies, at(&s.Out[0]))
	return nil
}

func (l *lowering) crossEntropy() error {
	s, a := l.s, l.s.Attrs.(op.Targets)
	classes := s.In[0].Shape[len(s.In[0].Shape)-1]
	ignored, least := a.Ignore, int64(0)
	if a.Index { // no target that passes the check is as small as what the kernel ignores
		a.Ignore, ignored, least = math.MinInt32, math.MinInt64, -int64(classes)
	}
	if a.Ignore != int64(int32(a.Ignore)) {
		return errNoKernel
	}
	x, t, err := l.dense(&s.In[0])
	if err != nil {
		return err
	}
	targets, err := l.indices(&s.In[1])
	if err != nil {
		return err
	}
	rows := s.In[1].Shape.Size()
	l.checks = append(l.checks, check{operand: &s.In[1], axis: classes, ignored: ignored, least: least, host: true})
	c := kernels.CrossEntropy{Type: t, Rows: rows, Columns: classes, Ignored: int32(a.Ignore), Smoothing: float32(a.Smoothing)}
	loss, scale, gradient := l.temp(kernels.F32, rows), place{}, place{}
	if s.Op == op.CrossEntropyGrad {
		c.Gradient, c.ScalePerRow = true, true
		gradient = at(&s.Out[0])
		if scale, err = l.denseAs(&s.In[2], kernels.F32); err != nil {
			return err
		}
	} else if t == kernels.F32 {
		loss = at(&s.Out[0])
	}
	l.add(c.Launch(), x, targets, scale, loss, gradient)
	if s.Op == op.CrossEntropy && t != kernels.F32 {
		l.add(kernels.Cast(kernels.F32, t, rows, false), loss, at(&s.Out[0]))
	}
	return nil
}

// elementwise runs operations on one dense input, value 0; the last one's result is written.
func (l *lowering) elementwise(n int, from place, t kernels.Type, to place, u kernels.Type, ops ...kernels.Op) error {
	g := kernels.Group{Shape: []int{n}, Inputs: []kernels.Input{{Type: t, Strides: []int{1}, Size: n}}, Ops: ops, Outputs: []kernels.Output{{Value: len(ops), Type: u}}}
	k, err := g.Launch()
	if err != nil {
		return errNoKernel
	}
	l.add(k, from, to)
	return nil
}

// reduce sums (or the like) over any axes.
func (l *lowering) reduce() error {
	s := l.s
	axes := s.Attrs.(op.Reduce).Axes
	outer, length, inner, x, t, err := l.reduced(axes)
	if err != nil {
		return err
	}
	l.addReduction(t, outer, length, inner, reductionOf[s.Op], x, at(&s.Out[0]))
	return nil
}

// addReduction reduces x [outer, length, inner] over length.
func (l *lowering) addReduction(t kernels.Type, outer, length, inner int, kind kernels.Reduction, x, y place) {
	launches := kernels.Reduce(t, outer, length, inner, kind)
	if len(launches) > 1 {
		parts := launches[1].Arguments[0]
		between := l.temp(parts.Type, parts.Size)
		l.add(launches[0], x, between)
		x = between
	}
	l.add(launches[len(launches)-1], x, y)
}

// reduced returns the operand as [outer, length, inner], where the axes are length.
func (l *lowering) reduced(axes []int) (outer, length, inner int, x place, t kernels.Type, err error) {
	o := &l.s.In[0]
	isGone := make([]bool, len(o.Shape))
	for _, a := range axes {
		isGone[a] = true
	}
	outer, length, inner = 1, 1, 1
	state, together := 0, true
	for d, n := range o.Shape {
		switch {
		case n == 1:
		case isGone[d]:
			together = together && state < 2
			state = 1
			length *= n
		case state == 0:
			outer *= n
		default:
			state = 2
			inner *= n
		}
	}
	if !together { // the axes that go behind those that stay
		var perm []int
		for pass := range 2 {
			for d := range o.Shape {
				if isGone[d] == (pass == 1) {
					perm = append(perm, d)
				}
			}
		}
		o = &plan.Operand{Buffer: o.Buffer, DType: o.DType, View: o.Permute(perm)}
		outer, inner = outer*inner, 1
	}
	x, t, err = l.dense(o)
	return outer, length, inner, x, t, err
}

func (l *lowering) argReduce() error {
	s := l.s
	outer, length, inner, x, t, err := l.reduced(s.Attrs.(op.Reduce).Axes)
	if err != nil {
		return err
	}
	kind := kernels.Max
	if s.Op == op.ArgMin {
		kind = kernels.Min
	}
	y := l.temp(kernels.I32, outer*inner)
	l.add(kernels.ArgReduce(t, outer, length, inner, kind), x, y)
	l.add(kernels.Cast(kernels.I32, kernels.I64, outer*inner, false), y, at(&s.Out[0]))
	return nil
}

func (l *lowering) cumSum() error {
	s, a := l.s, l.s.Attrs.(op.Scan)
	o, shape := s.In[0], s.In[0].Shape
	outer, length, inner := shape[:a.Axis].Size(), shape[a.Axis], shape[a.Axis+1:].Size()
	out := s.Out[0]
	if a.Reverse {
		o.View, out.View = backwards(o.View, a.Axis), backwards(out.View, a.Axis)
	}
	x, t, err := l.dense(&o)
	if err != nil {
		return err
	}
	y := at(&out)
	if a.Reverse {
		y = l.temp(t, shape.Size())
	}
	l.add(kernels.CumulativeSum(t, outer, length, inner), x, y)
	if a.Reverse {
		return l.copy(plan.Dense(shape), t, y, out.View, t, at(&out))
	}
	return nil
}

// backwards walks along an axis from its end.
func backwards(v plan.View, axis int) plan.View {
	start, step := make([]int, len(v.Shape)), make([]int, len(v.Shape))
	for i := range step {
		step[i] = 1
	}
	start[axis], step[axis] = v.Shape[axis]-1, -1
	return v.Slice(start, step, v.Shape)
}

func (l *lowering) sort() error {
	s := l.s
	var axis int
	sorted := kernels.Sort{}
	switch a := s.Attrs.(type) {
	case op.Order:
		axis, sorted.Descending = a.Axis, a.Descending
	case op.Top:
		axis, sorted.Kept, sorted.Descending = a.Axis, a.K, !a.Smallest
	}
	o := &s.In[0]
	x, t, err := l.dense(axisLast(o, axis))
	if err != nil {
		return err
	}
	sorted.Type, sorted.Columns = t, o.Shape[axis]
	sorted.Rows = o.Shape.Size() / sorted.Columns
	values, finishValues, err := l.result(&s.Out[0], axis, t)
	if err != nil {
		return err
	}
	indices, finishIndices, err := l.result(&s.Out[1], axis, kernels.I32)
	if err != nil {
		return err
	}
	launches := sorted.Launches()
	if len(launches) == 1 {
		l.add(launches[0], x, values, indices)
	} else {
		first := launches[0].Arguments
		keys, places := l.temp(first[1].Type, first[1].Size), l.temp(first[2].Type, first[2].Size)
		l.add(launches[0], x, keys, places)
		for _, k := range launches[1 : len(launches)-1] {
			l.add(k, keys, places)
		}
		l.add(launches[len(launches)-1], keys, places, values, indices)
	}
	if err := finishValues(); err != nil {
		return err
	}
	return finishIndices()
}
