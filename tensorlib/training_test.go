package tensorlib_test

import (
	"strconv"
	"testing"

	lt "loris/tensorlib"
	"loris/tensorlib/lora"
	"loris/tensorlib/nn"
)

// Building ten checked ops, without computing them.
func BenchmarkBuildChain10(b *testing.B) {
	x, y := lt.Ones(1024), lt.NewRand(1).Normal(1024)
	b.ReportAllocs()
	for b.Loop() {
		h := x
		for range 5 {
			h = h.Add(y).Mul(0.5)
		}
		if h.Rank() != 1 {
			b.Fatal("wrong shape")
		}
	}
}

func trainingStep() (loss func() *lt.Tensor, ps *nn.Params) {
	r := lt.NewRand(1)
	l := lora.NewLayer(r, r.Normal(64, 512).Eval(), lora.Config{R: 8})
	ps = nn.Collect(l)
	x, target := r.Normal(64, 512).Eval(), r.Normal(64, 64).Eval()
	lt.Eval(ps.Tensors()...)
	return func() *lt.Tensor { return nn.MSE(l.Forward(x), target) }, ps
}

// Building a LoRA training step: loss and gradients.
func BenchmarkBuildTrainStep(b *testing.B) {
	loss, ps := trainingStep()
	b.ReportAllocs()
	for b.Loop() {
		lt.Grads(loss(), ps.Tensors()...)
	}
}

// A whole LoRA training step.
func BenchmarkTrainStep(b *testing.B) {
	loss, ps := trainingStep()
	opt := &nn.AdamW{}
	b.ReportAllocs()
	for b.Loop() {
		l := loss()
		opt.Step(ps, lt.Grads(l, ps.Tensors()...))
		l.Item()
	}
}

// A step is one evaluation, and reading its loss none; the plan is found again.
func TestATrainingStepIsOneEvaluation(t *testing.T) {
	for name, opt := range map[string]nn.Optimizer{"plain": &nn.AdamW{}, "clipped": &nn.AdamW{ClipNorm: 1}} {
		loss, ps := trainingStep()
		for step := range 4 {
			before := lt.GetStats()
			l := loss()
			opt.Step(ps, lt.Grads(l, ps.Tensors()...))
			l.Item()
			after := lt.GetStats()
			if n := after.Evals - before.Evals; n != 1 {
				t.Errorf("%s, step %d: %d evaluations", name, step, n)
			}
			if n := after.PlanMisses - before.PlanMisses; step > 1 && n != 0 {
				t.Errorf("%s, step %d: %d plans were made", name, step, n)
			}
		}
	}
}

// An AdamW step of 96 LoRA matrices [8 768].
func BenchmarkAdamW96(b *testing.B) {
	r := lt.NewRand(1)
	model := map[string]*lt.Tensor{}
	for i := range 96 {
		model[strconv.Itoa(i)] = r.Normal(8, 768)
	}
	ps := nn.Collect(model)
	var grads []*lt.Tensor
	for range ps.Tensors() {
		grads = append(grads, r.Normal(8, 768))
	}
	lt.Eval(append(grads, ps.Tensors()...)...)
	opt := &nn.AdamW{}
	b.ReportAllocs()
	for b.Loop() {
		opt.Step(ps, grads)
	}
}
