package devicetest

import (
	"math"
	"math/rand/v2"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// Values says what the elements of an input look like.
type Values uint8

const (
	Normal   Values = iota // about −3…3, never close to a multiple of ½
	Positive               // 0.2…3
	Distinct               // a shuffled, evenly spaced set of numbers around 0
	Regular                // square matrices far from singular, added to Normal
	Indices                // −Limit…Limit−1
	Natural                // 0…Limit−1, each at most once along the last axis if it fits
	Truth                  // bools
	Special                // NaN, infinities, zeros of both signs, very large and very small numbers
)

// Input describes one operand of a case.
type Input struct {
	Shape  ir.Shape
	Values Values
	Limit  int      // of Indices and Natural
	DType  ir.DType // Invalid: the dtype of the case
	Fixed  bool     // no gradient check for this input
	Dense  bool     // always contiguous: repeated rows would make it singular
}

// Case is one way to call an op.
type Case struct {
	Op      ir.Op
	Label   string
	Inputs  []Input
	DTypes  []ir.DType
	Outputs int // 1 if 0
	Build   func(in []*ir.Node, output int) *ir.Node
	// Scale widens the tolerance for ops that are ill-conditioned by nature.
	Scale float64
	// Rough cases are compared without gradients (kinks, steps).
	Rough bool
}

var (
	floats   = []ir.DType{ir.F32, ir.F64, ir.F16, ir.BF16}
	wide     = []ir.DType{ir.F32, ir.F64}
	numbers  = []ir.DType{ir.F32, ir.F64, ir.F16, ir.BF16, ir.I32, ir.I64, ir.U8}
	anything = append(slices.Clone(numbers), ir.Bool)
	oddities = []ir.Shape{{}, {1}, {7}, {3, 5}, {0, 3}, {2, 3, 1, 5}, {33, 65}, {1025}}
)

// Cases returns at least one case for each primitive op. It is the list that
// every device, every derivative and the table itself are tested with.
func Cases() []Case {
	var all []Case
	all = append(all, elementwiseCases()...)
	all = append(all, sourceCases()...)
	all = append(all, viewCases()...)
	all = append(all, reductionCases()...)
	all = append(all, indexCases()...)
	all = append(all, contractCases()...)
	all = append(all, rowCases()...)
	all = append(all, linalgCases()...)
	all = append(all, wideIndexCases()...)
	return all
}

func floatsOf(dtypes []ir.DType) []ir.DType {
	var out []ir.DType
	for _, d := range dtypes {
		if d.IsFloat() {
			out = append(out, d)
		}
	}
	return out
}

func apply(id ir.Op, attrs ir.Attrs) func(in []*ir.Node, output int) *ir.Node {
	return func(in []*ir.Node, output int) *ir.Node { return op.ApplyOutput(id, attrs, output, in...) }
}

func elementwiseCases() []Case {
	var all []Case
	for id := op.Neg; id <= op.IsInf; id++ {
		values, dtypes := Normal, floats
		switch id {
		case op.Sqrt, op.Rsqrt, op.Log:
			values = Positive
		case op.Log1p:
			values = Positive
		case op.Neg, op.Abs, op.Sign, op.Square, op.Relu, op.Floor, op.Ceil, op.Round:
			dtypes = numbers
		case op.Not:
			dtypes = []ir.DType{ir.Bool}
		case op.IsNaN, op.IsInf:
			dtypes = anything
		}
		if id != op.Gelu && id != op.GeluTanh && id != op.Silu { // -Inf gives 0 or, as in PyTorch, NaN
			all = append(all, Case{Op: id, Label: "special", Inputs: []Input{{Shape: ir.Shape{97}, Values: Special}}, DTypes: floatsOf(dtypes), Build: apply(id, nil), Rough: true})
		}
		for _, s := range oddities {
			all = append(all, Case{Op: id, Inputs: []Input{{Shape: s, Values: values}}, DTypes: dtypes, Build: apply(id, nil)})
		}
	}
	pairs := [][2]ir.Shape{{{}, {}}, {{7}, {}}, {{3, 5}, {5}}, {{3, 1}, {1, 5}}, {{2, 3, 4}, {3, 1}}, {{0, 3}, {3}}, {{33, 65}, {33, 65}}, {{1025}, {1025}}}
	for id := op.Add; id <= op.Or; id++ {
		a, b, dtypes := Normal, Normal, numbers
		switch id {
		case op.Div:
			dtypes = floats
		case op.Pow:
			a, dtypes = Positive, numbers
		case op.Maximum, op.Minimum, op.Eq, op.Ne, op.Lt, op.Le, op.Gt, op.Ge:
			dtypes = anything
		case op.And, op.Or:
			dtypes = []ir.DType{ir.Bool}
		}
		if id != op.Mod { // an infinite divisor gives NaN by the formula, or the dividend
			all = append(all, Case{Op: id, Label: "special", Inputs: []Input{{Shape: ir.Shape{97}, Values: Special}, {Shape: ir.Shape{97}, Values: Special}},
				DTypes: floatsOf(dtypes), Build: apply(id, nil), Rough: true})
		}
		for _, p := range pairs {
			all = append(all, Case{Op: id, Inputs: []Input{{Shape: p[0], Values: a}, {Shape: p[1], Values: b}}, DTypes: dtypes, Build: apply(id, nil),
				Rough: id == op.Mod && p[0].Size() > 100}) // some quotient is always close to a step
		}
	}
	for _, s := range []ir.Shape{{}, {7}, {3, 5}, {33, 65}} {
		all = append(all, Case{Op: op.Where, Inputs: []Input{{Shape: s, Values: Truth, DType: ir.Bool}, {Shape: s}, {Shape: ir.Shape(s[:0])}}, DTypes: anything, Build: apply(op.Where, nil)})
	}
	all = append(all, Case{Op: op.Where, Inputs: []Input{{Shape: ir.Shape{3, 1}, Values: Truth, DType: ir.Bool}, {Shape: ir.Shape{1, 4}}, {Shape: ir.Shape{2, 3, 1}}}, DTypes: anything, Build: apply(op.Where, nil)})
	return all
}

func sourceCases() []Case {
	var all []Case
	constant := func(dtype ir.DType) func([]*ir.Node, int) *ir.Node {
		return func([]*ir.Node, int) *ir.Node { return op.Filled(1.5, dtype, ir.Shape{3, 5}) }
	}
	for _, d := range anything {
		all = append(all, Case{Op: op.Const, Label: d.String(), DTypes: []ir.DType{d}, Build: constant(d)})
		if d == ir.Bool {
			continue
		}
		for axis := range 2 {
			all = append(all, Case{Op: op.Iota, Label: d.String(), DTypes: []ir.DType{d},
				Build: apply(op.Iota, op.Range{Shape: ir.Shape{3, 5}, DType: d, Axis: axis, Start: 2, Step: 3})})
		}
	}
	for _, s := range []ir.Shape{{}, {1}, {7}, {33, 65}} {
		for _, d := range floats {
			for _, dist := range []op.Dist{op.UniformDist, op.NormalDist} {
				all = append(all, Case{Op: op.Random, Label: d.String(), DTypes: []ir.DType{d}, Scale: 4,
					Build: apply(op.Random, op.Draw{Shape: s, DType: d, Dist: dist, Key: [2]uint32{7, 9}, Counter: 1<<32 - 3})})
			}
		}
		all = append(all, Case{Op: op.Random, Label: "randint", DTypes: []ir.DType{ir.I64},
			Build: apply(op.Random, op.Draw{Shape: s, DType: ir.I64, Dist: op.RandintDist, Key: [2]uint32{1, 2}, Counter: 5, Lo: -7, Hi: 1000003})})
	}
	return all
}

func viewCases() []Case {
	c := func(id ir.Op, s ir.Shape, attrs ir.Attrs) Case {
		return Case{Op: id, Inputs: []Input{{Shape: s}}, DTypes: anything, Build: apply(id, attrs)}
	}
	all := []Case{
		c(op.Reshape, ir.Shape{3, 4}, op.Fill{Shape: ir.Shape{2, 6}}),
		c(op.Reshape, ir.Shape{6}, op.Fill{Shape: ir.Shape{1, 2, 3}}),
		c(op.Reshape, ir.Shape{1}, op.Fill{}),
		c(op.Reshape, ir.Shape{0, 3}, op.Fill{Shape: ir.Shape{3, 0}}),
		c(op.Transpose, ir.Shape{3, 5}, op.Perm{Axes: []int{1, 0}}),
		c(op.Transpose, ir.Shape{2, 3, 4}, op.Perm{Axes: []int{1, 2, 0}}),
		c(op.Transpose, ir.Shape{65, 33}, op.Perm{Axes: []int{1, 0}}),
		c(op.Expand, ir.Shape{3, 1}, op.Fill{Shape: ir.Shape{2, 3, 4}}),
		c(op.Expand, ir.Shape{}, op.Fill{Shape: ir.Shape{7}}),
		c(op.Slice, ir.Shape{7, 5}, op.Window{Start: []int{1, 4}, Size: []int{3, 5}, Step: []int{2, -1}}),
		c(op.Slice, ir.Shape{7, 5}, op.Window{Start: []int{2, 1}, Size: []int{4, 3}, Step: []int{1, 1}}),
		c(op.Slice, ir.Shape{7}, op.Window{Start: []int{0}, Size: []int{0}, Step: []int{1}}),
		c(op.Detach, ir.Shape{3, 5}, nil),
		c(op.Named, ir.Shape{3, 5}, op.Name{Name: "n"}),
		c(op.Barrier, ir.Shape{3, 5}, nil),
		c(op.Region, ir.Shape{3, 5}, nil),
		{Op: op.CustomVJP, Inputs: []Input{{Shape: ir.Shape{3, 5}}}, DTypes: anything, Build: func(in []*ir.Node, _ int) *ir.Node {
			double := &op.Derivative{VJP: func(in []*ir.Node, _, g *ir.Node) []*ir.Node { return []*ir.Node{op.Binary(op.Add, g, g)} }}
			return op.Apply(op.CustomVJP, double, op.Binary(op.Add, in[0], in[0]), in[0])
		}},
		c(op.Contiguous, ir.Shape{3, 5}, nil),
		c(op.Pad, ir.Shape{3, 5}, op.Margins{Before: []int{1, 0}, After: []int{0, 2}, Value: 1}),
		c(op.Pad, ir.Shape{1025}, op.Margins{Before: []int{3}, After: []int{2}}),
	}
	for _, to := range anything {
		for _, s := range []ir.Shape{{7}, {3, 5}, {1025}} {
			all = append(all, Case{Op: op.Cast, Label: to.String(), Inputs: []Input{{Shape: s}}, DTypes: anything, Build: apply(op.Cast, op.To{DType: to}), Rough: to != ir.F64})
		}
	}
	for axis, shapes := range [][]ir.Shape{{{2, 3}, {1, 3}, {0, 3}}, {{2, 3}, {2, 1}, {2, 65}}} {
		k := Case{Op: op.Concat, DTypes: anything, Build: apply(op.Concat, op.Axis{Axis: axis})}
		for _, s := range shapes {
			k.Inputs = append(k.Inputs, Input{Shape: s})
		}
		all = append(all, k)
	}
	return all
}

func reductionCases() []Case {
	var all []Case
	type shape struct {
		s    ir.Shape
		axes [][]int
	}
	shapes := []shape{
		{ir.Shape{7}, [][]int{{0}}},
		{ir.Shape{3, 5}, [][]int{{0}, {1}, {0, 1}}},
		{ir.Shape{2, 3, 4}, [][]int{{1}, {0, 2}}},
		{ir.Shape{33, 65}, [][]int{{0}, {1}, {0, 1}}},
		{ir.Shape{}, [][]int{{}}},
	}
	for _, id := range []ir.Op{op.Sum, op.Prod, op.Max, op.Min, op.Any, op.All, op.ArgMax, op.ArgMin} {
		dtypes, values := append(slices.Clone(floats), ir.I64), Distinct
		switch id {
		case op.Any, op.All:
			dtypes, values = []ir.DType{ir.Bool}, Truth
		case op.Max, op.Min, op.ArgMax, op.ArgMin:
			dtypes = anything
		}
		for _, s := range shapes {
			for i, axes := range s.axes {
				if id >= op.ArgMax && len(axes) != 1 || id == op.Prod && s.s.Size() > 100 {
					continue
				}
				scale := 1.0
				switch {
				case id == op.Prod:
					scale = 4
				case id == op.Sum && s.s.Size() > 100:
					scale = 64 // the elements cancel almost
				}
				dtypes := dtypes
				if id == op.Prod && s.s.Size() > 7 {
					dtypes = floats // products of integers would overflow
				}
				all = append(all, Case{Op: id, Inputs: []Input{{Shape: s.s, Values: values}}, DTypes: dtypes, Scale: scale,
					Build: apply(id, op.Reduce{Axes: axes, Keep: i%2 == 1})})
			}
		}
	}
	for _, id := range []ir.Op{op.Max, op.Min, op.ArgMax, op.ArgMin} {
		all = append(all, Case{Op: id, Label: "NaN", Inputs: []Input{{Shape: ir.Shape{5, 37}, Values: Special}}, DTypes: floats, Build: apply(id, op.Reduce{Axes: []int{1}}), Rough: true})
	}
	for _, descending := range []bool{false, true} {
		all = append(all, Case{Op: op.Sort, Label: "NaN", Inputs: []Input{{Shape: ir.Shape{5, 37}, Values: Special}}, DTypes: floats, Outputs: 2,
			Build: apply(op.Sort, op.Order{Axis: 1, Descending: descending}), Rough: true})
	}
	empty := Case{Op: op.Sum, Label: "empty", Inputs: []Input{{Shape: ir.Shape{0, 3}}}, DTypes: floats, Build: apply(op.Sum, op.Reduce{Axes: []int{0}})}
	all = append(all, empty)
	for _, s := range []ir.Shape{{7}, {3, 5}, {2, 3, 4}, {5, 257}} {
		for axis := range s {
			x := []Input{{Shape: s, Values: Distinct}}
			all = append(all,
				Case{Op: op.CumSum, Inputs: x, DTypes: numbers, Build: apply(op.CumSum, op.Scan{Axis: axis, Reverse: axis == 1})},
				Case{Op: op.Sort, Inputs: x, DTypes: anything, Outputs: 2, Build: apply(op.Sort, op.Order{Axis: axis, Descending: axis == 1})},
				Case{Op: op.TopK, Inputs: x, DTypes: anything, Outputs: 2, Build: apply(op.TopK, op.Top{Axis: axis, K: s[axis]/2 + 1, Smallest: axis == 1})})
		}
	}
	return all
}

func indexCases() []Case {
	idx := func(limit int, shape ...int) Input {
		return Input{Shape: shape, Values: Indices, Limit: limit, DType: ir.I64}
	}
	small := func(limit int, shape ...int) Input {
		return Input{Shape: shape, Values: Indices, Limit: limit, DType: ir.I32}
	}
	once := func(limit int, shape ...int) Input {
		return Input{Shape: shape, Values: Natural, Limit: limit, DType: ir.I64, Dense: true}
	}
	x := func(shape ...int) Input { return Input{Shape: shape} }
	c := func(id ir.Op, attrs ir.Attrs, in ...Input) Case {
		return Case{Op: id, Inputs: in, DTypes: anything, Build: apply(id, attrs)}
	}
	add := func(k Case) Case { k.DTypes = numbers; return k }
	along := op.Scattering{Axis: 1, Along: true}
	sum, sumAlong := op.Scattering{Axis: 0, Mode: op.ScatterAdd}, op.Scattering{Axis: 1, Along: true, Mode: op.ScatterAdd}
	return []Case{
		c(op.Take, op.Axis{Axis: 0}, x(5, 3), idx(5, 4)),
		c(op.Take, op.Axis{Axis: 1}, x(5, 3), idx(3, 2, 2)),
		c(op.Take, op.Axis{Axis: 0}, x(129, 33), small(129, 65)),
		c(op.Take, op.Axis{Axis: 0}, x(7), idx(7)),
		c(op.TakeAlong, op.Axis{Axis: 1}, x(3, 5), idx(5, 3, 2)),
		c(op.TakeAlong, op.Axis{Axis: 0}, x(7), small(7, 11)),
		c(op.Scatter, along, x(3, 5), once(5, 3, 2), x(3, 2)),
		c(op.Scatter, op.Scattering{Axis: 0}, x(5, 3), once(5, 4), x(4, 3)),
		add(c(op.Scatter, sum, x(5, 3), idx(5, 7), x(7, 3))),
		add(c(op.Scatter, sum, x(5), idx(5, 2, 3), x(2, 3))),
		add(c(op.Scatter, sumAlong, x(3, 5), idx(5, 3, 9), x(3, 9))),
		c(op.UpdateSlice, op.Window{Start: []int{1, 4}, Size: []int{3, 5}, Step: []int{2, -1}}, x(7, 5), x(3, 5)),
		c(op.UpdateSlice, op.Window{Start: []int{2}, Size: []int{4}, Step: []int{1}}, x(7), x(4)),
		c(op.DynamicSlice, op.Fill{Shape: ir.Shape{2, 3}}, x(5, 4), idx(6, 2)),
		c(op.DynamicUpdateSlice, nil, x(5, 4), x(2, 3), idx(6, 2)),
		c(op.DynamicUpdateSlice, nil, x(7), x(7), idx(6, 1)),
	}
}

// wideIndexCases have enough elements for several threads.
func wideIndexCases() []Case {
	x := func(shape ...int) Input { return Input{Shape: shape} }
	idx := func(d ir.DType, limit int, shape ...int) Input {
		return Input{Shape: shape, Values: Indices, Limit: limit, DType: d}
	}
	rows, along := op.Scattering{Axis: 0, Mode: op.ScatterAdd}, op.Scattering{Axis: 1, Along: true, Mode: op.ScatterAdd}
	summed := []ir.DType{ir.F32, ir.F64, ir.I32, ir.I64, ir.U8} // a device may round halves after each of the many additions
	return []Case{
		{Op: op.TakeAlong, Inputs: []Input{x(9, 300), idx(ir.I64, 9, 20, 300)}, DTypes: anything, Build: apply(op.TakeAlong, op.Axis{Axis: 0})},
		{Op: op.TakeAlong, Inputs: []Input{x(5, 7, 130), idx(ir.I32, 7, 5, 20, 130)}, DTypes: anything, Build: apply(op.TakeAlong, op.Axis{Axis: 1})},
		{Op: op.Scatter, Inputs: []Input{x(5, 200), idx(ir.I64, 5, 90), x(90, 200)}, DTypes: summed, Build: apply(op.Scatter, rows)},
		{Op: op.Scatter, Inputs: []Input{x(3, 5, 200), idx(ir.I64, 5, 3, 30, 200), x(3, 30, 200)}, DTypes: summed, Build: apply(op.Scatter, along)},
	}
}

func contractCases() []Case {
	var all []Case
	for _, p := range [][2]ir.Shape{
		{{3, 4}, {4, 5}}, {{1, 1}, {1, 1}}, {{1, 7}, {7, 1}}, {{7, 1}, {1, 3}}, {{2, 3, 4}, {4, 5}}, {{2, 1, 3, 4}, {3, 4, 2}},
		{{3, 0}, {0, 2}}, {{0, 3}, {3, 2}}, {{63, 65}, {65, 33}}, {{130, 257}, {257, 129}}, {{1, 513}, {513, 66}},
	} {
		all = append(all, Case{Op: op.MatMul, Inputs: []Input{{Shape: p[0]}, {Shape: p[1]}}, DTypes: floats, Build: apply(op.MatMul, nil),
			Scale: 1 + float64(p[0][len(p[0])-1])/64})
	}
	for _, k := range []struct {
		x, w ir.Shape
		a    op.Conv
	}{
		{ir.Shape{1, 1, 3, 3}, ir.Shape{1, 1, 2, 2}, op.Conv{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}},
		{ir.Shape{2, 4, 7, 5}, ir.Shape{6, 2, 3, 2}, op.Conv{Stride: [2]int{2, 1}, Pad: [2]int{1, 1}, Dilation: [2]int{1, 2}, Groups: 2}},
		{ir.Shape{1, 3, 1, 9}, ir.Shape{3, 1, 1, 3}, op.Conv{Stride: [2]int{1, 2}, Pad: [2]int{0, 1}, Dilation: [2]int{1, 1}, Groups: 3}},
	} {
		out := apply(op.Conv2d, k.a)([]*ir.Node{leaf(ir.F32, k.x), leaf(ir.F32, k.w)}, 0).Shape
		gx, gw := k.a, k.a
		gx.Shape, gw.Shape = k.x, k.w
		all = append(all,
			Case{Op: op.Conv2d, Inputs: []Input{{Shape: k.x}, {Shape: k.w}}, DTypes: floats, Build: apply(op.Conv2d, k.a)},
			Case{Op: op.Conv2dInputGrad, Inputs: []Input{{Shape: out}, {Shape: k.w}}, DTypes: floats, Build: apply(op.Conv2dInputGrad, gx)},
			Case{Op: op.Conv2dWeightGrad, Inputs: []Input{{Shape: k.x}, {Shape: out}}, DTypes: floats, Build: apply(op.Conv2dWeightGrad, gw)})
	}
	for _, k := range []struct {
		q, k, v ir.Shape
		mask    ir.DType
		causal  bool
	}{
		{ir.Shape{1, 1, 1, 2}, ir.Shape{1, 1, 1, 2}, ir.Shape{1, 1, 1, 2}, ir.Invalid, false},
		{ir.Shape{2, 4, 5, 6}, ir.Shape{2, 2, 5, 6}, ir.Shape{2, 2, 5, 3}, ir.Invalid, true},
		{ir.Shape{1, 2, 3, 4}, ir.Shape{1, 1, 7, 4}, ir.Shape{1, 1, 7, 4}, ir.Invalid, true},
		{ir.Shape{1, 2, 5, 4}, ir.Shape{1, 2, 3, 4}, ir.Shape{1, 2, 3, 4}, ir.Invalid, true}, // queries that see nothing
		{ir.Shape{2, 2, 3, 4}, ir.Shape{2, 2, 7, 4}, ir.Shape{2, 2, 7, 4}, ir.Bool, false},
		{ir.Shape{2, 2, 3, 4}, ir.Shape{2, 2, 7, 4}, ir.Shape{2, 2, 7, 4}, ir.F32, true},
		{ir.Shape{1, 2, 65, 33}, ir.Shape{1, 2, 130, 33}, ir.Shape{1, 2, 130, 33}, ir.Invalid, true},
	} {
		a := op.Attend{Scale: 1 / math.Sqrt(float64(k.q[3])), Causal: k.causal}
		in := []Input{{Shape: k.q}, {Shape: k.k}, {Shape: k.v}}
		back := append(slices.Clone(in), Input{Shape: append(slices.Clone(k.q[:3]), k.v[3])})
		b := a
		if k.mask != ir.Invalid {
			m := Input{Shape: ir.Shape{k.q[0], 1, k.q[2], k.k[2]}}
			if k.mask == ir.Bool {
				m.Values, m.DType = Truth, ir.Bool
			}
			in, back = append(in, m), append(back, m)
			a.Mask, b.Mask = 3, 4
			back[4].Fixed = true
		}
		all = append(all,
			Case{Op: op.Attention, Inputs: in, DTypes: floats, Build: apply(op.Attention, a), Scale: 8},
			Case{Op: op.AttentionGrad, Inputs: back, DTypes: floats, Outputs: 3, Build: apply(op.AttentionGrad, b), Scale: 64})
	}
	for _, d := range []ir.DType{ir.Q8, ir.Q4} {
		packed := func(in []*ir.Node, group int) *ir.Node {
			return op.Apply(op.Quantize, op.Quant{DType: d, Group: group}, in[0])
		}
		unpack := func(in []*ir.Node, _ int) *ir.Node {
			return op.Apply(op.Dequantize, op.To{DType: in[0].DType}, packed(in, 64))
		}
		w := Input{Shape: ir.Shape{5, 128}, Fixed: true, DType: ir.F32}
		all = append(all, Case{Op: op.Quantize, Label: d.String(), Inputs: []Input{w}, DTypes: []ir.DType{ir.F32}, Rough: true, Build: unpack})
		// Of halves, and in f64, many weights lie between two steps.
		w.Values, w.DType = Truth, ir.Invalid
		all = append(all,
			Case{Op: op.Quantize, Label: d.String(), Inputs: []Input{w}, DTypes: floats, Rough: true, Build: unpack},
			Case{Op: op.Dequantize, Label: d.String(), Inputs: []Input{w}, DTypes: floats, Rough: true, Build: unpack})
		w.Values, w.DType = Normal, ir.F32
		for i, shape := range []ir.Shape{{3, 128}, {128}, {2, 3, 128}} {
			all = append(all, Case{Op: op.QMatMul, Label: d.String(), Inputs: []Input{w, {Shape: shape}}, DTypes: floats, Scale: 4,
				Build: func(in []*ir.Node, _ int) *ir.Node { return op.Apply(op.QMatMul, nil, in[1], packed(in, 32<<i)) }})
		}
	}
	return all
}

func rowCases() []Case {
	x := func(shape ...int) Input { return Input{Shape: shape} }
	var all []Case
	for _, s := range []ir.Shape{{7}, {3, 5}, {2, 3, 4}, {5, 1025}} {
		for axis := range s {
			all = append(all,
				Case{Op: op.Softmax, Inputs: []Input{{Shape: s}}, DTypes: floats, Build: apply(op.Softmax, op.Axis{Axis: axis})},
				Case{Op: op.LogSoftmax, Inputs: []Input{{Shape: s}}, DTypes: floats, Build: apply(op.LogSoftmax, op.Axis{Axis: axis})})
		}
		if len(s) == 1 {
			s = ir.Shape{1, s[0]} // so that no layout makes a row of equal elements, whose variance is rounding
		}
		w := Input{Shape: ir.Shape{s[len(s)-1]}}
		for _, id := range []ir.Op{op.RMSNorm, op.LayerNorm} {
			all = append(all,
				Case{Op: id, Inputs: []Input{{Shape: s}, w}, DTypes: floats, Build: apply(id, op.Norm{Eps: 1e-5, Weight: true}), Scale: 2},
				Case{Op: id, Inputs: []Input{{Shape: s}}, DTypes: floats, Build: apply(id, op.Norm{Eps: 1e-5}), Scale: 2})
		}
		all = append(all,
			Case{Op: op.LayerNorm, Inputs: []Input{{Shape: s}, w, w}, DTypes: floats, Build: apply(op.LayerNorm, op.Norm{Eps: 1e-5, Weight: true, Bias: true}), Scale: 2},
			Case{Op: op.LayerNorm, Inputs: []Input{{Shape: s}, w}, DTypes: floats, Build: apply(op.LayerNorm, op.Norm{Eps: 1e-5, Bias: true}), Scale: 2})
	}
	offset := Input{Values: Natural, Limit: 9, DType: ir.I64}
	for _, a := range []op.Rotary{
		{Dims: 6, Base: 10000, Scale: 1},
		{Dims: 4, Base: 100, Scale: 0.5, Interleaved: true},
		{Dims: 6, Base: 10000, Scale: 1, Interleaved: true, Inverse: true},
	} {
		all = append(all,
			Case{Op: op.RoPE, Inputs: []Input{x(2, 5, 6), offset}, DTypes: floats, Build: apply(op.RoPE, a), Scale: 4},
			Case{Op: op.RoPE, Inputs: []Input{x(1, 2, 3, 7), offset, {Shape: ir.Shape{a.Dims / 2}, Values: Positive, DType: ir.F32, Fixed: true}}, DTypes: floats, Build: apply(op.RoPE, a), Scale: 4})
	}
	for _, k := range []struct {
		rows    ir.Shape
		classes int
	}{{ir.Shape{}, 3}, {ir.Shape{5}, 7}, {ir.Shape{2, 3}, 4}, {ir.Shape{6}, 1025}} {
		s := append(slices.Clone(k.rows), k.classes)
		t := Input{Shape: k.rows, Values: Natural, Limit: k.classes, DType: ir.I64}
		for _, a := range []op.Targets{{Ignore: -100}, {Ignore: 1, Smoothing: 0.1}, {Index: true}} {
			if a.Index {
				t.Values = Indices
			}
			all = append(all,
				Case{Op: op.CrossEntropy, Inputs: []Input{{Shape: s}, t}, DTypes: floats, Build: apply(op.CrossEntropy, a), Scale: 2},
				Case{Op: op.CrossEntropyGrad, Inputs: []Input{{Shape: s}, t, {Shape: k.rows}}, DTypes: floats, Build: apply(op.CrossEntropyGrad, a), Scale: 2})
		}
	}
	for _, s := range []ir.Shape{{7}, {3, 5}, {33, 65}} {
		p := Input{Shape: s}
		v := Input{Shape: s, Values: Positive}
		all = append(all, Case{Op: op.AdamW, Inputs: []Input{p, p, p, v, {Shape: ir.Shape{3}, Values: Positive}}, DTypes: wide, Outputs: 3, Scale: 4,
			Build: apply(op.AdamW, op.AdamWStep{Beta1: 0.9, Beta2: 0.999, Eps: 1e-3, Decay: 0.1})})
	}
	kernel := &op.Kernel{ID: 1 << 60, Name: "square", Grid: [3]int{7, 1, 1}, Shapes: []ir.Shape{{7}}, DTypes: []ir.DType{ir.F32},
		Metal: "out[i] = in[i] * in[i];",
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i] = in[0][i] * in[0][i]
			}
		}}
	all = append(all, Case{Op: op.Custom, Inputs: []Input{x(7)}, DTypes: []ir.DType{ir.F32}, Build: apply(op.Custom, kernel), Rough: true})
	return all
}

func linalgCases() []Case {
	regular := func(shape ...int) Input { return Input{Shape: shape, Values: Regular, Dense: true} }
	var all []Case
	// Layouts other than the transpose would make the matrices singular.
	both := func(c Case) {
		c.Build = apply(c.Op, nil)
		t := c
		t.Label = "transposed"
		t.Build = func(in []*ir.Node, output int) *ir.Node {
			return op.ApplyOutput(c.Op, nil, output, append([]*ir.Node{op.SwapLast(in[0])}, in[1:]...)...)
		}
		all = append(all, c, t)
	}
	for _, s := range []ir.Shape{{1, 1}, {3, 3}, {5, 3}, {3, 5}, {2, 4, 3}, {2, 1, 2, 5}, {17, 9}} {
		both(Case{Op: op.QR, Inputs: []Input{regular(s...)}, DTypes: wide, Outputs: 2, Scale: 64})
		both(Case{Op: op.SVD, Inputs: []Input{regular(s...)}, DTypes: wide, Outputs: 3, Scale: 512})
	}
	for _, p := range [][2]ir.Shape{{{1, 1}, {1, 1}}, {{3, 3}, {3, 2}}, {{2, 4, 4}, {4, 3}}, {{3, 3}, {2, 3, 1}}, {{17, 17}, {17, 5}}} {
		both(Case{Op: op.Solve, Inputs: []Input{regular(p[0]...), {Shape: p[1]}}, DTypes: wide, Scale: 64})
	}
	return all
}

var specials = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, 0.5, 2.5, -2.5, 1e-30, -1e-30, 1e30, -1e30, 88, -104, 20, -20, 9, -9}

// leaf returns a leaf without a value.
func leaf(dtype ir.DType, shape ir.Shape) *ir.Node { return ir.NewNode0(op.Leaf, dtype, shape, nil) }

// Fill draws elements for an input of the given dtype.
func (in Input) Fill(rng *rand.Rand, dtype ir.DType, shape ir.Shape) *Array {
	a := NewArray(shape)
	n := len(a.Data)
	for i := range a.Data {
		switch in.Values {
		case Normal, Regular:
			v := rng.Float64()*6 - 3
			if f := 2*v - math.Round(2*v); math.Abs(f) < 0.05 {
				v += 0.1
			}
			a.Data[i] = v
		case Positive:
			a.Data[i] = 0.2 + 2.8*rng.Float64()
		case Indices:
			a.Data[i] = float64(rng.IntN(2*in.Limit) - in.Limit)
		case Natural:
			a.Data[i] = float64(rng.IntN(in.Limit))
		case Truth:
			a.Data[i] = float64(rng.IntN(2))
		case Special:
			a.Data[i] = specials[(i*7+rng.IntN(2))%len(specials)]
		}
	}
	switch in.Values {
	case Distinct:
		for i, p := range rng.Perm(n) {
			a.Data[i] = (float64(p) - float64(n)/2 + 0.25) * math.Min(1, 8/float64(n))
			if !dtype.IsFloat() {
				a.Data[i] = float64(p - n/2)
			}
		}
	case Natural:
		if rank := len(shape); rank > 0 && shape[rank-1] <= in.Limit {
			for start := 0; start < n; start += max(1, shape[rank-1]) {
				for j, p := range rng.Perm(in.Limit)[:shape[rank-1]] {
					a.Data[start+j] = float64(p)
				}
			}
		}
	case Regular:
		rank := len(shape)
		rows, cols := shape[rank-2], shape[rank-1]
		for i := range a.Data {
			if i/cols%rows == i%cols {
				a.Data[i] += 4 + 2*float64(i%cols)
			}
		}
	}
	for i, v := range a.Data {
		if dtype == ir.U8 {
			v = math.Abs(v)
		}
		if dtype == ir.Bool && in.Values != Truth {
			v = math.Trunc(math.Abs(v))
		}
		a.Data[i] = castTo(v, dtype)
	}
	return a
}
