package conformance

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
	"strings"

	"loris/metal/kernels"
)

// domain keeps arguments where a function is defined and not too steep.
var domain = map[kernels.Code]func(float64) float64{
	"sqrt": math.Abs, "rsqrt": func(x float64) float64 { return math.Abs(x) + 0.1 }, "log": func(x float64) float64 { return math.Abs(x) + 0.1 }, "log2": func(x float64) float64 { return math.Abs(x) + 0.1 },
	"log1p": func(x float64) float64 { return math.Abs(x) * 0.01 }, "asin": math.Tanh, "acos": math.Tanh, "pow": func(x float64) float64 { return math.Abs(x) + 0.1 },
	"tan": math.Tanh, "reciprocal": func(x float64) float64 { return math.Abs(x) + 0.1 }, "div": func(x float64) float64 { return math.Abs(x) + 0.3 }, "mod": func(x float64) float64 { return x + math.Copysign(0.3, x) },
}

// scalar computes one operation in float64; integers are exact in it.
func scalar(op kernels.Op, a []float64) float64 {
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	unary := map[kernels.Code]func(float64) float64{"neg": func(x float64) float64 { return -x }, "abs": math.Abs, "square": func(x float64) float64 { return x * x }, "sqrt": math.Sqrt,
		"rsqrt": func(x float64) float64 { return 1 / math.Sqrt(x) }, "reciprocal": func(x float64) float64 { return 1 / x }, "exp": math.Exp, "exp2": math.Exp2, "expm1": math.Expm1, "log": math.Log,
		"log2": math.Log2, "log1p": math.Log1p, "sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "tanh": math.Tanh, "asin": math.Asin, "acos": math.Acos, "atan": math.Atan, "sinh": math.Sinh,
		"cosh": math.Cosh, "erf": math.Erf, "floor": math.Floor, "ceil": math.Ceil, "round": math.RoundToEven, "trunc": math.Trunc,
		"sigmoid": func(x float64) float64 { return activate(kernels.Sigmoid, x) }, "relu": func(x float64) float64 { return activate(kernels.Relu, x) }, "gelu": func(x float64) float64 { return activate(kernels.Gelu, x) },
		"gelu_tanh": func(x float64) float64 { return activate(kernels.GeluTanh, x) }, "silu": func(x float64) float64 { return activate(kernels.Silu, x) },
		"isnan": func(x float64) float64 { return truth(math.IsNaN(x)) }, "isinf": func(x float64) float64 { return truth(math.IsInf(x, 0)) }, "isfinite": func(x float64) float64 { return truth(!math.IsNaN(x) && !math.IsInf(x, 0)) },
		"not": func(x float64) float64 { return 1 - x }}
	if f, ok := unary[op.Code]; ok {
		return f(a[0])
	}
	integer := !op.Type.Float()
	switch op.Code {
	case "const":
		return op.Literal
	case "param":
		return parameter(op)
	case "cast":
		return cast(op.Type, a[0])
	case "sign":
		return truth(a[0] > 0) - truth(a[0] < 0)
	case "where":
		if a[0] != 0 {
			return a[1]
		}
		return a[2]
	case "add":
		return a[0] + a[1]
	case "sub":
		return a[0] - a[1]
	case "mul":
		return a[0] * a[1]
	case "div":
		if integer {
			return math.Trunc(a[0] / a[1])
		}
		return a[0] / a[1]
	case "pow":
		return math.Pow(a[0], a[1])
	case "mod":
		if integer && a[1] == 0 {
			return 0
		}
		return a[0] - a[1]*math.Floor(a[0]/a[1])
	case "minimum":
		return math.Min(a[0], a[1])
	case "maximum":
		return math.Max(a[0], a[1])
	case "atan2":
		return math.Atan2(a[0], a[1])
	case "fma":
		return a[0]*a[1] + a[2]
	case "eq":
		return truth(a[0] == a[1])
	case "ne", "xor":
		return truth(a[0] != a[1])
	case "lt":
		return truth(a[0] < a[1])
	case "le":
		return truth(a[0] <= a[1])
	case "gt":
		return truth(a[0] > a[1])
	case "ge":
		return truth(a[0] >= a[1])
	case "and":
		return truth(a[0] != 0 && a[1] != 0)
	case "or":
		return truth(a[0] != 0 || a[1] != 0)
	case "bitand":
		return float64(int64(a[0]) & int64(a[1]))
	case "bitor":
		return float64(int64(a[0]) | int64(a[1]))
	case "bitxor":
		return float64(int64(a[0]) ^ int64(a[1]))
	}
	panic("conformance: no reference for " + op.Code)
}

func cast(t kernels.Type, v float64) float64 {
	switch {
	case t == kernels.Bool && v != 0:
		return 1
	case t == kernels.Bool || t.Float():
		return v
	}
	return math.Trunc(v)
}

// evaluate computes a group in float64: the values of every output, by element or by row.
func evaluate(g *kernels.Group, inputs [][]float64) [][]float64 {
	size, columns := 1, 1
	for _, n := range g.Shape {
		size *= n
	}
	if len(g.Shape) > 0 {
		columns = g.Shape[len(g.Shape)-1]
	}
	values := make([][]float64, 0, len(g.Inputs)+len(g.Ops))
	for n, in := range g.Inputs {
		values = append(values, each(size, func(i int) float64 {
			at := in.Offset
			for axis := len(g.Shape) - 1; axis >= 0; axis-- {
				at += i % g.Shape[axis] * in.Strides[axis]
				i /= g.Shape[axis]
			}
			return inputs[n][at]
		}))
	}
	for _, op := range g.Ops {
		if kind, ok := strings.CutPrefix(string(op.Code), "reduce_"); ok {
			rows := lines(values[op.Args[0]], [3]int{size / columns, columns, 1}, func(x []float64) float64 { return reduced(kind, x) })
			values = append(values, each(size, func(i int) float64 { return rows[i/columns] }))
			continue
		}
		if op.Code == "position" {
			values = append(values, each(size, func(i int) float64 { return float64(i) }))
			continue
		}
		values = append(values, each(size, func(i int) float64 {
			var a []float64
			for _, v := range op.Args {
				a = append(a, values[v][i])
			}
			return scalar(op, a)
		}))
	}
	var out [][]float64
	for _, o := range g.Outputs {
		v := values[o.Value]
		if o.PerRow {
			v = each(size/columns, func(r int) float64 { return v[r*columns] })
		}
		out = append(out, v)
	}
	return out
}

func reduced(kind string, x []float64) float64 {
	v := x[0]
	for _, w := range x[1:] {
		switch kind {
		case "max":
			v = math.Max(v, w)
		case "min":
			v = math.Min(v, w)
		case "product":
			v *= w
		default:
			v += w
		}
	}
	if kind == "mean" {
		v /= float64(len(x))
	}
	return v
}

// parameter is the value that cases give to a number of the run.
func parameter(op kernels.Op) float64 {
	if op.Type == kernels.Bool {
		return 1
	}
	return 3 + op.Literal
}

// setParameters writes the group's numbers into params, the first at `at`.
func setParameters(params []byte, g *kernels.Group, at int) {
	for _, op := range g.Ops {
		if op.Code == "param" {
			bits := uint64(parameter(op))
			if op.Type.Float() {
				bits = uint64(math.Float32bits(float32(parameter(op))))
			}
			binary.LittleEndian.PutUint64(params[at+8*int(op.Literal):], bits)
		}
	}
}

// groupCase is a case of a group; prepare changes the numbers of its inputs.
func groupCase(g *kernels.Group, name string, tolerance float64, prepare func(float64) float64) *Case {
	l, err := g.Launch()
	if err != nil {
		panic(err)
	}
	setParameters(l.Params, g, g.ParamOffset(0))
	b := build(l, true, "%s", name)
	var inputs [][]float64
	for i, in := range g.Inputs {
		name := fmt.Sprintf("in%d", i)
		b.fill(name, func(int) float64 {
			v := 2 * b.random.NormFloat64()
			if prepare != nil {
				v = prepare(v)
			}
			switch in.Type {
			case kernels.Bool:
				return float64(b.random.IntN(2))
			case kernels.U8, kernels.U32:
				return float64(1 + b.random.IntN(9))
			case kernels.I32, kernels.I64:
				return float64(1+b.random.IntN(9)) * float64(1-2*b.random.IntN(2))
			}
			return v
		})
		inputs = append(inputs, b.values[name])
	}
	for i, v := range evaluate(g, inputs) {
		t := g.Outputs[i].Type
		if t == kernels.U8 {
			for n := range v {
				v[n] = float64(uint8(int64(v[n])))
			}
		}
		b.want(fmt.Sprintf("out%d", i), max(tolerance, precision[t]), v)
	}
	return b.c
}

func denseInput(t kernels.Type, shape ...int) kernels.Input {
	in := kernels.Input{Type: t, Size: 1, Strides: make([]int, len(shape))}
	for a := len(shape) - 1; a >= 0; a-- {
		in.Strides[a] = in.Size
		in.Size *= shape[a]
	}
	return in
}

// codeCases has one group per code and type, all small, many codes to a kernel so that few kernels are compiled.
func codeCases() []*Case {
	codes := kernels.Codes()
	sort.Slice(codes, func(i, j int) bool { return codes[i] < codes[j] })
	var all []*Case
	for _, t := range []kernels.Type{kernels.F32, kernels.F16, kernels.BF16, kernels.I32, kernels.I64, kernels.U8, kernels.Bool} {
		// Three inputs of the type and one Bool; each code that the type supports gives one output.
		group := func() *kernels.Group {
			return &kernels.Group{Shape: []int{65}, Inputs: []kernels.Input{denseInput(t, 65), denseInput(t, 65), denseInput(t, 65), denseInput(kernels.Bool, 65)}}
		}
		g, prepare := group(), ""
		finish := func() {
			if len(g.Ops) > 0 {
				all = append(all, groupCase(g, "codes of "+t.String()+prepare, 8e-6, nil))
			}
			g = group()
		}
		for _, c := range codes {
			if !kernels.Supports(c, t) || strings.HasPrefix(string(c), "reduce_") {
				continue
			}
			op := kernels.Op{Code: c, Type: t, Literal: 1, Args: arguments(c)}
			if c == "param" {
				op.Literal = float64(g.Params)
				g.Params++
			}
			result := t
			if isPredicate(c) {
				result = kernels.Bool
			}
			if d := domain[c]; d != nil && t.Float() {
				if t == kernels.F32 {
					one := group()
					one.Ops, one.Outputs = []kernels.Op{op}, []kernels.Output{{Value: 4, Type: result}}
					all = append(all, groupCase(one, string(c), 8e-6, d))
				}
				continue
			}
			g.Ops = append(g.Ops, op)
			g.Outputs = append(g.Outputs, kernels.Output{Value: 3 + len(g.Ops), Type: result})
			if len(g.Outputs) == 24 {
				finish()
			}
		}
		finish()
	}
	return all
}

func isPredicate(c kernels.Code) bool {
	switch c {
	case "eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite":
		return true
	}
	return false
}

func arguments(c kernels.Code) []int {
	switch c {
	case "const", "param", "position":
		return nil
	case "where":
		return []int{3, 0, 1}
	case "fma":
		return []int{0, 1, 2}
	case "add", "sub", "mul", "div", "pow", "mod", "minimum", "maximum", "atan2", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "bitand", "bitor", "bitxor":
		return []int{0, 1}
	}
	return []int{0}
}

func groupCases() []*Case {
	all := codeCases()
	for _, t := range floatTypes {
		op := func(c kernels.Code, args ...int) kernels.Op {
			return kernels.Op{Code: c, Type: kernels.F32, Args: args, Literal: 1.5}
		}
		// A chain over a transposed matrix, a broadcast row and a scalar.
		chain := &kernels.Group{Shape: []int{6, 35}, Inputs: []kernels.Input{
			{Type: t, Strides: []int{1, 6}, Size: 210}, {Type: t, Strides: []int{0, 1}, Size: 37, Offset: 2}, {Type: kernels.F32, Strides: []int{0, 0}, Size: 1}},
			Ops:     []kernels.Op{op("add", 0, 1), op("const"), op("mul", 3, 4), op("tanh", 5), op("sub", 6, 2), op("gt", 7, 4), op("where", 8, 7, 6)},
			Outputs: []kernels.Output{{Value: 9, Type: t}, {Value: 7, Type: kernels.F32}}}
		all = append(all, groupCase(chain, "chain, transposed and broadcast", 2*precision[t], nil))
		large := &kernels.Group{Shape: []int{3, 41, 211}, Inputs: []kernels.Input{denseInput(t, 3, 41, 211), {Type: t, Strides: []int{211, 0, 1}, Size: 3 * 211}},
			Ops: []kernels.Op{op("mul", 0, 1), op("silu", 2)}, Outputs: []kernels.Output{{Value: 3, Type: t}}}
		all = append(all, groupCase(large, "3x41x211, middle axis broadcast", 2*precision[t], nil))
		for _, n := range []int{1, 31, 300} {
			// softmax, and the mean of squares as a second output per row
			rows := &kernels.Group{Shape: []int{2, 3, n}, Inputs: []kernels.Input{{Type: t, Strides: []int{3 * n, n, 1}, Size: 6 * n}, {Type: t, Strides: []int{0, n, 1}, Size: 3 * n}},
				Ops:     []kernels.Op{op("add", 0, 1), op("reduce_max", 2), op("sub", 2, 3), op("exp", 4), op("reduce_sum", 5), op("div", 5, 6), op("square", 2), op("reduce_mean", 8), op("sqrt", 9)},
				Outputs: []kernels.Output{{Value: 7, Type: t}, {Value: 10, Type: kernels.F32, PerRow: true}}}
			all = append(all, groupCase(rows, fmt.Sprintf("2x3x%d", n), 2*precision[t], nil))
		}
		extremes := &kernels.Group{Shape: []int{4, 33}, Inputs: []kernels.Input{denseInput(t, 4, 33)},
			Ops:     []kernels.Op{op("reduce_min", 0), op("const"), op("mul", 0, 2), op("sigmoid", 3), op("reduce_product", 4)},
			Outputs: []kernels.Output{{Value: 1, Type: t, PerRow: true}, {Value: 5, Type: kernels.F32, PerRow: true}}}
		all = append(all, groupCase(extremes, "min and product", 2*precision[t], nil))
	}
	all = append(all, groupCase(&kernels.Group{Shape: []int{}, Ops: []kernels.Op{{Code: "const", Type: kernels.F32, Literal: math.Pi}}, Outputs: []kernels.Output{{Value: 0, Type: kernels.F32}}}, "a constant", 0, nil))
	return all
}

func userCases() []*Case {
	square := kernels.User{Name: "square", Inputs: []kernels.Tensor{{Name: "x", Size: 100}}, Outputs: []kernels.Tensor{{Name: "y", Size: 100}}, Body: "y[i] = x[i] * x[i];", Grid: [3]int{100, 1, 1}}
	l, err := square.Launch()
	if err != nil {
		panic(err)
	}
	b := build(l, true, "square")
	all := []*Case{b.want("y", 0, each(100, func(i int) float64 { return b.values["x"][i] * b.values["x"][i] })).c}
	outer := kernels.User{Name: "outer", Inputs: []kernels.Tensor{{Name: "a", Type: kernels.F16, Size: 5}, {Name: "b", Size: 9}}, Outputs: []kernels.Tensor{{Name: "c", Size: 45}},
		Scalars: map[string]float32{"scale": 0.5}, Header: "inline float scaled(float v, float by) { return gelu_tanh(v) * by; }",
		Body: "c[position.y * n_b + i] = scaled(float(a[position.y]) * b[i], scale);", Grid: [3]int{9, 5, 1}}
	if l, err = outer.Launch(); err != nil {
		panic(err)
	}
	c := build(l, true, "outer product with a header and a scalar")
	all = append(all, c.want("c", 0, each(45, func(i int) float64 {
		return 0.5 * activate(kernels.GeluTanh, c.values["a"][i/9]*c.values["b"][i%9])
	})).c)
	return append(all, chainedUserCase())
}

// chainedUserCase reads exp(p)·q, q of one row for all, where it is computed: without memory of its own.
func chainedUserCase() *Case {
	chain := &kernels.Group{Shape: []int{4, 25}, Outputs: []kernels.Output{{Value: 3}},
		Inputs: []kernels.Input{{Strides: []int{25, 1}, Size: 100}, {Type: kernels.F16, Strides: []int{0, 1}, Size: 25}},
		Ops:    []kernels.Op{{Code: "exp", Args: []int{0}}, {Code: "mul", Args: []int{2, 1}}}}
	u := kernels.User{Name: "chained", Inputs: []kernels.Tensor{{Name: "x", Size: 100, Chain: chain}, {Name: "z", Size: 100}}, Outputs: []kernels.Tensor{{Name: "y", Size: 100}},
		Body: "y[i] = x[i] * x[i] + z[n_x - 1 - i];", Grid: [3]int{100, 1, 1}}
	l, err := u.Launch()
	if err != nil {
		panic(err)
	}
	b := build(l, true, "an input that is computed as it is read")
	return b.want("y", 0, each(100, func(i int) float64 {
		x := math.Exp(b.values["chain_x_in0"][i]) * b.values["chain_x_in1"][i%25]
		return x*x + b.values["z"][99-i]
	})).c
}
