package eval_test

import (
	"fmt"
	"strings"
	"testing"

	"loris/internal/eval"
	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
)

func reduce(o ir.Op, x *ir.Node, axes ...int) *ir.Node {
	return op.Apply(o, op.Reduce{Axes: axes}, x)
}

// What is reduced of a product is computed with the product: sums of rows, and of all
// elements, beside a gradient that uses the same elements, or alone.
func TestReductionsJoinTheirProduct(t *testing.T) {
	square := func(x *ir.Node) *ir.Node { return op.Unary(op.Square, x) }
	for _, shape := range [][3]int{{64, 32, 48}, {7, 5, 16}, {63, 31, 33}, {300, 40, 1040}, {3, 2, 4096}, {2, 300, 5}} {
		m, k, n := shape[0], shape[1], shape[2]
		product := func() *ir.Node { return matmul(wave(m, k), wave(k, n)) }
		target := wave(m, n)
		for _, c := range []struct {
			name  string
			roots func() []*ir.Node
			steps int // products and fused programs
		}{
			{"loss", func() []*ir.Node {
				return []*ir.Node{reduce(op.Sum, square(op.Binary(op.Sub, product(), target)), 0, 1)}
			}, 2},
			{"loss and gradient", func() []*ir.Node {
				w := wave(k, n)
				loss := op.Binary(op.Div, reduce(op.Sum, square(op.Binary(op.Sub, matmul(wave(m, k), w), target)), 0, 1), num(3))
				g, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{num(1)}, []*ir.Node{w})
				return append(g, loss)
			}, 3},
			{"gradient and loss", func() []*ir.Node {
				w := wave(k, n)
				loss := reduce(op.Sum, square(op.Binary(op.Sub, matmul(wave(m, k), w), target)), 0, 1)
				g, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{num(1)}, []*ir.Node{w})
				return append([]*ir.Node{loss}, g...)
			}, 3},
			{"sums of rows", func() []*ir.Node { return []*ir.Node{reduce(op.Sum, op.Unary(op.Tanh, product()), 1)} }, 1},
			{"largest of rows", func() []*ir.Node {
				return []*ir.Node{reduce(op.Max, add(product(), target), 1)}
			}, 1},
			{"scaled sums of rows", func() []*ir.Node {
				return []*ir.Node{mul(reduce(op.Sum, add(product(), target), 1), num(0.25))}
			}, 1},
			{"elements and sums", func() []*ir.Node {
				y := op.Unary(op.Sigmoid, product())
				return []*ir.Node{mul(y, target), reduce(op.Sum, y, 1), reduce(op.Sum, mul(y, y), 0, 1)}
			}, 2},
		} {
			t.Run(fmt.Sprint(c.name, shape), func(t *testing.T) {
				roots := c.roots()
				p, err := eval.Plan(roots...)
				if err != nil {
					t.Fatal(err)
				}
				if n <= 4096 && len(p.Steps) != c.steps {
					t.Errorf("%d steps, want %d\n%v", len(p.Steps), c.steps, p)
				}
				tolerance := func(_, largest float64) float64 { return 2e-5 * (largest + float64(n)) }
				if err := agrees(t, tolerance, roots...); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// A reduction that needs, by way of another step, what its elements' group computes stays
// a step of its own.
func TestReductionsAfterTheirProduct(t *testing.T) {
	y := op.Unary(op.Sigmoid, matmul(wave(8, 5), wave(5, 16)))
	d := op.Binary(op.Sub, y, wave(8, 16))
	z := matmul(mul(d, num(0.5)), wave(16, 16)) // after d
	loss := reduce(op.Sum, mul(d, op.Unary(op.Tanh, z)), 1)
	p, err := eval.Plan(loss, z)
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(p); strings.Count(s, " matmul") < 2 {
		t.Fatal(s)
	}
	if err := agrees(t, func(_, _ float64) float64 { return 1e-5 }, loss, z); err != nil {
		t.Fatal(err)
	}
}
