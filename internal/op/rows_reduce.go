package op

import (
	"slices"

	"loris/internal/ir"
)

func init() {
	inputCost := func(n *ir.Node) (float64, float64) { return float64(n.Inputs()[0].Shape.Size()), Traffic(n) }
	index, truth := "the result is an index", "the result is true or false"
	addRows(Reduction,
		Row{Op: Sum, Name: "Sum", API: "Sum", Infer: inferReduce(Sum), Cost: inputCost, VJP: vjpSum,
			Doc:     "Sum adds over the axes, all of them if none is given. Bools and small integers are summed as i64, halves in f32.",
			Example: "lt.Ones(2, 3).Sum(-1)"},
		Row{Op: Prod, Name: "Prod", API: "Prod", Infer: inferReduce(Prod), Cost: inputCost, VJP: vjpProd,
			Doc: "Prod multiplies over the axes, all of them if none is given.", Example: "lt.Of(1, 2, 3).Prod()"},
		Row{Op: Max, Name: "Max", API: "Max", Infer: inferReduce(Max), Cost: inputCost, VJP: vjpMaxMin,
			Doc: "Max is the largest element over the axes, all of them if none is given; NaN if there is one. Ties share the gradient.", Example: "lt.Of(1, 2, 3).Max()"},
		Row{Op: Min, Name: "Min", API: "Min", Infer: inferReduce(Min), Cost: inputCost, VJP: vjpMaxMin,
			Doc: "Min is the smallest element over the axes, all of them if none is given; NaN if there is one. Ties share the gradient.", Example: "lt.Of(1, 2, 3).Min()"},
		Row{Op: Any, Name: "Any", API: "Any", Infer: inferReduce(Any), Cost: inputCost, NoGrad: truth,
			Doc: "Any is true where some element over the axes is not 0.", Example: "lt.Of(0, 1).Any()"},
		Row{Op: All, Name: "All", API: "All", Infer: inferReduce(All), Cost: inputCost, NoGrad: truth,
			Doc: "All is true where every element over the axes is not 0.", Example: "lt.Of(0, 1).All()"},
		Row{Op: ArgMax, Name: "ArgMax", API: "ArgMax", Infer: inferReduce(ArgMax), Cost: inputCost, NoGrad: index,
			Doc: "ArgMax is the index (i64) of the first largest element along an axis, of the flattened tensor if none is given; NaN counts as largest.", Example: "lt.Of(1, 3, 2).ArgMax()"},
		Row{Op: ArgMin, Name: "ArgMin", API: "ArgMin", Infer: inferReduce(ArgMin), Cost: inputCost, NoGrad: index,
			Doc: "ArgMin is the index (i64) of the first smallest element along an axis, of the flattened tensor if none is given; NaN counts as smallest.", Example: "lt.Of(1, 3, 2).ArgMin()"},
	)
	sortCost := func(n *ir.Node) (float64, float64) { return 20 * float64(n.Inputs()[0].Shape.Size()), Traffic(n) }
	addRows(Scanning,
		Row{Op: CumSum, Name: "CumSum", API: "CumSum", Infer: inferCumSum,
			VJP: func(n, g *ir.Node, _ int) *ir.Node {
				a := n.Attrs.(Scan)
				return Apply(CumSum, Scan{a.Axis, !a.Reverse}, g)
			},
			Doc: "CumSum is the running sum along an axis.", Example: "lt.Of(1, 2, 3).CumSum(0)"},
		Row{Op: Sort, Name: "Sort", API: "Sort", NumOutputs: 2, Infer: inferSort, Cost: sortCost, VJP: vjpPick(Sort),
			Doc: "Sort returns the elements in ascending order along an axis, stable, NaN last.", Example: "lt.Of(3, 1, 2).Sort(0)"},
		Row{Op: TopK, Name: "TopK", API: "TopK", NumOutputs: 2, Infer: inferTopK, Cost: sortCost, VJP: vjpPick(TopK),
			Doc: "TopK returns the k largest elements along an axis, largest first, and their indices (i64).", Example: "lt.Of(3, 1, 2).TopK(2)"},
	)
}

func inferReduce(id ir.Op) func([]*ir.Node, ir.Attrs, int) (ir.DType, ir.Shape, *ir.Error) {
	return func(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
		return reduction(id, in, attrs)
	}
}

func reduction(id ir.Op, in []*ir.Node, attrs ir.Attrs) (ir.DType, ir.Shape, *ir.Error) {
	x, a := in[0], attrs.(Reduce)
	if err := checkDense(in); err != nil {
		return 0, nil, err
	}
	out := make(ir.Shape, 0, len(x.Shape))
	k := 0
	for i, d := range x.Shape {
		if k < len(a.Axes) && a.Axes[k] == i {
			k++
			if d == 0 && (id == Max || id == Min || id == ArgMax || id == ArgMin) {
				return 0, nil, problem(ir.CodeShape, "axis %d of shape %v is empty: there is no largest or smallest element", i, x.Shape)
			}
			d = 1
			if !a.Keep {
				continue
			}
		}
		out = append(out, d)
	}
	if k != len(a.Axes) {
		return 0, nil, problem(ir.CodeAxis, "axes %v are not ascending axes of shape %v", a.Axes, x.Shape)
	}
	dtype := x.DType
	switch id {
	case Sum, Prod:
		if dtype == ir.Bool || dtype == ir.U8 || dtype == ir.I32 {
			return 0, nil, problem(ir.CodeDType, "%s is summed as i64", dtype)
		}
	case Any, All:
		if dtype != ir.Bool {
			return 0, nil, problem(ir.CodeDType, "x is %s; bool is needed", dtype)
		}
	case ArgMax, ArgMin:
		if len(a.Axes) != 1 {
			return 0, nil, problem(ir.CodeAxis, "%d axes given; one is needed", len(a.Axes))
		}
		dtype = ir.I64
	}
	return dtype, out, nil
}

// vjpSum repeats g along the axes that were summed.
func vjpSum(n, g *ir.Node, _ int) *ir.Node {
	x := n.Inputs()[0]
	return ExpandTo(restoreAxes(g, n.Attrs.(Reduce), x.Shape), x.Shape)
}

// vjpProd is the product of the others: y/x where no factor is 0; where one
// is, only that one has a gradient, the product of the rest.
func vjpProd(n, g *ir.Node, _ int) *ir.Node {
	x, a := n.Inputs()[0], n.Attrs.(Reduce)
	zero, one := scalar(0, x.DType), scalar(1, x.DType)
	isZero := Binary(Eq, x, zero)
	zeros := reduce(Sum, CastTo(isZero, x.DType), true, a.Axes...)
	safe := where(isZero, one, x)
	rest := reduce(Prod, safe, true, a.Axes...)
	others := where(isZero,
		where(Binary(Eq, zeros, one), rest, zero),
		where(Binary(Eq, zeros, zero), div(rest, safe), zero))
	return mul(restoreAxes(g, a, x.Shape), others)
}

func vjpMaxMin(n, g *ir.Node, _ int) *ir.Node {
	x, a := n.Inputs()[0], n.Attrs.(Reduce)
	hit := CastTo(Binary(Eq, x, restoreAxes(n, a, x.Shape)), x.DType)
	return mul(hit, div(restoreAxes(g, a, x.Shape), reduce(Sum, hit, true, a.Axes...)))
}

func inferCumSum(in []*ir.Node, attrs ir.Attrs, _ int) (ir.DType, ir.Shape, *ir.Error) {
	x := in[0]
	err := firstError(checkDense(in), checkAxis(attrs.(Scan).Axis, len(x.Shape)))
	if err == nil && x.DType == ir.Bool {
		err = problem(ir.CodeDType, "bool is summed as i64")
	}
	return x.DType, x.Shape, err
}

func inferSort(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	x := in[0]
	return pickDType(x, output), x.Shape, firstError(checkDense(in), checkAxis(attrs.(Order).Axis, len(x.Shape)))
}

func inferTopK(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error) {
	x, a := in[0], attrs.(Top)
	if err := firstError(checkDense(in), checkAxis(a.Axis, len(x.Shape))); err != nil {
		return 0, nil, err
	}
	if a.K < 0 || a.K > x.Shape[a.Axis] {
		return 0, nil, problem(ir.CodeValue, "k = %d, but axis %d of shape %v has %d elements", a.K, a.Axis, x.Shape, x.Shape[a.Axis])
	}
	out := slices.Clone(x.Shape)
	out[a.Axis] = a.K
	return pickDType(x, output), out, nil
}

func pickDType(x *ir.Node, output int) ir.DType {
	if output == 1 {
		return ir.I64
	}
	return x.DType
}

// vjpPick sends g back to where the picked elements came from.
func vjpPick(id ir.Op) func(n, g *ir.Node, _ int) *ir.Node {
	return func(n, g *ir.Node, _ int) *ir.Node {
		x := n.Inputs()[0]
		axis := 0
		switch a := n.Attrs.(type) {
		case Order:
			axis = a.Axis
		case Top:
			axis = a.Axis
		}
		indices := ApplyOutput(id, n.Attrs, 1, x)
		return Apply(Scatter, Scattering{Axis: axis, Along: true, Mode: ScatterAdd}, zerosLike(x), indices, g)
	}
}
