//go:build darwin || softmetal

package conformance

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"loris/metal/kernels"
	"loris/metal/launch"
	"loris/metal/mtl"
	"loris/metal/objc"
)

// trainer is one LoRA layer with frozen W, trained to make y = x·(W + Δ) with mean squared error.
type trainer struct {
	layer     kernels.LoRA
	device    *mtl.Device
	buffers   map[string]*mtl.Buffer
	steps     []*mtl.Dispatch
	hyper     *mtl.Buffer
	iteration int
}

func (t *trainer) buffer(tb testing.TB, name string, values []float64) mtl.Binding {
	tb.Helper()
	b, err := t.device.NewBuffer(4 * len(values))
	if err != nil {
		tb.Fatal(err)
	}
	copy(b.Bytes(), encode(kernels.F32, values))
	t.buffers[name] = b
	return mtl.Binding{Buffer: b}
}

func newTrainer(tb testing.TB, d *mtl.Device, layer kernels.LoRA) *trainer {
	t := &trainer{layer: layer, device: d, buffers: map[string]*mtl.Buffer{}}
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(scale float64) func(int) float64 { return func(int) float64 { return scale * r.NormFloat64() } }
	zero := func(int) float64 { return 0 }
	m, n, k, rank := layer.M, layer.N, layer.K, layer.R
	size := k*rank + rank*n
	x := t.buffer(tb, "x", each(m*k, normal(1)))
	w := t.buffer(tb, "W", each(k*n, normal(0.1)))
	target := t.buffer(tb, "target", each(m*n, normal(1)))
	arena := t.buffer(tb, "A and B", each(size, normal(0.1)))
	gradients := t.buffer(tb, "gradients", each(size, zero))
	first, second := t.buffer(tb, "first", each(size, zero)), t.buffer(tb, "second", each(size, zero))
	y, h := t.buffer(tb, "y", each(m*n, zero)), t.buffer(tb, "h", each(m*rank, zero))
	dy, dx, dh := t.buffer(tb, "dy", each(m*n, zero)), t.buffer(tb, "dx", each(m*k, zero)), t.buffer(tb, "dh", each(m*rank, zero))
	loss := t.buffer(tb, "loss", each(m, zero))
	hyper := t.buffer(tb, "hyper", each(3, zero))
	t.hyper = hyper.Buffer
	part := func(b mtl.Binding, offset, length int) mtl.Binding {
		b.Offset, b.Length = 4*offset, 4*length
		return b
	}
	a, bMatrix := part(arena, 0, k*rank), part(arena, k*rank, rank*n)
	dA, dB := part(gradients, 0, k*rank), part(gradients, k*rank, rank*n)
	op := func(c kernels.Code, literal float64, args ...int) kernels.Op {
		return kernels.Op{Code: c, Type: kernels.F32, Args: args, Literal: literal}
	}
	// dy = 2(y − target)/(m·n), and the loss of each row.
	mse := &kernels.Group{Shape: []int{m, n}, Inputs: []kernels.Input{denseInput(kernels.F32, m, n), denseInput(kernels.F32, m, n)},
		Ops:     []kernels.Op{op("sub", 0, 0, 1), op("const", 2/float64(m*n)), op("mul", 0, 2, 3), op("square", 0, 2), op("reduce_mean", 0, 5)},
		Outputs: []kernels.Output{{Value: 4, Type: kernels.F32}, {Value: 6, Type: kernels.F32, PerRow: true}}}
	lossLaunch, err := mse.Launch()
	if err != nil {
		tb.Fatal(err)
	}
	add := func(l *kernels.Launch, bindings ...mtl.Binding) {
		s, err := launch.Prepare(d, l, bindings)
		if err != nil {
			tb.Fatal(err)
		}
		t.steps = append(t.steps, s)
	}
	add(layer.Forward(), x, w, a, bMatrix, mtl.Binding{}, mtl.Binding{}, y, h)
	add(lossLaunch, y, target, dy, loss)
	add(layer.InputGradient(), dy, w, bMatrix, a, mtl.Binding{}, mtl.Binding{}, dx, dh)
	add(layer.WeightGradients(), x, dy, h, dh, dA, dB)
	add(kernels.AdamW{Type: kernels.F32, Size: size, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}.Launch(), arena, gradients, first, second, hyper, arena, first, second)
	return t
}

func (t *trainer) step(tb testing.TB) {
	t.iteration++
	i := float64(t.iteration)
	copy(t.hyper.Bytes(), encode(kernels.F32, []float64{0.02, 1 / (1 - math.Pow(0.9, i)), 1 / (1 - math.Pow(0.999, i))}))
	t.device.Stream.Begin()
	for _, s := range t.steps {
		t.device.Stream.Dispatch(s)
	}
	if err := t.device.Stream.Wait(t.device.Stream.End()); err != nil {
		tb.Fatal(err)
	}
}

func (t *trainer) loss() float64 {
	return mean(decode(kernels.F32, t.buffers["loss"].Bytes()), func(v float64) float64 { return v })
}

func TestLoRATrainingStepIsFiveDispatchesInOneCommandBuffer(t *testing.T) {
	d, err := mtl.Open(mtl.Options{})
	if err != nil {
		t.Skip(err)
	}
	defer d.Close()
	tr := newTrainer(t, d, kernels.LoRA{Type: kernels.F32, M: 48, N: 40, K: 56, R: 8, Scale: 2, SaveH: true})
	count := func(string) int { return 0 }
	if runtime.GOOS != "darwin" {
		count = func(what string) int { return int(objc.Call(objc.Function("softmetal_" + what))) }
	}
	buffers, dispatches := count("command_buffers"), count("dispatches")
	tr.step(t)
	first := tr.loss()
	if n := count("dispatches") - dispatches; runtime.GOOS != "darwin" && n > 5 {
		t.Errorf("a training step is %d dispatches, want at most 5", n)
	}
	if n := count("command_buffers") - buffers; runtime.GOOS != "darwin" && n != 1 {
		t.Errorf("a training step is %d command buffers, want 1", n)
	}
	before := decode(kernels.F32, tr.buffers["A and B"].Bytes())
	for order := range uintptr(3) {
		if runtime.GOOS != "darwin" {
			objc.Call(objc.Function("softmetal_set_order"), order)
		}
		for range 10 {
			tr.step(t)
		}
	}
	if runtime.GOOS != "darwin" {
		objc.Call(objc.Function("softmetal_set_order"), 0)
		if n := objc.Call(objc.Function("softmetal_problem_count")); n != 0 {
			t.Errorf("the software Metal noted %d problems, first: %s", n, objc.CString(objc.Call(objc.Function("softmetal_problem"), 0)))
		}
	}
	if last := tr.loss(); !(last < 0.9*first) {
		t.Errorf("the loss went from %v to %v in 31 steps", first, last)
	}
	after, moved := decode(kernels.F32, tr.buffers["A and B"].Bytes()), 0
	for i := range after {
		if after[i] != before[i] {
			moved++
		}
	}
	if moved != len(after) {
		t.Errorf("%d of %d elements of A and B were trained", moved, len(after))
	}
}
