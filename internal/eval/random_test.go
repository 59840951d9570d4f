package eval_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"loris/internal/devicetest"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// randomGraph builds a graph of n ops over float32 leaves, of the kinds that
// plans fuse, view and reorder.
func randomGraph(r *rand.Rand, n int) []*ir.Node {
	shapes := []ir.Shape{{6, 8}, {8}, {6, 1}, {2, 3, 8}, {1, 8}, {8, 6}}
	if r.IntN(4) == 0 { // several tiles, and rows that are cut
		shapes = []ir.Shape{{40, 70}, {70}, {40, 1}, {2, 20, 70}, {2, 9000}, {70, 40}}
	}
	var all []*ir.Node
	for i := range 4 {
		all = append(all, wave(shapes[(i+r.IntN(6))%len(shapes)]...))
	}
	pick := func() *ir.Node { return all[len(all)-1-r.IntN(min(len(all), 6))] }
	for range n {
		if y := randomOp(r, pick); y != nil && y.Shape.Size() <= 20000 {
			all = append(all, y)
		}
	}
	roots := []*ir.Node{all[len(all)-1]}
	for range 2 {
		roots = append(roots, all[r.IntN(len(all))])
	}
	return roots
}

func randomOp(r *rand.Rand, pick func() *ir.Node) *ir.Node {
	x, z := pick(), pick()
	last := len(x.Shape) - 1
	one := func(ids ...ir.Op) ir.Op { return ids[r.IntN(len(ids))] }
	switch r.IntN(12) {
	case 0, 1, 2:
		return op.Unary(one(op.Tanh, op.Sigmoid, op.Neg, op.Relu, op.Sin), x)
	case 3, 4, 5:
		if _, ok := ir.Broadcast(x.Shape, z.Shape); !ok {
			z = op.Filled(r.Float64()*2-1, ir.F32, nil)
		}
		return op.Binary(one(op.Add, op.Sub, op.Mul, op.Maximum), op.Unary(op.Tanh, x), z)
	case 6:
		if last < 0 {
			return nil
		}
		axes := []int{last}
		if r.IntN(3) == 0 {
			axes = []int{0}
		}
		return op.Apply(one(op.Sum, op.Max, op.Min), op.Reduce{Axes: axes, Keep: r.IntN(2) == 0}, x)
	case 7:
		return op.Apply(op.Transpose, op.Perm{Axes: r.Perm(last + 1)}, x)
	case 8:
		return op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{x.Shape.Size()}}, x)
	case 9:
		if last < 0 {
			return nil
		}
		return op.Apply(one(op.Softmax, op.LogSoftmax), op.Axis{Axis: r.IntN(last + 1)}, x)
	case 10:
		if last < 1 || len(z.Shape) < 2 || x.Shape[last] != z.Shape[len(z.Shape)-2] {
			return nil
		}
		if _, ok := ir.Broadcast(x.Shape[:last-1], z.Shape[:len(z.Shape)-2]); !ok {
			return nil
		}
		return op.Apply(op.MatMul, nil, op.Unary(op.Tanh, x), op.Unary(op.Tanh, z))
	}
	if last < 0 || x.Shape[0] < 2 {
		return nil
	}
	w := op.Window{Start: make([]int, last+1), Size: append([]int(nil), x.Shape...), Step: make([]int, last+1)}
	for i := range w.Step {
		w.Step[i] = 1
	}
	w.Start[0], w.Size[0], w.Step[0] = x.Shape[0]-1, x.Shape[0]/2, -2
	return op.Apply(op.Slice, w, x)
}

// Whatever passes do to a graph, its values stay those of the reference, which
// knows no passes.
func TestRandomGraphsAgreeWithTheReference(t *testing.T) {
	seeds := uint64(1200)
	if raceEnabled {
		seeds /= 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		roots := randomGraph(r, 3+r.IntN(40))
		ref := &devicetest.Reference{Read: eval.Bytes}
		want, err := ref.Eval(roots...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := eval.Eval(ctx, roots...); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for k, n := range roots {
			got := floats(t, n)
			for i, g := range got {
				w := want[k].Data[i]
				if d := math.Abs(float64(g) - w); !(d <= 1e-4*(1+math.Abs(w))) && !(math.IsNaN(w) && g != g) && float64(g) != w {
					t.Fatalf("seed %d, root %d, element %d: %v, want %v", seed, k, i, g, w)
				}
			}
		}
	}
}
