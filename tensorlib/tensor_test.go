package tensorlib_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

func near(t *testing.T, what string, got *lt.Tensor, want ...float64) {
	t.Helper()
	g := got.Floats()
	if len(g) != len(want) {
		t.Errorf("%s: %v, want %v", what, g, want)
		return
	}
	for i := range g {
		if d := math.Abs(g[i] - want[i]); !(d <= 1e-5*(1+math.Abs(want[i]))) {
			t.Errorf("%s: %v, want %v", what, g, want)
			return
		}
	}
}

func TestErrorsNamePlaceOperandsAndHint(t *testing.T) {
	for _, c := range []struct {
		f    func()
		want []string
	}{
		{func() { lt.Zeros(8, 32).MatMul(lt.Zeros(64, 32)) }, []string{"MatMul: inner dimensions differ: [8 32] @ [64 32]", "tensor_test.go, line", "x  f32[8 32]  lt.Zeros", "w  f32[64 32]  lt.Zeros", "hint: did you mean x.MatMul(w.T())?"}},
		{func() { lt.Ones(2, 3).Add(lt.Ones(4)) }, []string{"Add: shapes [2 3] and [4] do not broadcast", "x  f32[2 3]  lt.Ones", "hint: axes are matched from the right"}},
		{func() { lt.Ones(2, 3).Add(lt.Ones(3, 2)) }, []string{"did you mean x.T()?"}},
		{func() { lt.Ones(2, 3).Sum(2) }, []string{"Sum: axis 2 is out of range for shape [2 3]", "axes go from -2 to 1"}},
		{func() { lt.Ones(2).Add("a") }, []string{"Add: an operand of type string", "lt.From"}},
		{func() { lt.Ones(2).At(5) }, []string{"At: place 5 is out of range for axis 0 of shape [2]"}},
		{func() { lt.Ones(2, 3).Reshape(4, -1) }, []string{"Reshape: [2 3] has 6 elements, which [4 -1] does not divide"}},
		{func() { var x *lt.Tensor; x.Exp() }, []string{"Exp: the tensor is nil", "assignment failed"}},
		{func() { lt.Ones(2).TopK(3) }, []string{"TopK: k = 3, but axis 0 of shape [2] has 2 elements"}},
		{func() { lt.Ints(1, 2).Cast(lt.Q8) }, []string{"Cast: cannot cast to q8", "Quantize packs"}},
		{func() { lt.Ones(2, 3).Exp().Mean(0).MatMul(lt.Ones(2)) }, []string{"[3] @ [2]", "x  f32[3]  .Mean"}},
		{func() { lt.Ones(4, 5).CrossEntropy(lt.Of(1, 2, 3, 4)) }, []string{"the targets are f32; i64 or i32 is needed"}},
		{func() { lt.Einsum("ij,jk->ik", lt.Ones(2, 3), lt.Ones(4, 5)) }, []string{`Einsum: axis "j" is 4 long in operand 1 and 3 before`}},
		{func() { lt.Where(lt.Of(1), 1, 2) }, []string{"Where: the condition is f32", "compare first"}},
		{func() { lt.Ones(2).Add((*lt.Tensor)(nil)) }, []string{"Add: the operand is nil"}},
		{func() { lt.Ones(2).Item() }, []string{"Item: shape [2] has 2 elements", "hint: reduce it"}},
		{func() { lt.From([][]int{{1}, {1, 2}}) }, []string{"From: the slices differ in length: 2 elements stand where the first of their level has 1"}},
		{func() { lt.Ones(2, 3).MatMul(lt.Ones(4, 64).Quantize(lt.Q8).T()) }, []string{"MatMul: inner dimensions differ: [2 3] @ [64 4]", "rows of the quantised matrix"}},
		{func() { x := lt.Of(1, 2); lt.Grads(x.Take(x.ArgMax(), 0).Detach().Sum(), x) }, []string{"Grads: the loss depends on tensor 0, f32[2], only through .Detach, where gradients stop"}},
		{func() { x := lt.Of(1, 2); lt.Grads(lt.Of(3, 4).Take(x.ArgMax(), 0), x) }, []string{"only through .ArgMax, where gradients stop"}},
		{func() { x := lt.Parameter(lt.Of(1, 2)); x.Add(lt.Ones(3)) }, []string{"x  f32[2]  a parameter"}},
	} {
		err := lt.Try(c.f)
		e, ok := err.(*lt.Error)
		if !ok {
			t.Errorf("no error with %q", c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(e.Detail(), w) {
				t.Errorf("%q is missing in:\n%s", w, e.Detail())
			}
		}
		if e.Code == "" {
			t.Errorf("no code: %s", e.Detail())
		}
	}
	defer func() {
		if recover() != "other" {
			t.Error("Try swallowed another panic")
		}
	}()
	lt.Try(func() { panic("other") })
}

func TestWeakScalars(t *testing.T) {
	for _, c := range []struct {
		x    *lt.Tensor
		want string
	}{
		{lt.Ints(1, 2).Mul(2), "[2 4]  i64[2]"},
		{lt.Ints(1, 2).Mul(0.5), "[0.5000 1.0000]  f32[2]"},
		{lt.Of(1, 2).Cast(lt.F16).Add(1), "[2 3]  f16[2]"},
		{lt.Of(1, 2).Cast(lt.F64).Add(0.1), "[1.1000 2.1000]  f64[2]"},
		{lt.Of(1, 2).Gt(1), "[false  true]  bool[2]"},
		{lt.Of(1, 2).Gt(1).Add(1), "[1 2]  i64[2]"},
		{lt.Ints(7, 8).Div(2), "[3.5000 4.0000]  f32[2]"},
		{lt.Ints(-7, 7).Mod(3), "[2 1]  i64[2]"},
		{lt.From([]uint8{250}).Add(300), "[550]  i64[1]"},
	} {
		if got := c.x.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		x    *lt.Tensor
		want string
	}{
		{lt.Full(2.5), "2.5000"},
		{lt.Full(true), "true"},
		{lt.From([][]float32{{1, -2.5}, {0.25, 100}}), "[[  1.0000  -2.5000]\n [  0.2500 100.0000]]  f32[2 2]"},
		{lt.Of(1, math.NaN(), math.Inf(-1)), "[   1  NaN -Inf]  f32[3]"},
		{lt.Of(1e-8, 1), "[1.0000e-08 1.0000e+00]  f32[2]"},
		{lt.Zeros(0, 3), "[]  f32[0 3]"},
		{lt.Arange(2000), "[   0    1    2 … 1997 1998 1999]  i64[2000]"},
		{lt.Arange(8).Reshape(2, 2, 2), "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]]  i64[2 2 2]"},
	} {
		if got := c.x.String(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
	q := lt.Eye(64).Mul(2).Quantize(lt.Q8)
	if got := q.String(); !strings.HasPrefix(got, "[[2 0 0 … 0 0 0]") || !strings.HasSuffix(got, "q8[64 64]") {
		t.Error(got)
	}
	if html := q.MIME()["text/html"].(string); !strings.Contains(html, "4096 elements, ") || !strings.Contains(html, "<img") {
		t.Error(html)
	}
	var none *lt.Tensor
	if none.String() != "<nil tensor>" {
		t.Error(none.String())
	}
	bad := lt.Ones(3).Take(lt.Ints(7), 0)
	if s := bad.String(); !strings.HasPrefix(s, "<") || !strings.Contains(s, "7") {
		t.Errorf("text of a tensor that cannot be computed: %s", s)
	}
	if s := fmt.Sprintf("%#v", lt.Ones(2).Exp()); s != "f32[2] .Exp, not computed" {
		t.Error(s)
	}
}

func TestIndexing(t *testing.T) {
	x := lt.Arange(24).Reshape(2, 3, 4)
	for _, c := range []struct {
		x    *lt.Tensor
		want string
	}{
		{x.At(1, 2, 3), "23"},
		{x.At(-1, lt.R(0, 2), 1), "[13 17]  i64[2]"},
		{x.At(0, lt.All, lt.R(3, 0, -2)), "[[ 3  1]\n [ 7  5]\n [11  9]]  i64[3 2]"},
		{x.At(0, lt.Ints(2, 0), lt.R(1, 3)), "[[ 9 10]\n [ 1  2]]  i64[2 2]"},
		{x.At(lt.All, 0, lt.R(-2, 100)), "[[ 2  3]\n [14 15]]  i64[2 2]"},
		{lt.Zeros(2, 3).SetAt(lt.Of(1, 2), lt.All, 1), "[[0 1 0]\n [0 2 0]]  f32[2 3]"},
		{lt.Zeros(5).SetAt(7, lt.R(4, 0, -2)), "[0 0 7 0 7]  f32[5]"},
		{lt.Zeros(3, 2).SetAt(5, lt.Ints(2, 0)), "[[5 5]\n [0 0]\n [5 5]]  f32[3 2]"},
		{lt.Eye(2).Pad(9, 1, 0, 0, 1), "[[9 9 9]\n [1 0 9]\n [0 1 9]]  f32[3 3]"},
		{lt.Of(1, 2).Repeat(2, 2), "[[1 2 1 2]\n [1 2 1 2]]  f32[2 4]"},
	} {
		got := strings.ReplaceAll(c.x.String(), "  ", " ")
		if want := strings.ReplaceAll(c.want, "  ", " "); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestNothingIsComputedBeforeItIsRead(t *testing.T) {
	before := lt.GetStats().Evals
	x := lt.NewRand(1).Normal(10, 10)
	y := x.MatMul(x).Tanh().Sum()
	lt.Grads(y, x)
	lt.Graph(y)
	lt.Graph(y).Plan()
	_ = fmt.Sprintf("%#v", y)
	if n := lt.GetStats().Evals - before; n != 0 {
		t.Errorf("%d evaluations", n)
	}
	y.Item()
	if n := lt.GetStats().Evals - before; n != 1 {
		t.Errorf("%d evaluations", n)
	}
}

func TestGradsAfterEvaluationNeedsTrack(t *testing.T) {
	x := lt.Of(1, 2, 3)
	y := x.Square().Sum()
	y.Eval()
	err := lt.Try(func() { lt.Grads(y, x) })
	if err == nil || !strings.Contains(err.Error(), "recipe is gone") {
		t.Errorf("%v", err)
	}
	x.Track()
	y = x.Square().Sum().Eval()
	near(t, "tracked", lt.Grads(y, x)[0], 2, 4, 6)
}

func TestGradsRefusesWhatTheLossDoesNotDependOn(t *testing.T) {
	x, z := lt.Of(1, 2), lt.Of(3)
	for _, f := range []func(){
		func() { lt.Grads(x.Sum(), x, z) },
		func() { lt.Grads(x.Detach().Sum(), x) },
		func() { lt.Grads(x.Square(), x) },
		func() { lt.Grads(x.Sum(), lt.Ints(1)) },
		func() { lt.Grads(x.ArgMax(), x) },
	} {
		if lt.Try(f) == nil {
			t.Error("no error")
		}
	}
	g := lt.Grad(func(x ...*lt.Tensor) *lt.Tensor { return x[0].Sum() })(x, z)
	near(t, "an unused argument of a function", g[1], 0)
}

func TestTransforms(t *testing.T) {
	cube := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Pow(3).Sum() }
	x := lt.Of(1, 2, -3)
	near(t, "first", lt.Grad(cube)(x)[0], 3, 12, 27)
	second := lt.Grad(func(x ...*lt.Tensor) *lt.Tensor { return lt.Grad(cube)(x...)[0].Sum() })
	near(t, "second", second(x)[0], 6, 12, -18)
	f := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Mul(x[1]).Sin() }
	a, b := lt.Of(1, 2), lt.Of(3, 0.5)
	y, dy := lt.JVP(f, []*lt.Tensor{a, b}, []*lt.Tensor{lt.Of(1, 0), lt.Of(0, 2)})
	near(t, "value", y, math.Sin(3), math.Sin(1))
	near(t, "forward derivative", dy, 3*math.Cos(3), 4*math.Cos(1))
	_, pull := lt.VJP(f, a, b)
	g := pull(lt.Of(1, 10))
	near(t, "pulled back to a", g[0], 3*math.Cos(3), 5*math.Cos(1))
	near(t, "pulled back to b", g[1], math.Cos(3), 20*math.Cos(1))
	same := lt.Grad(func(x ...*lt.Tensor) *lt.Tensor { return x[0].Mul(x[1]).Sum() })(x, x)
	near(t, "one tensor as two arguments", same[0], 1, 2, -3)
}

// A checkpoint changes no number, with captured weights and nested too.
func TestCustomVJP(t *testing.T) {
	through := lt.CustomVJP(func(x ...*lt.Tensor) *lt.Tensor { return x[0].Round().Mul(x[1]) },
		func(x []*lt.Tensor, y, g *lt.Tensor) []*lt.Tensor { return []*lt.Tensor{g.Mul(x[1]), nil} })
	x, w := lt.Of(0.4, 1.6), lt.Of(3, 5)
	near(t, "value", through(x, w), 0, 10)
	gs := lt.Grads(through(x.Mul(2), w).Square().Sum(), x, w)
	near(t, "straight through", gs[0], 2*2*3*3, 2*2*15*5) // 2·y·w·2
	near(t, "zero", gs[1], 0, 0)
	near(t, "within a checkpoint", lt.Grads(lt.Checkpoint(func(x ...*lt.Tensor) *lt.Tensor { return through(x[0], w) })(x).Sum(), x)[0], 3, 5)
	_, d := lt.JVP(func(x ...*lt.Tensor) *lt.Tensor { return through(x[0], w) }, []*lt.Tensor{x}, []*lt.Tensor{lt.Of(1, 10)})
	near(t, "forwards", d, 3, 50)
	captured := lt.CustomVJP(func(x ...*lt.Tensor) *lt.Tensor { return x[0].Mul(w) },
		func(x []*lt.Tensor, y, g *lt.Tensor) []*lt.Tensor { return []*lt.Tensor{g} })
	if err := lt.Try(func() { lt.Grads(captured(x).Sum(), w) }); err == nil || !strings.Contains(err.Error(), "gradients stop") {
		t.Errorf("what the function captures has no gradient: %v", err)
	}
	few := lt.CustomVJP(func(x ...*lt.Tensor) *lt.Tensor { return x[0] }, func(x []*lt.Tensor, y, g *lt.Tensor) []*lt.Tensor { return nil })
	if err := lt.Try(func() { lt.Grads(few(x).Sum(), x) }); err == nil || !strings.Contains(err.Error(), "0 gradients for 1 inputs") {
		t.Error(err)
	}
}

func TestErfInv(t *testing.T) {
	var xs []float64
	for i := -999; i < 1000; i++ {
		xs = append(xs, float64(i)/1000, math.Copysign(1-math.Pow(2, -float64(i&1023)/50), float64(i)))
	}
	for i, x := range []*lt.Tensor{lt.From(xs).Cast(lt.F32), lt.From(xs)} {
		y, g, at := x.ErfInv().Floats(), lt.Grads(x.ErfInv().Sum(), x)[0].Floats(), x.Floats()
		for k := range at {
			want := math.Erfinv(at[k])
			tolerance := []float64{2e-6, 1e-15}[i]
			if i == 1 {
				tolerance += 4e-16 * math.Exp(want*want) // what the rounding of x, and of Erf, does near ±1
			}
			if !(math.Abs(y[k]-want) <= tolerance*(1+math.Abs(want))) && y[k] != want {
				t.Fatalf("%s: of %v: %v, want %v", x.DType(), at[k], y[k], want)
			}
			if slope := math.Exp(want*want) * math.Sqrt(math.Pi) / 2; !(math.Abs(g[k]-slope) <= 1e-3*slope) && !math.IsInf(slope, 1) {
				t.Fatalf("%s: slope at %v: %v, want %v", x.DType(), at[k], g[k], slope)
			}
		}
	}
}

func TestFindNaN(t *testing.T) {
	x := lt.Of(1, 2, 3).Reshape(3, 1)
	h := x.Sub(2).Named("layer")
	bad := h.Log()
	loss := bad.Mul(lt.Ones(3, 4)).Exp().Sum()
	r := lt.FindNaN(loss)
	if r.OK() || r.Op != ".Log" || r.NaN != 1 || r.Inf != 1 || !r.Shape.Equal(lt.Shape{3, 1}) || !strings.Contains(r.Place, "tensor_test.go") && r.Place != "unknown place" {
		t.Errorf("%+v", r)
	}
	if s := r.String(); !strings.Contains(s, ".Log gives 1 NaN and 1 infinities among 3 elements, f32[3 1]") || !strings.Contains(s, "of f32[3 1]  .Named, -1 … 1") {
		t.Error(s)
	}
	if bad.Device() != "" || loss.Device() != "" {
		t.Error("looking has stored values")
	}
	if r := lt.FindNaN(x.Exp().Sum(), x.ArgMax()); !r.OK() || !strings.Contains(r.String(), "all finite") {
		t.Errorf("%+v", r)
	}
	bad.Eval()
	if r := lt.FindNaN(bad.Add(1)); r.Op != ".Log" || r.NaN != 1 || len(r.Inputs) != 0 {
		t.Errorf("of what was evaluated: %+v", r)
	}
	if r := lt.FindNaN(lt.Of(1, math.Inf(1)).Tanh()); r.Inf != 1 || r.Op != "lt.Of" {
		t.Errorf("of data: %+v", r)
	}
}

func TestCheckpoint(t *testing.T) {
	r := lt.NewRand(2)
	w, v := r.Normal(4, 4).Eval(), r.Normal(4, 4).Eval()
	x := r.Normal(3, 4).Eval()
	layer := func(h ...*lt.Tensor) *lt.Tensor { return h[0].MatMul(w).Tanh().MatMul(v.Square()).Sin() }
	plain := layer(layer(x)).Square().Sum()
	c := lt.Checkpoint(layer)
	nested := lt.Checkpoint(func(h ...*lt.Tensor) *lt.Tensor { return c(c(h[0])) })
	for name, loss := range map[string]*lt.Tensor{"one by one": c(c(x)).Square().Sum(), "nested": nested(x).Square().Sum()} {
		want, got := lt.Grads(plain, x, w, v), lt.Grads(loss, x, w, v)
		near(t, name, loss, plain.Item())
		for i := range want {
			near(t, fmt.Sprint(name, " ", i), got[i], want[i].Floats()...)
		}
		plain = layer(layer(x)).Square().Sum()
	}
}

func TestCompileSeesNewParametersAndDrawsAnew(t *testing.T) {
	l := nn.NewLinear(lt.NewRand(1), 2, 1)
	ps := nn.Collect(l)
	r := lt.NewRand(5)
	calls := 0
	f := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
		calls++
		return []*lt.Tensor{l.Forward(x[0]), r.Normal(3)}
	})
	ps.Set("w", lt.Of(1, 1).Reshape(1, 2))
	ps.Set("b", lt.Of(0))
	first := f.Call(lt.Ones(1, 2))
	near(t, "first call", first[0], 2)
	ps.Set("w", lt.Of(5, 6).Reshape(1, 2))
	second := f.Call(lt.Ones(1, 2))
	near(t, "after Set", second[0], 11)
	if fmt.Sprint(first[1]) == fmt.Sprint(second[1]) {
		t.Error("the same numbers were drawn twice")
	}
	f.Call(lt.Ones(2, 2))
	if calls != 2 || f.Hits != 1 || f.Misses != 2 {
		t.Errorf("%d calls, %d hits, %d misses", calls, f.Hits, f.Misses)
	}
	if g := lt.Grads(second[0].Sum(), l.W); fmt.Sprint(g[0].Floats()) != "[1 1]" {
		t.Errorf("gradient through a compiled function: %v", g[0])
	}
}

func TestCompiledGradientsKnowTheirLoss(t *testing.T) {
	w := lt.Parameter(lt.Of(1, 2))
	f := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
		loss := w.Mul(x[0]).Square().Sum()
		return append(lt.Grads(loss, w), loss, x[0].Add(1))
	})
	for i := range 3 {
		w.Set(lt.Of(float64(1+i), 2))
		out := f.Call(lt.Of(3, 1))
		if out[0].Loss() != out[1] || out[2].Loss() != nil {
			t.Fatalf("call %d: the gradient's loss is %v", i, out[0].Loss())
		}
		a := float64(1 + i)
		before := lt.GetStats().Evals
		lt.SetAll([]*lt.Tensor{w}, []*lt.Tensor{w.Sub(out[0])}, out[0])
		near(t, "loss", out[1], 9*a*a+4)
		if n := lt.GetStats().Evals - before; n != 1 {
			t.Errorf("%d evaluations for the update and the loss", n)
		}
		near(t, "updated", w, a-18*a, 2-4)
	}
}

func TestAResultOfCompiledKeepsNeitherArgumentsNorOtherResults(t *testing.T) {
	f := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
		y := x[0].Mul(2).Exp()
		return []*lt.Tensor{y.Sum(), y.Add(x[1])}
	})
	const size = 1 << 18
	runtime.GC()
	before := lt.GetStats().Active
	var sums []*lt.Tensor
	for range 8 {
		out := f.Call(lt.Zeros(size).Add(1).Eval(), lt.Ones(size).Eval())
		lt.Eval(out...)
		sums = append(sums, out[0])
	}
	kept := int64(4 * size)
	for i := 0; kept >= 4*size && i < 200; i++ { // memory goes some time after the collection
		runtime.GC()
		time.Sleep(time.Millisecond)
		kept = lt.GetStats().Active - before
	}
	if kept >= 4*size {
		t.Errorf("%d sums keep %d bytes", len(sums), kept)
	}
	near(t, "sum", sums[7].Div(size), math.Exp(2))
}

func TestRandomNumbersDoNotDependOnOrder(t *testing.T) {
	draw := func(swap bool) (string, string) {
		r := lt.NewRand(42)
		a, b := r.Normal(5), r.Uniform(-1, 1, 5)
		if swap {
			b.Eval()
		}
		return a.String(), b.String()
	}
	a1, b1 := draw(false)
	a2, b2 := draw(true)
	if a1 != a2 || b1 != b2 || a1 == b1 {
		t.Error("the order of evaluation changed the numbers")
	}
	r := lt.NewRand(42)
	ks := r.Split(2)
	seen := map[string]bool{}
	for _, s := range []*lt.Rand{lt.NewRand(42), lt.NewRand(43), ks[0], ks[1], r.Fold("dropout"), r.Fold("data"), r.Fold(1)} {
		seen[s.Normal(4).String()] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d different streams of 7", len(seen))
	}
	fold := func() string { return lt.NewRand(1).Fold("a").Normal(3).String() }
	if first := fold(); first != fold() {
		t.Error("Fold is not reproducible")
	}
	key, counter := r.State()
	x := r.Normal(6).String()
	r.SetState(key, counter)
	if r.Normal(6).String() != x {
		t.Error("State does not restore")
	}
}

func TestDistributions(t *testing.T) {
	r := lt.NewRand(7)
	const n = 200000
	for _, c := range []struct {
		name            string
		x               *lt.Tensor
		mean, std, a, b float64
	}{
		{"normal", r.Normal(n), 0, 1, -6, 6},
		{"uniform", r.Uniform(-2, 4, n), 1, 6 / math.Sqrt(12), -2, 4},
		{"randint", r.Randint(-3, 7, n), 1.5, math.Sqrt(99. / 12), -3, 6},
		{"bernoulli", r.Bernoulli(0.3, n), 0.3, math.Sqrt(0.21), 0, 1},
		{"categorical", r.Categorical(lt.Of(0, math.Log(3)).Expand(n, 2)), 0.75, math.Sqrt(0.1875), 0, 1},
	} {
		x := c.x.Cast(lt.F32)
		if m, s := x.Mean().Item(), x.Std().Item(); math.Abs(m-c.mean) > 0.02 || math.Abs(s-c.std) > 0.02 {
			t.Errorf("%s: mean %v, std %v; want %v, %v", c.name, m, s, c.mean, c.std)
		}
		if lo, hi := x.Min().Item(), x.Max().Item(); lo < c.a || hi > c.b {
			t.Errorf("%s: %v … %v is outside of %v … %v", c.name, lo, hi, c.a, c.b)
		}
	}
	p := r.Permutation(100)
	if p.Sort().Sub(lt.Arange(100)).Abs().Sum().Item() != 0 || p.Sub(lt.Arange(100)).Abs().Sum().Item() == 0 {
		t.Errorf("no permutation: %v", p)
	}
}

func TestKernelWithItsDerivative(t *testing.T) {
	cube := &lt.Kernel{Name: "cube",
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i] = in[0][i] * in[0][i] * in[0][i]
			}
		}}
	call := lt.KernelCall{Shapes: [][]int{{3}}}
	x := lt.Of(1, 2, 3)
	if err := lt.Try(func() { lt.Grads(cube.Run(call, x)[0].Sum(), x) }); err == nil || !strings.Contains(err.Error(), `"cube" has no derivative`) {
		t.Error(err)
	}
	cube.VJP = func(in, out, g []*lt.Tensor) []*lt.Tensor { return []*lt.Tensor{g[0].Mul(in[0].Square()).Mul(3)} }
	near(t, "gradient", lt.Grads(cube.Run(call, x)[0].Sum(), x)[0], 3, 12, 27)
	if r := lt.Check(cube); !r.OK() || math.IsNaN(r.Gradient) {
		t.Error(r)
	}
	cube.VJP = func(in, out, g []*lt.Tensor) []*lt.Tensor { return []*lt.Tensor{g[0]} }
	if r := lt.Check(cube); r.OK() {
		t.Error("a wrong VJP passed")
	}
	broken := &lt.Kernel{Name: "broken", CPU: func(in, out [][]float32, lo, hi int) { panic("boom") }}
	if err := lt.EvalAsync(broken.Run(call, x)[0]).Wait(context.Background()); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("a kernel that panics: %v", err)
	}
}

func TestDeepGraphs(t *testing.T) {
	x := lt.Of(1, 2).Track()
	y := x
	const depth = 200000
	for range depth {
		y = y.Mul(0.99999)
	}
	g := lt.Grads(y.Sum(), x)[0]
	want := math.Pow(float64(float32(0.99999)), depth)
	if v := g.Floats()[0]; math.Abs(v-want) > 1e-2*want {
		t.Errorf("gradient through %d ops: %v, want %v", depth, v, want)
	}
}

func TestWideGraphs(t *testing.T) {
	x := lt.Of(1, 2).Track()
	parts := make([]*lt.Tensor, 20000)
	want := 0.0
	for i := range parts {
		c := float64(i) / float64(len(parts))
		parts[i] = x.Mul(c).Sin()
		want += c * math.Cos(c)
	}
	if v := lt.Grads(lt.Concat(0, parts...).Sum(), x)[0].Floats()[0]; math.Abs(v-want) > 1e-3*want {
		t.Errorf("gradient of %d parts: %v, want %v", len(parts), v, want)
	}
}

// A kernel's VJP gives the gradients of all inputs: it is called once for each output.
func TestKernelsDerivativeIsAskedOnce(t *testing.T) {
	calls := 0
	product := &lt.Kernel{Name: "product",
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i] = in[0][i] * in[1][i]
			}
		},
		VJP: func(in, out, g []*lt.Tensor) []*lt.Tensor {
			calls++
			return []*lt.Tensor{g[0].Mul(in[1]), g[0].Mul(in[0])}
		}}
	x, y := lt.Of(2, 3), lt.Of(5, 7)
	gs := lt.Grads(product.Run(lt.KernelCall{Shapes: [][]int{{2}}}, x, y)[0].Sum(), x, y)
	near(t, "gradient", lt.Concat(0, gs...), 5, 7, 2, 3)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	product.VJP = func(in, out, g []*lt.Tensor) []*lt.Tensor { return []*lt.Tensor{g[0].Cast(lt.F64), nil} }
	err := lt.Try(func() { lt.Grads(product.Run(lt.KernelCall{Shapes: [][]int{{2}}}, x, y)[0].Sum(), x) })
	if err == nil || !strings.Contains(err.Error(), "returned f64[2] for input 0, f32[2]") {
		t.Error(err)
	}
}

func TestTensorsServeManyGoroutines(t *testing.T) {
	x := lt.NewRand(1).Normal(32, 32).Track()
	want := x.MatMul(x).Sum().Item()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				y := x.MatMul(x).Sum()
				g := lt.Grads(y, x)
				lt.Eval(y, g[0])
				if y.Item() != want {
					t.Error("another value")
				}
			}
		}()
	}
	wg.Wait()
}

func TestQuantisedProducts(t *testing.T) {
	r := lt.NewRand(1)
	w, x := r.Normal(16, 128), r.Normal(3, 128)
	for _, c := range []struct {
		d     lt.DType
		error float64
	}{{lt.Q8, 0.02}, {lt.Q4, 0.3}} {
		q := w.Quantize(c.d)
		if d := q.Dequantize().Sub(w).Abs().Max().Item(); d > c.error || d == 0 {
			t.Errorf("%s: off by %v", c.d, d)
		}
		want := x.MatMul(q.Dequantize().T())
		for name, got := range map[string]*lt.Tensor{"lazy": x.MatMul(q.T()), "evaluated": x.MatMul(q.Eval().T().Eval())} {
			if d := got.Sub(want).Abs().Max().Item(); d > 1e-3 {
				t.Errorf("%s %s: product off by %v", c.d, name, d)
			}
		}
		near(t, "gradient of x", lt.Grads(x.MatMul(q.T()).Sum(), x)[0].At(0), q.Dequantize().Sum(0).Floats()...)
	}
}

func TestFilesKeepEveryDType(t *testing.T) {
	dir := t.TempDir()
	tensors := map[string]*lt.Tensor{}
	for _, d := range []lt.DType{lt.F32, lt.F16, lt.F64, lt.I32, lt.I64, lt.U8, lt.Bool, lt.BF16} {
		tensors[d.String()] = lt.NewRand(1).Uniform(0, 9, 2, 3).T().Cast(d)
	}
	compare := func(got map[string]*lt.Tensor, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range got {
			if x.String() != tensors[name].String() {
				t.Errorf("%s: %v, want %v", name, x, tensors[name])
			}
		}
	}
	path := filepath.Join(dir, "x.safetensors")
	if err := lt.Save(path, tensors); err != nil {
		t.Fatal(err)
	}
	got, err := lt.Load(path)
	if len(got) != len(tensors) {
		t.Errorf("%d tensors", len(got))
	}
	compare(got, err)
	if err := lt.SaveNPZ(filepath.Join(dir, "y.npz"), tensors); err == nil {
		t.Error("bf16 was written as npy")
	}
	bf16 := tensors["bf16"]
	delete(tensors, "bf16")
	if err := lt.SaveNPZ(filepath.Join(dir, "x.npz"), tensors); err != nil {
		t.Fatal(err)
	}
	compare(lt.LoadNPZ(filepath.Join(dir, "x.npz")))
	if err := lt.SaveNPY(filepath.Join(dir, "x.npy"), tensors["f64"]); err != nil {
		t.Fatal(err)
	}
	x, err := lt.LoadNPY(filepath.Join(dir, "x.npy"))
	compare(map[string]*lt.Tensor{"f64": x}, err)
	if err := lt.Save(path, map[string]*lt.Tensor{"bad": bf16.Mul(math.NaN())}); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Error(err)
	}
	tensors["bf16"] = bf16
	compare(lt.Load(path)) // the failed Save left the file alone
	if _, err := lt.Load(filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file was read")
	}
}

func TestGraphShowsStepsAndNeverEvaluates(t *testing.T) {
	r := lt.NewRand(1)
	x, w := r.Normal(4, 8).Eval(), r.Normal(8, 8).Eval()
	y := x.MatMul(w).Add(1).Tanh().Named("block/out").Softmax()
	g := lt.Graph(y)
	if y.Device() != "" {
		t.Error("the graph was computed")
	}
	text := g.String()
	for _, want := range []string{"MatMul", "Add 1", "Tanh", "Softmax"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	html := g.MIME()["text/html"].(string)
	if strings.Count(html, "<svg") < 2 {
		t.Error("not both pictures")
	}
	if !strings.Contains(g.DOT(), "digraph") || !strings.Contains(g.Plan().String(), "matmul") {
		t.Errorf("%s\n%s", g.DOT(), g.Plan())
	}
	y.Eval()
	if s := lt.Graph(y).Plan().String(); !strings.Contains(s, "nothing to plan") {
		t.Error(s)
	}
}

func TestGraphViewsOpenAsAskedFor(t *testing.T) {
	x := lt.Parameter(lt.Ones(64, 2).Eval()).Eval()
	y := x.Mul(0.5).Tanh().Mean()
	built, fused := lt.Graph(y), lt.Graph(y).Fused()
	text := built.String()
	for _, bad := range []string{"Mean 0.0", "1 steps", "e+0"} {
		if strings.Contains(text+fused.String()+fmt.Sprint(built.MIME(), fused.MIME()), bad) {
			t.Errorf("%q in a view of the graph:\n%s\n%s", bad, text, fused)
		}
	}
	for _, want := range []string{"Mul 0.5", "parameter", "Mean"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text)
		}
	}
	if !strings.Contains(text, ".Fused()") || strings.Contains(fused.String(), ".Fused()") || fused.String() == text {
		t.Errorf("as built:\n%s\nfused:\n%s", text, fused)
	}
	for view, checked := range map[*lt.GraphView]bool{built: false, fused: true} {
		html := view.MIME()["text/html"].(string)
		if strings.Contains(html, `<input type="checkbox" checked>`) != checked || strings.Index(html, "as built</span>") > strings.Index(html, "after fusion</span>") {
			t.Errorf("the switch is not on what was asked for: %v", checked)
		}
	}
}

func TestGradientOfAMeanIsOneConstant(t *testing.T) {
	x := lt.Parameter(lt.Of(1, 2, 3, 4).Eval())
	g := lt.Grads(x.Square().Mean(), x)[0]
	text := lt.Graph(g).String()
	for _, bad := range []string{"Reshape", "Expand"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s in the gradient of a mean:\n%s", bad, text)
		}
	}
	if got := g.Floats(); fmt.Sprint(got) != "[0.5 1 1.5 2]" {
		t.Error(got)
	}
	if got := lt.Grads(x.Mean(0).Sum(), x)[0].Floats(); fmt.Sprint(got) != "[0.25 0.25 0.25 0.25]" {
		t.Error(got)
	}
}

// Eager nodes have dropped what they were made from.
func TestGradientsOfEagerMeans(t *testing.T) {
	x := lt.Parameter(lt.Of(1, 2, 3, 4).Eval())
	lt.Eager(func() {
		if got := lt.Grads(x.Mean(0).Square().Mean(), x)[0].Floats(); fmt.Sprint(got) != "[1.25 1.25 1.25 1.25]" {
			t.Error(got)
		}
	})
}

// Large graphs are folded by these names, which must not need each other.
func TestNamesOfGraphViewsFollowEachOther(t *testing.T) {
	x := lt.NewRand(1).Normal(8, 8)
	h := x
	for i := range 150 {
		h = h.MatMul(x).Named(fmt.Sprint("block", i/10)).Tanh().Add(h)
	}
	html := lt.Graph(h).MIME()["text/html"].(string)
	for i := range 15 {
		if !strings.Contains(html, fmt.Sprint(">block", i, "<")) {
			t.Errorf("block %d is not drawn", i)
		}
	}
	for _, size := range regexp.MustCompile(`>(\d+) nodes<`).FindAllStringSubmatch(html, -1) {
		if n, _ := strconv.Atoi(size[1]); n > 45 {
			t.Errorf("a block stands for %d nodes, of 4 for each of its 10 layers", n)
		}
	}
}

func TestProfileCountsSteps(t *testing.T) {
	p := lt.Prof(func() {
		for range 3 {
			lt.Ones(64, 64).Add(lt.NewRand(1).Normal(64, 64)).MatMul(lt.Ones(64, 64)).Eval()
		}
	})
	if s := p.String(); !strings.Contains(s, "matmul") || !strings.Contains(s, "GFLOP/s") || !strings.Contains(s, "% of peak") {
		t.Error(s)
	}
	path := filepath.Join(t.TempDir(), "t.json")
	if err := p.SaveTrace(path); err != nil {
		t.Error(err)
	}
	if p.MIME()["text/html"] == nil || p.Timeline().SVG() == "" || p.Total() <= 0 {
		t.Error("no views")
	}
}

func TestShownTensorCarriesItsValues(t *testing.T) {
	m := lt.Of(1, math.NaN(), math.Inf(1)).MIME()
	values := m["application/vnd.loris+json"].(map[string]any)["values"].(map[string]any)
	if got := fmt.Sprint(values["values"]); got != "[1 NaN Infinity]" {
		t.Error(got)
	}
	if html := m["text/html"].(string); !strings.Contains(html, "NaN") || !strings.Contains(html, "f32") {
		t.Error(html)
	}
	if bad := lt.Ones(3).Take(lt.Ints(9), 0).MIME(); bad["text/plain"] == nil {
		t.Error("a tensor that cannot be computed shows nothing")
	}
}
