package tensorlib

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// Reductions go over the axes given, or over all if none is; the axes
// disappear. (Unsqueeze brings one back, to broadcast against x.)

func reduce(id ir.Op, name string, x *Tensor, axes []int) *Tensor {
	n := x.n(name)
	a := axesOf(name, axes, n)
	switch id {
	case op.Sum, op.Prod:
		if n.DType == Bool || n.DType == U8 || n.DType == I32 {
			n = op.CastTo(n, I64)
		}
	case op.Any, op.All:
		n = op.CastTo(n, Bool)
	}
	return wrap(op.Apply(id, op.Reduce{Axes: a}, n))
}

// Sum adds over the axes. Bools and small integers are summed as i64.
func (x *Tensor) Sum(axes ...int) *Tensor { return reduce(op.Sum, "Sum", x, axes) }

// Prod multiplies over the axes. Bools and small integers are multiplied as i64.
func (x *Tensor) Prod(axes ...int) *Tensor { return reduce(op.Prod, "Prod", x, axes) }

// Max returns the largest element over the axes; NaN if there is one.
func (x *Tensor) Max(axes ...int) *Tensor { return reduce(op.Max, "Max", x, axes) }

// Min returns the smallest element over the axes; NaN if there is one.
func (x *Tensor) Min(axes ...int) *Tensor { return reduce(op.Min, "Min", x, axes) }

// Any is true where some element over the axes is not 0.
func (x *Tensor) Any(axes ...int) *Tensor { return reduce(op.Any, "Any", x, axes) }

// All is true where every element over the axes is not 0.
func (x *Tensor) All(axes ...int) *Tensor { return reduce(op.All, "All", x, axes) }

// floating returns x, or x in f32 if it is of integers or bools.
func (x *Tensor) floating(name string) *Tensor {
	if x.n(name).DType.IsFloat() {
		return x
	}
	return x.Cast(F32)
}

// wide returns x, or x in f32 if it is of halves: sums of them overflow f16 and
// lose bits where their mean does not.
func (x *Tensor) wide() *Tensor {
	if d := x.DType(); d == F16 || d == BF16 {
		return x.Cast(F32)
	}
	return x
}

// Mean is the sum over the axes divided by the number of elements; integers
// become f32.
func (x *Tensor) Mean(axes ...int) *Tensor {
	const name = "Mean"
	n := x.n(name)
	count := 1
	for _, a := range axesOf(name, axes, n) {
		count *= n.Shape[a]
	}
	y := x.floating(name)
	return via(op.Mean, y.wide().Sum(axes...).Div(count).Cast(y.DType()), x) // 0/0 of nothing
}

// centred returns x minus its mean over the axes, halves in f32, and the axes.
// The mean is taken of the distances from the first element, so that equal
// elements are 0 apart and a large offset costs no digits.
func (x *Tensor) centred(name string, axes []int) (*Tensor, []int) {
	x = x.floating(name).wide()
	n := x.n(name)
	a := axesOf(name, axes, n)
	count := 1
	first := append(Shape{}, n.Shape...)
	for _, axis := range a {
		count *= n.Shape[axis]
		first[axis] = min(1, n.Shape[axis])
	}
	if count == 0 {
		return x, a
	}
	d := x.Sub(wrap(op.SliceOf(n, make([]int, len(first)), first)).Detach())
	mean := op.Apply(op.Sum, op.Reduce{Axes: a, Keep: true}, d.n(name))
	return d.Sub(wrap(mean).Div(count)), a
}

// variance is Var before its result is rounded to halves.
func (x *Tensor) variance(name string, axes []int) *Tensor {
	d, a := x.centred(name, axes)
	if len(a) == 0 {
		return d.Square()
	}
	return d.Square().Mean(a...)
}

// Var is the mean squared distance from the mean over the axes (NumPy's ddof
// = 0); integers become f32.
func (x *Tensor) Var(axes ...int) *Tensor {
	return via(op.Var, x.variance("Var", axes).Cast(x.floating("Var").DType()), x)
}

// Std is the square root of Var; its derivative at 0 is 0.
func (x *Tensor) Std(axes ...int) *Tensor {
	return via(op.Std, root(x.variance("Std", axes)).Cast(x.floating("Std").DType()), x)
}

// root is √x of a sum of squares, with derivative 0 at 0, where all of the
// squares are 0 (PyTorch's choice): that of Sqrt is infinite.
func root(x *Tensor) *Tensor {
	zero := x.Eq(0)
	return Where(zero, 0, Where(zero, 1, x).Sqrt())
}

// Norm is the Euclidean norm √Σx² over the axes (of a matrix: Frobenius).
// Its derivative at 0 is 0.
func (x *Tensor) Norm(axes ...int) *Tensor {
	y := x.floating("Norm")
	return via(op.Norm2, root(y.wide().Square().Sum(axes...)).Cast(y.DType()), x)
}

// LogSumExp is log Σeˣ over the axes, without overflow.
func (x *Tensor) LogSumExp(axes ...int) *Tensor {
	const name = "LogSumExp"
	dtype := x.floating(name).DType()
	y := x.floating(name).wide()
	n := y.n(name)
	a := axesOf(name, axes, n)
	if len(a) == 0 || n.Shape.Size() == 0 {
		return via(op.LogSumExp, y.Exp().Sum(axes...).Log().Cast(dtype), x)
	}
	top := wrap(op.Apply(op.Max, op.Reduce{Axes: a, Keep: true}, n)).Detach()
	top = Where(top.IsInf(), 0, top)
	sum := y.Sub(top).Exp().Sum(a...)
	return via(op.LogSumExp, sum.Log().Add(top.Squeeze(a...)).Cast(dtype), x)
}

func argReduce(id ir.Op, name string, x *Tensor, axis []int) *Tensor {
	n := x.n(name)
	if len(axis) == 0 {
		n = op.ReshapeTo(n, Shape{n.Shape.Size()})
	}
	return wrap(op.Apply(id, op.Reduce{Axes: []int{lastAxis(name, axis, n)}}, n))
}

// ArgMax is the index (i64) of the first largest element along an axis, of the
// flattened tensor if none is given.
func (x *Tensor) ArgMax(axis ...int) *Tensor { return argReduce(op.ArgMax, "ArgMax", x, axis) }

// ArgMin is the index (i64) of the first smallest element along an axis, of
// the flattened tensor if none is given.
func (x *Tensor) ArgMin(axis ...int) *Tensor { return argReduce(op.ArgMin, "ArgMin", x, axis) }

// CumSum is the running sum along an axis. Bools and small integers are summed as
// i64.
func (x *Tensor) CumSum(axis int) *Tensor {
	const name = "CumSum"
	n := x.n(name)
	a := axisOf(name, axis, n)
	if n.DType == Bool || n.DType == U8 || n.DType == I32 {
		n = op.CastTo(n, I64)
	}
	return wrap(op.Apply(op.CumSum, op.Scan{Axis: a}, n))
}

// Sort returns the elements in ascending order along an axis (the last if none
// is given); equal ones stay in order, NaN comes last.
func (x *Tensor) Sort(axis ...int) *Tensor {
	n := x.n("Sort")
	return wrap(op.Apply(op.Sort, op.Order{Axis: lastAxis("Sort", axis, n)}, n))
}

// ArgSort returns the indices (i64) that sort x along an axis (the last if
// none is given): x.TakeAlong(x.ArgSort(), -1) equals x.Sort().
func (x *Tensor) ArgSort(axis ...int) *Tensor {
	n := x.n("ArgSort")
	return via(op.ArgSort, wrap(op.ApplyOutput(op.Sort, op.Order{Axis: lastAxis("ArgSort", axis, n)}, 1, n)))
}

// TopK returns the k largest elements along an axis (the last if none is
// given), largest first, and their indices (i64).
func (x *Tensor) TopK(k int, axis ...int) (values, indices *Tensor) {
	n := x.n("TopK")
	a := op.Top{Axis: lastAxis("TopK", axis, n), K: k}
	return wrap(op.Apply(op.TopK, a, n)), wrap(op.ApplyOutput(op.TopK, a, 1, n))
}
