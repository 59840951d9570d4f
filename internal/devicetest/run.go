package devicetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// Layout is how the elements of an input lie in memory.
type Layout uint8

// The layouts that every op has to read.
const (
	Contiguous Layout = iota
	Transposed        // column-major
	Sliced            // every second element of a larger tensor, from the end on the last axis
	Broadcast         // one slice repeated along the first axis
	numLayouts
)

var layoutNames = [...]string{"contiguous", "transposed", "sliced", "broadcast"}

// String returns the layout's name.
func (l Layout) String() string { return layoutNames[l] }

// Summary counts what was run.
type Summary struct {
	Ops, Cases, Failed int
}

// String is the line that a run ends with.
func (s Summary) String() string {
	return fmt.Sprintf("op table: %d ops, %d cases, %d failed", s.Ops, s.Cases, s.Failed)
}

// Run tests a device with every case and reports failures on t.
func Run(t *testing.T, device string) Summary {
	t.Helper()
	s, err := RunAll(device, func(failure string) { t.Error(failure) })
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s)
	return s
}

// RunAll evaluates every case on a device, in every layout and dtype, compares
// it with the float64 reference, and calls report with each failure. Primitive
// ops without a case count as failed.
func RunAll(device string, report func(failure string)) (Summary, error) {
	return RunPart(device, 0, 1, report)
}

// RunPart is RunAll on each of-th case, from case part on: a device whose
// kernels are slow to compile is tested by parts.
func RunPart(device string, part, of int, report func(failure string)) (Summary, error) {
	if err := eval.Use(device); err != nil {
		return Summary{}, err
	}
	var s Summary
	seen := 0
	ops := map[ir.Op]bool{}
	for i, c := range Cases() {
		ops[c.Op] = true
		for _, dtype := range c.DTypes {
			for layout := range numLayouts {
				r := &caseRun{c: c, dtype: dtype, layout: layout, rng: rand.New(rand.NewPCG(uint64(i), uint64(dtype)<<8|uint64(layout)))}
				if !r.inputs() && layout != Contiguous {
					continue // this layout changes no input
				}
				if seen++; (seen-1)%of != part {
					continue
				}
				for output := range max(1, c.Outputs) {
					s.Cases++
					if failure := r.check(output); failure != "" {
						s.Failed++
						report(fmt.Sprintf("%s: %s", r.name(i, output), failure))
					}
				}
			}
		}
	}
	s.Ops = len(ops)
	for id := op.Const; id < op.NumPrimitives; id++ {
		if !ops[id] {
			s.Failed++
			report(op.NameOf(id) + ": there is no case")
		}
	}
	return s, nil
}

// caseRun is one case in one dtype and layout.
type caseRun struct {
	c      Case
	dtype  ir.DType
	layout Layout
	rng    *rand.Rand
	nodes  []*ir.Node
}

func (r *caseRun) name(i, output int) string {
	var shapes []string
	for _, in := range r.c.Inputs {
		shapes = append(shapes, in.Shape.String())
	}
	label := r.c.Label
	if label != "" {
		label = "/" + label
	}
	return fmt.Sprintf("%s%s #%d %s %s %s output %d", op.NameOf(r.c.Op), label, i, strings.Join(shapes, " "), r.dtype, r.layout, output)
}

// inputs makes the operands and reports whether one of them has the layout.
func (r *caseRun) inputs() (changed bool) {
	r.nodes = make([]*ir.Node, len(r.c.Inputs))
	for i, in := range r.c.Inputs {
		dtype := in.DType
		if dtype == ir.Invalid {
			dtype = r.dtype
		}
		layout := r.layout
		rank := len(in.Shape)
		if in.Dense || rank == 0 || rank == 1 && layout == Transposed || in.Shape.Size() == 0 || len(in.Shape) == 1 && in.Shape[0] == 1 && layout == Broadcast {
			layout = Contiguous
		}
		changed = changed || layout != Contiguous
		r.nodes[i] = r.place(in, dtype, layout)
	}
	return changed
}

// place returns a node with random elements that lie in memory as told.
func (r *caseRun) place(in Input, dtype ir.DType, layout Layout) *ir.Node {
	base := slices.Clone(in.Shape)
	rank := len(base)
	switch layout {
	case Transposed:
		slices.Reverse(base)
	case Sliced:
		for a := range base {
			base[a] = 2*base[a] + 1
		}
	case Broadcast:
		base[0] = 1
	}
	x := eval.FromHost(dtype, base, func(dst []byte) { in.Fill(r.rng, dtype, base).Encode(dst, dtype) })
	switch layout {
	case Transposed:
		perm := make([]int, rank)
		for a := range perm {
			perm[a] = rank - 1 - a
		}
		return op.Apply(op.Transpose, op.Perm{Axes: perm}, x)
	case Sliced:
		w := op.Window{Start: make([]int, rank), Size: in.Shape, Step: make([]int, rank)}
		for a := range w.Start {
			w.Start[a], w.Step[a] = 1, 2
		}
		w.Start[rank-1], w.Step[rank-1] = 2*in.Shape[rank-1]-1, -2
		return op.Apply(op.Slice, w, x)
	case Broadcast:
		return op.ExpandTo(x, in.Shape)
	}
	return x
}

// check evaluates one output and returns what is wrong with it.
func (r *caseRun) check(output int) (failure string) {
	defer func() {
		if p := recover(); p != nil {
			failure = fmt.Sprintf("panic: %v", p)
		}
	}()
	y := r.c.Build(r.nodes, output)
	ref := &Reference{Read: eval.Bytes}
	want, err := ref.Eval(y)
	if err != nil {
		return "reference: " + err.Error()
	}
	if err := eval.Eval(context.Background(), y); err != nil {
		return err.Error()
	}
	b, err := eval.Bytes(y)
	if err != nil {
		return err.Error()
	}
	got, err := Decode(b, y.DType, y.Shape)
	if err != nil {
		return err.Error()
	}
	return difference(got, want[0], y.DType, r.c.Scale)
}

// epsilon is the distance from 1 to the next number.
func epsilon(d ir.DType) float64 {
	switch d {
	case ir.F16:
		return 0x1p-10
	case ir.BF16:
		return 0x1p-7
	case ir.F32:
		return 0x1p-23
	}
	return 0x1p-52
}

// difference reports the worst difference beyond what rounding explains: 16 units
// in the last place of an element, or of an eighth of the largest one, in f32
// and f64, and 2 in the half types, which are computed in f32; times scale.
func difference(got, want *Array, dtype ir.DType, scale float64) string {
	if len(got.Data) != len(want.Data) {
		return fmt.Sprintf("%d elements, want %d", len(got.Data), len(want.Data))
	}
	unit := 0.0
	if dtype.IsFloat() {
		unit = 16 * epsilon(dtype)
		if dtype == ir.F16 || dtype == ir.BF16 {
			unit = 2 * epsilon(dtype)
		}
		unit *= max(1, scale)
	}
	largest := 0.0
	for _, w := range want.Data {
		if !math.IsNaN(w) && !math.IsInf(w, 0) {
			largest = math.Max(largest, math.Abs(w))
		}
	}
	worst, at := 0.0, -1
	for i, w := range want.Data {
		g := got.Data[i]
		if g == w || g != g && w != w || dtype.IsFloat() && g == dtype.Round(w) {
			continue
		}
		over := math.Abs(g-w) - unit*math.Max(math.Abs(w), largest/8)
		if over > 0 || over != over || math.IsInf(w, 0) {
			if at < 0 || !(over < worst) {
				worst, at = over, i
			}
		}
	}
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("element %d is %v, want %v (largest %v)", at, got.Data[at], want.Data[at], largest)
}
