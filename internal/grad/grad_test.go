package grad_test

import (
	"strings"
	"testing"

	"loris/internal/cpu"
	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// Derivatives of single ops are held against finite differences by package
// devicetest, values of whole graphs against PyTorch's. Here is how gradients
// travel through a graph.

// given returns a leaf with a value that has no memory.
func given(shape ...int) *ir.Node {
	n := ir.NewNode0(op.Leaf, ir.F32, shape, nil)
	n.SetValue(&ir.Value{DType: ir.F32, Shape: shape})
	return n
}

func num(v float64) *ir.Node        { return op.Filled(v, ir.F32, nil) }
func add(a, b *ir.Node) *ir.Node    { return op.Binary(op.Add, a, b) }
func mul(a, b *ir.Node) *ir.Node    { return op.Binary(op.Mul, a, b) }
func matmul(a, b *ir.Node) *ir.Node { return op.Apply(op.MatMul, nil, a, b) }
func tanh(x *ir.Node) *ir.Node      { return op.Unary(op.Tanh, x) }
func total(x *ir.Node) *ir.Node {
	axes := make([]int, len(x.Shape))
	for i := range axes {
		axes[i] = i
	}
	return op.Apply(op.Sum, op.Reduce{Axes: axes}, x)
}

func gradients(loss *ir.Node, wrt ...*ir.Node) []*ir.Node {
	gs, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{num(1)}, wrt)
	return gs
}

// count returns how many nodes of an op stand below roots.
func count(id ir.Op, roots ...*ir.Node) int {
	seen := map[*ir.Node]bool{}
	n := 0
	for stack := roots; len(stack) > 0; {
		x := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if x == nil || seen[x] {
			continue
		}
		seen[x] = true
		if x.Op == id {
			n++
		}
		stack = append(stack[:len(stack):len(stack)], x.Inputs()...)
	}
	return n
}

func TestOnlyWhatIsAskedForIsBuilt(t *testing.T) {
	x, w, v := given(3, 4), given(4, 5), given(5, 2)
	loss := total(matmul(tanh(matmul(x, w)), v))
	if g := gradients(loss, v); count(op.MatMul, g[0]) != 2 {
		t.Errorf("the gradient of the last weight has %d products, want its own and the one before it", count(op.MatMul, g[0]))
	}
	if gs := gradients(loss, given(3)); gs[0] != nil {
		t.Error("a gradient for what the loss does not depend on")
	}
}

// What is used in several places, or twice by one op, gets the sum.
func TestGradientsOfSeveralUsesAddUp(t *testing.T) {
	x := given(4)
	if g := gradients(total(mul(x, x)), x)[0]; count(op.Add, g) != 1 {
		t.Errorf("x·x: %d sums", count(op.Add, g))
	}
	y := tanh(x)
	if g := gradients(total(add(mul(y, y), y)), x)[0]; count(op.Add, g) != 2 {
		t.Errorf("y·y + y: %d sums", count(op.Add, g))
	}
	// A node of the graph may be asked for as well as what it is computed from.
	gs := gradients(total(y), y, x)
	if gs[0] == nil || gs[1] == nil || count(op.Tanh, gs[0]) != 0 || count(op.Tanh, gs[1]) != 1 {
		t.Errorf("gradients of a node and of its input: %v", gs)
	}
}

func TestZeroAlmostEverywhereIsAZeroAndNoneAnError(t *testing.T) {
	x := given(4)
	if g := gradients(total(op.Unary(op.Floor, x)), x)[0]; g == nil || g.Op != op.Const || g.Const != 0 {
		t.Errorf("the gradient of floor: %v", g)
	}
	defer func() {
		e, ok := recover().(*ir.Error)
		if !ok || e.Code != ir.CodeGradient || e.Op != "Grads" || !strings.Contains(e.Msg, `kernel "k" has no derivative`) {
			t.Errorf("an op without a derivative: %v", e)
		}
	}()
	k := &op.Kernel{Name: "k", Shapes: []ir.Shape{{4}}, DTypes: []ir.DType{ir.F32}}
	gradients(total(op.Apply(op.Custom, k, x)), x)
	t.Error("no error")
}

func TestEvaluatedNodesWithoutARecipeAreNamed(t *testing.T) {
	x := given(4)
	y := tanh(x)
	y.SetValue(&ir.Value{DType: ir.F32, Shape: y.Shape})
	y.DropInputs()
	gs, freed := grad.VJP([]*ir.Node{total(y)}, []*ir.Node{num(1)}, []*ir.Node{x})
	if gs[0] != nil || freed != y {
		t.Errorf("gradient %v, freed %v", gs[0], freed)
	}
}

// A checkpointed region is computed again in the backward pass, after the gradient
// has come to its end, and nothing within it is held from the forward pass.
func TestCheckpointsComputeAgainAndHoldLess(t *testing.T) {
	const layers, ops = 8, 6
	build := func(checkpoint bool) (products, arena int) {
		x := given(256, 128)
		var ws []*ir.Node
		h := x
		for range layers {
			w := given(128, 128)
			ws = append(ws, w)
			begin := op.Apply(op.Named, op.Name{Name: "begin"}, h)
			y := begin
			for range ops {
				y = tanh(matmul(y, w))
			}
			if h = y; checkpoint {
				h = op.Apply(op.Region, nil, y, begin)
			}
		}
		p, err := plan.NewCache(1).Build(gradients(total(h), ws...), plan.Options{Device: cpu.New()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Steps {
			if p.Steps[i].Kind == plan.MatMulStep {
				products++
			}
		}
		return products, p.Arena
	}
	products, arena := build(false)
	again, less := build(true)
	if again < products+layers*(ops-1) {
		t.Errorf("%d products with checkpoints, %d without: the regions are not computed again", again, products)
	}
	if 3*less > arena {
		t.Errorf("%d bytes with checkpoints, %d without", less, arena)
	}
	if held := 256 * 128 * 4 * layers * ops; arena > held*5/4 {
		t.Errorf("%d bytes without checkpoints; the activations are %d", arena, held)
	}
}

// No call goes deeper for a deeper graph.
func TestGradientsOfDeepGraphs(t *testing.T) {
	x := given(2)
	y := x
	for range 100_000 {
		y = tanh(y)
	}
	if g := gradients(total(y), x)[0]; count(op.Tanh, g) != 100_000 {
		t.Errorf("%d ops in the gradient", count(op.Tanh, g))
	}
	if d := grad.JVP([]*ir.Node{y}, []*ir.Node{x}, []*ir.Node{given(2)})[0]; d == nil {
		t.Error("no derivative forwards")
	}
}
