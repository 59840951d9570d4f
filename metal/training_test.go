//go:build darwin || softmetal

package metal_test

import (
	"math"
	"runtime"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// trainer returns a function that trains a LoRA layer one step and returns the loss.
func trainer(device string) (step func() float64, forward func() *lt.Tensor) {
	lt.Use(device)
	r := lt.NewRand(1)
	l := lora.NewLayer(r, r.Normal(40, 56).Mul(0.1).Eval(), lora.Config{R: 8})
	ps := nn.Collect(l)
	x, target := r.Normal(48, 56).Eval(), r.Normal(48, 40).Eval()
	lt.Eval(ps.Tensors()...)
	opt := &nn.AdamW{LR: 0.02}
	return func() float64 {
		loss := nn.MSE(l.Forward(x), target)
		opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
		return loss.Item()
	}, func() *lt.Tensor { return l.Forward(x) }
}

func TestALoRALayerTrainsAsOnTheCPU(t *testing.T) {
	defer lt.Use("cpu")
	losses := func(device string) (all []float64) {
		step, _ := trainer(device)
		for range 8 {
			all = append(all, step())
		}
		return all
	}
	want, got := losses("cpu"), losses("metal")
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-4*want[i] {
			t.Errorf("step %d: loss %v on Metal, %v on the CPU", i, got[i], want[i])
		}
	}
	if got[7] >= got[0] {
		t.Errorf("the loss went from %v to %v", got[0], got[7])
	}
}

func TestLoRADispatches(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("only the software Metal counts")
	}
	defer lt.Use("cpu")
	step, forward := trainer("metal")
	counted := func(f func()) (dispatches, commandBuffers int) {
		d, c := soft("dispatches"), soft("command_buffers")
		f()
		return soft("dispatches") - d, soft("command_buffers") - c
	}
	if n, c := counted(func() { forward().Eval() }); n != 1 || c != 1 {
		t.Errorf("a forward pass is %d dispatches in %d command buffers, want 1 in 1", n, c)
	}
	for range 3 {
		step()
	}
	if n, c := counted(func() { step() }); n > maxTrainingDispatches || c != 1 {
		t.Errorf("a training step is %d dispatches in %d command buffers, want at most %d in 1", n, c, maxTrainingDispatches)
	}
}

const maxTrainingDispatches = 5
