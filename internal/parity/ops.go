package parity

import (
	"reflect"

	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

// attributes are the parameters of a recorded step.
type attributes map[string]any

func (a attributes) int(key string) int       { return int(a[key].(float64)) }
func (a attributes) float(key string) float64 { return a[key].(float64) }
func (a attributes) bool(key string) bool     { return a[key].(bool) }

func (a attributes) ints(key string) []int {
	list, _ := a[key].([]any)
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = int(v.(float64))
	}
	return out
}

// pair returns the numbers of a list of one or two.
func (a attributes) pair(key string) (p [2]int) {
	copy(p[:], a.ints(key))
	return p
}

type function = func(t []*lt.Tensor, a attributes) []*lt.Tensor

func one(f func(t []*lt.Tensor, a attributes) *lt.Tensor) function {
	return func(t []*lt.Tensor, a attributes) []*lt.Tensor { return []*lt.Tensor{f(t, a)} }
}

// ops maps the names of the generator to calls of the library.
var ops map[string]function

func init() {
	ops = map[string]function{
		"Where": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return lt.Where(t[0], t[1], t[2]) }),
		"Clip":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Clip(a.float("lo"), a.float("hi")) }),
		"Cast":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Cast(dtypes[a["dtype"].(string)]) }),
		"TopK": func(t []*lt.Tensor, a attributes) []*lt.Tensor {
			v, i := t[0].TopK(a.int("k"), a.int("axis"))
			return []*lt.Tensor{v, i}
		},
		"MatMul":    one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].MatMul(t[1]) }),
		"T":         one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].T() }),
		"Transpose": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Transpose(a.ints("axes")...) }),
		"Reshape":   one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Reshape(a.ints("shape")...) }),
		"Flatten":   one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Flatten() }),
		"Squeeze":   one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Squeeze() }),
		"Unsqueeze": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Unsqueeze(a.int("axis")) }),
		"Expand":    one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Expand(a.ints("shape")...) }),
		"Repeat":    one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Repeat(a.ints("counts")...) }),
		"Flip":      one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Flip(a.ints("axes")...) }),
		"Pad": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return t[0].Pad(a.float("value"), a.ints("margins")...)
		}),
		"Split":  func(t []*lt.Tensor, a attributes) []*lt.Tensor { return t[0].Split(a.int("axis"), a.ints("sizes")...) },
		"Chunk":  func(t []*lt.Tensor, a attributes) []*lt.Tensor { return t[0].Chunk(a.int("count"), a.int("axis")) },
		"At":     one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].At(places(a)...) }),
		"Concat": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return lt.Concat(a.int("axis"), t...) }),
		"Stack":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return lt.Stack(a.int("axis"), t...) }),
		"Take":   one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Take(t[1], a.int("axis")) }),
		"Gather": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Gather(a.int("axis"), t[1]) }),
		"Scatter": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return t[0].Scatter(a.int("axis"), t[1], t[2])
		}),
		"ScatterAdd": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return t[0].ScatterAdd(a.int("axis"), t[1], t[2])
		}),
		"Tril":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Tril(a.int("k")) }),
		"Triu":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Triu(a.int("k")) }),
		"Solve": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Solve(t[1]) }),
		"SingularValues": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			_, s, _ := t[0].SVD()
			return s
		}),
		"Conv1d":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Conv1d(t[1], convolution(t, a)) }),
		"Conv2d":  one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].Conv2d(t[1], convolution(t, a)) }),
		"RMSNorm": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return t[0].RMSNorm(optional(t, 1), a.float("eps")) }),
		"LayerNorm": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return t[0].LayerNorm(optional(t, 1), optional(t, 2), a.float("eps"))
		}),
		"Attention": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return t[0].Attention(t[1], t[2], lt.AttentionOptions{Causal: a.bool("causal"), Mask: optional(t, 3)})
		}),
		"CrossEntropy": one(func(t []*lt.Tensor, a attributes) *lt.Tensor {
			return nn.CrossEntropy(t[0], t[1], lt.CrossEntropyOptions{Ignore: []int{a.int("ignore")}, Smoothing: a.float("smoothing")})
		}),
		"MSE":           one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return nn.MSE(t[0], t[1]) }),
		"L1":            one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return nn.L1(t[0], t[1]) }),
		"Huber":         one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return nn.Huber(t[0], t[1], a.float("delta")) }),
		"BCEWithLogits": one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return nn.BCEWithLogits(t[0], t[1]) }),
		"KLDiv":         one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return nn.KLDiv(t[0], t[1]) }),
		"Einsum":        one(func(t []*lt.Tensor, a attributes) *lt.Tensor { return lt.Einsum(a["spec"].(string), t...) }),
	}
	// The rest are methods of the same name: without parameters, with one
	// operand, with one axis or with axes.
	for _, name := range []string{"Neg", "Abs", "Sign", "Sqrt", "Rsqrt", "Square", "Reciprocal", "Exp", "Expm1", "Log", "Log1p", "Sin", "Cos", "Tanh", "Erf",
		"Sigmoid", "Relu", "Gelu", "GeluTanh", "Silu", "Floor", "Ceil", "Round", "IsNaN", "IsInf", "Not",
		"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Maximum", "Minimum", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or",
		"Sum", "Mean", "Max", "Min", "Var", "Std", "LogSumExp", "Norm", "Prod", "CumSum", "Any", "All", "ArgMax", "ArgMin", "Sort", "ArgSort", "Softmax", "LogSoftmax"} {
		ops[name] = method(name)
	}
}

func method(name string) function {
	return func(t []*lt.Tensor, a attributes) []*lt.Tensor {
		var args []reflect.Value
		switch {
		case len(t) > 1:
			args = append(args, reflect.ValueOf(t[1]))
		case a["scalar"] != nil:
			v := a.float("scalar")
			if v == float64(int(v)) { // PyTorch's was an int, which JSON does not tell
				args = append(args, reflect.ValueOf(int(v)))
			} else {
				args = append(args, reflect.ValueOf(v))
			}
		case a["axis"] != nil:
			args = append(args, reflect.ValueOf(a.int("axis")))
		default:
			for _, axis := range a.ints("axes") {
				args = append(args, reflect.ValueOf(axis))
			}
		}
		out := reflect.ValueOf(t[0]).MethodByName(name).Call(args)
		return []*lt.Tensor{out[0].Interface().(*lt.Tensor)}
	}
}

func optional(t []*lt.Tensor, i int) *lt.Tensor {
	if i < len(t) {
		return t[i]
	}
	return nil
}

func convolution(t []*lt.Tensor, a attributes) lt.ConvOptions {
	return lt.ConvOptions{Stride: a.pair("stride"), Pad: a.pair("pad"), Dilation: a.pair("dilation"), Groups: a.int("groups"), Bias: optional(t, 2)}
}

// places reads the index of At: ints, and slices [start, stop, step] that may be null.
func places(a attributes) []any {
	var out []any
	for _, p := range a["places"].([]any) {
		switch p := p.(type) {
		case float64:
			out = append(out, int(p))
		case []any:
			if p[0] == nil {
				out = append(out, lt.All)
				continue
			}
			out = append(out, lt.R(int(p[0].(float64)), int(p[1].(float64)), int(p[2].(float64))))
		}
	}
	return out
}
