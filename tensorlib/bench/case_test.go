package bench

import (
	"strings"
	"testing"

	lt "loris/tensorlib"
)

func TestCompareMeasuresTensors(t *testing.T) {
	a, b := lt.NewRand(1).Normal(32, 64), lt.NewRand(2).Normal(64).Eval()
	a.Eval()
	r, err := Options{Warmup: 2, Samples: 6, Interleave: true, Verify: 1e-5}.Compare(
		Case{Name: "lazy", Run: func() *lt.Tensor { return a.Mul(2).Add(b).Tanh() }},
		Case{Name: "eager", Run: func() *lt.Tensor { return a.Mul(2).Eval().Add(b).Eval().Tanh().Eval() }},
	)
	if err != nil {
		t.Fatal(err)
	}
	lazy, eager := r.Row("lazy"), r.Row("eager")
	if lazy.KernelsPerRun >= eager.KernelsPerRun || eager.KernelsPerRun != 3 {
		t.Errorf("lazy ran %v kernels, eager %v", lazy.KernelsPerRun, eager.KernelsPerRun)
	}
	if lazy.Run <= 0 || lazy.PlanMisses != 0 || lazy.PlanHits == 0 || len(r.Provenance.Kernels) == 0 || r.Provenance.Device == "" {
		t.Errorf("%+v\n%+v", lazy, r.Provenance)
	}
	t.Logf("\n%s", r)
}

func TestCompareReportsErrorsOfTensors(t *testing.T) {
	_, err := Options{}.Compare(Case{Name: "bad shapes", Run: func() *lt.Tensor { return lt.Zeros(8, 32).MatMul(lt.Zeros(64, 32)) }})
	if err == nil || !strings.Contains(err.Error(), `case "bad shapes"`) || !strings.Contains(err.Error(), "MatMul") {
		t.Error(err)
	}
	_, err = Options{}.Compare(Case{Name: "nil", Run: func() *lt.Tensor { return nil }})
	if err == nil || !strings.Contains(err.Error(), `case "nil"`) {
		t.Error(err)
	}
}
