package tensorlib

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// Softmax is eˣ/Σeˣ along an axis (the last if none is given).
func (x *Tensor) Softmax(axis ...int) *Tensor {
	n := x.floating("Softmax").n("Softmax")
	return wrap(op.Apply(op.Softmax, op.Axis{Axis: lastAxis("Softmax", axis, n)}, n))
}

// LogSoftmax is x - log Σeˣ along an axis (the last if none is given).
func (x *Tensor) LogSoftmax(axis ...int) *Tensor {
	n := x.floating("LogSoftmax").n("LogSoftmax")
	return wrap(op.Apply(op.LogSoftmax, op.Axis{Axis: lastAxis("LogSoftmax", axis, n)}, n))
}

// RMSNorm is x/√(mean(x²)+eps)·weight over the last axis; weight [d] may be nil.
func (x *Tensor) RMSNorm(weight *Tensor, eps float64) *Tensor {
	return norm(op.RMSNorm, "RMSNorm", x, weight, nil, eps)
}

// LayerNorm is (x-mean)/√(variance+eps)·weight + bias over the last axis, with
// the variance of the whole (not sample) row; weight and bias [d] may be nil.
func (x *Tensor) LayerNorm(weight, bias *Tensor, eps float64) *Tensor {
	return norm(op.LayerNorm, "LayerNorm", x, weight, bias, eps)
}

func norm(id ir.Op, name string, x, weight, bias *Tensor, eps float64) *Tensor {
	in := []*ir.Node{x.floating(name).n(name)}
	a := op.Norm{Eps: eps}
	for _, w := range []*Tensor{weight, bias} {
		if w != nil {
			in = append(in, op.CastTo(w.n(name), in[0].DType))
		}
	}
	a.Weight, a.Bias = weight != nil, bias != nil
	return wrap(op.Apply(id, a, in...))
}

// CrossEntropyOptions are the parameters of CrossEntropy.
type CrossEntropyOptions struct {
	Ignore    []int   // targets that do not count, besides -100
	Smoothing float64 // 0…1: share of the weight spread over all classes
}

// ignored is the target that never counts.
const ignored = -100

// CrossEntropy is -log softmax(x)[target] for each row of x [… classes] and its
// target, a class index (i64 or i32); ignored targets give 0.
// The mean over the others is nn.CrossEntropy.
func (x *Tensor) CrossEntropy(targets *Tensor, options ...CrossEntropyOptions) *Tensor {
	const name = "CrossEntropy"
	a := op.Targets{Ignore: ignored}
	t := targets
	if len(options) > 0 {
		a.Smoothing = options[0].Smoothing
		for _, i := range options[0].Ignore {
			t = Where(t.Eq(i), ignored, t)
		}
	}
	return wrap(op.Apply(op.CrossEntropy, a, x.floating(name).n(name), t.n(name)))
}

// Tril keeps the lower triangle of the last two axes, up to diagonal k (0 if
// not given), and sets the rest to 0.
func (x *Tensor) Tril(k ...int) *Tensor { return x.triangle(op.Tril, "Tril", k) }

// Triu keeps the upper triangle of the last two axes, from diagonal k (0 if
// not given), and sets the rest to 0.
func (x *Tensor) Triu(k ...int) *Tensor { return x.triangle(op.Triu, "Triu", k) }

func (x *Tensor) triangle(id ir.Op, name string, k []int) *Tensor {
	n := x.n(name)
	rank := len(n.Shape)
	if rank < 2 {
		fail(name, ir.CodeShape, n, "shape %v has fewer than two axes", n.Shape)
	}
	diagonal := 0
	if len(k) > 0 {
		diagonal = k[0]
	}
	s := n.Shape[rank-2:]
	dtype := F32 // exact, and fast
	if max(s[0], s[1]) > 1<<24 {
		dtype = I64
	}
	distance := wrap(op.Binary(op.Sub, counter(Shape{s[1]}, 0, dtype), counter(Shape{s[0], 1}, 0, dtype)))
	keep := distance.Le(diagonal)
	if id == op.Triu {
		keep = distance.Ge(diagonal)
	}
	return via(id, wrap(op.Apply(op.Where, nil, keep.n(name), n, op.Filled(0, n.DType, nil))))
}

// Take picks whole slices along an axis by number (negative: from the end).
// The axis is replaced by the axes of indices (i64 or i32).
func (x *Tensor) Take(indices *Tensor, axis int) *Tensor {
	n := x.n("Take")
	return wrap(op.Apply(op.Take, op.Axis{Axis: axisOf("Take", axis, n)}, n, indices.n("Take")))
}

// TakeAlong picks single elements: the result at place p is x at p with its
// place on the axis replaced by indices[p] (numpy.take_along_axis). indices
// has x's shape but for the axis.
func (x *Tensor) TakeAlong(indices *Tensor, axis int) *Tensor {
	n := x.n("TakeAlong")
	return wrap(op.Apply(op.TakeAlong, op.Axis{Axis: axisOf("TakeAlong", axis, n)}, n, indices.n("TakeAlong")))
}

// Gather is TakeAlong with the arguments of torch.gather, where indices may be
// shorter than x on the other axes too.
func (x *Tensor) Gather(axis int, indices *Tensor) *Tensor {
	const name = "Gather"
	n, idx := x.n(name), indices.n(name)
	a := axisOf(name, axis, n)
	return via(op.Gather, wrap(op.Apply(op.TakeAlong, op.Axis{Axis: a}, cut(n, idx.Shape, a), idx)))
}

// cut shortens x to s on all axes but one, if it fits.
func cut(n *ir.Node, s Shape, axis int) *ir.Node {
	if len(s) != len(n.Shape) {
		return n
	}
	size := append(Shape(nil), n.Shape...)
	for a, d := range s {
		if a != axis && d < size[a] {
			size[a] = d
		}
	}
	return op.SliceOf(n, make([]int, len(s)), size)
}

// Scatter returns x with updates written to the places on an axis that
// indices, of the same shape, name (numpy.put_along_axis). x itself does not
// change. If two hit one place, the last wins.
func (x *Tensor) Scatter(axis int, indices, updates *Tensor) *Tensor {
	return x.scatter("Scatter", axis, indices, updates, op.ScatterSet)
}

// ScatterAdd is Scatter that adds the updates to what is there.
func (x *Tensor) ScatterAdd(axis int, indices, updates *Tensor) *Tensor {
	return via(op.ScatterSum, x.scatter("ScatterAdd", axis, indices, updates, op.ScatterAdd))
}

func (x *Tensor) scatter(name string, axis int, indices, updates *Tensor, mode op.ScatterMode) *Tensor {
	n := x.n(name)
	a := op.Scattering{Axis: axisOf(name, axis, n), Along: true, Mode: mode}
	return wrap(op.Apply(op.Scatter, a, n, indices.n(name), op.CastTo(updates.n(name), n.DType)))
}

// DynamicSlice is a box of a fixed size whose start is computed: starts holds
// one number (i64) for each axis, moved so that the box fits.
func (x *Tensor) DynamicSlice(starts *Tensor, size ...int) *Tensor {
	return wrap(op.Apply(op.DynamicSlice, op.Fill{Shape: append(Shape(nil), size...)}, x.n("DynamicSlice"), starts.n("DynamicSlice")))
}

// DynamicUpdateSlice is x with the box that begins at starts replaced by
// update; starts are moved so that it fits.
func (x *Tensor) DynamicUpdateSlice(update, starts *Tensor) *Tensor {
	const name = "DynamicUpdateSlice"
	n := x.n(name)
	return wrap(op.Apply(op.DynamicUpdateSlice, nil, n, op.CastTo(update.n(name), n.DType), starts.n(name)))
}
