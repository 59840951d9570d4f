package op

import (
	"slices"

	"loris/internal/ir"
)

func init() {
	addRows(Index,
		Row{Op: Take, Name: "Take", API: "Take", Infer: inferTake,
			VJP: func(n, g *ir.Node, i int) *ir.Node {
				if i == 1 {
					return nil
				}
				return Apply(Scatter, Scattering{Axis: n.Attrs.(Axis).Axis, Mode: ScatterAdd}, zerosLike(n.Inputs()[0]), n.Inputs()[1], g)
			},
			Doc:     "Take picks whole slices by number along an axis; negative numbers count from the end. The axis is replaced by those of the indices. (Row lookup of an embedding: axis 0.)",
			Example: "lt.Eye(4).Take(lt.Ints(2, 0), 0)"},
		Row{Op: TakeAlong, Name: "TakeAlong", API: "TakeAlong", Infer: inferTakeAlong,
			VJP: func(n, g *ir.Node, i int) *ir.Node {
				if i == 1 {
					return nil
				}
				return Apply(Scatter, Scattering{Axis: n.Attrs.(Axis).Axis, Along: true, Mode: ScatterAdd}, zerosLike(n.Inputs()[0]), n.Inputs()[1], g)
			},
			Doc:     "TakeAlong picks single elements: the result at p is x at p with its place on the axis replaced by indices[p] (numpy.take_along_axis).",
			Example: "lt.Of(3, 1, 2).TakeAlong(lt.Ints(1, 2, 0), 0)"},
		Row{Op: Scatter, Name: "Scatter", API: "Scatter", Infer: inferScatter, VJP: vjpScatter,
			Doc:     "Scatter writes (or adds, see ScatterAdd) updates to the places on an axis that indices of the same shape name (numpy.put_along_axis).",
			Example: "lt.Zeros(3).Scatter(0, lt.Ints(2, 0), lt.Of(5, 6))"},
		Row{Op: UpdateSlice, Name: "UpdateSlice", Infer: inferUpdateSlice,
			VJP: func(n, g *ir.Node, i int) *ir.Node {
				w := n.Attrs.(Window)
				if i == 0 {
					return Apply(UpdateSlice, w, g, zerosLike(n.Inputs()[1]))
				}
				return Apply(Slice, w, g)
			},
			Doc: "x with a strided box replaced."},
		Row{Op: DynamicSlice, Name: "DynamicSlice", API: "DynamicSlice", Infer: inferDynamicSlice,
			VJP: func(n, g *ir.Node, i int) *ir.Node {
				if i == 1 {
					return nil
				}
				return Apply(DynamicUpdateSlice, nil, zerosLike(n.Inputs()[0]), g, n.Inputs()[1])
			},
			Doc:     "DynamicSlice is a box of a fixed size whose start is computed: starts (i64, one per axis) are moved so that the box fits.",
			Example: "lt.Eye(4).DynamicSlice(lt.Ints(1, 2), 2, 2)"},
		Row{Op: DynamicUpdateSlice, Name: "DynamicUpdateSlice", API: "DynamicUpdateSlice", Infer: inferDynamicUpdateSlice,
			VJP: func(n, g *ir.Node, i int) *ir.Node {
				update, starts := n.Inputs()[1], n.Inputs()[2]
				switch i {
				case 0:
					return Apply(DynamicUpdateSlice, nil, g, zerosLike(update), starts)
				case 1:
					return Apply(DynamicSlice, Fill{update.Shape}, g, starts)
				}
				return nil
			},
			Doc:     "DynamicUpdateSlice is x with the box that begins at starts replaced by the update; starts are moved so that it fits. (A KV cache.)",
			Example: "lt.Zeros(4, 4).DynamicUpdateSlice(lt.Ones(2, 2), lt.Ints(1, 2))"},
	)
}

func inferTake(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, idx, axis := in[0], in[1], attrs.(Axis).Axis
	if err := firstError(checkDense(in), checkIndex(idx, "the indices"), checkAxis(axis, len(x.Shape))); err != nil {
		return 0, nil, err
	}
	if x.Shape[axis] == 0 && idx.Shape.Size() > 0 {
		return 0, nil, problem(ir.CodeIndex, "axis %d of shape %v is empty", axis, x.Shape)
	}
	out := append(slices.Clone(x.Shape[:axis]), idx.Shape...)
	out = append(out, x.Shape[axis+1:]...)
	return x.DType, out, CheckShape(out)
}

func inferTakeAlong(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, idx, axis := in[0], in[1], attrs.(Axis).Axis
	if err := firstError(checkDense(in), checkIndex(idx, "the indices"), checkAxis(axis, len(x.Shape)), checkAlong(x, idx, axis)); err != nil {
		return 0, nil, err
	}
	return x.DType, idx.Shape, nil
}

// checkAlong: indices have x's shape but for the axis.
func checkAlong(x, idx *ir.Node, axis int) *ir.Error {
	if len(idx.Shape) != len(x.Shape) {
		return problem(ir.CodeShape, "indices %v need as many axes as x %v", idx.Shape, x.Shape)
	}
	for a, d := range idx.Shape {
		if a != axis && d != x.Shape[a] {
			return problem(ir.CodeShape, "indices %v and x %v may differ on axis %d only", idx.Shape, x.Shape, axis)
		}
	}
	if x.Shape[axis] == 0 && idx.Shape.Size() > 0 {
		return problem(ir.CodeIndex, "axis %d of shape %v is empty", axis, x.Shape)
	}
	return nil
}

func inferScatter(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, idx, update, a := in[0], in[1], in[2], attrs.(Scattering)
	if err := firstError(checkDense(in), checkIndex(idx, "the indices"), checkAxis(a.Axis, len(x.Shape))); err != nil {
		return 0, nil, err
	}
	if x.DType != update.DType {
		return 0, nil, problem(ir.CodeDType, "x is %s, the updates are %s", x.DType, update.DType)
	}
	if a.Mode == ScatterAdd && x.DType == ir.Bool {
		return 0, nil, problem(ir.CodeDType, "bools cannot be added up")
	}
	want := idx.Shape
	if a.Along {
		if err := checkAlong(x, idx, a.Axis); err != nil {
			return 0, nil, err
		}
	} else {
		want = append(slices.Clone(x.Shape[:a.Axis]), idx.Shape...)
		want = append(want, x.Shape[a.Axis+1:]...)
	}
	if !update.Shape.Equal(want) {
		return 0, nil, problem(ir.CodeShape, "updates have shape %v; %v is needed", update.Shape, want)
	}
	return x.DType, x.Shape, nil
}

// vjpScatter: what is overwritten gets no gradient. (Where two updates hit one
// element in the set mode, both get that element's gradient, as in PyTorch.)
func vjpScatter(n, g *ir.Node, i int) *ir.Node {
	in, a := n.Inputs(), n.Attrs.(Scattering)
	switch {
	case i == 0 && a.Mode == ScatterAdd:
		return g
	case i == 0:
		return Apply(Scatter, a, g, in[1], zerosLike(in[2]))
	case i == 2 && a.Along:
		return Apply(TakeAlong, Axis{a.Axis}, g, in[1])
	case i == 2:
		return Apply(Take, Axis{a.Axis}, g, in[1])
	}
	return nil
}

func inferUpdateSlice(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, update, w := in[0], in[1], attrs.(Window)
	err := firstError(checkDense(in), checkSame(in), checkWindow(w, x.Shape))
	if err == nil && !update.Shape.Equal(w.Size) {
		err = problem(ir.CodeShape, "the update has shape %v, the window %v", update.Shape, ir.Shape(w.Size))
	}
	return x.DType, x.Shape, err
}

func checkStarts(starts *ir.Node, rank int) *ir.Error {
	if err := checkIndex(starts, "starts"); err != nil {
		return err
	}
	if len(starts.Shape) != 1 || starts.Shape[0] != rank {
		return problem(ir.CodeShape, "starts have shape %v; one number for each of %d axes is needed", starts.Shape, rank)
	}
	return nil
}

func checkFits(size, x ir.Shape) *ir.Error {
	if len(size) != len(x) {
		return problem(ir.CodeShape, "a box %v in x %v: the numbers of axes differ", size, x)
	}
	for a, d := range size {
		if d < 0 || d > x[a] {
			return problem(ir.CodeShape, "the box %v does not fit into x %v", size, x)
		}
	}
	return nil
}

func inferDynamicSlice(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x, size := in[0], attrs.(Fill).Shape
	return x.DType, size, firstError(checkDense(in), checkStarts(in[1], len(x.Shape)), checkFits(size, x.Shape))
}

func inferDynamicUpdateSlice(in []*ir.Node, _ ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x := in[0]
	return x.DType, x.Shape, firstError(checkDense(in), checkSame(in[:2]), checkStarts(in[2], len(x.Shape)), checkFits(in[1].Shape, x.Shape))
}
