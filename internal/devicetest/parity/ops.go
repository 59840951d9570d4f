package main

import (
	"slices"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// operation is what an op of the fixture is in this library: see the row of the
// same name in scripts/parity/ops.py. API is the name in the library's API index.
type operation struct {
	API string
	Run func(in []*lt.Tensor, s *Step) []*lt.Tensor
}

// operations has a row for each op of the fixture.
var operations = func() map[string]operation {
	all := map[string]operation{}
	for _, table := range []map[string]operation{elementwise, reductions, shapes, indexing, contractions, rows, losses, sources} {
		for name, o := range table {
			all[name] = o
		}
	}
	return all
}()

// one makes a row of a method without arguments.
func one(api string, f func(x *lt.Tensor) *lt.Tensor) operation {
	return operation{api, func(in []*lt.Tensor, _ *Step) []*lt.Tensor { return []*lt.Tensor{f(in[0])} }}
}

// two makes a row of a method whose operand is a tensor or a number.
func two(api string, f func(x *lt.Tensor, w any) *lt.Tensor) operation {
	return operation{api, func(in []*lt.Tensor, s *Step) []*lt.Tensor {
		if len(in) == 2 {
			return []*lt.Tensor{f(in[0], in[1])}
		}
		return []*lt.Tensor{f(in[0], s.scalar())}
	}}
}

// call makes a row of anything with one result.
func call(api string, f func(in []*lt.Tensor, s *Step) *lt.Tensor) operation {
	return operation{api, func(in []*lt.Tensor, s *Step) []*lt.Tensor { return []*lt.Tensor{f(in, s)} }}
}

// over makes a row of a method with axes.
func over(api string, f func(x *lt.Tensor, axes ...int) *lt.Tensor) operation {
	return call(api, func(in []*lt.Tensor, s *Step) *lt.Tensor { return f(in[0], s.Axes...) })
}

// along makes a row of a method with an axis that may be left out.
func along(api string, f func(x *lt.Tensor, axis ...int) *lt.Tensor) operation {
	return call(api, func(in []*lt.Tensor, s *Step) *lt.Tensor {
		if s.Axis == nil {
			return f(in[0])
		}
		return f(in[0], *s.Axis)
	})
}

func (s *Step) scalar() any {
	if s.Int != nil {
		return *s.Int
	}
	return *s.Float
}

// optional returns the tensor at i, or nil.
func optional(in []*lt.Tensor, i int) *lt.Tensor {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// limit returns a bound of Clip: a number or nothing.
func limit(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

func (s *Step) places() []any {
	var out []any
	for _, p := range s.Places {
		switch p.Kind {
		case "int":
			out = append(out, p.At)
		case "all":
			out = append(out, lt.All)
		default:
			out = append(out, lt.R(p.Start, p.Stop, p.Step))
		}
	}
	return out
}

// numbered returns places that select by a tensor on one axis.
func (s *Step) numbered(index *lt.Tensor) []any {
	var out []any
	for range *s.Axis {
		out = append(out, lt.All)
	}
	return append(out, index)
}

var elementwise = map[string]operation{
	"neg": one("Neg", (*lt.Tensor).Neg), "abs": one("Abs", (*lt.Tensor).Abs), "sign": one("Sign", (*lt.Tensor).Sign),
	"sqrt": one("Sqrt", (*lt.Tensor).Sqrt), "rsqrt": one("Rsqrt", (*lt.Tensor).Rsqrt), "square": one("Square", (*lt.Tensor).Square),
	"reciprocal": one("Reciprocal", (*lt.Tensor).Reciprocal), "exp": one("Exp", (*lt.Tensor).Exp), "expm1": one("Expm1", (*lt.Tensor).Expm1),
	"log": one("Log", (*lt.Tensor).Log), "log1p": one("Log1p", (*lt.Tensor).Log1p), "sin": one("Sin", (*lt.Tensor).Sin),
	"cos": one("Cos", (*lt.Tensor).Cos), "tanh": one("Tanh", (*lt.Tensor).Tanh), "erf": one("Erf", (*lt.Tensor).Erf),
	"sigmoid": one("Sigmoid", (*lt.Tensor).Sigmoid), "relu": one("Relu", (*lt.Tensor).Relu), "gelu": one("Gelu", (*lt.Tensor).Gelu),
	"gelu_tanh": one("GeluTanh", (*lt.Tensor).GeluTanh), "silu": one("Silu", (*lt.Tensor).Silu), "not": one("Not", (*lt.Tensor).Not),
	"floor": one("Floor", (*lt.Tensor).Floor), "ceil": one("Ceil", (*lt.Tensor).Ceil), "round": one("Round", (*lt.Tensor).Round),
	"is_nan": one("IsNaN", (*lt.Tensor).IsNaN), "is_inf": one("IsInf", (*lt.Tensor).IsInf), "is_finite": one("IsFinite", (*lt.Tensor).IsFinite),
	"trunc": one("Trunc", (*lt.Tensor).Trunc), "erfinv": one("ErfInv", (*lt.Tensor).ErfInv),
	"contiguous": one("Contiguous", (*lt.Tensor).Contiguous), "detach": one("Detach", (*lt.Tensor).Detach),
	"named": one("Named", func(x *lt.Tensor) *lt.Tensor { return x.Named("x") }),

	"add": two("Add", (*lt.Tensor).Add), "sub": two("Sub", (*lt.Tensor).Sub), "mul": two("Mul", (*lt.Tensor).Mul), "div": two("Div", (*lt.Tensor).Div),
	"pow": two("Pow", (*lt.Tensor).Pow), "mod": two("Mod", (*lt.Tensor).Mod),
	"maximum": two("Maximum", (*lt.Tensor).Maximum), "minimum": two("Minimum", (*lt.Tensor).Minimum),
	"eq": two("Eq", (*lt.Tensor).Eq), "ne": two("Ne", (*lt.Tensor).Ne), "lt": two("Lt", (*lt.Tensor).Lt), "le": two("Le", (*lt.Tensor).Le),
	"gt": two("Gt", (*lt.Tensor).Gt), "ge": two("Ge", (*lt.Tensor).Ge), "and": two("And", (*lt.Tensor).And), "or": two("Or", (*lt.Tensor).Or),
	"where": call("Where", func(in []*lt.Tensor, s *Step) *lt.Tensor {
		if len(in) == 2 {
			return lt.Where(in[0], in[1], s.scalar())
		}
		return lt.Where(in[0], in[1], in[2])
	}),
	"clip":        call("Clip", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Clip(limit(s.Lo), limit(s.Hi)) }),
	"clip_tensor": call("Clip", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return in[0].Clip(in[1], in[2]) }),
	"cast":        call("Cast", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Cast(dtypes[s.To]) }),
}

var reductions = map[string]operation{
	"sum": over("Sum", (*lt.Tensor).Sum), "mean": over("Mean", (*lt.Tensor).Mean), "max": over("Max", (*lt.Tensor).Max), "min": over("Min", (*lt.Tensor).Min),
	"prod": over("Prod", (*lt.Tensor).Prod), "var": over("Var", (*lt.Tensor).Var), "std": over("Std", (*lt.Tensor).Std),
	"any": over("Any", (*lt.Tensor).Any), "all": over("All", (*lt.Tensor).All), "norm": over("Norm", (*lt.Tensor).Norm),
	"logsumexp": over("LogSumExp", (*lt.Tensor).LogSumExp),
	"argmax":    along("ArgMax", (*lt.Tensor).ArgMax), "argmin": along("ArgMin", (*lt.Tensor).ArgMin),
	"sort": along("Sort", (*lt.Tensor).Sort), "argsort": along("ArgSort", (*lt.Tensor).ArgSort),
	"cumsum": call("CumSum", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].CumSum(*s.Axis) }),
	"topk": {"TopK", func(in []*lt.Tensor, s *Step) []*lt.Tensor {
		values, indices := in[0].TopK(s.K, *s.Axis)
		return []*lt.Tensor{values, indices}
	}},
}

var shapes = map[string]operation{
	"t": one("T", (*lt.Tensor).T), "flatten": one("Flatten", (*lt.Tensor).Flatten),
	"reshape":   call("Reshape", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Reshape(s.Shape...) }),
	"expand":    call("Expand", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Expand(s.Shape...) }),
	"repeat":    call("Repeat", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Repeat(s.Shape...) }),
	"transpose": over("Transpose", (*lt.Tensor).Transpose), "squeeze": over("Squeeze", (*lt.Tensor).Squeeze),
	"unsqueeze": over("Unsqueeze", (*lt.Tensor).Unsqueeze), "flip": over("Flip", (*lt.Tensor).Flip),
	"pad":    call("Pad", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Pad(s.Value, s.Margins...) }),
	"split":  {"Split", func(in []*lt.Tensor, s *Step) []*lt.Tensor { return in[0].Split(*s.Axis, s.Sizes...) }},
	"chunk":  {"Chunk", func(in []*lt.Tensor, s *Step) []*lt.Tensor { return in[0].Chunk(s.K, *s.Axis) }},
	"concat": call("Concat", func(in []*lt.Tensor, s *Step) *lt.Tensor { return lt.Concat(*s.Axis, in...) }),
	"stack":  call("Stack", func(in []*lt.Tensor, s *Step) *lt.Tensor { return lt.Stack(*s.Axis, in...) }),
	"tril":   call("Tril", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Tril(s.K) }),
	"triu":   call("Triu", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Triu(s.K) }),
}

var indexing = map[string]operation{
	"at":          call("At", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].At(s.places()...) }),
	"at_tensor":   call("At", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].At(s.numbered(in[1])...) }),
	"set_at":      call("SetAt", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].SetAt(in[1], s.places()...) }),
	"take":        call("Take", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Take(in[1], *s.Axis) }),
	"take_along":  call("TakeAlong", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].TakeAlong(in[1], *s.Axis) }),
	"gather":      call("Gather", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Gather(*s.Axis, in[1]) }),
	"scatter":     call("Scatter", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Scatter(*s.Axis, in[1], in[2]) }),
	"scatter_add": call("ScatterAdd", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].ScatterAdd(*s.Axis, in[1], in[2]) }),
	"dynamic_slice": call("DynamicSlice", func(in []*lt.Tensor, s *Step) *lt.Tensor {
		return in[0].DynamicSlice(in[1], s.Shape...)
	}),
	"dynamic_update_slice": call("DynamicUpdateSlice", func(in []*lt.Tensor, _ *Step) *lt.Tensor {
		return in[0].DynamicUpdateSlice(in[1], in[2])
	}),
	"embedding": call("Take", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return (&nn.Embedding{W: in[0]}).Forward(in[1]) }),
}

var contractions = map[string]operation{
	"matmul": call("MatMul", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return in[0].MatMul(in[1]) }),
	"einsum": call("Einsum", func(in []*lt.Tensor, s *Step) *lt.Tensor { return lt.Einsum(s.Spec, in...) }),
	"conv1d": call("Conv1d", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Conv1d(in[1], s.convolution(in)) }),
	"conv2d": call("Conv2d", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].Conv2d(in[1], s.convolution(in)) }),
	"attention": call("Attention", func(in []*lt.Tensor, s *Step) *lt.Tensor {
		return in[0].Attention(in[1], in[2], lt.AttentionOptions{Scale: s.Scale, Causal: s.Causal, Mask: optional(in, 3)})
	}),
	"linear": call("MatMul", func(in []*lt.Tensor, _ *Step) *lt.Tensor {
		return (&nn.Linear{W: in[1], B: optional(in, 2)}).Forward(in[0])
	}),
	"qr": {"QR", func(in []*lt.Tensor, _ *Step) []*lt.Tensor {
		q, r := in[0].QR()
		return []*lt.Tensor{q, r}
	}},
	"svd": {"SVD", func(in []*lt.Tensor, s *Step) []*lt.Tensor {
		u, values, vh := in[0].SVD()
		// The best approximation of rank K: u and vh alone have arbitrary signs.
		first := lt.Arange(s.K)
		low := u.Take(first, -1).MatMul(values.Take(first, -1).Unsqueeze(-1).Mul(vh.Take(first, -2)))
		return []*lt.Tensor{values, low}
	}},
	"solve": call("Solve", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return in[0].Solve(in[1]) }),
	"lora": {"", func(in []*lt.Tensor, s *Step) []*lt.Tensor {
		x, base, rest := in[0], in[1], in[4:]
		l := lora.NewLayer(lt.NewRand(1), base, lora.Config{R: in[2].Dim(0), Alpha: s.Alpha, RsLoRA: s.RsLoRA, DoRA: s.DoRA})
		l.A, l.B = in[2], in[3]
		if s.DoRA {
			l.M, rest = rest[0], rest[1:]
		}
		l.Bias = optional(rest, 0)
		return []*lt.Tensor{l.Forward(x), l.Merged()}
	}},
}

func (s *Step) convolution(in []*lt.Tensor) lt.ConvOptions {
	o := lt.ConvOptions{Groups: s.Groups, Bias: optional(in, 2)}
	copy(o.Stride[:], s.Stride)
	copy(o.Pad[:], s.Pad)
	copy(o.Dilation[:], s.Dilation)
	return o
}

var rows = map[string]operation{
	"softmax": along("Softmax", (*lt.Tensor).Softmax), "log_softmax": along("LogSoftmax", (*lt.Tensor).LogSoftmax),
	"rms_norm": call("RMSNorm", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].RMSNorm(optional(in, 1), s.Eps) }),
	"layer_norm": call("LayerNorm", func(in []*lt.Tensor, s *Step) *lt.Tensor {
		return in[0].LayerNorm(optional(in, 1), optional(in, 2), s.Eps)
	}),
	"rope": call("RoPE", func(in []*lt.Tensor, s *Step) *lt.Tensor {
		return in[0].RoPE(lt.RoPEOptions{Offset: s.Offset, Dims: s.Dims, Base: s.Base, Scale: s.Scale, Interleaved: s.Interleaved, Frequencies: optional(in, 1)})
	}),
}

var losses = map[string]operation{
	"cross_entropy_rows": call("CrossEntropy", func(in []*lt.Tensor, s *Step) *lt.Tensor { return in[0].CrossEntropy(in[1], s.crossEntropy()) }),
	"cross_entropy":      call("CrossEntropy", func(in []*lt.Tensor, s *Step) *lt.Tensor { return nn.CrossEntropy(in[0], in[1], s.crossEntropy()) }),
	"mse":                call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.MSE(in[0], in[1]) }),
	"l1":                 call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.L1(in[0], in[1]) }),
	"huber":              call("", func(in []*lt.Tensor, s *Step) *lt.Tensor { return nn.Huber(in[0], in[1], *s.Float) }),
	"bce_with_logits":    call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.BCEWithLogits(in[0], in[1]) }),
	"nll":                call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.NLL(in[0], in[1]) }),
	"kl_div":             call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.KLDiv(in[0], in[1]) }),
	"cosine_similarity":  call("", func(in []*lt.Tensor, _ *Step) *lt.Tensor { return nn.CosineSimilarity(in[0], in[1]) }),
	"triplet":            call("", func(in []*lt.Tensor, s *Step) *lt.Tensor { return nn.Triplet(in[0], in[1], in[2], *s.Float) }),
	"clip_norm": {"", func(in []*lt.Tensor, s *Step) []*lt.Tensor {
		clipped, norm := nn.ClipNorm(in, *s.Float)
		return append(slices.Clone(clipped), norm)
	}},
}

func (s *Step) crossEntropy() lt.CrossEntropyOptions {
	return lt.CrossEntropyOptions{Ignore: s.Ignore, Smoothing: s.Smoothing}
}

var sources = map[string]operation{
	"arange":   call("Arange", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Arange(s.Sizes...) }),
	"linspace": call("Linspace", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Linspace(*s.Lo, *s.Hi, s.K) }),
	"eye":      call("Eye", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Eye(s.Sizes[0], s.Sizes[1:]...) }),
	"full":     call("Full", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Full(s.scalar(), s.Shape...) }),
	"zeros":    call("Zeros", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Zeros(s.Shape...) }),
	"ones":     call("Ones", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Ones(s.Shape...) }),
	"of":       call("Of", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Of(s.Floats...) }),
	"ints":     call("Ints", func(_ []*lt.Tensor, s *Step) *lt.Tensor { return lt.Ints(s.Sizes...) }),
}
