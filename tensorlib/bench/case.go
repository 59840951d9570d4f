package bench

import (
	"time"

	lt "loris/tensorlib"

	"loris/internal/eval"
	"loris/internal/ir"
)

// Case is a computation to be timed. Run builds it; what it returns unevaluated
// is evaluated and waited for within the measured time.
type Case struct {
	Name string
	Run  func() *lt.Tensor
}

// Compare measures the cases and reports how their times relate to the first
// one's. The error names the case that failed, or whose result differs from the
// first's by more than Verify.
func (o Options) Compare(cases ...Case) (*Report, error) {
	subjects := make([]Subject, len(cases))
	for i, c := range cases {
		subjects[i].Name = c.Name
		if c.Run != nil {
			subjects[i].Run = func() (Result, error) { return evaluate(c) }
		}
	}
	return Measure(o, library{}, subjects...)
}

// evaluate runs a case to its end. Errors of tensors come back as errors; an
// interrupt and other panics pass.
func evaluate(c Case) (r Result, err error) {
	err = lt.Try(func() { r = tensor{c.Run().Eval()} })
	return r, err
}

type tensor struct{ *lt.Tensor }

func (t tensor) Values() (values []float64, err error) {
	err = lt.Try(func() { values = t.Floats() })
	return values, err
}

func (t tensor) Shape() []int { return t.Tensor.Shape() }

// library is tensorlib as a measured engine.
type library struct{}

func (library) Counters() Counters {
	s := eval.Plans() // GetStats also looks at the variables of cells
	return Counters{Plan: time.Duration(s.BuildNanos), PlanHits: s.Hits, PlanMisses: s.Misses}
}

func (library) Profile(f func()) Profile {
	p := Profile{Chosen: map[string]string{}}
	for _, s := range eval.Profile(f).Steps {
		p.Run += s.Duration
		p.Kernels++
		p.Chosen[s.Name] = s.Kernel
		p.Peak = max(p.Peak, s.Live)
	}
	return p
}

func (library) Device() string { return lt.GetStats().Device }

func (library) Recycle(f func()) { eval.Recycle(f) }

// CallCost asks what runs the library; a compiled program has none.
func (library) CallCost() time.Duration {
	if h, ok := ir.CurrentHost().(interface{ CallCost() time.Duration }); ok {
		return h.CallCost()
	}
	return 0
}
