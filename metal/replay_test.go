//go:build softmetal && !race

package metal_test

import (
	"testing"
	"time"

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

// tenSteps is a graph of ten products.
func tenSteps() *lt.Tensor {
	r := lt.NewRand(1)
	x, w := r.Normal(8, 16).Eval(), r.Normal(16, 16).Eval()
	for range 10 {
		x = x.MatMul(w)
	}
	return x
}

// replay runs ten steps with a software Metal that accepts everything and runs nothing.
func replay(measure func(steps int, run func())) {
	d := &replayer{Device: metal.New(mtl.Options{}), measure: func(int, func()) {}}
	plan.Register(d)
	if err := eval.Use("replayer"); err != nil {
		panic(err)
	}
	defer eval.Use("cpu")
	soft("set_noop", 1)
	defer soft("set_noop", 0)
	y := tenSteps()
	d.measure = measure
	y.Eval()
}

func TestReplayDoesNotAllocate(t *testing.T) {
	replay(func(steps int, run func()) {
		run()
		if n := testing.AllocsPerRun(200, run); n > 0 {
			t.Errorf("a run of %d steps allocates %v times", steps, n)
		}
		best := time.Hour
		for range 40 {
			start := time.Now()
			for range 25 {
				run()
			}
			best = min(best, time.Since(start)/25)
		}
		t.Logf("%d steps: %v of host time per run, the least of 40 means of 25", steps, best)
	})
}
