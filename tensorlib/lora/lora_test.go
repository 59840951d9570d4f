package lora_test

import (
	"fmt"
	"math"
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
