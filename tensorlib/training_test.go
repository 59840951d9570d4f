package tensorlib_test

import (
	"math"
	"runtime"
	"strconv"
	"testing"
	"time"

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

// The same from the remembered graph of a compiled function.
func BenchmarkReplayTrainStep(b *testing.B) {
	loss, ps := trainingStep()
	f := lt.Compile(func(...*lt.Tensor) []*lt.Tensor {
		l := loss()
		return append([]*lt.Tensor{l}, lt.Grads(l, ps.Tensors()...)...)
	})
	f.Call()
	b.ReportAllocs()
	for b.Loop() {
		f.Call()
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
	for name, opt := range map[string]nn.Optimizer{"plain": &nn.AdamW{}, "clipped": &nn.AdamW{ClipNorm: 1}, "SGD": &nn.SGD{Momentum: 0.9},
		"Lion": &nn.Lion{}, "Adafactor": &nn.Adafactor{}, "Muon": &nn.Muon{}} {
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

// Training leaves nothing behind: after thousands of steps there are as many tensors,
// plans and bytes as after a few hundred.
func TestLongTrainingHoldsNoMoreMemory(t *testing.T) {
	r := lt.NewRand(2)
	net := &MLP{Up: nn.NewLinear(r, 2, 16), Down: nn.NewLinear(r, 16, 1)}
	ps := nn.Collect(net)
	data, target := r.Normal(256, 2).Eval(), r.Normal(256, 1).Eval()
	drop := nn.NewDropout(r, 0.1)
	opt := &nn.AdamW{ClipNorm: 1, Schedule: &nn.Schedule{Kind: "cosine", LR: 1e-2, Steps: 5000, Warmup: 10}}
	var heap [2]uint64
	var stats [2]lt.Stats
	steps := 0
	flat := func() bool {
		a, b := stats[0], stats[1]
		return b.Tensors <= a.Tensors+2 && b.Active <= a.Active && b.Plans == a.Plans && b.PlanMisses == a.PlanMisses && heap[1] <= heap[0]+512<<10
	}
	for i, upTo := range []int{300, 3000} {
		for ; steps < upTo; steps++ {
			at := steps * 16 % 256
			rows := lt.R(at, at+16)
			loss := nn.MSE(net.Forward(drop.Forward(data.At(rows))), target.At(rows))
			opt.Step(ps, lt.Grads(loss, ps.Tensors()...))
			if l := loss.Item(); math.IsNaN(l) {
				t.Fatalf("step %d: loss %v", steps, l)
			}
		}
		// What a collection frees goes when the machine finds time for it.
		for try := 0; try < 3 || i == 1 && !flat() && try < 500; try++ {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			heap[i], stats[i] = m.HeapAlloc, lt.GetStats()
		}
	}
	if a, b := stats[0], stats[1]; !flat() {
		t.Errorf("after 300 steps %d tensors, %d bytes, %d plans, %d misses, a heap of %d; after 3000 %d, %d, %d, %d, %d",
			a.Tensors, a.Active, a.Plans, a.PlanMisses, heap[0], b.Tensors, b.Active, b.Plans, b.PlanMisses, heap[1])
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
