package lora_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// worst is the largest difference of two tensors.
func worst(a, b *lt.Tensor) float64 { return a.Sub(b).Abs().Max().Item() }

// trained returns a layer whose B is not zero.
func trained(c lora.Config) (*lora.Layer, *lt.Rand) {
	r := lt.NewRand(3)
	l := lora.NewLayer(r, r.Normal(6, 8), c)
	l.B.Set(r.Normal(l.OutFeatures(), l.Config().R))
	return l, r
}

func TestForwardIsTheFormula(t *testing.T) {
	for _, c := range []lora.Config{{R: 4, Alpha: 8}, {R: 2, Alpha: 3, RsLoRA: true}, {R: 3, Init: "gaussian"}} {
		l, r := trained(c)
		x := r.Normal(2, 5, 8)
		s := l.Config().Alpha / float64(l.Config().R)
		if c.RsLoRA {
			s = l.Config().Alpha / math.Sqrt(float64(l.Config().R))
		}
		want := x.MatMul(l.Base.T()).Add(x.MatMul(l.A.T()).MatMul(l.B.T()).Mul(s))
		if d := worst(l.Forward(x), want); d > 1e-5 {
			t.Errorf("%+v: off by %v", c, d)
		}
		if d := worst(l.Forward(x), x.MatMul(l.Merged().T())); d > 1e-4 {
			t.Errorf("%+v: merged is off by %v", c, d)
		}
		if worst(l.Forward(x), x.MatMul(l.Base.T())) < 0.1 {
			t.Errorf("%+v: the adapter does nothing", c)
		}
		l.SetEnabled(false)
		if d := worst(l.Forward(x), x.MatMul(l.Base.T())); d > 1e-5 {
			t.Errorf("%+v: switched off it is off by %v", c, d)
		}
	}
}

// Results, gradients and merged weights are PEFT's, with B ≠ 0.
func TestLayersAgreeWithPEFT(t *testing.T) {
	text, err := os.ReadFile("testdata/peft.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		In, Out, Batch int
		Cases          map[string]struct {
			R                             int
			Alpha                         float64
			RsLoRA, DoRA                  bool
			Weight, Bias, X, G, Y, Merged []float64
			A, B, M                       []float64
			DX, DA, DB, DM                []float64
		}
	}
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	for name, c := range rec.Cases {
		of := func(v []float64, shape ...int) *lt.Tensor { return lt.From(v).Reshape(shape...) }
		l := lora.NewLayer(nil, of(c.Weight, rec.Out, rec.In), lora.Config{R: c.R, Alpha: c.Alpha, RsLoRA: c.RsLoRA, DoRA: c.DoRA})
		l.Bias = of(c.Bias, rec.Out)
		l.A, l.B = lt.Parameter(of(c.A, c.R, rec.In)), lt.Parameter(of(c.B, rec.Out, c.R))
		if c.DoRA {
			l.M = lt.Parameter(of(c.M, rec.Out))
		}
		x := of(c.X, rec.Batch, rec.In)
		y := l.Forward(x)
		loss := y.Mul(of(c.G, rec.Batch, rec.Out)).Sum()
		check := func(what string, got *lt.Tensor, want []float64) {
			t.Helper()
			if len(want) != got.Size() {
				t.Fatalf("%s: %s has %d elements, PEFT's %d", name, what, got.Size(), len(want))
			}
			for i, v := range got.Floats() {
				if math.Abs(v-want[i]) > 1e-10*(1+math.Abs(want[i])) {
					t.Fatalf("%s: %s[%d] is %v, PEFT's %v", name, what, i, v, want[i])
				}
			}
		}
		check("y", y, c.Y)
		gs := lt.Grads(loss, x, l.A, l.B)
		check("dx", gs[0], c.DX)
		check("da", gs[1], c.DA)
		check("db", gs[2], c.DB)
		if c.DoRA {
			check("dm", lt.Grads(loss, l.M)[0], c.DM)
		}
		check("merged", l.Merged(), c.Merged)
	}
}

// Gradients of what is trained agree with finite differences, with B ≠ 0. The norm
// of DoRA is a constant for them, by design, so that its A and B are left to PEFT.
func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	for _, c := range []lora.Config{{R: 3}, {R: 2, Alpha: 3, RsLoRA: true}, {R: 4, DoRA: true}} {
		r := lt.NewRand(5)
		wide := func(shape ...int) *lt.Tensor { return r.Normal(shape...).Cast(lt.F64).Eval() }
		l := lora.NewLayer(r, wide(6, 8), c)
		l.A, l.B = lt.Parameter(wide(c.R, 8)), lt.Parameter(wide(6, c.R))
		trained := []*lt.Tensor{l.A, l.B}
		if c.DoRA {
			l.M = lt.Parameter(wide(6))
			trained = []*lt.Tensor{l.M}
		}
		x, g := wide(5, 8), wide(5, 6)
		loss := func() *lt.Tensor { return l.Forward(x).Mul(g).Tanh().Sum() }
		for i, gradient := range lt.Grads(loss(), trained...) {
			p, at := trained[i], trained[i].Detach().Eval()
			direction := wide(p.Shape()...)
			const h = 1e-6
			var ends [2]float64
			for k, sign := range []float64{1, -1} {
				p.Set(at.Add(direction.Mul(sign * h)))
				ends[k] = loss().Item()
			}
			p.Set(at)
			want, got := (ends[0]-ends[1])/(2*h), gradient.Mul(direction).Sum().Item()
			if math.Abs(got-want) > 1e-7*(1+math.Abs(want)) {
				t.Errorf("%+v, parameter %d: %v, finite differences %v", c, i, got, want)
			}
		}
	}
}

// Each way to begin leaves the layer as the base was.
func TestANewLayerChangesNothing(t *testing.T) {
	r := lt.NewRand(9)
	w, x := r.Normal(6, 8).Eval(), r.Normal(4, 8)
	for _, c := range []lora.Config{{R: 4}, {R: 4, Init: "gaussian"}, {R: 4, Init: "pissa"}, {R: 4, Init: "olora"}, {R: 4, DoRA: true}} {
		l := lora.NewLayer(r, w, c)
		if d := worst(l.Forward(x), x.MatMul(w.T())); d > 2e-4 {
			t.Errorf("%+v: off by %v", c, d)
		}
	}
}

// PiSSA's adapter holds the largest singular values, so what stays frozen is small.
func TestPiSSATakesTheLargestSingularValues(t *testing.T) {
	r := lt.NewRand(9)
	w := r.Normal(6, 8).Eval()
	l := lora.NewLayer(r, w, lora.Config{R: 2, Init: "pissa"})
	_, all, _ := w.SVD()
	_, rest, _ := l.Base.SVD()
	a, b := all.Floats(), rest.Floats()
	for i := range 4 {
		if math.Abs(a[i+2]-b[i]) > 1e-4 {
			t.Fatalf("singular values %v, left %v", a, b)
		}
	}
}

func TestOnlyTheAdapterIsTrained(t *testing.T) {
	r := lt.NewRand(3)
	base := r.Normal(6, 8).Eval()
	before := base.Floats()
	l := lora.NewLayer(r, base, lora.Config{R: 4, Dropout: 0.1})
	ps := nn.Collect(l)
	if got := fmt.Sprint(ps.Names()); got != "[lora_a lora_b]" {
		t.Error(got)
	}
	if n := l.NumParameters(); n != 4*8+6*4 {
		t.Error(n)
	}
	x, target := r.Normal(32, 8).Eval(), r.Normal(32, 6).Eval()
	opt := &nn.AdamW{LR: 0.02}
	var first, last float64
	for step := range 100 {
		loss := nn.MSE(l.Forward(x), target)
		opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
		if last = loss.Item(); step == 0 {
			first = last
		}
	}
	if !(last < 0.7*first) {
		t.Errorf("the loss went from %v to %v", first, last)
	}
	if fmt.Sprint(before) != fmt.Sprint(base.Floats()) {
		t.Error("the base was trained")
	}
}

// Dropout acts on the input of A only: with B = 0 it changes nothing.
func TestDropoutLeavesTheBaseAlone(t *testing.T) {
	r := lt.NewRand(3)
	w, x := r.Normal(6, 8), r.Normal(4, 8)
	l := lora.NewLayer(r, w, lora.Config{R: 4, Dropout: 0.5})
	if d := worst(l.Forward(x), x.MatMul(w.T())); d > 1e-5 {
		t.Error(d)
	}
	l.B.Set(r.Normal(6, 4))
	if worst(l.Forward(x), l.Forward(x)) == 0 {
		t.Error("two forwards in training dropped the same")
	}
	l.SetTraining(false)
	if worst(l.Forward(x), l.Forward(x)) != 0 {
		t.Error("dropping outside of training")
	}
}

func TestDoRA(t *testing.T) {
	l, r := trained(lora.Config{R: 4, DoRA: true})
	l.M.Set(l.M.Mul(1.5).Detach())
	x := r.Normal(5, 8)
	if d := worst(l.Forward(x), x.MatMul(l.Merged().T())); d > 1e-4 {
		t.Error(d)
	}
	norms := l.Merged().Norm(-1)
	if d := worst(norms, l.M); d > 1e-4 {
		t.Errorf("the rows have norms %v, m is %v", norms, l.M)
	}
	if got := fmt.Sprint(nn.Collect(l).Names()); got != "[lora_a lora_b lora_m]" {
		t.Error(got)
	}
}

// A quantised base gives what its unpacked values give.
func TestQuantisedBase(t *testing.T) {
	r := lt.NewRand(3)
	q := r.Normal(16, 64).Quantize(lt.Q8)
	l := lora.NewLayer(r, q, lora.Config{R: 4})
	l.B.Set(r.Normal(16, 4))
	x := r.Normal(3, 64)
	if d := worst(l.Forward(x), x.MatMul(l.Merged().T())); d > 1e-3 {
		t.Error(d)
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, c := range []lora.Config{{R: 9}, {R: -1}, {R: 2, Alpha: -1}, {R: 2, Dropout: 1}, {R: 2, Dropout: math.NaN()}, {R: 2, Init: "x"}} {
		err := lt.Try(func() { lora.NewLayer(nil, lt.Ones(6, 8), c) })
		if err == nil || !strings.Contains(err.Error(), "lora.Config") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if lt.Try(func() { lora.NewLayer(nil, lt.Ones(6), lora.Config{}) }) == nil {
		t.Error("a vector was adapted")
	}
}

func ExampleNewLayer() {
	r := lt.NewRand(1)
	layer := lora.NewLayer(r, r.Normal(32, 64), lora.Config{R: 4, Alpha: 8})
	y := layer.Forward(r.Normal(5, 64))
	fmt.Println(y.Shape(), layer.NumParameters(), layer.Scale())
	// Output: [5 32] 384 2
}
