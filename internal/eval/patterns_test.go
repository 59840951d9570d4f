package eval_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"loris/internal/devicetest"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// Attention written out gives what the reference, which knows no passes, says:
// also where a mask hides everything, or a score is not finite.
func TestAttentionWrittenOut(t *testing.T) {
	minus := float32(math.Inf(-1))
	causal := func(t, s int) *ir.Node {
		return leaf(ir.Shape{t, s}, func(i int) float32 {
			if i%s > i/s {
				return minus
			}
			return 0
		})
	}
	for _, c := range []struct {
		name    string
		q, k, v *ir.Node
		mask    *ir.Node
		divide  bool
	}{
		{"four axes", wave(2, 3, 5, 4), wave(2, 3, 7, 4), wave(2, 3, 7, 6), nil, false},
		{"three", wave(3, 5, 4), wave(3, 7, 4), wave(3, 7, 4), nil, true},
		{"two", wave(5, 4), wave(7, 4), wave(7, 3), nil, false},
		{"keys that lie transposed", wave(5, 4), op.SwapLast(wave(4, 7)), wave(7, 3), nil, false},
		{"an infinite query", leaf(ir.Shape{5, 4}, func(i int) float32 { return float32(i) / min(1, float32(i%7)) }), wave(7, 4), wave(7, 3), nil, false},
		{"causal", wave(4, 300, 8), wave(4, 300, 8), wave(4, 300, 8), causal(300, 300), false},
		{"everything hidden from some", wave(4, 300, 8), wave(4, 300, 8), wave(4, 300, 8),
			leaf(ir.Shape{300, 300}, func(i int) float32 {
				if i/300%3 == 1 {
					return minus
				}
				return float32(i % 5)
			}), false},
		{"a mask for each head", wave(1, 4, 260, 8), wave(1, 4, 260, 8), wave(1, 4, 260, 8), wave(4, 260, 260), true},
		{"keys hidden from all", wave(1, 4, 260, 8), wave(1, 4, 260, 8), wave(1, 4, 260, 8), leaf(ir.Shape{260}, func(i int) float32 { return -float32(i%3) * 1e9 }), false},
	} {
		scores := matmul(c.q, op.SwapLast(c.k))
		if c.divide {
			scores = op.Binary(op.Div, scores, num(1.7))
		} else {
			scores = mul(scores, num(0.6))
		}
		if c.mask != nil {
			scores = add(c.mask, scores)
		}
		y := matmul(op.Apply(op.Softmax, op.Axis{Axis: len(scores.Shape) - 1}, scores), c.v)
		p, err := eval.Plan(y)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(fmt.Sprint(p), "op     attention") {
			t.Errorf("%s: the plan has no attention\n%v", c.name, p)
		}
		ref := &devicetest.Reference{Read: eval.Bytes}
		want, err := ref.Eval(y)
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range floats(t, y) {
			if w := want[0].Data[i]; !(math.Abs(float64(g)-w) <= 1e-5) && !(math.IsNaN(w) && g != g) {
				t.Errorf("%s: element %d is %v, want %v", c.name, i, g, w)
				break
			}
		}
	}
}

// Constants are data: their arithmetic is done again for those of each run.
func TestFoldedConstantsFollowTheirRun(t *testing.T) {
	x := wave(5)
	eval.ClearPlans()
	for i := range 20 {
		a, b := 0.3+float64(i)/64, 1.7-float64(i)/32
		f := func(v float64) float32 { return float32(v) }
		y := mul(x, op.Unary(op.Neg, op.Binary(op.Div, op.Binary(op.Sub, num(a), num(b)), num(0.9))))
		scale := -((f(a) - f(b)) / f(0.9))
		for k, g := range floats(t, y) {
			if w := floats(t, x)[k] * scale; g != w {
				t.Fatalf("run %d: %v, want %v", i, g, w)
			}
		}
	}
	if s := eval.Stats().Plans; s.Plans != 1 {
		t.Errorf("%d plans", s.Plans)
	}
}
