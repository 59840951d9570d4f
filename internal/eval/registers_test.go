package eval_test

import (
	"math"
	"testing"

	lt "loris/tensorlib"
)

// A strided weight is loaded into a register of one row; what comes after it in
// the same fused step needs registers of several.
func TestLoadedWeightsKeepTheirRegister(t *testing.T) {
	r := lt.NewRand(4)
	x, w := r.Normal(40, 5).Eval(), r.Normal(11).Eval()
	chain := func() *lt.Tensor {
		y := x.LayerNorm(w.At(lt.R(9, 0, -2)), nil, 1e-3).Cast(lt.F64).Tanh()
		return y.Mul(y.Exp()).Add(y.Sin()).Cast(lt.F32)
	}
	var want []float64
	lt.Eager(func() { want = chain().Floats() })
	for i, v := range chain().Floats() {
		if !(math.Abs(v-want[i]) < 1e-6) {
			t.Fatalf("element %d is %v, op by op %v", i, v, want[i])
		}
	}
}

// The error of a sum over a leading axis does not grow with its length.
func TestLongSumsOverLeadingAxes(t *testing.T) {
	const n = 100_000
	x := lt.Full(float64(float32(0.1)), 3).Expand(n, 3).Contiguous().Eval()
	for _, v := range x.Sum(0).Floats() {
		if want := n * float64(float32(0.1)); math.Abs(v-want) > 1e-5*want {
			t.Errorf("the sum is %v, want %v", v, want)
		}
	}
}
