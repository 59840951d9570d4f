package eval_test

import (
	"fmt"
	"testing"

	"loris/internal/eval"
	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
)

// now evaluates nodes and waits, as eager mode does after each op; the second
// result of a chain frees the first, as a reference count would.
func now(b testing.TB, n *ir.Node, temps ...*ir.Node) *ir.Node {
	if err := eval.Eval(ctx, n); err != nil {
		b.Fatal(err)
	}
	for _, t := range temps {
		eval.Release(t)
	}
	return n
}

func matmul(a, b *ir.Node) *ir.Node { return op.Apply(op.MatMul, nil, a, b) }
func add(a, b *ir.Node) *ir.Node    { return op.Binary(op.Add, a, b) }
func mul(a, b *ir.Node) *ir.Node    { return op.Binary(op.Mul, a, b) }
func num(v float64) *ir.Node        { return op.Filled(v, ir.F32, nil) }

// BenchmarkLoRAForward is x@W + s·(x@A)@B for x [4 16 512], rank 8.
func BenchmarkLoRAForward(b *testing.B) {
	x, w, la, lb := wave(4, 16, 512), wave(512, 512), wave(512, 8), wave(8, 512)
	lazy := func() *ir.Node { return add(matmul(x, w), mul(matmul(matmul(x, la), lb), num(2))) }
	b.Run("lazy", func(b *testing.B) {
		for b.Loop() {
			y := now(b, lazy())
			eval.Release(y)
		}
	})
	b.Run("eager", func(b *testing.B) {
		for b.Loop() {
			h := now(b, matmul(x, la))
			base := now(b, matmul(x, w))
			low := now(b, matmul(h, lb), h)
			scaled := now(b, mul(low, num(2)), low)
			y := now(b, add(base, scaled), base, scaled)
			eval.Release(y)
		}
	})
}

// BenchmarkChain is sigmoid((a·b+c)·p)·a - b.
func BenchmarkChain(b *testing.B) {
	for _, n := range []int{32 << 10, 1 << 20} {
		a, x, c, p := wave(n), wave(n), wave(n), wave(n)
		b.Run(fmt.Sprintf("lazy/%d", n), func(b *testing.B) {
			for b.Loop() {
				y := now(b, op.Binary(op.Sub, mul(op.Unary(op.Sigmoid, mul(add(mul(a, x), c), p)), a), x))
				eval.Release(y)
			}
		})
		b.Run(fmt.Sprintf("eager/%d", n), func(b *testing.B) {
			for b.Loop() {
				t := now(b, mul(a, x))
				t2 := now(b, add(t, c), t)
				t3 := now(b, mul(t2, p), t2)
				t4 := now(b, op.Unary(op.Sigmoid, t3), t3)
				t5 := now(b, mul(t4, a), t4)
				t6 := now(b, op.Binary(op.Sub, t5, x), t5)
				eval.Release(t6)
			}
		})
	}
}

// BenchmarkAdd1024 is the smallest work: what an evaluation itself costs, and
// what asynchrony adds to it.
func BenchmarkAdd1024(b *testing.B) {
	x, y := wave(1024), wave(1024)
	b.Run("eval", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			eval.Release(now(b, add(x, y)))
		}
	})
	b.Run("async", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			z := add(x, y)
			if err := eval.Async(ctx, z).Wait(ctx); err != nil {
				b.Fatal(err)
			}
			eval.Release(z)
		}
	})
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			add(x, y)
		}
	})
}

// BenchmarkPlanHit finds the cached plan of a chain of 100 ops.
func BenchmarkPlanHit(b *testing.B) {
	x, y := wave(16), wave(16)
	n := x
	for i := range 100 {
		if i%2 == 0 {
			n = add(n, y)
		} else {
			n = mul(n, y)
		}
	}
	b.Run("100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := eval.Match(n); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAdamW updates 96 parameters of 8 x 768.
func BenchmarkAdamW(b *testing.B) {
	const count = 96
	var p, g, m, v []*ir.Node
	for range count {
		p, g, m, v = append(p, wave(8, 768)), append(g, wave(8, 768)), append(m, wave(8, 768)), append(v, leaf(ir.Shape{8, 768}, func(i int) float32 { return 0.5 }))
	}
	h := leaf(ir.Shape{3}, func(i int) float32 { return []float32{1e-3, 1.2, 1.1}[i] })
	k := op.AdamWStep{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01}
	b.Run("lazy", func(b *testing.B) {
		for b.Loop() {
			var out []*ir.Node
			for i := range count {
				for o := range 3 {
					out = append(out, op.ApplyOutput(op.AdamW, k, o, p[i], g[i], m[i], v[i], h))
				}
			}
			if err := eval.Eval(ctx, out...); err != nil {
				b.Fatal(err)
			}
			for _, n := range out {
				eval.Release(n)
			}
		}
	})
	b.Run("eager", func(b *testing.B) {
		for b.Loop() {
			for i := range count {
				m1 := now(b, mul(m[i], num(0.9)))
				g1 := now(b, mul(g[i], num(0.1)))
				mo := now(b, add(m1, g1), m1, g1)
				v1 := now(b, mul(v[i], num(0.999)))
				sq := now(b, op.Unary(op.Square, g[i]))
				g2 := now(b, mul(sq, num(0.001)), sq)
				vo := now(b, add(v1, g2), v1, g2)
				vh := now(b, mul(vo, num(1.1)))
				sr := now(b, op.Unary(op.Sqrt, vh), vh)
				de := now(b, add(sr, num(1e-8)), sr)
				mh := now(b, mul(mo, num(1.2e-3)))
				st := now(b, op.Binary(op.Div, mh, de), mh, de)
				wd := now(b, mul(p[i], num(1-1e-5)))
				po := now(b, op.Binary(op.Sub, wd, st), wd, st)
				eval.Release(mo)
				eval.Release(vo)
				eval.Release(po)
			}
		}
	})
}

// BenchmarkTrainStep is one step of a LoRA layer 512 x 512 of rank 8: forward,
// mean squared error, gradients of A and B, AdamW.
func BenchmarkTrainStep(b *testing.B) {
	transpose := func(n *ir.Node) *ir.Node { return op.Apply(op.Transpose, op.Perm{Axes: []int{1, 0}}, n) }
	for _, rows := range []int{64, 256} {
		x, target, w := wave(rows, 512), wave(rows, 512), wave(512, 512)
		pa, pb, ma, mb := wave(8, 512), wave(512, 8), wave(8, 512), wave(512, 8)
		va, vb := now(b, op.Unary(op.Square, ma)), now(b, op.Unary(op.Square, mb))
		h := leaf(ir.Shape{3}, func(i int) float32 { return []float32{1e-3, 1.2, 1.1}[i] })
		k := op.AdamWStep{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01}
		step := func() (roots []*ir.Node) {
			p, q := eval.LeafOf(pa.Value()), eval.LeafOf(pb.Value())
			p.Flags |= ir.Tracked
			q.Flags |= ir.Tracked
			y := add(matmul(x, transpose(w)), mul(matmul(matmul(x, transpose(p)), transpose(q)), num(2)))
			d := op.Binary(op.Sub, y, target)
			loss := mul(op.Apply(op.Sum, op.Reduce{Axes: []int{0, 1}}, mul(d, d)), num(1/float64(rows*512)))
			gs, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{num(1)}, []*ir.Node{p, q})
			roots = append(roots, loss)
			for o := range 3 {
				roots = append(roots, op.ApplyOutput(op.AdamW, k, o, p, gs[0], ma, va, h), op.ApplyOutput(op.AdamW, k, o, q, gs[1], mb, vb, h))
			}
			return roots
		}
		drop := func(roots []*ir.Node) {
			for _, n := range roots {
				eval.Release(n)
			}
		}
		b.Run(fmt.Sprintf("lazy/%d", rows), func(b *testing.B) {
			for b.Loop() {
				roots := step()
				if err := eval.Eval(ctx, roots...); err != nil {
					b.Fatal(err)
				}
				drop(roots)
			}
		})
		b.Run(fmt.Sprintf("eager/%d", rows), func(b *testing.B) {
			for b.Loop() {
				var roots []*ir.Node
				eval.Eager(func() { roots = step() })
				drop(roots)
			}
		})
	}
}

// BenchmarkNormResidual is RMSNorm(x)·g + r on 64 x 512.
func BenchmarkNormResidual(b *testing.B) {
	x, g, r := wave(64, 512), wave(512), wave(64, 512)
	norm := func() *ir.Node { return op.Apply(op.RMSNorm, op.Norm{Eps: 1e-5, Weight: true}, x, g) }
	b.Run("lazy", func(b *testing.B) {
		for b.Loop() {
			eval.Release(now(b, add(norm(), r)))
		}
	})
	b.Run("eager", func(b *testing.B) {
		for b.Loop() {
			t := now(b, norm())
			eval.Release(now(b, add(t, r), t))
		}
	})
}
