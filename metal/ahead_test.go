//go:build softmetal

package metal_test

import (
	"testing"

	"loris/internal/plan"
	"loris/metal"
	"loris/metal/mtl"
	lt "loris/tensorlib"
)

// early is the Metal device under another name, as programs have it.
type early struct{ *metal.Device }

func (early) Name() string { return "early" }

func TestTheUsualKernelsAreCompiledBeforeTheyAreNeeded(t *testing.T) {
	d := early{metal.New(mtl.Options{}).CompileAhead()}
	plan.Register(d)
	lt.Use("early")
	defer lt.Use("cpu")
	d.Ahead()
	r := lt.NewRand(1)
	x, w := r.Normal(64, 512).Eval(), r.Normal(512, 512).Eval()
	ready := soft("compiled")
	lt.Eval(x.MatMul(w), x.MatMul(w.T()), x.Softmax())
	if n := soft("compiled") - ready; n != 0 {
		t.Errorf("%d kernels were compiled when they were needed", n)
	}
}
