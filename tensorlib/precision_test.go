package tensorlib_test

import (
	"slices"
	"testing"

	"loris/internal/cpu/blas"
	"loris/internal/cpu/feature"
	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// at computes with a precision.
func at(precision string, f func() *lt.Tensor) *lt.Tensor {
	lt.SetPrecision(precision)
	defer lt.SetPrecision("highest")
	return f().Eval()
}

// roundsAtMedium reports whether the CPU here rounds factors to bfloat16 at medium.
func roundsAtMedium() bool {
	_, fast := feature.BFloat16()
	return fast && !blas.Available()
}

// toBF16 is x with the digits of bfloat16, in f64.
func toBF16(x *lt.Tensor) *lt.Tensor { return x.Cast(lt.BF16).Cast(lt.F64) }

// TestPrecisionOfProducts switches between precisions while weights stay, packed from
// their second use on: medium is the product of rounded factors, where it rounds at all,
// and what is computed before and after is exact.
func TestPrecisionOfProducts(t *testing.T) {
	r := lt.NewRand(11)
	draw := func(shape ...int) *lt.Tensor { return r.Normal(shape...).Eval() }
	x, w, z, v := draw(33, 257), draw(257, 130), draw(33, 40), draw(40, 130)
	turned, batch, items, bias := draw(130, 257), draw(3, 33, 257), draw(3, 257, 130), draw(130)
	product := func(x, w *lt.Tensor) *lt.Tensor { return x.MatMul(w) }
	exact := func(x *lt.Tensor) *lt.Tensor { return x.Cast(lt.F64) }
	for name, f := range map[string]func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor{
		"product":       func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor { return product(as(x), as(w)) },
		"turned weight": func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor { return product(as(x), as(turned).T()) },
		"turned both":   func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor { return product(as(w).T(), as(x).T()) },
		"sum of products": func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor {
			return product(as(x), as(w)).Add(product(as(z), as(v)).Mul(2))
		},
		"one weight":       func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor { return product(as(batch), as(w)) },
		"batch of weights": func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor { return product(as(batch), as(items)) },
		"epilogue": func(as func(*lt.Tensor) *lt.Tensor) *lt.Tensor {
			y := product(as(x), as(w))
			return y.Add(bias.Cast(y.DType())).Relu()
		},
	} {
		same := func(x *lt.Tensor) *lt.Tensor { return x }
		full, rounded := f(exact).Eval(), f(toBF16).Eval()
		compute := func() *lt.Tensor { return f(same) }
		before := at("highest", compute)
		if d := apart(before, full); !(d < 1e-6) {
			t.Errorf("%s at highest: off by %v", name, d)
		}
		for range 3 {
			medium := at("medium", compute)
			if d := apart(medium, full); !(d < 1e-2) {
				t.Errorf("%s at medium: off by %v", name, d)
			}
			if d := apart(medium, rounded); roundsAtMedium() && !(d < 1e-6) {
				t.Errorf("%s at medium: off by %v from the product of rounded factors", name, d)
			}
			if got := slices.Equal(medium.Floats(), before.Floats()); got == roundsAtMedium() {
				t.Errorf("%s at medium: as at highest %v", name, got)
			}
			for _, precision := range []string{"high", "highest"} {
				if !slices.Equal(at(precision, compute).Floats(), before.Floats()) {
					t.Errorf("%s at %s is not what it was before medium", name, precision)
				}
			}
		}
	}
}

// TestAWeightGivesTheSameNumbersAtEachUse holds products before and after their right
// factor is packed, or by a library, against each other.
func TestAWeightGivesTheSameNumbersAtEachUse(t *testing.T) {
	r := lt.NewRand(13)
	for _, s := range [][3]int{{64, 512, 512}, {20, 384, 256}, {300, 96, 1500}} {
		x, w := r.Normal(s[0], s[2]).Eval(), r.Normal(s[2], s[1]).Eval()
		for _, precision := range []string{"highest", "medium"} {
			use := func() []float64 { return at(precision, func() *lt.Tensor { return x.MatMul(w) }).Floats() }
			first := use()
			for n := 2; n < 5; n++ {
				if !slices.Equal(use(), first) {
					t.Errorf("%v at %s: use %d differs from the first", s, precision, n)
				}
			}
		}
	}
}

// TestTrainingAtMedium holds gradients against f64, and lets a LoRA layer learn another
// one, whose weight differs by a matrix of low rank.
func TestTrainingAtMedium(t *testing.T) {
	r := lt.NewRand(12)
	w, x := r.Normal(96, 160).Mul(0.1).Eval(), r.Normal(64, 160).Eval()
	target := x.MatMul(w.Add(r.Normal(96, 2).MatMul(r.Normal(2, 160)).Mul(0.05)).T()).Eval()
	gradients := func(d lt.DType) []*lt.Tensor {
		w := w.Cast(d).Track()
		x := x.Cast(d).Track()
		return lt.Grads(nn.MSE(x.MatMul(w.T()).Tanh(), target.Cast(d)), w, x)
	}
	want := gradients(lt.F64)
	lt.SetPrecision("medium")
	defer lt.SetPrecision("highest")
	for i, g := range gradients(lt.F32) {
		if d := apart(g, want[i]); !(d < 2e-2) {
			t.Errorf("gradient %d: off by %v", i, d)
		}
	}
	l := lora.NewLayer(r, w, lora.Config{R: 4})
	ps, opt := nn.Collect(l), &nn.AdamW{LR: 1e-2}
	var first, last float64
	for step := range 150 {
		loss := nn.MSE(l.Forward(x), target)
		opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
		if last = loss.Item(); step == 0 {
			first = last
		}
	}
	if !(last < first/100) {
		t.Errorf("the loss went from %v to %v", first, last)
	}
	y, merged := l.Forward(x), l.Merged().Eval()
	full := at("highest", func() *lt.Tensor { return x.Cast(lt.F64).MatMul(merged.Cast(lt.F64).T()) })
	lt.SetPrecision("medium")
	if d := apart(y, full); !(d < 1e-2) {
		t.Errorf("the trained layer: off by %v", d)
	}
}
