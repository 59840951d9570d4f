package eval_test

import (
	"fmt"
	"math"
	"testing"

	"loris/internal/ir"
	"loris/internal/op"
)

// A sum of products starts from what is added to it or subtracted from it first: a bias,
// a residual, a target, however they lie and whatever follows.
func TestProductsWithAddends(t *testing.T) {
	sub := func(a, b *ir.Node) *ir.Node { return op.Binary(op.Sub, a, b) }
	lora := func(x *ir.Node, k, n int) *ir.Node {
		return add(matmul(x, wave(k, n)), mul(matmul(matmul(x, wave(k, 3)), wave(3, n)), num(0.7)))
	}
	for _, shape := range [][3]int{{16, 5, 17}, {64, 48, 64}, {33, 70, 45}, {65, 900, 40}, {15, 8, 40}, {40, 8, 16}} {
		m, k, n := shape[0], shape[1], shape[2]
		x, w := wave(m, k), wave(k, n)
		y := func() *ir.Node { return matmul(x, w) }
		for _, c := range []struct {
			name string
			root func() *ir.Node
		}{
			{"bias", func() *ir.Node { return add(y(), wave(n)) }},
			{"bias first", func() *ir.Node { return add(wave(n), y()) }},
			{"bias, then more", func() *ir.Node { return mul(op.Unary(op.Tanh, add(y(), wave(n))), wave(m, n)) }},
			{"residual", func() *ir.Node { return add(wave(m, n), y()) }},
			{"residual that lies transposed", func() *ir.Node { return add(y(), op.SwapLast(wave(n, m))) }},
			{"one number for each row", func() *ir.Node { return add(y(), wave(m, 1)) }},
			{"a number", func() *ir.Node { return add(y(), num(0.3)) }},
			{"less a target", func() *ir.Node { return sub(y(), wave(m, n)) }},
			{"less a target, squared", func() *ir.Node { return op.Unary(op.Square, sub(y(), wave(m, n))) }},
			{"less a bias", func() *ir.Node { return sub(y(), wave(n)) }},
			{"from a target", func() *ir.Node { return sub(wave(m, n), y()) }},
			{"twice", func() *ir.Node { return add(add(y(), wave(n)), wave(m, n)) }},
			{"with itself", func() *ir.Node { z := y(); return add(z, z) }},
			{"used again", func() *ir.Node { z := y(); return mul(add(z, wave(n)), z) }},
			{"a computed residual", func() *ir.Node { return add(op.Unary(op.Exp, wave(m, n)), y()) }},
			{"LoRA and bias", func() *ir.Node { return add(lora(wave(m, k), k, n), wave(n)) }},
			{"LoRA less a target", func() *ir.Node { return sub(lora(wave(m, k), k, n), wave(m, n)) }},
			{"batch and residual", func() *ir.Node { return add(matmul(wave(3, m, k), wave(3, k, n)), wave(3, m, n)) }},
			{"batch less one target", func() *ir.Node { return sub(matmul(wave(3, m, k), wave(3, k, n)), wave(m, n)) }},
			{"batch and bias", func() *ir.Node { return add(matmul(wave(2, m, k), wave(k, n)), wave(n)) }},
			{"batch of biases", func() *ir.Node { return add(matmul(wave(3, m, k), wave(3, k, n)), wave(3, 1, n)) }},
		} {
			t.Run(fmt.Sprint(c.name, shape), func(t *testing.T) {
				tolerance := func(want, _ float64) float64 { return 1e-5 * float64(k) * (1 + math.Abs(want)) }
				for range 2 { // a weight is packed at its second use
					if err := agrees(t, tolerance, c.root()); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}
