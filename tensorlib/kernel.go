package tensorlib

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"loris/display"
	"loris/internal/ir"
	"loris/internal/op"
)

// Kernel is an op of your own, for f32 tensors. It is written twice: in the Metal
// Shading Language for the GPU, and in Go for machines without one and for
// [Check]. One of the two is enough where only that is needed.
type Kernel struct {
	Name string
	// Inputs and Outputs name the arrays in Metal; by default in0, in1, … and
	// out0, out1, … (in and out if there is one).
	Inputs, Outputs []string
	// Metal is the body of the kernel in the Metal Shading Language; i is the
	// number of the thread in the first axis of the grid, position (uint3) its
	// place in all three, grid (uint3) their sizes, n_x the elements of array x.
	Metal string
	// Header is Metal source that stands before the kernel: functions, constants.
	Header string
	// CPU does the work of the threads lo … hi-1 of the grid, the first axis
	// fastest: by default of the elements lo … hi-1 of every output, row-major. It
	// is called from several goroutines, with ranges that do not overlap.
	CPU func(in, out [][]float32, lo, hi int)
	// VJP returns the gradient of each input (nil for zero), given inputs,
	// outputs and the gradient of each output. Without it Grads refuses.
	VJP func(in, out, g []*Tensor) []*Tensor

	made atomic.Pointer[madeKernel]
	last atomic.Pointer[kernelRun]
}

// KernelCall says how often a kernel runs and what it makes.
type KernelCall struct {
	// Grid is the number of threads along each axis; the elements of the largest
	// output by default. Elements are 0 at first if there are fewer threads.
	Grid   [3]int
	Shapes [][]int // of the outputs
}

type kernelRun struct {
	call   KernelCall
	inputs []*Tensor
}

// madeKernel is what a kernel was when it was run last, with the number that
// plans know it by: one that was changed since gets another.
type madeKernel struct {
	id              uint64
	metal, header   string
	inputs, outputs string
	cpu             unsafe.Pointer
}

var kernelIDs atomic.Uint64

// number returns what tells the kernel, as it is now, from all others.
func (k *Kernel) number() uint64 {
	now := madeKernel{metal: k.Metal, header: k.Header, inputs: strings.Join(k.Inputs, " "), outputs: strings.Join(k.Outputs, " "),
		cpu: *(*unsafe.Pointer)(unsafe.Pointer(&k.CPU))}
	if old := k.made.Load(); old != nil {
		now.id = old.id
		if now == *old {
			return now.id
		}
	}
	now.id = kernelIDs.Add(1)
	k.made.Store(&now)
	return now.id
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// verify panics if the kernel cannot be run with these outputs and inputs.
func (k *Kernel) verify(name string, call KernelCall, inputs []*Tensor) {
	switch {
	case k.CPU == nil && strings.TrimSpace(k.Metal) == "":
		fail(name, ir.CodeValue, nil, "the kernel has neither a Metal source nor a CPU function")
	case k.CPU == nil && !slices.Contains(Devices(), "metal"):
		op.Raise(name, &ir.Error{Code: ir.CodeDevice, Msg: "the kernel has no CPU function, and there is no Metal here",
			Hint: "give it a CPU function, which also lets lt.Check compare the two"})
	}
	if len(call.Shapes) == 0 || len(call.Shapes) > 255 {
		fail(name, ir.CodeValue, nil, "%d output shapes; at least one is needed", len(call.Shapes))
	}
	if n := len(k.Inputs); n > 0 && n != len(inputs) {
		fail(name, ir.CodeValue, nil, "%d inputs; the kernel names %d: %s", len(inputs), n, strings.Join(k.Inputs, ", "))
	}
	if n := len(k.Outputs); n > 0 && n != len(call.Shapes) {
		fail(name, ir.CodeValue, nil, "%d output shapes; the kernel names %d: %s", len(call.Shapes), n, strings.Join(k.Outputs, ", "))
	}
	seen := map[string]bool{}
	for _, array := range append(slices.Clone(k.Inputs), k.Outputs...) {
		if !plainName.MatchString(array) || seen[array] {
			fail(name, ir.CodeValue, nil, "the array name %q is used twice or is not a plain identifier", array)
		}
		seen[array] = true
	}
	for _, g := range call.Grid {
		if g < 0 {
			fail(name, ir.CodeValue, nil, "the grid %v has a negative size", call.Grid)
		}
	}
}

// Run calls the kernel and returns its outputs, lazily. A mistake in the source
// is found when the outputs are evaluated, and told at its line.
func (k *Kernel) Run(call KernelCall, inputs ...*Tensor) []*Tensor {
	name := "Run"
	if k.Name != "" {
		name = k.Name
	}
	k.verify(name, call, inputs)
	a := &op.Kernel{ID: k.number(), Name: k.Name, Grid: call.Grid, CPU: k.CPU, Metal: k.Metal, Header: k.Header, Inputs: k.Inputs, Outputs: k.Outputs}
	largest := 0
	for _, s := range call.Shapes {
		a.Shapes = append(a.Shapes, shapeOf(name, s))
		a.DTypes = append(a.DTypes, F32)
		largest = max(largest, Shape(s).Size())
	}
	a.Grid = call.threads(largest)
	if k.VJP != nil {
		a.VJP = k.vjp
	}
	in := nodes(name, inputs)
	out := make([]*Tensor, len(a.Shapes))
	for i := range out {
		out[i] = wrap(op.ApplyOutput(op.Custom, a, i, in...))
	}
	k.last.Store(&kernelRun{call, inputs})
	return out
}

// threads is the grid with what it leaves open.
func (c KernelCall) threads(largest int) [3]int {
	g := c.Grid
	if g[0] == 0 {
		g[0] = largest
	}
	return [3]int{g[0], max(1, g[1]), max(1, g[2])}
}

func (k *Kernel) vjp(in, out, g []*ir.Node) []*ir.Node {
	d := k.VJP(wrapAll(in), wrapAll(out), wrapAll(g))
	ns := make([]*ir.Node, len(d))
	for i, t := range d {
		if t != nil {
			ns[i] = t.n(k.Name)
		}
	}
	return ns
}

// KernelReport is the result of Check.
type KernelReport struct {
	Kernel   string
	Device   string
	MaxError float64 // of the device against one call of the CPU function
	Gradient float64 // relative error against finite differences; NaN if not checked
	Problems []string
}

// OK reports whether nothing was found.
func (r *KernelReport) OK() bool { return len(r.Problems) == 0 }

// String is the report in words.
func (r *KernelReport) String() string {
	s := fmt.Sprintf("kernel %q on %s: largest error %.3g", r.Kernel, r.Device, r.MaxError)
	if !math.IsNaN(r.Gradient) {
		s += fmt.Sprintf(", gradient error %.3g", r.Gradient)
	}
	if r.OK() {
		return s + ": ok"
	}
	return s + "\n" + strings.Join(r.Problems, "\n")
}

// MIME shows the report.
func (r *KernelReport) MIME() map[string]any {
	return display.Output{Part: display.Note(r.String()), Result: display.Result{Values: map[string]any{"ok": r.OK()}}}.MIME()
}

// Check runs a kernel as it was run last and compares: the device with one
// call of the CPU function over all elements, and the VJP, if there is one,
// with finite differences.
func Check(k *Kernel) *KernelReport {
	last := k.last.Load()
	if last == nil {
		fail("Check", ir.CodeValue, nil, "kernel %q has not been run: Check repeats the last run", k.Name)
	}
	if k.CPU == nil {
		fail("Check", ir.CodeValue, nil, "kernel %q has no CPU function to compare with", k.Name)
	}
	out := k.Run(last.call, last.inputs...)
	Eval(out...)
	r := &KernelReport{Kernel: k.Name, Device: out[0].Device(), Gradient: math.NaN()}
	in := make([][]float32, len(last.inputs))
	for i, t := range last.inputs {
		in[i] = t.Float32s()
	}
	for i, want := range k.reference(last.call, in) {
		for j, got := range out[i].Float32s() {
			d := math.Abs(float64(got) - float64(want[j]))
			r.MaxError = math.Max(r.MaxError, d)
			if d > 1e-5*(1+math.Abs(float64(want[j]))) || math.IsNaN(d) && want[j] == want[j] {
				r.Problems = append(r.Problems, fmt.Sprintf("output %d, element %d: %v on the device, %v by one call of CPU", i, j, got, want[j]))
				break
			}
		}
	}
	if k.VJP != nil {
		k.checkGradient(r, last, in)
	}
	return r
}

// reference calls the CPU function once.
func (k *Kernel) reference(call KernelCall, in [][]float32) [][]float32 {
	out, largest := make([][]float32, len(call.Shapes)), 0
	for i, s := range call.Shapes {
		out[i] = make([]float32, Shape(s).Size())
		largest = max(largest, len(out[i]))
	}
	g := call.threads(largest)
	k.CPU(in, out, 0, g[0]*g[1]*g[2])
	return out
}

// checkGradient compares the VJP with central differences along one direction.
func (k *Kernel) checkGradient(r *KernelReport, last *kernelRun, in [][]float32) {
	rng := NewRand(1)
	args := make([]*Tensor, len(in))
	for i, t := range last.inputs {
		args[i] = wrap(op.Apply(op.Named, op.Name{Name: "x"}, t.n("Check")))
	}
	out := k.Run(last.call, args...)
	k.last.Store(last)
	loss := Full(0.0)
	weights := make([]*Tensor, len(out))
	for i, y := range out {
		weights[i] = rng.Normal(y.Shape()...).Eval()
		loss = loss.Add(y.Mul(weights[i]).Sum())
	}
	gs := Grads(loss, args...)
	got, want := 0.0, 0.0
	moved := [2][][]float32{}
	const h = 1e-3
	for i, t := range args {
		d := rng.Normal(t.Shape()...).Eval()
		got += gs[i].Mul(d).Sum().Item()
		for side, sign := range []float32{1, -1} {
			v := append([]float32(nil), in[i]...)
			for j, e := range d.Float32s() {
				v[j] += sign * h * e
			}
			moved[side] = append(moved[side], v)
		}
	}
	for side, sign := range []float64{1, -1} {
		for i, y := range k.reference(last.call, moved[side]) {
			for j, w := range weights[i].Float32s() {
				want += sign * float64(y[j]) * float64(w) / (2 * h)
			}
		}
	}
	r.Gradient = math.Abs(got-want) / math.Max(1, math.Abs(want))
	if !(r.Gradient < 2e-2) {
		r.Problems = append(r.Problems, fmt.Sprintf("the VJP gives %v along a random direction, finite differences %v", got, want))
	}
}
