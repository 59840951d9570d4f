package op

import (
	"slices"

	"loris/internal/ir"
)

func init() {
	none := "it has no inputs"
	add0 := func(n *ir.Node) (float64, float64) { return 0, 0 }
	addRows(Source,
		Row{Op: Leaf, Name: "Leaf", NoGrad: none, Cost: add0, Infer: inferLeaf, Doc: "A value from outside of the graph: data or a parameter."},
		Row{Op: Const, Name: "Const", NoGrad: none, Cost: add0, Infer: inferConst, Doc: "A tensor whose elements are all Node.Const."},
		Row{Op: Iota, Name: "Iota", NoGrad: none, Infer: inferIota, Doc: "Start + i·Step, where i counts along an axis."},
		Row{Op: Random, Name: "Random", NoGrad: none, Cost: elementCost(20), Infer: inferRandom, Doc: "A stretch of a Threefry-2x32 stream."},
	)
	view := func(n *ir.Node) (float64, float64) { return 0, 0 }
	addRows(View,
		Row{Op: Reshape, Name: "Reshape", API: "Reshape", Infer: inferReshape, Cost: view,
			VJP:     func(n, g *ir.Node, _ int) *ir.Node { return ReshapeTo(g, n.Inputs()[0].Shape) },
			Doc:     "Reshape returns x with another shape of the same size; one size may be -1, which is found from the others.",
			Example: "lt.Arange(12).Reshape(3, -1)"},
		Row{Op: Transpose, Name: "Transpose", API: "Transpose", Infer: inferTranspose, Cost: view,
			VJP: func(n, g *ir.Node, _ int) *ir.Node {
				axes := n.Attrs.(Perm).Axes
				if slices.Equal(axes, swaps[len(axes)].(Perm).Axes) {
					return SwapLast(g)
				}
				return Apply(Transpose, Perm{inversePerm(axes)}, g)
			},
			Doc:     "Transpose reorders the axes; without arguments it reverses them.",
			Example: "lt.Zeros(2, 3, 4).Transpose(0, 2, 1)"},
		Row{Op: Expand, Name: "Expand", API: "Expand", Infer: inferExpand, Cost: view,
			VJP:     func(n, g *ir.Node, _ int) *ir.Node { return sumTo(g, n.Inputs()[0].Shape) },
			Doc:     "Expand broadcasts x to a shape by NumPy's rules, without copying; -1 keeps a size.",
			Example: "lt.Of(1, 2, 3).Expand(4, 3)"},
		Row{Op: Slice, Name: "Slice", Infer: inferSlice, Cost: view, VJP: vjpSlice,
			Doc: "A strided box of x."},
	)
	same := func(n, g *ir.Node, i int) *ir.Node {
		if i > 0 {
			return nil
		}
		return g
	}
	addRows(Identity,
		Row{Op: Detach, Name: "Detach", API: "Detach", Infer: inferSame, Cost: view, VJP: func(n, g *ir.Node, i int) *ir.Node { return nil },
			Doc: "Detach returns x as a constant: gradients stop here.", Example: "lt.Of(1, 2).Detach()"},
		Row{Op: Named, Name: "Named", API: "Named", Infer: inferSame, Cost: view, VJP: same,
			Doc: "Named returns x under a name, which graph views use to group what belongs together.", Example: `lt.Of(1, 2).Named("bias")`},
		Row{Op: Barrier, Name: "Barrier", Infer: inferSame, Cost: view, VJP: same,
			Doc: "x, computed after the second input and never merged with an equal node."},
		Row{Op: Region, Name: "Region", Infer: inferSame, Cost: view, VJP: same,
			Doc: "The end of a checkpointed region that begins at inputs 1…"},
		Row{Op: CustomVJP, Name: "CustomVJP", Infer: inferSame, Cost: view, VJPs: vjpOfUser,
			Doc: "The result of a function with a derivative of its own, for its arguments, inputs 1…"},
	)
	addRows(Copy,
		Row{Op: Contiguous, Name: "Contiguous", API: "Contiguous", Infer: inferSame, VJP: same,
			Doc: "Contiguous returns a row-major copy; only kernels of your own can tell the difference.", Example: "lt.Zeros(2, 3).T().Contiguous()"},
		Row{Op: Cast, Name: "Cast", API: "Cast", Infer: inferCast, VJP: vjpCast,
			Doc:     "Cast converts to another dtype. Floats become integers by truncation, saturating, NaN as 0; anything but 0 is true.",
			Example: "lt.Of(1.5, -2.5).Cast(lt.I32)"},
		Row{Op: Pad, Name: "Pad", API: "Pad", Infer: inferPad, VJP: vjpPad,
			Doc:     "Pad adds elements of one value around x: value, then before and after for each axis.",
			Example: "lt.Ones(2, 3).Pad(0, 1, 1, 0, 2)"},
		Row{Op: Concat, Name: "Concat", API: "Concat", Function: true, Infer: inferConcat, VJPs: vjpConcat,
			Doc: "Concat joins tensors along an axis.", Example: "lt.Concat(0, lt.Ones(2, 3), lt.Zeros(1, 3))"},
	)
}

func inferLeaf(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	return 0, nil, problem(ir.CodeValue, "a leaf is made from data")
}

func inferConst(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	return 0, nil, problem(ir.CodeValue, "a constant is made by Filled")
}

func inferIota(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	a := attrs.(Range)
	return a.DType, a.Shape, firstError(CheckShape(a.Shape), checkAxis(a.Axis, len(a.Shape)))
}

func inferRandom(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	a := attrs.(Draw)
	err := CheckShape(a.Shape)
	switch {
	case err != nil:
	case a.Dist == RandintDist && a.Lo >= a.Hi:
		err = problem(ir.CodeValue, "the range [%d, %d) is empty", a.Lo, a.Hi)
	case a.Dist != RandintDist && !a.DType.IsFloat():
		err = problem(ir.CodeDType, "cannot draw %s from a continuous distribution", a.DType)
	}
	return a.DType, a.Shape, err
}

func inferReshape(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, to := in[0], attrs.(Fill).Shape
	err := firstError(checkDense(in), CheckShape(to))
	if err == nil && to.Size() != x.Shape.Size() {
		err = problem(ir.CodeShape, "%v has %d elements, %v has %d", x.Shape, x.Shape.Size(), to, to.Size())
	}
	return x.DType, to, err
}

func inferTranspose(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, axes := in[0], attrs.(Perm).Axes
	if len(axes) != len(x.Shape) {
		return 0, nil, problem(ir.CodeAxis, "%d axes given for %d", len(axes), len(x.Shape))
	}
	out := make(ir.Shape, len(axes))
	seen := 0
	for i, a := range axes {
		if err := checkAxis(a, len(axes)); err != nil {
			return 0, nil, err
		}
		if seen&(1<<a) != 0 {
			return 0, nil, problem(ir.CodeAxis, "axis %d is given twice", a)
		}
		seen |= 1 << a
		out[i] = x.Shape[a]
	}
	return x.DType, out, nil
}

func inferExpand(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, to := in[0], attrs.(Fill).Shape
	if err := firstError(checkDense(in), CheckShape(to)); err != nil {
		return 0, nil, err
	}
	if s, ok := ir.Broadcast(x.Shape, to); !ok || !s.Equal(to) {
		return 0, nil, problem(ir.CodeShape, "%v does not broadcast to %v", x.Shape, to)
	}
	return x.DType, to, nil
}

func inferSlice(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, w := in[0], attrs.(Window)
	return x.DType, w.Size, firstError(checkDense(in), checkWindow(w, x.Shape))
}

func checkWindow(w Window, s ir.Shape) *ir.Error {
	if len(w.Start) != len(s) || len(w.Size) != len(s) || len(w.Step) != len(s) {
		return problem(ir.CodeAxis, "a window of %d axes on shape %v", len(w.Start), s)
	}
	for a, n := range w.Size {
		if n < 0 || w.Step[a] == 0 {
			return problem(ir.CodeValue, "window of size %d and step %d on axis %d", n, w.Step[a], a)
		}
		if last := w.Start[a] + (n-1)*w.Step[a]; n > 0 && (w.Start[a] < 0 || w.Start[a] >= s[a] || last < 0 || last >= s[a]) {
			return problem(ir.CodeIndex, "window %d…%d is outside of axis %d of shape %v", w.Start[a], last, a, s)
		}
	}
	return nil
}

// inferSame is for ops whose result is like input 0.
func inferSame(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	return in[0].DType, in[0].Shape, nil
}

func inferCast(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	to := attrs.(To).DType
	err := checkDense(in)
	if err == nil && (to == ir.Invalid || to.Bytes() == 0) {
		err = hinted("Quantize packs a matrix into q8 or q4").with(problem(ir.CodeDType, "cannot cast to %s", to))
	}
	return to, in[0].Shape, err
}

func inferPad(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, m := in[0], attrs.(Margins)
	if err := checkDense(in); err != nil {
		return 0, nil, err
	}
	if len(m.Before) != len(x.Shape) || len(m.After) != len(x.Shape) {
		return 0, nil, problem(ir.CodeAxis, "margins for %d axes; x has %d", len(m.Before), len(x.Shape))
	}
	out := slices.Clone(x.Shape)
	for a := range out {
		if m.Before[a] < 0 || m.After[a] < 0 || m.Before[a] > MaxElements || m.After[a] > MaxElements {
			return 0, nil, problem(ir.CodeValue, "margins %d and %d on axis %d; 0 … 2^40 is possible", m.Before[a], m.After[a], a)
		}
		out[a] += m.Before[a] + m.After[a]
	}
	return x.DType, out, CheckShape(out)
}

func inferConcat(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	axis := attrs.(Axis).Axis
	if err := firstError(checkDense(in), checkSame(in), checkAxis(axis, len(in[0].Shape))); err != nil {
		return 0, nil, err
	}
	out := slices.Clone(in[0].Shape)
	for i, x := range in[1:] {
		if len(x.Shape) != len(out) {
			return 0, nil, problem(ir.CodeShape, "tensor %d has shape %v, the first has %v", i+1, x.Shape, in[0].Shape)
		}
		for a, d := range x.Shape {
			if a != axis && d != out[a] {
				return 0, nil, problem(ir.CodeShape, "tensor %d has shape %v, the first has %v: they may differ on axis %d only", i+1, x.Shape, in[0].Shape, axis)
			}
		}
		out[axis] += x.Shape[axis]
	}
	return in[0].DType, out, CheckShape(out)
}

func inversePerm(p []int) []int {
	inv := make([]int, len(p))
	for i, a := range p {
		inv[a] = i
	}
	return inv
}

// vjpSlice puts g back into zeros: by Pad where the step is 1, which fuses.
func vjpSlice(n, g *ir.Node, _ int) *ir.Node {
	x, w := n.Inputs()[0], n.Attrs.(Window)
	m := Margins{Before: make([]int, len(x.Shape)), After: make([]int, len(x.Shape))}
	for a, s := range x.Shape {
		if w.Step[a] != 1 && w.Size[a] > 1 || w.Size[a] == 0 {
			return Apply(UpdateSlice, w, zerosLike(x), g)
		}
		m.Before[a], m.After[a] = w.Start[a], s-w.Start[a]-w.Size[a]
	}
	return Apply(Pad, m, g)
}

// vjpCast: gradients have the dtype of what they belong to. From an integer
// nothing flows.
func vjpCast(n, g *ir.Node, _ int) *ir.Node {
	x := n.Inputs()[0]
	if !x.DType.IsFloat() {
		return nil
	}
	return CastTo(g, x.DType)
}

func vjpPad(n, g *ir.Node, _ int) *ir.Node {
	x := n.Inputs()[0]
	return SliceOf(g, n.Attrs.(Margins).Before, x.Shape)
}

// vjpConcat goes through the inputs once: one of 100,000 that had to add up the
// sizes of those before it would take longer than all the rest.
func vjpConcat(n, g *ir.Node) []*ir.Node {
	axis, begin := n.Attrs.(Axis).Axis, 0
	parts := make([]*ir.Node, len(n.Inputs()))
	for i, x := range n.Inputs() {
		start := make([]int, len(n.Shape))
		start[axis] = begin
		parts[i] = SliceOf(g, start, x.Shape)
		begin += x.Shape[axis]
	}
	return parts
}

// SliceOf returns the box of the given size that begins at start.
func SliceOf(x *ir.Node, start []int, size ir.Shape) *ir.Node {
	if x.Shape.Equal(size) {
		return x
	}
	step := make([]int, len(size))
	for a := range step {
		step[a] = 1
		if size[a] == 0 {
			start = slices.Clone(start)
			start[a] = 0
		}
	}
	return Apply(Slice, Window{start, size, step}, x)
}
