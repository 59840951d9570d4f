package tensorlib_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"loris/internal/plan"
	lt "loris/tensorlib"
)

func init() { plan.CheckPasses(true) }

// written is a pattern as people write it: what it computes of its inputs, and the
// steps that it is planned as.
type written struct {
	name  string
	in    []lt.Shape
	f     func(in []*lt.Tensor) *lt.Tensor
	steps string
	plain bool   // only with values that are finite, and neither large nor small
	but   string // fillings where the op is known to say something else
}

var planRow = regexp.MustCompile(`^ *\d+  (op|fused|matmul|lora|copy) +(.*?)  +[a-z0-9]+\[`)

// stepsOf lists kinds and names of the steps that would compute the tensors.
func stepsOf(tensors ...*lt.Tensor) string {
	var steps []string
	for _, line := range strings.Split(lt.Graph(tensors...).Plan().String(), "\n") {
		if m := planRow.FindStringSubmatch(line); m != nil {
			steps = append(steps, m[1]+":"+m[2])
		}
	}
	return strings.Join(steps, " | ")
}

// fillings are the values that patterns are tried with: x is drawn from N(0, 1).
var fillings = []struct {
	name string
	f    func(x *lt.Tensor) *lt.Tensor
}{
	{"plain", func(x *lt.Tensor) *lt.Tensor { return x }},
	{"large", func(x *lt.Tensor) *lt.Tensor { return x.Mul(1e4) }},
	{"huge", func(x *lt.Tensor) *lt.Tensor { return x.Mul(1e25) }},
	{"tiny", func(x *lt.Tensor) *lt.Tensor { return x.Mul(1e-25) }},
	{"-Inf", func(x *lt.Tensor) *lt.Tensor { return lt.Where(x.Gt(1), math.Inf(-1), x) }},
	{"Inf", func(x *lt.Tensor) *lt.Tensor { return lt.Where(x.Gt(1.5), math.Inf(1), x) }},
	{"NaN", func(x *lt.Tensor) *lt.Tensor { return lt.Where(x.Gt(1.5), math.NaN(), x) }},
}

// check compares a pattern with the same ops one by one, in float64 where values are
// plain: no pass sees more than one of them. Only the first input is filled oddly.
func (w written) check(t *testing.T) {
	t.Helper()
	for _, fill := range fillings {
		if w.plain && fill.name != "plain" || slices.Contains(strings.Fields(w.but), fill.name) {
			continue
		}
		r := lt.NewRand(7)
		var in, in64 []*lt.Tensor
		for i, s := range w.in {
			x := r.Normal(s...)
			if i == 0 {
				x = fill.f(x)
			}
			x.Eval()
			in, in64 = append(in, lt.Parameter(x)), append(in64, lt.Parameter(x.Cast(lt.F64).Eval()))
		}
		y := w.f(in)
		if got := stepsOf(y); got != w.steps {
			t.Errorf("%s:\n got %s\nwant %s\n%v", w.name, got, w.steps, lt.Graph(y).Plan())
			return
		}
		got := y.Floats()
		var each, want []float64
		lt.Eager(func() { each = w.f(in).Floats() })
		lt.Eager(func() { want = w.f(in64).Floats() })
		if fill.name != "plain" {
			want = each
		}
		top, tolerance := 1.0, 2e-5
		if fill.name == "large" { // exponents of ten thousand are rounded by half a thousandth
			tolerance = 5e-4
		}
		for _, v := range want {
			if a := math.Abs(v); a > top && !math.IsInf(v, 0) {
				top = a
			}
		}
		for i, g := range got {
			v := want[i]
			if math.IsNaN(v) && math.IsNaN(g) || g == v {
				continue
			}
			if d := math.Abs(g - v); !(d <= tolerance*top) {
				t.Errorf("%s, %s: element %d is %v, want %v", w.name, fill.name, i, g, v)
				break
			}
		}
	}
}

func shapes(s ...lt.Shape) []lt.Shape { return s }

// What people write for a layer with an adapter is one step.
func TestLoRAWrittenOut(t *testing.T) {
	type ts = []*lt.Tensor
	all := shapes(lt.Shape{6, 16}, lt.Shape{16, 10}, lt.Shape{16, 2}, lt.Shape{2, 10}, lt.Shape{10}, lt.Shape{6, 10})
	peft := shapes(lt.Shape{2, 6, 16}, lt.Shape{10, 16}, lt.Shape{2, 16}, lt.Shape{10, 2}, lt.Shape{10}, lt.Shape{2, 6, 10})
	base := func(in ts) *lt.Tensor { return in[0].MatMul(in[1]) }
	low := func(in ts) *lt.Tensor { return in[0].MatMul(in[2]).MatMul(in[3]) }
	baseT := func(in ts) *lt.Tensor { return in[0].MatMul(in[1].T()) }
	lowT := func(in ts) *lt.Tensor { return in[0].MatMul(in[2].T()).MatMul(in[3].T()) }
	for _, w := range []written{
		{name: "scale behind", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in).Mul(2.5)) }, steps: "lora:lora"},
		{name: "none", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in)) }, steps: "lora:lora"},
		{name: "between", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(in[0].MatMul(in[2]).Mul(2.5).MatMul(in[3])) }, steps: "lora:lora"},
		{name: "a division", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in).Div(7)) }, steps: "lora:lora"},
		{name: "a division between", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(in[0].MatMul(in[2]).Div(3).MatMul(in[3])) }, steps: "lora:lora"},
		{name: "adapter first", in: all, f: func(in ts) *lt.Tensor { return low(in).Mul(2.5).Add(base(in)) }, steps: "lora:lora"},
		{name: "bias last", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in).Mul(2.5)).Add(in[4]) }, steps: "lora:lora add"},
		{name: "bias in the base", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(in[4]).Add(low(in).Mul(2.5)) }, steps: "lora:lora add"},
		{name: "bias in the base, adapter first", in: all, f: func(in ts) *lt.Tensor { return low(in).Div(7).Add(in[4].Add(base(in))) }, steps: "lora:lora add"},
		{name: "a residual before", in: all, f: func(in ts) *lt.Tensor { return in[5].Add(base(in).Add(in[4])).Add(low(in).Mul(2.5)) }, steps: "lora:lora add add"},
		{name: "PEFT's layout", in: peft, f: func(in ts) *lt.Tensor { return baseT(in).Add(in[4]).Add(lowT(in).Mul(2.5)) }, steps: "lora:lora add"},
		{name: "a vector", in: append(shapes(lt.Shape{16}), all[1:]...), f: func(in ts) *lt.Tensor { return base(in).Add(in[4]).Add(low(in).Mul(2.5)) }, steps: "lora:lora add"},
		{name: "gated", in: append(all, lt.Shape{16, 10}, lt.Shape{16, 2}, lt.Shape{2, 10}), f: func(in ts) *lt.Tensor {
			gate := base(in).Add(low(in).Mul(2.5))
			up := in[0].MatMul(in[6]).Add(in[0].MatMul(in[7]).MatMul(in[8]).Mul(2.5))
			return gate.Silu().Mul(up)
		}, steps: "lora:lora | lora:silu lora mul"},
		{name: "a division by infinity", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in).Div(math.Inf(1))) }, steps: "matmul:matmul | matmul:matmul | matmul:matmul div add"},
		{name: "times zero", in: all, f: func(in ts) *lt.Tensor { return base(in).Add(low(in).Mul(0)) }, steps: "matmul:matmul | matmul:matmul | matmul:matmul mul add"},
		{name: "two products and two biases", in: append(all, lt.Shape{16, 10}, lt.Shape{10}), f: func(in ts) *lt.Tensor {
			return base(in).Add(in[4]).Add(in[0].MatMul(in[6]).Add(in[7])).Tanh()
		}, steps: "matmul:matmul+matmul add add tanh"},
	} {
		w.check(t)
	}
}

// A gated MLP is two products, the gate in the epilogue of the second.
func TestGatedMLPWrittenOut(t *testing.T) {
	type ts = []*lt.Tensor
	for _, act := range []struct {
		name string
		f    func(*lt.Tensor) *lt.Tensor
	}{{"silu", (*lt.Tensor).Silu}, {"gelu", (*lt.Tensor).Gelu}, {"gelutanh", (*lt.Tensor).GeluTanh}, {"relu", (*lt.Tensor).Relu}, {"sigmoid", (*lt.Tensor).Sigmoid}} {
		for _, x := range []lt.Shape{{6, 16}, {2, 6, 16}, {2, 3, 6, 16}} {
			in := shapes(x, lt.Shape{16, 10}, lt.Shape{10, 16}, lt.Shape{10}, lt.Shape{10})
			name := fmt.Sprint(act.name, " of ", x)
			for _, w := range []written{
				{name: name, in: in, f: func(in ts) *lt.Tensor { return act.f(in[0].MatMul(in[1])).Mul(in[0].MatMul(in[2].T())) },
					steps: "matmul:matmul | matmul:" + act.name + " matmul mul"},
				{name: name + ", second", in: in, f: func(in ts) *lt.Tensor { return in[0].MatMul(in[1]).Mul(act.f(in[0].MatMul(in[2].T()))) },
					steps: "matmul:matmul | matmul:matmul " + act.name + " mul"},
				{name: name + " with biases", in: in, f: func(in ts) *lt.Tensor {
					return act.f(in[0].MatMul(in[1]).Add(in[3])).Mul(in[0].MatMul(in[2].T()).Add(in[4]))
				}, steps: "matmul:matmul | matmul:add " + act.name + " matmul add mul"},
			} {
				w.check(t)
			}
		}
	}
}

// Norms written out are the ops, which take sums before them along.
func TestNormsWrittenOut(t *testing.T) {
	type ts = []*lt.Tensor
	mean := func(x *lt.Tensor) *lt.Tensor { return x.Mean(-1).Unsqueeze(-1) }
	for _, n := range []struct {
		name, op string
		f        func(x *lt.Tensor, in ts) *lt.Tensor
		unscaled bool
	}{
		{"RMS by rsqrt", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor { return x.Mul(mean(x.Square()).Add(1e-6).Rsqrt()).Mul(in[2]) }, false},
		{"RMS by a division", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor { return in[2].Mul(x.Div(mean(x.Mul(x)).Add(1e-5).Sqrt())) }, false},
		{"RMS by a power", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor { return in[2].Mul(mean(x.Pow(2)).Add(1e-6).Pow(-0.5).Mul(x)) }, false},
		{"RMS by a reciprocal", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor { return x.Mul(mean(x.Square()).Add(1e-6).Sqrt().Reciprocal()) }, true},
		{"RMS of a weighted x", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor { return x.Mul(in[2]).Mul(mean(x.Square()).Add(1e-6).Rsqrt()) }, false},
		{"RMS with a factor", "rmsnorm", func(x *lt.Tensor, in ts) *lt.Tensor {
			return x.Mul(x.Square().Sum(-1).Mul(1.0 / 48).Add(1e-6).Rsqrt().Unsqueeze(-1)).Mul(in[2])
		}, false},
		{"layer", "layernorm", func(x *lt.Tensor, in ts) *lt.Tensor {
			d := x.Sub(mean(x))
			return d.Div(mean(d.Square()).Add(1e-5).Sqrt()).Mul(in[2]).Add(in[3])
		}, false},
		{"layer by rsqrt, no bias", "layernorm", func(x *lt.Tensor, in ts) *lt.Tensor {
			d := x.Sub(mean(x))
			return d.Mul(mean(d.Square()).Add(1e-5).Rsqrt()).Mul(in[2])
		}, false},
	} {
		in := shapes(lt.Shape{5, 48}, lt.Shape{5, 48}, lt.Shape{48}, lt.Shape{48}, lt.Shape{48, 48})
		for _, w := range []written{
			{name: n.name, in: in, f: func(in ts) *lt.Tensor { return n.f(in[0], in) }, steps: "op:" + n.op},
			{name: n.name + " of a sum", in: in, f: func(in ts) *lt.Tensor { return n.f(in[1].Add(in[0]), in) }, steps: "fused:add " + n.op},
			{name: n.name + " added to what it is of", in: in, f: func(in ts) *lt.Tensor { return in[1].Add(n.f(in[0], in)) }, steps: "fused:" + n.op + " add"},
			{name: n.name + " of a layer and its residual", in: in, f: func(in ts) *lt.Tensor {
				return n.f(in[1].Add(in[0].MatMul(in[4]).Add(in[3])), in)
			}, steps: "matmul:matmul | fused:add add " + n.op},
		} {
			w.but = "huge" // squares beyond 1e38 overflow, but not in all kernels
			w.check(t)
		}
	}
	variance := written{name: "layer by Var", but: "huge", in: shapes(lt.Shape{5, 48}, lt.Shape{48}), f: func(in ts) *lt.Tensor {
		x := in[0].Mul(2).Add(1)
		return x.Sub(mean(x)).Div(x.Var(-1).Unsqueeze(-1).Add(1e-5).Sqrt()).Mul(in[1])
	}, steps: "fused:mul add layernorm"}
	variance.check(t)
	other := written{name: "another epsilon", in: shapes(lt.Shape{5, 48}), f: func(in ts) *lt.Tensor {
		return in[0].Mul(mean(in[0].Square()).Add(1.7e-6).Rsqrt())
	}, steps: "fused:square sum div add rsqrt mul"}
	other.check(t)
	count := written{name: "not the mean", in: shapes(lt.Shape{5, 48}), f: func(in ts) *lt.Tensor {
		return in[0].Mul(in[0].Square().Sum(-1).Div(47).Add(1e-6).Rsqrt().Unsqueeze(-1))
	}, steps: "fused:square sum div add rsqrt mul"}
	count.check(t)
}

// Softmax written out is the op over the last axis, and the op is written out over
// others, where that is faster.
func TestSoftmaxWrittenOut(t *testing.T) {
	type ts = []*lt.Tensor
	s := shapes(lt.Shape{3, 16, 32})
	d := func(x *lt.Tensor, axis int) *lt.Tensor { return x.Sub(x.Max(axis).Unsqueeze(axis)) }
	by := func(e *lt.Tensor, axis int) *lt.Tensor { return e.Div(e.Sum(axis).Unsqueeze(axis)) }
	columns := "op:max | fused:sub exp | op:sum | fused:div"
	for _, w := range []written{
		{name: "last axis", in: s, f: func(in ts) *lt.Tensor { return by(d(in[0], -1).Exp(), -1) }, steps: "op:softmax"},
		{name: "without a gradient of the largest", in: s, f: func(in ts) *lt.Tensor {
			e := in[0].Sub(in[0].Max(-1).Unsqueeze(-1).Detach()).Exp()
			return e.Mul(e.Sum(-1).Reciprocal().Unsqueeze(-1))
		}, steps: "op:softmax"},
		{name: "middle axis", in: s, f: func(in ts) *lt.Tensor { return by(d(in[0], 1).Exp(), 1) }, steps: columns},
		{name: "the op, middle axis", in: s, f: func(in ts) *lt.Tensor { return in[0].Softmax(1) }, steps: columns, plain: true},
		{name: "the op, first axis", in: s, f: func(in ts) *lt.Tensor { return in[0].Softmax(0) }, steps: columns, plain: true},
		{name: "the op's logarithm, first axis", in: s, f: func(in ts) *lt.Tensor { return in[0].LogSoftmax(0) }, steps: "op:max | fused:sub exp | op:sum | fused:log | fused:sub", plain: true},
		{name: "the op, last axis", in: s, f: func(in ts) *lt.Tensor { return in[0].Softmax(2) }, steps: "op:softmax"},
		// Without the largest taken away it overflows, which the op does not: that stays.
		{name: "overflowing", in: s, f: func(in ts) *lt.Tensor { return by(in[0].Exp(), -1) }, steps: "fused:exp sum div"},
		{name: "logarithm", in: s, f: func(in ts) *lt.Tensor {
			d := d(in[0], -1)
			return d.Sub(d.Exp().Sum(-1).Log().Unsqueeze(-1))
		}, steps: "op:logsoftmax"},
		{name: "log Σ exp", in: s, f: func(in ts) *lt.Tensor { return in[0].LogSumExp(-1) }, steps: "fused:max isinf where sub exp sum log add"},
		{name: "another row's sum", in: shapes(lt.Shape{8, 8}), f: func(in ts) *lt.Tensor {
			e := d(in[0], -1).Exp()
			return e.Div(e.Sum(-1)) // along the wrong axis
		}, steps: "fused:max sub exp sum | fused:div"},
	} {
		w.check(t)
	}
}

// Attention written out is the op, which does not store the scores. A causal mask that
// the graph makes is not made.
func TestAttentionForms(t *testing.T) {
	type ts = []*lt.Tensor
	minus := math.Inf(-1)
	const op = "fused:mul | op:attention"
	// Where all scores that a query may look at are -Inf, softmax is NaN, and the op 0:
	// that takes infinite queries or keys.
	const infinite = "Inf -Inf"
	four := shapes(lt.Shape{2, 4, 40, 16}, lt.Shape{2, 4, 40, 16}, lt.Shape{2, 4, 40, 8})
	three := shapes(lt.Shape{4, 40, 16}, lt.Shape{4, 40, 16}, lt.Shape{4, 40, 8})
	shorter := shapes(lt.Shape{2, 4, 39, 16}, lt.Shape{2, 4, 40, 16}, lt.Shape{2, 4, 40, 8})
	one := shapes(lt.Shape{2, 4, 40, 16}, lt.Shape{2, 1, 40, 16}, lt.Shape{2, 1, 40, 8})
	groups := shapes(lt.Shape{2, 6, 40, 16}, lt.Shape{2, 2, 40, 16}, lt.Shape{2, 2, 40, 8})
	scores := func(in ts) *lt.Tensor { return in[0].MatMul(in[1].T()).Mul(0.3) }
	end := func(s *lt.Tensor, in ts) *lt.Tensor { return s.Softmax(-1).MatMul(in[2]) }
	repeat := func(x *lt.Tensor, n int) *lt.Tensor {
		s := x.Shape()
		return x.Unsqueeze(2).Expand(s[0], s[1], n, s[2], s[3]).Reshape(s[0], n*s[1], s[2], s[3])
	}
	tril := func(k int) *lt.Tensor { return lt.Ones(40, 40).Tril(k) }
	i, j := lt.Arange(40).Unsqueeze(-1), lt.Arange(40)
	for _, w := range []written{
		{name: "scale behind", in: four, f: func(in ts) *lt.Tensor { return end(scores(in), in) }, steps: op},
		{name: "scale before", in: four, f: func(in ts) *lt.Tensor { return end(in[0].Mul(0.3).MatMul(in[1].T()), in) }, steps: op},
		{name: "keys scaled", in: four, f: func(in ts) *lt.Tensor { return end(in[0].MatMul(in[1].Mul(0.3).Transpose(0, 1, 3, 2)), in) }, steps: op},
		{name: "a softmax written out", in: four, f: func(in ts) *lt.Tensor {
			s := scores(in)
			e := s.Sub(s.Max(-1).Unsqueeze(-1)).Exp()
			return e.Div(e.Sum(-1).Unsqueeze(-1)).MatMul(in[2])
		}, steps: op},
		{name: "einsum", in: four, f: func(in ts) *lt.Tensor {
			return lt.Einsum("bhts,bhsd->bhtd", lt.Einsum("bhtd,bhsd->bhts", in[0], in[1]).Mul(0.3).Softmax(-1), in[2])
		}, steps: op},
		{name: "batches merged for the softmax", in: four, f: func(in ts) *lt.Tensor {
			return scores(in).Reshape(8, 40, 40).Softmax(-1).Reshape(2, 4, 40, 40).MatMul(in[2])
		}, steps: op},
		{name: "one head of keys", in: one, f: func(in ts) *lt.Tensor { return end(scores(in), in) }, steps: op},
		{name: "repeated heads", in: groups, f: func(in ts) *lt.Tensor {
			return end(in[0].MatMul(repeat(in[1], 3).T()).Mul(0.3), ts{nil, nil, repeat(in[2], 3)})
		}, steps: op},
		{name: "groups of heads", in: groups, f: func(in ts) *lt.Tensor {
			s := in[0].Reshape(2, 2, 3, 40, 16).MatMul(in[1].Unsqueeze(2).T()).Mul(0.3)
			return s.Softmax(-1).MatMul(in[2].Unsqueeze(2)).Reshape(2, 6, 40, 8)
		}, steps: op},
		{name: "tiled heads", in: groups, f: func(in ts) *lt.Tensor { // head h takes h mod 2: no grouping
			return end(in[0].MatMul(in[1].Repeat(1, 3, 1, 1).T()).Mul(0.3), ts{nil, nil, in[2].Repeat(1, 3, 1, 1)})
		}, steps: "fused:mul | copy:reshape | copy:reshape | op:attention"},

		{name: "Triu of -Inf added", in: four, f: func(in ts) *lt.Tensor { return end(scores(in).Add(lt.Full(minus, 40, 40).Triu(1)), in) }, steps: op, but: infinite + " NaN"},
		{name: "chosen by Tril", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(tril(0).Gt(0), scores(in), minus), in) }, steps: op, but: infinite},
		{name: "chosen by Tril, as bools", in: three, f: func(in ts) *lt.Tensor { return end(lt.Where(tril(0).Cast(lt.Bool), scores(in), minus), in) }, steps: op, but: infinite},
		{name: "filled where Tril is 0", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(tril(0).Eq(0), minus, scores(in)), in) }, steps: op, but: infinite},
		{name: "filled by Triu", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(lt.Ones(40, 40).Triu(1).Ne(0), minus, scores(in)), in) }, steps: op, but: infinite},
		{name: "not by Triu", in: four, f: func(in ts) *lt.Tensor {
			return end(lt.Where(lt.Ones(40, 40).Triu(1).Ne(0).Not(), scores(in), minus), in)
		}, steps: op, but: infinite},
		{name: "j ≤ i", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Le(i), scores(in), minus), in) }, steps: op, but: infinite},
		{name: "i ≥ j, with axes", in: four, f: func(in ts) *lt.Tensor {
			return end(lt.Where(i.Ge(j).Reshape(1, 1, 40, 40), scores(in), minus), in)
		}, steps: op, but: infinite},
		{name: "j > i hides", in: three, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Gt(i), minus, scores(in)), in) }, steps: op, but: infinite},
		{name: "i < j hides", in: three, f: func(in ts) *lt.Tensor { return end(lt.Where(i.Lt(j), minus, scores(in)), in) }, steps: op, but: infinite},
		{name: "j - i < 1", in: three, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Sub(i).Lt(1), scores(in), minus), in) }, steps: op, but: infinite},
		{name: "i - j > -1", in: three, f: func(in ts) *lt.Tensor { return end(lt.Where(i.Sub(j).Gt(-1), scores(in), minus), in) }, steps: op, but: infinite},
		{name: "one key more than queries", in: shorter, f: func(in ts) *lt.Tensor {
			return end(lt.Where(lt.Ones(39, 40).Tril(1).Gt(0), scores(in), minus), in)
		}, steps: op, but: infinite},

		{name: "a diagonal less", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(tril(-1).Gt(0), scores(in), minus), in) },
			steps: "op:iota | op:iota | fused:sub le where gt | matmul:matmul | fused:mul where softmax | matmul:matmul"},
		{name: "queries before keys", in: shorter, f: func(in ts) *lt.Tensor {
			return end(lt.Where(lt.Ones(39, 40).Tril().Gt(0), scores(in), minus), in)
		}, steps: "op:iota | op:iota | fused:sub le where gt | matmul:matmul | fused:mul where softmax | matmul:matmul"},
		{name: "the past hidden", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Ge(i), scores(in), minus), in) },
			steps: "op:iota | fused:ge | matmul:matmul | fused:mul where softmax | matmul:matmul"},
		{name: "all but i = j", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Eq(i), scores(in), minus), in) },
			steps: "op:iota | fused:eq | matmul:matmul | fused:mul where softmax | matmul:matmul"},
		{name: "every second key", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(lt.Arange(0, 80, 2).Le(i), scores(in), minus), in) },
			steps: "op:iota | op:iota | fused:le | matmul:matmul | fused:mul where softmax | matmul:matmul"},
		{name: "a finite mask", in: four, f: func(in ts) *lt.Tensor { return end(lt.Where(j.Le(i), scores(in), -1e9), in) },
			steps: "op:iota | fused:le | matmul:matmul | fused:mul where softmax | matmul:matmul"},
	} {
		w.check(t)
	}
}

// A key that is not a number shows in the queries that may look at it alone.
func TestHiddenNaNStaysHidden(t *testing.T) {
	r := lt.NewRand(3)
	q, v := r.Normal(2, 90, 16).Eval(), r.Normal(2, 90, 16).Eval()
	k := lt.Where(lt.Arange(90).Eq(37).Unsqueeze(-1), math.NaN(), r.Normal(2, 90, 16)).Eval()
	y := lt.Where(lt.Ones(90, 90).Tril().Gt(0), q.MatMul(k.T()).Mul(0.3), math.Inf(-1)).Softmax(-1).MatMul(v)
	if s := stepsOf(y); s != "fused:mul | op:attention" {
		t.Error(s)
	}
	for i, e := range y.Floats() {
		if row := i / 16 % 90; math.IsNaN(e) != (row >= 37) {
			t.Fatalf("element %d of row %d is %v", i, row, e)
		}
	}
}

// In halves too, where the op holds scores in float32; a cast that rounds them stays.
func TestAttentionOfHalves(t *testing.T) {
	minus := math.Inf(-1)
	for _, dtype := range []lt.DType{lt.F16, lt.BF16} {
		for name, form := range map[string]func(q, k, v *lt.Tensor) *lt.Tensor{
			"plain": func(q, k, v *lt.Tensor) *lt.Tensor { return q.MatMul(k.T()).Mul(0.3).Softmax(-1).MatMul(v) },
			"causal": func(q, k, v *lt.Tensor) *lt.Tensor {
				return lt.Where(lt.Ones(40, 40).Tril().Gt(0), q.MatMul(k.T()).Mul(0.3), minus).Softmax(-1).MatMul(v)
			},
			"rounded": func(q, k, v *lt.Tensor) *lt.Tensor {
				return q.MatMul(k.T()).Mul(0.3).Cast(lt.F32).Softmax(-1).Cast(v.DType()).MatMul(v)
			},
		} {
			r := lt.NewRand(3)
			in := []*lt.Tensor{r.Normal(3, 40, 16).Cast(dtype).Eval(), r.Normal(3, 40, 16).Cast(dtype).Eval(), r.Normal(3, 40, 8).Cast(dtype).Eval()}
			y := form(in[0], in[1], in[2])
			if got, want := stepsOf(y), "fused:mul | op:attention"; (got == want) == (name == "rounded") {
				t.Errorf("%s of %s: %s", name, dtype, got)
			}
			var want []float64
			lt.Eager(func() { want = form(in[0].Cast(lt.F64), in[1].Cast(lt.F64), in[2].Cast(lt.F64)).Floats() })
			for i, g := range y.Floats() {
				if d := math.Abs(g - want[i]); !(d <= 3e-2) {
					t.Errorf("%s of %s: element %d is %v, want %v", name, dtype, i, g, want[i])
					break
				}
			}
		}
	}
}

// A cross-entropy written out is the op: of each row one class of its log-softmax.
// Its gradient is the op's too.
func TestCrossEntropyWrittenOut(t *testing.T) {
	const rows, classes = 9, 40
	const infinite = "log Σ exp minus the logit"        // infinite, and not NaN, where a logit is
	labels := lt.Ints(3, 0, 39, -1, -40, 17, 17, 5, 38) // negative ones count from the end
	at := labels.Unsqueeze(-1)
	logp := func(x *lt.Tensor) *lt.Tensor { return x.LogSoftmax(-1) }
	byHand := func(x *lt.Tensor) *lt.Tensor {
		d := x.Sub(x.Max(-1).Unsqueeze(-1))
		return d.Sub(d.Exp().Sum(-1).Log().Unsqueeze(-1))
	}
	onehot := labels.Unsqueeze(-1).Eq(lt.Arange(classes))
	for _, c := range []struct {
		name        string
		loss        func(x *lt.Tensor) *lt.Tensor
		steps, grad string
		halves      bool
	}{
		{"minus the mean", func(x *lt.Tensor) *lt.Tensor { return logp(x).TakeAlong(at, -1).Mean().Neg() },
			"op:crossentropy | fused:neg sum div neg", "fused:fill | op:crossentropygrad", true},
		{"the mean of minus", func(x *lt.Tensor) *lt.Tensor { return logp(x).TakeAlong(at, -1).Squeeze(-1).Neg().Mean() },
			"op:crossentropy | fused:sum div", "fused:fill | op:crossentropygrad", true},
		{"the sum", func(x *lt.Tensor) *lt.Tensor { return logp(x).Gather(1, at).Neg().Sum() },
			"op:crossentropy | fused:sum", "fused:fill | op:crossentropygrad", true},
		{"weighted", func(x *lt.Tensor) *lt.Tensor {
			return logp(x).TakeAlong(at, -1).Squeeze(-1).Mul(lt.Arange(rows).Cast(x.DType())).Sum()
		}, "op:iota | op:crossentropy | fused:neg cast mul sum", "op:iota | fused:cast neg | op:crossentropygrad", false},
		{"of a sequence", func(x *lt.Tensor) *lt.Tensor {
			return logp(x.Reshape(3, 3, classes)).TakeAlong(at.Reshape(3, 3, 1), -1).Neg().Mean()
		}, "op:crossentropy | fused:sum div", "fused:fill | op:crossentropygrad", true},
		{"of a log-softmax written out", func(x *lt.Tensor) *lt.Tensor { return byHand(x).TakeAlong(at, -1).Neg().Mean() },
			"op:crossentropy | fused:sum div", "", false},
		{infinite, func(x *lt.Tensor) *lt.Tensor { return x.LogSumExp(-1).Sub(x.TakeAlong(at, -1).Squeeze(-1)).Mean() },
			"op:crossentropy | fused:sum div", "fused:fill | op:crossentropygrad", false},
		{"the same by hand", func(x *lt.Tensor) *lt.Tensor {
			top := x.Max(-1).Detach()
			return x.Sub(top.Unsqueeze(-1)).Exp().Sum(-1).Log().Add(top).Unsqueeze(-1).Sub(x.TakeAlong(at, -1)).Sum()
		}, "op:crossentropy | fused:sum", "fused:fill | op:crossentropygrad", false},
		{"a penalty beside", func(x *lt.Tensor) *lt.Tensor {
			lse := x.LogSumExp(-1)
			return lse.Sub(x.TakeAlong(at, -1).Squeeze(-1)).Mean().Add(lse.Square().Mean().Mul(1e-4))
		}, "", "", false},
		// These say something else where a class is impossible.
		{"one-hot", func(x *lt.Tensor) *lt.Tensor { return onehot.Cast(x.DType()).Mul(logp(x)).Sum(-1).Mean().Neg() }, "", "", false},
		{"the logarithm of a softmax", func(x *lt.Tensor) *lt.Tensor { return x.Softmax(-1).Log().TakeAlong(at, -1).Mean().Neg() },
			"op:softmax | op:takealong | fused:log sum div neg", "", false},
	} {
		for _, dtype := range []lt.DType{lt.F32, lt.F64, lt.BF16, lt.F16} {
			if dtype.Bytes() == 2 && !c.halves {
				continue
			}
			for _, fill := range fillings {
				if c.name == infinite && fill.name == "Inf" {
					continue
				}
				x := lt.Parameter(fill.f(lt.NewRand(5).Normal(rows, classes)).Cast(dtype).Eval())
				build := func(x *lt.Tensor) []*lt.Tensor { l := c.loss(x); return append(lt.Grads(l, x), l) }
				y := build(x)
				if got := stepsOf(c.loss(x)); c.steps != "" && dtype == lt.F32 && got != c.steps {
					t.Errorf("%s: the loss is\n got %s\nwant %s", c.name, got, c.steps)
				}
				if got := stepsOf(y[0]); c.grad != "" && dtype == lt.F32 && got != c.grad {
					t.Errorf("%s: the gradient is\n got %s\nwant %s", c.name, got, c.grad)
				}
				lt.Eval(y...)
				var want []*lt.Tensor
				lt.Eager(func() {
					if fill.name == "plain" && dtype != lt.F64 {
						x = lt.Parameter(x.Cast(lt.F64).Eval())
					}
					want = build(x)
				})
				tolerance := map[lt.DType]float64{lt.F32: 2e-5, lt.F64: 1e-12, lt.F16: 2e-3, lt.BF16: 2e-2}[dtype]
				for k, name := range []string{"gradient", "loss"} {
					for i, w := range want[k].Floats() {
						g := y[k].Floats()[i]
						if d := math.Abs(g - w); !(d <= tolerance*(1+math.Abs(w))) && g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
							t.Errorf("%s of %s, %s: %s %d is %v, want %v", c.name, dtype, fill.name, name, i, g, w)
							break
						}
					}
				}
			}
		}
	}
}

// A label that is none fails as the indexing does that was written: -100 is no
// exception, and nothing is ignored.
func TestCrossEntropyWrittenOutChecksLabels(t *testing.T) {
	x := lt.Parameter(lt.NewRand(5).Normal(3, 10).Eval())
	for _, label := range []int{-100, 10, -11, math.MinInt64, math.MinInt32} {
		at := lt.Ints(0, label, -10).Unsqueeze(-1)
		loss := func() *lt.Tensor { return x.LogSoftmax(-1).TakeAlong(at, -1).Neg().Sum() }
		text := func(f func()) string {
			err := lt.Try(f)
			if err == nil {
				return ""
			}
			return err.Error()
		}
		got := text(func() { loss().Item() })
		want := text(func() { lt.Eager(func() { loss() }) })
		if got != want || !strings.Contains(got, fmt.Sprint("index ", label, " is out of range for an axis of 10")) {
			t.Errorf("label %d: %q, one by one %q", label, got, want)
		}
		if got := text(func() { lt.Grads(loss(), x)[0].Eval() }); !strings.Contains(got, "out of range") {
			t.Errorf("label %d: the gradient says %q", label, got)
		}
	}
}

// Halves beside float32 are multiplied as they are, from either side.
func TestProductsWithHalves(t *testing.T) {
	type ts = []*lt.Tensor
	for _, dtype := range []lt.DType{lt.BF16, lt.F16} {
		for _, x := range []lt.Shape{{1, 16}, {7, 16}, {2, 6, 16}, {12, 16}} {
			in := shapes(x, lt.Shape{16, 24}, lt.Shape{24, 16}, lt.Shape{24})
			const one = "fused:cast | matmul:matmul"
			for _, w := range []written{
				{name: "x@W", in: in, f: func(in ts) *lt.Tensor { return in[0].MatMul(in[1].Cast(dtype)) }, steps: one},
				{name: "x@Wᵀ", in: in, f: func(in ts) *lt.Tensor { return in[0].MatMul(in[2].Cast(dtype).T()) }, steps: one},
				{name: "widened, then turned", in: in, f: func(in ts) *lt.Tensor { return in[0].MatMul(in[2].Cast(dtype).Cast(in[0].DType()).T()) }, steps: one},
				{name: "with a bias", in: in, f: func(in ts) *lt.Tensor { return in[0].MatMul(in[2].Cast(dtype).T()).Add(in[3]) }, steps: one + " | fused:add"},
				{name: "the gradient of x", in: in, f: func(in ts) *lt.Tensor {
					return lt.Grads(in[0].MatMul(in[2].Cast(dtype).T()).Square().Sum(), in[0])[0]
				}, steps: one + " | fused:mul | matmul:matmul", plain: true},
			} {
				w.name = fmt.Sprint(w.name, ", ", dtype, " and ", x)
				w.check(t)
			}
		}
	}
	many := written{name: "more rows than columns", in: shapes(lt.Shape{25, 16}, lt.Shape{16, 24}), steps: "fused:cast cast | matmul:matmul",
		f: func(in ts) *lt.Tensor { return in[0].MatMul(in[1].Cast(lt.BF16)) }}
	many.check(t)
}

// What is scattered into zeros and added to something is scattered into that: the
// gradient of an embedding that is the output layer too has no zeros of its size.
func TestScatteredSumWrittenOut(t *testing.T) {
	type ts = []*lt.Tensor
	in := shapes(lt.Shape{30, 8}, lt.Shape{5, 8})
	at := lt.Ints(3, 0, -1, 3, 17)
	along := lt.Ints(1, 0, -1, 7, 7).Unsqueeze(-1).Expand(5, 8).Contiguous()
	for _, w := range []written{
		{name: "along", in: in, f: func(in ts) *lt.Tensor { return lt.Zeros(30, 8).ScatterAdd(0, along, in[1]).Add(in[0].Tanh()) }, steps: "fused:tanh | copy:contiguous | op:scatter"},
		{name: "other order", in: in, f: func(in ts) *lt.Tensor { return in[0].Tanh().Add(lt.Zeros(30, 8).ScatterAdd(0, along, in[1])) }, steps: "fused:tanh | copy:contiguous | op:scatter"},
		{name: "set, not added", in: in, f: func(in ts) *lt.Tensor { return in[0].Add(lt.Zeros(30, 8).Scatter(0, along, in[1])) }, steps: "copy:contiguous | fused:fill | op:scatter | fused:add"},
		{name: "into ones", in: in, f: func(in ts) *lt.Tensor { return in[0].Add(lt.Ones(30, 8).ScatterAdd(0, along, in[1])) }, steps: "copy:contiguous | fused:fill | op:scatter | fused:add"},
		{name: "a tied embedding", in: in, f: func(in ts) *lt.Tensor {
			return lt.Grads(in[0].Take(at, 0).Mul(in[1]).MatMul(in[0].T()).Square().Sum(), in[0])[0]
		}, steps: "op:take | fused:mul | matmul:matmul mul | matmul:matmul | matmul:matmul mul | op:scatter", plain: true},
	} {
		w.check(t)
	}
}

// A log-softmax that is used otherwise too is computed, and picked from.
func TestLogSoftmaxUsedTwiceStays(t *testing.T) {
	x, at := lt.NewRand(5).Normal(3, 10).Eval(), lt.Ints(0, 1, 2).Unsqueeze(-1)
	logp := x.LogSoftmax(-1)
	if got, want := stepsOf(logp.TakeAlong(at, -1).Sum(), logp), "op:logsoftmax | op:takealong | fused:sum"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
