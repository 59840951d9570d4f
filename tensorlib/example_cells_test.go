package tensorlib_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/bench"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

type MLP struct {
	Up   *nn.Linear `lt:"up"`
	Down *nn.Linear `lt:"down"`
}

func (m *MLP) Forward(x *lt.Tensor) *lt.Tensor { return m.Down.Forward(m.Up.Forward(x).Tanh()) }

func trainStep(net *MLP, opt *nn.AdamW, ps *nn.Params, x, t *lt.Tensor) (loss float64, err error) {
	err = lt.Try(func() {
		l := nn.MSE(net.Forward(x), t)
		opt.Step(ps, lt.Grads(l, ps.Tensors()...))
		loss = l.Item()
	})
	return loss, err
}

// The cells of the guide, in order, as one compiled program.
func TestExampleCells(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(got any, want string) {
		t.Helper()
		if s := fmt.Sprint(got); s != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
	ctx := context.Background()

	// 1 Create
	a := lt.Of(1, 2, 3)
	b := lt.From([][]float32{{1, 2, 3}, {4, 5, 6}})
	z := lt.Zeros(2, 3)
	n := lt.Arange(12).Reshape(3, -1)
	expect(fmt.Sprint(a, b.Shape(), z.DType(), n.Shape()), "[1 2 3]  f32[3] [2 3] f32 [3 4]")

	// 2 Lazy chain
	y := b.Mul(2).Add(a).Tanh().Mean(-1)
	if y.Device() != "" {
		t.Error("computed before it was shown")
	}
	html := y.MIME()["text/html"]
	if html == nil || y.Device() == "" {
		t.Error("showing did not compute")
	}

	// 3 Eval and async
	p := lt.EvalAsync(y, b.Exp())
	check(p.Wait(ctx))
	f := y.Eval().Floats()
	if math.Abs(f[0]-(math.Tanh(3)+math.Tanh(6)+math.Tanh(9))/3) > 1e-6 {
		t.Error(f)
	}

	// 4 Graph
	g := lt.Graph(b.Mul(2).Add(a).Tanh().Mean()).Fused()
	if g.MIME()["text/html"] == nil {
		t.Error("no picture of the graph")
	}

	// 5 Timings
	table := lt.Prof(func() {
		h := n.Cast(lt.F32).Tanh()
		for range 3 {
			h = h.Mul(1.5).Tanh()
		}
		lt.Eval(h)
	}).Table()
	if table.MIME()["text/html"] == nil {
		t.Error("no table of timings")
	}

	// 6 Indexing
	expect(fmt.Sprint(n.At(0), n.At(lt.All, 1), n.At(lt.R(0, 2), -1)), "[0 1 2 3]  i64[4] [1 5 9]  i64[3] [3 7]  i64[2]")

	// 7 and 8 Errors
	expect(lt.Try(func() { lt.Zeros(8, 32).MatMul(lt.Zeros(64, 32)) }), "MatMul: inner dimensions differ: [8 32] @ [64 32]")

	// 9 Catching one
	expect(lt.Try(func() { b.Add(lt.Ones(4)) }), "Add: shapes [2 3] and [4] do not broadcast")

	// 10 Random numbers
	r := lt.NewRand(42)
	u := r.Normal(2, 3)
	ks := r.Split(2)
	expect(fmt.Sprint(u.Shape(), ks[0].Uniform(-1, 1, 2).Shape()), "[2 3] [2]")

	// 11 Autodiff
	fn := func(x ...*lt.Tensor) *lt.Tensor { return x[0].Sin().Sum() }
	df := lt.Grad(fn)
	expect(df(lt.Of(0, math.Pi))[0], "[ 1 -1]  f32[2]")
	loss := u.Mul(u).Mean()
	gs := lt.Grads(loss, u)
	expect(gs[0].Shape(), "[2 3]")

	// 12 A model is a struct
	net := &MLP{Up: nn.NewLinear(r, 2, 16), Down: nn.NewLinear(r, 16, 1)}
	expect(nn.Collect(net).Names(), "[down.b down.w up.b up.w]")

	// 13 Training by hand
	ps := nn.Collect(net)
	opt := &nn.AdamW{LR: 0.03}
	x := r.Normal(64, 2)
	target := x.At(lt.All, lt.R(0, 1)).Mul(x.At(lt.All, lt.R(1, 2)))
	var first, last float64
	for step := 1; step <= 60; step++ {
		loss := nn.MSE(net.Forward(x), target)
		opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
		if last = loss.Item(); step == 1 {
			first = last
		}
	}
	if !(last < first/2) {
		t.Errorf("the loss went from %v to %v only", first, last)
	}

	// 14 Compile
	step := lt.Compile(func(x ...*lt.Tensor) []*lt.Tensor {
		return []*lt.Tensor{x[0].MatMul(x[1].T()).Silu()}
	})
	o := step.Call(lt.Ones(2, 3), lt.Ones(4, 3))
	expect(o[0].DType(), "f32")
	o = step.Call(lt.Ones(2, 3), lt.Ones(4, 3))
	expect(fmt.Sprint(o[0].Shape(), step.Hits, step.Misses), "[2 4] 1 1")

	// 15 A kernel of one's own
	sq := &lt.Kernel{Name: "square", Inputs: []string{"x"}, Outputs: []string{"y"},
		Metal: `y[i] = x[i] * x[i];`,
		CPU: func(in, out [][]float32, lo, hi int) {
			for i := lo; i < hi; i++ {
				out[0][i] = in[0][i] * in[0][i]
			}
		}}
	expect(sq.Run(lt.KernelCall{Grid: [3]int{4, 1, 1}, Shapes: [][]int{{4}}}, lt.Of(1, 2, 3, 4))[0], "[ 1  4  9 16]  f32[4]")
	if report := lt.Check(sq); !report.OK() {
		t.Error(report)
	}

	// 16 A LoRA layer by hand
	base := r.Normal(32, 64)
	ll := lora.NewLayer(r, base, lora.Config{R: 4, Alpha: 8})
	xx := r.Normal(5, 64)
	d := ll.Forward(xx).Sub(xx.MatMul(ll.Merged().T()))
	expect(fmt.Sprint(ll.Forward(xx).Shape(), d.Mul(d).Sum().Item() < 1e-6), "[5 32] true")

	// 23 Lazy against eager
	report, err := bench.Options{Warmup: 1, Samples: 5, Interleave: true, Verify: 1e-5}.Compare(
		bench.Case{Name: "lazy", Run: func() *lt.Tensor { return b.Mul(2).Add(a).Tanh() }},
		bench.Case{Name: "eager", Run: func() *lt.Tensor { return b.Mul(2).Eval().Add(a).Eval().Tanh().Eval() }},
	)
	check(err)
	if report == nil {
		t.Error("no report")
	}

	// 24 Memory and cache state
	if s := lt.GetStats(); s.Evals == 0 || s.Active == 0 {
		t.Error(s)
	}

	// 25 Weights
	file := filepath.Join(t.TempDir(), "w.safetensors")
	check(lt.Save(file, ps.Map()))
	wm, err := lt.Load(file)
	check(err)
	expect(len(wm), "4")

	// 26 A function with an error result
	l26, err := trainStep(net, opt, ps, x, target)
	check(err)
	if !(l26 > 0) {
		t.Error(l26)
	}
	if _, err = trainStep(net, opt, ps, lt.Ones(3, 3), target); err == nil {
		t.Error("a wrong shape trained")
	}
}
