package eval_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"loris/internal/devicetest"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// layouts are ways in which an operand lies in memory.
var layouts = []string{"contiguous", "transposed", "sliced", "broadcast"}

// operand returns a node with the elements of a, which lie in memory as the
// layout says: the node is an evaluated view.
func operand(t *testing.T, a *devicetest.Array, dtype ir.DType, layout string) *ir.Node {
	host := func(b *devicetest.Array) *ir.Node {
		return eval.FromHost(dtype, b.Shape, func(dst []byte) { b.Encode(dst, dtype) })
	}
	rank := len(a.Shape)
	if rank == 0 || dtype.Bytes() == 0 {
		return host(a)
	}
	var n *ir.Node
	switch layout {
	case "transposed":
		perm := make([]int, rank)
		back := devicetest.NewArray(make(ir.Shape, rank))
		for i := range perm {
			perm[i] = rank - 1 - i
			back.Shape[i] = a.Shape[rank-1-i]
		}
		back.Data = make([]float64, len(a.Data))
		st := back.Shape.Strides()
		for i := range a.Data {
			off, rest := 0, i
			for d := rank - 1; d >= 0; d-- {
				off += rest % a.Shape[d] * st[rank-1-d]
				rest /= a.Shape[d]
			}
			back.Data[off] = a.Data[i]
		}
		n = op.Apply(op.Transpose, op.Perm{Axes: perm}, host(back))
	case "sliced":
		big := devicetest.NewArray(append(ir.Shape(nil), a.Shape...))
		big.Shape[rank-1] = 2*a.Shape[rank-1] + 1
		big.Data = make([]float64, big.Shape.Size())
		w := op.Window{Start: make([]int, rank), Size: a.Shape, Step: make([]int, rank)}
		for d := range w.Step {
			w.Step[d] = 1
		}
		cols := a.Shape[rank-1]
		w.Start[rank-1], w.Step[rank-1] = 2*cols-1, -2
		if cols == 0 {
			w.Start[rank-1] = 0
		}
		for i, v := range a.Data {
			big.Data[i/cols*(2*cols+1)+2*cols-1-2*(i%cols)] = v
		}
		n = op.Apply(op.Slice, w, host(big))
	case "broadcast": // the first axis repeats one slice
		if a.Shape[0] < 2 {
			return host(a)
		}
		inner := len(a.Data) / a.Shape[0]
		for i := range a.Data {
			a.Data[i] = a.Data[i%inner]
		}
		one := &devicetest.Array{Shape: append(ir.Shape{1}, a.Shape[1:]...), Data: a.Data[:inner]}
		n = op.Apply(op.Expand, op.Fill{Shape: a.Shape}, host(one))
	default:
		return host(a)
	}
	if err := eval.Eval(ctx, n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Every op runs on every dtype and every layout of its operands, and agrees
// with the float64 reference.
func TestEveryOpOnEveryLayout(t *testing.T) {
	failed, ran := map[string]int{}, 0
	for number, c := range devicetest.Cases() {
		if raceEnabled && number%5 != 0 {
			continue
		}
		for _, dtype := range c.DTypes {
			for _, layout := range layouts {
				if layout != "contiguous" && len(c.Inputs) == 0 {
					continue
				}
				for output := range max(1, c.Outputs) {
					ran++
					name := fmt.Sprintf("%s %s %s %s", op.NameOf(c.Op), c.Label, dtype, layout)
					if msg := tryCase(t, c, dtype, layout, output, uint64(number)); msg != "" {
						if failed[op.NameOf(c.Op)]++; failed[op.NameOf(c.Op)] <= 3 {
							t.Errorf("%s output %d: %s", name, output, msg)
						}
					}
				}
			}
		}
	}
	t.Logf("%d cases", ran)
}

func tryCase(t *testing.T, c devicetest.Case, dtype ir.DType, layout string, output int, seed uint64) (msg string) {
	defer func() {
		if v := recover(); v != nil {
			msg = fmt.Sprint("panic: ", v)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 7))
	in := make([]*ir.Node, len(c.Inputs))
	for i, spec := range c.Inputs {
		d := dtype
		if spec.DType != ir.Invalid {
			d = spec.DType
		}
		l := layout
		if spec.Dense && l == "broadcast" {
			l = "contiguous"
		}
		in[i] = operand(t, spec.Fill(rng, d, spec.Shape), d, l)
	}
	n := c.Build(in, output)
	n.Flags |= ir.Tracked
	ref := &devicetest.Reference{Read: eval.Bytes}
	want, err := ref.Eval(n)
	if err != nil {
		return "reference: " + err.Error()
	}
	if err := eval.Eval(ctx, n); err != nil {
		return err.Error()
	}
	b, err := eval.Bytes(n)
	if err != nil {
		return err.Error()
	}
	if n.DType.Bytes() == 0 {
		return ""
	}
	got, err := devicetest.Decode(b, n.DType, n.Shape)
	if err != nil {
		return err.Error()
	}
	byType := map[ir.DType]float64{ir.F32: 3e-5, ir.F64: 1e-9, ir.F16: 4e-3, ir.BF16: 3e-2}
	tol := max(byType[dtype], byType[n.DType]) * max(1, c.Scale)
	if layout == "broadcast" && c.Op == op.LayerNorm {
		tol *= 10 // rows of equal elements: all that is left is rounding
	}
	if c.Rough && dtype != ir.F64 {
		return ""
	}
	scale := 1.0
	for _, w := range want[0].Data {
		if !math.IsInf(w, 0) && !math.IsNaN(w) {
			scale = max(scale, math.Abs(w))
		}
	}
	for i, w := range want[0].Data {
		g := got.Data[i]
		if !(math.Abs(g-w) <= tol*scale) && !(w != w && g != g) && g != w {
			return fmt.Sprintf("%s%v: element %d is %v, want %v", n.DType, n.Shape, i, g, w)
		}
	}
	return ""
}
