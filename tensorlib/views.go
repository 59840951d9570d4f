package tensorlib

import (
	"fmt"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// Reshape returns x with another shape of the same size, in row-major order;
// one size may be -1, which is found from the others. Without arguments the
// result is a scalar.
func (x *Tensor) Reshape(shape ...int) *Tensor {
	const name = "Reshape"
	n := x.n(name)
	s := append(Shape(nil), shape...)
	unknown, known := -1, 1
	for i, d := range s {
		if d != -1 {
			known *= d
			continue
		}
		if unknown >= 0 {
			fail(name, ir.CodeShape, n, "two sizes are -1 in %v", s)
		}
		unknown = i
	}
	if unknown >= 0 {
		if known <= 0 || n.Shape.Size()%known != 0 {
			fail(name, ir.CodeShape, n, "%v has %d elements, which %v does not divide", n.Shape, n.Shape.Size(), s)
		}
		s[unknown] = n.Shape.Size() / known
	}
	if s.Equal(n.Shape) {
		return x
	}
	return wrap(op.Apply(op.Reshape, op.Fill{Shape: s}, n))
}

// Flatten returns x with one axis.
func (x *Tensor) Flatten() *Tensor {
	return via(op.Flatten, x.Reshape(x.n("Flatten").Shape.Size()), x)
}

// Transpose reorders the axes: axis i of the result is axis axes[i] of x.
// Without arguments it reverses them.
func (x *Tensor) Transpose(axes ...int) *Tensor {
	const name = "Transpose"
	n := x.n(name)
	perm := make([]int, len(n.Shape))
	if len(axes) == 0 {
		for i := range perm {
			perm[i] = len(perm) - 1 - i
		}
	} else {
		if len(axes) != len(perm) {
			fail(name, ir.CodeAxis, n, "%d axes given for shape %v: all must be named", len(axes), n.Shape)
		}
		for i, a := range axes {
			perm[i] = axisOf(name, a, n)
		}
	}
	return wrap(op.Apply(op.Transpose, op.Perm{Axes: perm}, n))
}

// T exchanges the last two axes.
func (x *Tensor) T() *Tensor {
	n := x.n("T")
	if len(n.Shape) < 2 {
		fail("T", ir.CodeShape, n, "shape %v has fewer than two axes", n.Shape)
	}
	y := op.SwapLast(n)
	if n.DType.Bytes() == 0 {
		y.Flags |= ir.Tracked // MatMul looks behind it even when it was evaluated
	}
	return via(op.T, wrap(y), x)
}

// Squeeze removes axes of size 1: those given, or all.
func (x *Tensor) Squeeze(axes ...int) *Tensor {
	const name = "Squeeze"
	n := x.n(name)
	chosen := axesOf(name, axes, n)
	s := Shape{}
	for i, d := range n.Shape {
		if !slices.Contains(chosen, i) || d != 1 && len(axes) == 0 {
			s = append(s, d)
		} else if d != 1 {
			fail(name, ir.CodeShape, n, "axis %d of shape %v has size %d, not 1", i, n.Shape, d)
		}
	}
	return via(op.Squeeze, x.Reshape(s...), x)
}

// Unsqueeze inserts axes of size 1 at the given places of the result.
func (x *Tensor) Unsqueeze(axes ...int) *Tensor {
	return via(op.Unsqueeze, x.unsqueeze("Unsqueeze", axes...), x)
}

func (x *Tensor) unsqueeze(name string, axes ...int) *Tensor {
	n := x.n(name)
	rank := len(n.Shape) + len(axes)
	if rank > op.MaxRank {
		fail(name, ir.CodeShape, n, "%d axes; at most %d are possible", rank, op.MaxRank)
	}
	s := make(Shape, rank)
	for _, a := range axes {
		at := a
		if at < 0 {
			at += rank
		}
		if at < 0 || at >= rank || s[at] == 1 {
			fail(name, ir.CodeAxis, n, "axis %d is out of range or given twice for a result of %d axes", a, rank)
		}
		s[at] = 1
	}
	rest := n.Shape
	for i := range s {
		if s[i] == 0 {
			s[i], rest = rest[0], rest[1:]
			if s[i] == 1 {
				continue
			}
		}
	}
	return x.Reshape(s...)
}

// Expand broadcasts x to a shape without copying; -1 keeps a size.
func (x *Tensor) Expand(shape ...int) *Tensor {
	n := x.n("Expand")
	s := append(Shape(nil), shape...)
	for i := range s {
		if from := i - len(s) + len(n.Shape); s[i] == -1 && from >= 0 {
			s[i] = n.Shape[from]
		}
	}
	if s.Equal(n.Shape) {
		return x
	}
	return wrap(op.Apply(op.Expand, op.Fill{Shape: s}, n))
}

// Repeat repeats x along each axis (numpy.tile, torch.repeat); counts may name
// more axes than x has, which come first.
func (x *Tensor) Repeat(counts ...int) *Tensor {
	const name = "Repeat"
	n := x.n(name)
	if len(counts) < len(n.Shape) {
		fail(name, ir.CodeAxis, n, "%d counts for shape %v: each axis needs one", len(counts), n.Shape)
	}
	extra := len(counts) - len(n.Shape)
	// [a b] becomes [1 a 1 b], is expanded to [p a q b] and folded.
	var split, grown, folded Shape
	for i, c := range counts {
		if c < 0 {
			fail(name, ir.CodeValue, n, "a count is negative: %v", counts)
		}
		d := 1
		if i >= extra {
			d = n.Shape[i-extra]
		}
		if c != 1 {
			split, grown = append(split, 1), append(grown, c)
		}
		split, grown = append(split, d), append(grown, d)
		if d > 0 && c > op.MaxElements/d {
			fail(name, ir.CodeValue, n, "counts %v are too large", counts)
		}
		folded = append(folded, c*d)
	}
	if len(grown) > op.MaxRank {
		fail(name, ir.CodeAxis, n, "too many axes")
	}
	return via(op.Repeat, x.Reshape(split...).Expand(grown...).Reshape(folded...), x)
}

// Flip reverses the order along the axes, or along all.
func (x *Tensor) Flip(axes ...int) *Tensor {
	n := x.n("Flip")
	w := fullWindow(n.Shape)
	for _, a := range axesOf("Flip", axes, n) {
		if w.Size[a] > 0 {
			w.Start[a], w.Step[a] = w.Size[a]-1, -1
		}
	}
	return via(op.Flip, wrap(op.Apply(op.Slice, w, n)), x)
}

func fullWindow(s Shape) op.Window {
	w := op.Window{Start: make([]int, len(s)), Size: slices.Clone(s), Step: make([]int, len(s))}
	for i := range w.Step {
		w.Step[i] = 1
	}
	return w
}

// Pad surrounds x with a value. margins are the numbers of elements before and
// after, for each axis: Pad(0, 1, 1, 2, 2) frames a matrix by one row and two
// columns. Given for fewer axes than x has, they are for the last ones.
func (x *Tensor) Pad(value float64, margins ...int) *Tensor {
	const name = "Pad"
	n := x.n(name)
	if len(margins)%2 != 0 || len(margins) > 2*len(n.Shape) {
		fail(name, ir.CodeValue, n, "%d margins for shape %v: each axis has two, before and after", len(margins), n.Shape)
	}
	m := op.Margins{Before: make([]int, len(n.Shape)), After: make([]int, len(n.Shape)), Value: value}
	first := len(n.Shape) - len(margins)/2
	for i := range len(margins) / 2 {
		m.Before[first+i], m.After[first+i] = margins[2*i], margins[2*i+1]
	}
	return wrap(op.Apply(op.Pad, m, n))
}

// Split cuts x along an axis into parts of the given sizes, which add up to
// the axis.
func (x *Tensor) Split(axis int, sizes ...int) []*Tensor {
	const name = "Split"
	n := x.n(name)
	a := axisOf(name, axis, n)
	sum := 0
	for _, s := range sizes {
		if s < 0 {
			fail(name, ir.CodeValue, n, "a size is negative: %v", sizes)
		}
		sum += s
	}
	if sum != n.Shape[a] {
		fail(name, ir.CodeValue, n, "sizes %v add up to %d; axis %d has %d", sizes, sum, axis, n.Shape[a])
	}
	parts := make([]*Tensor, len(sizes))
	start := make([]int, len(n.Shape))
	for i, s := range sizes {
		size := slices.Clone(n.Shape)
		size[a] = s
		parts[i] = via(op.Split, wrap(op.SliceOf(n, slices.Clone(start), size)), x)
		start[a] += s
	}
	return parts
}

// Chunk cuts x along an axis into count parts of equal size; the last is
// smaller if the size does not divide (torch.chunk).
func (x *Tensor) Chunk(count, axis int) []*Tensor {
	const name = "Chunk"
	n := x.n(name)
	size := n.Shape[axisOf(name, axis, n)]
	if count < 1 {
		fail(name, ir.CodeValue, n, "%d parts; at least 1 is needed", count)
	}
	each := max(1, (size+count-1)/count)
	var sizes []int
	for rest := size; rest > 0; rest -= each {
		sizes = append(sizes, min(each, rest))
	}
	return x.Split(axis, sizes...)
}

// Contiguous returns a row-major copy; only kernels of your own can tell.
func (x *Tensor) Contiguous() *Tensor {
	return wrap(op.Apply(op.Contiguous, nil, x.n("Contiguous")))
}

// Detach returns x as a constant: gradients stop here.
func (x *Tensor) Detach() *Tensor { return wrap(op.Apply(op.Detach, nil, x.n("Detach"))) }

// Named returns x under a name. Graph views show it, and group nodes by the
// part before the last slash.
func (x *Tensor) Named(name string) *Tensor {
	return wrap(op.Apply(op.Named, op.Name{Name: name}, x.n("Named")))
}

// Index is a range of places on an axis, for At and SetAt: see All and R.
type Index struct {
	start, stop, step int
	from, to          bool // start and stop are given
}

// String returns the Go expression that makes it.
func (i Index) String() string {
	if !i.from && !i.to && i.step == 1 {
		return "lt.All"
	}
	return fmt.Sprintf("lt.R(%d, %d, %d)", i.start, i.stop, i.step)
}

// All selects a whole axis in At and SetAt.
var All = Index{step: 1}

// R selects the places start … stop-1 of an axis in At and SetAt, every step-th
// if a third number is given: R(1, 10, 2). Negative numbers count from the end.
// A negative step goes backwards from start to just before stop.
func R(start, stop int, step ...int) Index {
	i := Index{start: start, stop: stop, step: 1, from: true, to: true}
	if len(step) > 0 {
		i.step = step[0]
	}
	return i
}

// window resolves i on an axis of a size, as Python's slices do.
func (i Index) window(size int) (start, count int) {
	low, high := 0, size
	if i.step < 0 {
		low, high = -1, size-1
	}
	resolve := func(v int) int {
		if v < 0 {
			v += size
		}
		return max(low, min(high, v))
	}
	i.step = max(-1<<40, min(1<<40, i.step))
	start, stop := low, high
	if i.step < 0 {
		start, stop = high, low
	}
	if i.from {
		start = resolve(i.start)
	}
	if i.to {
		stop = resolve(i.stop)
	}
	if i.step > 0 && stop > start {
		count = (stop - start + i.step - 1) / i.step
	} else if i.step < 0 && stop < start {
		count = (start - stop - i.step - 1) / -i.step
	}
	if count == 0 {
		start = 0
	}
	return start, count
}

// selection is what the arguments of At mean for a shape.
type selection struct {
	window op.Window
	drop   []int // axes selected by a single number
	take   *ir.Node
	axis   int // of take
}

func selectionOf(name string, n *ir.Node, places []any) selection {
	if len(places) > len(n.Shape) {
		fail(name, ir.CodeIndex, n, "%d places for shape %v", len(places), n.Shape)
	}
	s := selection{window: fullWindow(n.Shape)}
	w := s.window
	for a, p := range places {
		size := n.Shape[a]
		switch p := p.(type) {
		case int:
			i := p
			if i < 0 {
				i += size
			}
			if i < 0 || i >= size {
				op.Raise(name, &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("place %d is out of range for axis %d of shape %v", p, a, n.Shape),
					Hint: fmt.Sprintf("places go from %d to %d", -size, size-1)}, n)
			}
			w.Start[a], w.Size[a] = i, 1
			s.drop = append(s.drop, a)
		case Index:
			if p.step == 0 {
				fail(name, ir.CodeValue, n, "the step is 0")
			}
			w.Start[a], w.Size[a] = p.window(size)
			w.Step[a] = p.step
			if w.Size[a] <= 1 {
				w.Step[a] = 1
			}
		case *Tensor:
			if s.take != nil {
				fail(name, ir.CodeIndex, n, "only one place may be a tensor")
			}
			s.take, s.axis = p.n(name), a
		default:
			fail(name, ir.CodeType, n, "place %d is a %T; int, lt.All, lt.R(…) and *Tensor are possible", a, p)
		}
	}
	return s
}

// without returns s without the dropped axes.
func (sel selection) without(s Shape) Shape {
	out := Shape{}
	for a, d := range s {
		if !slices.Contains(sel.drop, a) {
			out = append(out, d)
		}
	}
	return out
}

// At selects by place on each axis: an int (which removes the axis), lt.All,
// lt.R(start, stop) or one tensor of indices. Axes not named are kept whole.
func (x *Tensor) At(places ...any) *Tensor {
	const name = "At"
	n := x.n(name)
	s := selectionOf(name, n, places)
	y := n
	if s.take != nil {
		y = op.Apply(op.Take, op.Axis{Axis: s.axis}, y, s.take)
		if len(s.take.Shape) != 1 {
			for a, p := range places {
				if _, isIndex := p.(Index); a != s.axis && (!isIndex || p != All) {
					fail(name, ir.CodeIndex, n, "a tensor of %d axes cannot stand beside other places", len(s.take.Shape))
				}
			}
			return via(op.At, wrap(y), x)
		}
		s.window.Size[s.axis] = y.Shape[s.axis]
	}
	if !isWhole(s.window, y.Shape) {
		y = op.Apply(op.Slice, s.window, y)
	}
	y = op.ReshapeTo(y, s.without(y.Shape))
	return via(op.At, wrap(y), x)
}

func isWhole(w op.Window, s Shape) bool {
	for a, d := range s {
		if w.Start[a] != 0 || w.Size[a] != d || w.Step[a] != 1 {
			return false
		}
	}
	return true
}

// SetAt returns x with the places that At would select replaced by value,
// which is broadcast to them. x itself does not change.
func (x *Tensor) SetAt(value any, places ...any) *Tensor {
	const name = "SetAt"
	n := x.n(name)
	s := selectionOf(name, n, places)
	v := op.CastTo(operand(name, value, n.DType), n.DType)
	if s.take != nil {
		for a, p := range places {
			if i, isIndex := p.(Index); a != s.axis && (!isIndex || i != All) {
				fail(name, ir.CodeIndex, n, "a tensor cannot stand beside other places")
			}
		}
		shape := slices.Concat(n.Shape[:s.axis], s.take.Shape, n.Shape[s.axis+1:])
		return via(op.SetAt, wrap(op.Apply(op.Scatter, op.Scattering{Axis: s.axis}, n, s.take, broadcastTo(name, v, shape))))
	}
	v = op.ReshapeTo(broadcastTo(name, v, s.without(s.window.Size)), s.window.Size)
	return via(op.SetAt, wrap(op.Apply(op.UpdateSlice, s.window, n, v)))
}

func broadcastTo(name string, v *ir.Node, s Shape) *ir.Node {
	if out, ok := ir.Broadcast(v.Shape, s); !ok || !out.Equal(s) {
		fail(name, ir.CodeShape, v, "the value has shape %v, the selected places %v", v.Shape, s)
	}
	return op.ExpandTo(v, s)
}
