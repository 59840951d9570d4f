//go:build softmetal && !race

package metal_test

import (
	"sync"
	"testing"

	"loris/internal/eval"
	"loris/internal/plan"
	"loris/metal"
	"loris/metal/mtl"
	lt "loris/tensorlib"
)

// replayer is the Metal device under another name: it runs a plan many times where once is asked for.
type replayer struct {
	*metal.Device
	measure func(steps int, run func())
}

func (d *replayer) Name() string { return "replayer" }

func (d *replayer) Compile(p *plan.Plan, from, to int) (plan.Executable, error) {
	x, err := d.Device.Compile(p, from, to)
	return &replayed{x, d, to - from}, err
}

type replayed struct {
	plan.Executable
	d     *replayer
	steps int
}

func (x *replayed) Run(b *plan.Binding) (plan.Fence, error) {
	x.d.measure(x.steps, func() {
		fence, err := x.Executable.Run(b)
		if err == nil {
			err = fence.Wait()
		}
		if err != nil {
			panic(err)
		}
	})
	return nil, nil
}

// operands are what tenSteps multiplies.
func operands() (x, w *lt.Tensor) {
	r := lt.NewRand(1)
	return r.Normal(8, 16).Eval(), r.Normal(16, 16).Eval()
}

// tenSteps is a graph of ten products.
func tenSteps(x, w *lt.Tensor) *lt.Tensor {
	for range 10 {
		x = x.MatMul(w)
	}
	return x
}

// theReplayer is registered when it is first wanted.
var theReplayer = sync.OnceValue(func() *replayer {
	d := &replayer{Device: metal.New(mtl.Options{})}
	plan.Register(d)
	return d
})

// replay runs ten steps with a software Metal that accepts everything and runs nothing.
func replay(measure func(steps int, run func())) {
	d := theReplayer()
	d.measure = func(int, func()) {}
	if err := eval.Use("replayer"); err != nil {
		panic(err)
	}
	defer eval.Use("cpu")
	soft("set_noop", 1)
	defer soft("set_noop", 0)
	y := tenSteps(operands())
	d.measure = measure
	y.Eval()
}

func TestReplayDoesNotAllocate(t *testing.T) {
	replay(func(steps int, run func()) {
		run()
		if n := testing.AllocsPerRun(200, run); n > 0 {
			t.Errorf("a run of %d steps allocates %v times", steps, n)
		}
	})
}

// The host's time for a cached plan of ten steps, with a Metal that runs nothing: bound, encoded, committed, waited for.
func BenchmarkReplayOfTenSteps(b *testing.B) {
	replay(func(_ int, run func()) {
		b.ReportAllocs()
		for b.Loop() {
			run()
		}
	})
}

// The same from the first line of the user's on: the graph is made, its plan found, run, and the result awaited.
func BenchmarkEvaluationOfTenSteps(b *testing.B) {
	lt.Use("metal")
	defer lt.Use("cpu")
	x, w := operands()
	soft("set_noop", 1)
	defer soft("set_noop", 0)
	b.ReportAllocs()
	for b.Loop() {
		tenSteps(x, w).Eval()
	}
}
