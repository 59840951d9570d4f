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

// productGraph builds random graphs of what fuses with matrix products: addends,
// functions of elements, reductions, values for each row, several results.
type productGraph struct {
	r          *rand.Rand
	m, n       int
	mats, rows []*ir.Node
	all        []*ir.Node
}

func newProductGraph(seed uint64) *productGraph {
	r := rand.New(rand.NewPCG(seed, 7))
	g := &productGraph{r: r, m: 12 + r.IntN(30), n: []int{16, 32, 18, 33, 48, 64}[r.IntN(6)]}
	g.mats = []*ir.Node{wave(g.m, g.n), g.product()}
	for range 4 + r.IntN(14) {
		g.add(g.next())
	}
	return g
}

func (g *productGraph) product() *ir.Node { return matmul(wave(g.m, 7), wave(7, g.n)) }

// recent picks one of the last few values of a list.
func (g *productGraph) recent(list []*ir.Node) *ir.Node {
	return list[len(list)-1-g.r.IntN(min(len(list), 4))]
}

func (g *productGraph) one(ops ...ir.Op) ir.Op { return ops[g.r.IntN(len(ops))] }

func (g *productGraph) next() *ir.Node {
	x := g.recent(g.mats)
	choice := g.r.IntN(11)
	if len(g.rows) == 0 && choice < 2 {
		choice += 2
	}
	switch choice {
	case 0:
		perRow := op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{g.m, 1}}, op.Unary(op.Tanh, g.recent(g.rows)))
		return mul(x, perRow)
	case 1:
		return op.Binary(op.Div, g.recent(g.rows), num(3))
	case 2:
		return matmul(op.Unary(op.Tanh, x), wave(g.n, g.n))
	case 3, 4:
		return op.Unary(op.Tanh, op.Unary(g.one(op.Sigmoid, op.Square, op.Neg, op.Relu), x))
	case 5:
		return mul(op.Binary(g.one(op.Add, op.Sub, op.Mul, op.Maximum), x, g.recent(g.mats)), num(0.5))
	case 6:
		return reduce(g.one(op.Sum, op.Max, op.Min), x, 1)
	case 7:
		return reduce(op.Sum, op.Unary(op.Square, x), 0, 1)
	case 8:
		return reduce(op.Sum, x, 0)
	case 9:
		addends := []*ir.Node{wave(g.m, g.n), wave(g.n), x}
		return op.Binary(g.one(op.Add, op.Sub), g.product(), addends[g.r.IntN(3)])
	}
	return op.Binary(op.Sub, wave(g.m, g.n), mul(g.product(), num(0.3)))
}

func (g *productGraph) add(x *ir.Node) {
	switch {
	case len(x.Shape) == 2:
		g.mats = append(g.mats, x)
	case len(x.Shape) == 1 && x.Shape[0] == g.m:
		g.rows = append(g.rows, x)
	}
	g.all = append(g.all, x)
}

// roots picks some values of the graph.
func (g *productGraph) roots() (roots []*ir.Node) {
	for range 1 + g.r.IntN(4) {
		roots = append(roots, g.all[g.r.IntN(len(g.all))])
	}
	return roots
}

// However products, what is added to them and what becomes of them are put together,
// the results are those of the reference, which knows no passes.
func TestRandomGraphsOfProducts(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 200
	}
	tolerance := func(_, largest float64) float64 { return 1e-3 * max(1, largest) }
	for seed := range seeds {
		if err := agrees(t, tolerance, newProductGraph(seed).roots()...); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// agrees evaluates roots together and compares them with the reference; tolerance is told
// an element and the largest magnitude of its result.
func agrees(t *testing.T, tolerance func(want, largest float64) float64, roots ...*ir.Node) error {
	ref := &devicetest.Reference{Read: eval.Bytes}
	want, err := ref.Eval(roots...)
	if err != nil {
		return err
	}
	if err := eval.Eval(t.Context(), roots...); err != nil {
		return err
	}
	for k, root := range roots {
		largest := 0.0
		for _, v := range want[k].Data {
			largest = max(largest, math.Abs(v))
		}
		for i, g := range floats(t, root) {
			if w := want[k].Data[i]; !(math.Abs(float64(g)-w) <= tolerance(w, largest)) {
				return fmt.Errorf("result %d, element %d is %v, want %v", k, i, g, w)
			}
		}
	}
	return nil
}
