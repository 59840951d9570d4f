package plan_test

import (
	"strings"
	"testing"

	"loris/internal/cpu"
	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// given returns a leaf with a value that has no memory: plans never look at it.
func given(shape ...int) *ir.Node {
	n := ir.NewNode0(op.Leaf, ir.F32, shape, nil)
	n.SetValue(&ir.Value{DType: ir.F32, Shape: shape})
	return n
}

func num(v float64) *ir.Node        { return op.Filled(v, ir.F32, nil) }
func add(a, b *ir.Node) *ir.Node    { return op.Binary(op.Add, a, b) }
func sub(a, b *ir.Node) *ir.Node    { return op.Binary(op.Sub, a, b) }
func mul(a, b *ir.Node) *ir.Node    { return op.Binary(op.Mul, a, b) }
func matmul(a, b *ir.Node) *ir.Node { return op.Apply(op.MatMul, nil, a, b) }
func tanh(x *ir.Node) *ir.Node      { return op.Unary(op.Tanh, x) }
func transpose(x *ir.Node) *ir.Node { return op.Apply(op.Transpose, op.Perm{Axes: []int{1, 0}}, x) }
func sum(x *ir.Node, keep bool, axes ...int) *ir.Node {
	return op.Apply(op.Sum, op.Reduce{Axes: axes, Keep: keep}, x)
}

func init() { plan.CheckPasses(true) }

var options = plan.Options{Device: cpu.New()}

func build(t testing.TB, roots ...*ir.Node) *plan.Plan {
	t.Helper()
	p, err := plan.NewCache(4).Build(roots, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Fatalf("%v\n%v", err, p)
	}
	return p
}

// steps lists kinds and names of a plan's steps.
func steps(p *plan.Plan) string {
	var s []string
	for i := range p.Steps {
		s = append(s, p.Steps[i].Kind.String()+":"+p.Steps[i].Name)
	}
	return strings.Join(s, " | ")
}

func TestFusion(t *testing.T) {
	x, y, bias, col := given(6, 8), given(6, 8), given(8), given(6, 1)
	w, la, lb := given(8, 10), given(8, 2), given(2, 10)
	shared := mul(x, y)
	gate, q, k := given(8, 10), given(2, 3, 5, 4), given(2, 3, 7, 4)
	top := op.Apply(op.Max, op.Reduce{Axes: []int{1}, Keep: true}, x)
	softmax := func(x *ir.Node) *ir.Node { return op.Apply(op.Softmax, op.Axis{Axis: len(x.Shape) - 1}, x) }
	weights := softmax(matmul(q, op.SwapLast(k)))
	classes := ir.NewNode0(op.Leaf, ir.I64, ir.Shape{6}, nil)
	classes.SetValue(&ir.Value{DType: ir.I64, Shape: ir.Shape{6}})
	mean := mul(sum(x, true, 1), num(1.0/8))
	for _, c := range []struct {
		name  string
		roots []*ir.Node
		want  string
	}{
		{"a chain is one step", []*ir.Node{tanh(add(mul(x, y), bias))}, "fused:mul add tanh"},
		{"broadcasts are read with strides", []*ir.Node{mul(add(x, col), bias)}, "fused:add mul"},
		{"a value with two consumers is computed once", []*ir.Node{add(tanh(shared), op.Unary(op.Exp, shared))}, "fused:mul tanh exp add"},
		{"two roots over one input share a step", []*ir.Node{tanh(shared), op.Unary(op.Exp, shared)}, "fused:mul tanh exp"},
		{"equal values are merged", []*ir.Node{add(tanh(x), tanh(x))}, "fused:tanh add"},
		{"reshapes between elements are free", []*ir.Node{tanh(op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{48}}, add(x, y)))}, "fused:add tanh"},
		{"a transpose between elements is a boundary", []*ir.Node{tanh(add(transpose(add(x, y)), given(8, 6)))}, "fused:add | fused:add tanh"},
		{"a reduction takes its inputs along", []*ir.Node{sum(mul(x, y), false, 1)}, "fused:mul sum"},
		{"and what follows per row", []*ir.Node{tanh(mul(sum(mul(x, y), false, 1), num(0.3)))}, "fused:mul sum mul tanh"},
		{"and what spreads over the row again", []*ir.Node{sub(x, mean)}, "fused:sum mul sub"},
		{"a whole normalisation", []*ir.Node{mul(sub(x, mean), op.Unary(op.Rsqrt, sum(op.Unary(op.Square, sub(x, mean)), true, 1)))}, "fused:sum mul sub square sum rsqrt mul"},
		{"a row op between elements", []*ir.Node{mul(op.Apply(op.Softmax, op.Axis{Axis: 1}, add(x, bias)), y)}, "fused:add softmax mul"},
		{"a product takes its epilogue", []*ir.Node{tanh(add(matmul(x, w), given(10)))}, "matmul:matmul add tanh"},
		{"but not one that is used twice", []*ir.Node{add(matmul(x, w), num(0.1)), matmul(matmul(x, w), given(10, 3))}, "matmul:matmul | fused:add | matmul:matmul"},
		{"a LoRA linear is one step", []*ir.Node{add(matmul(x, w), mul(matmul(matmul(x, la), lb), num(1.7)))}, "lora:lora"},
		{"with its scale elsewhere", []*ir.Node{add(matmul(mul(matmul(x, la), num(1.7)), lb), matmul(x, w))}, "lora:lora"},
		{"and its bias", []*ir.Node{add(add(matmul(x, w), mul(matmul(matmul(x, la), lb), num(1.7))), given(10))}, "lora:lora add"},
		{"a gated MLP is two products", []*ir.Node{mul(op.Unary(op.Silu, matmul(x, gate)), matmul(x, w))}, "matmul:matmul | matmul:silu matmul mul"},
		{"a residual sum and its norm are one step", []*ir.Node{add(x, y), op.Apply(op.RMSNorm, op.Norm{Eps: 1e-6, Weight: true}, add(x, y), bias)}, "fused:add rmsnorm"},
		{"and so are they written out", []*ir.Node{add(x, y), mul(mul(add(x, y), op.Unary(op.Rsqrt, add(mul(sum(op.Unary(op.Square, add(x, y)), true, 1), num(1.0/8)), num(1e-6)))), bias)}, "fused:add rmsnorm"},
		{"a softmax written out is the op", []*ir.Node{op.Binary(op.Div, op.Unary(op.Exp, sub(x, top)), sum(op.Unary(op.Exp, sub(x, top)), true, 1))}, "op:softmax"},
		{"attention written out is the op", []*ir.Node{matmul(softmax(mul(matmul(q, op.SwapLast(k)), num(0.7))), k)}, "fused:mul | op:attention"},
		{"of matrices too", []*ir.Node{matmul(softmax(matmul(x, transpose(y))), given(6, 3))}, "op:attention"},
		{"but not of wide ones", []*ir.Node{matmul(softmax(matmul(given(6, 200), transpose(given(7, 200)))), given(7, 3))}, "matmul:matmul | op:softmax | matmul:matmul"},
		{"and not where its weights are used twice", []*ir.Node{matmul(weights, k), sum(weights, false, 3)}, "matmul:matmul | op:softmax | matmul:matmul | fused:sum"},
		{"arithmetic of constants is none", []*ir.Node{add(x, mul(num(0.3), sub(num(0.7), num(0.1))))}, "fused:add"},
		{"and may give what other rules look for", []*ir.Node{tanh(mul(x, mul(num(2), num(0.5))))}, "fused:tanh"},
		{"cross-entropy and its mean", []*ir.Node{mul(sum(op.Apply(op.CrossEntropy, op.Targets{Ignore: -100}, x, classes), false, 0), num(1.0/6))}, "op:crossentropy | fused:sum mul"},
		{"products with exact identities vanish", []*ir.Node{tanh(mul(op.Unary(op.Neg, op.Unary(op.Neg, x)), num(1)))}, "fused:tanh"},
		{"views of a leaf are no step", []*ir.Node{transpose(x)}, ""},
		{"a view of a product is a view", []*ir.Node{transpose(matmul(x, w))}, "matmul:matmul"},
	} {
		p := build(t, c.roots...)
		if got := steps(p); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.name, got, c.want, p)
		}
	}
}

func TestTrainingStepIsFewSteps(t *testing.T) {
	x, target, w := given(64, 32), given(64, 32), given(32, 32)
	a, b := given(8, 32), given(32, 8)
	h := given(3)
	y := add(matmul(x, transpose(w)), mul(matmul(matmul(x, transpose(a)), transpose(b)), num(2.5)))
	loss := mul(sum(op.Unary(op.Square, sub(y, target)), false, 0, 1), num(1.0/2048))
	gs, _ := grad.VJP([]*ir.Node{loss}, []*ir.Node{num(1)}, []*ir.Node{a, b})
	roots := []*ir.Node{loss}
	for i, p := range []*ir.Node{a, b} {
		m, v := given(p.Shape...), given(p.Shape...)
		for o := range 3 {
			roots = append(roots, op.ApplyOutput(op.AdamW, op.AdamWStep{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8}, o, p, gs[i], m, v, h))
		}
	}
	p := build(t, roots...)
	if len(p.Steps) > 7 {
		t.Errorf("%d steps\n%v", len(p.Steps), p)
	}
	if last := p.Steps[len(p.Steps)-1]; last.Op != op.AdamW || len(last.Batch) != 1 {
		t.Errorf("the updates are not one step\n%v", p)
	}
}

// Consumers at different depths must not be put into one step with what lies
// between them.
func TestNoCycles(t *testing.T) {
	x, w := given(8, 8), given(8, 8)
	h := tanh(x)
	build(t, add(matmul(h, w), h))
	build(t, add(sum(matmul(h, w), true, 1), h), mul(h, num(3)))
	k := add(h, matmul(tanh(matmul(h, w)), w))
	build(t, mul(k, h), sum(k, false, 0), matmul(k, k))
}

func TestArenaIsReused(t *testing.T) {
	x, w := given(64, 64), given(64, 64)
	y := x
	for range 50 {
		y = tanh(transpose(matmul(y, w)))
	}
	p := build(t, y)
	if two := 2 * 64 * 64 * 4; p.Arena > two {
		t.Errorf("a chain of products needs %d bytes, more than two results of %d", p.Arena, two/2)
	}
}

func TestElementwiseStepsWriteInPlace(t *testing.T) {
	x, w := given(64, 64), given(64, 64)
	p := build(t, matmul(mul(op.Apply(op.RMSNorm, op.Norm{Eps: 1e-6}, matmul(x, w)), num(0.3)), w))
	for i := range p.Buffers {
		if p.Buffers[i].Alias >= 0 {
			return
		}
	}
	t.Errorf("the norm of a product, which nothing else reads, has memory of its own\n%v", p)
}

// Each gradient is computed as soon as it can be: what it needs is not held until
// all those have had their turn that come before it.
func TestGradientsAreNotPutOff(t *testing.T) {
	const layers = 20
	h := given(64, 64)
	var ws []*ir.Node
	for range layers {
		w := given(64, 64)
		ws = append(ws, w)
		h = tanh(matmul(h, w))
	}
	gs, _ := grad.VJP([]*ir.Node{sum(h, false, 0, 1)}, []*ir.Node{num(1)}, ws)
	if p, activations := build(t, gs...), layers*64*64*4; p.Arena > activations*5/4 {
		t.Errorf("%d bytes for activations of %d", p.Arena, activations)
	}
}

func TestVerifierFindsDamage(t *testing.T) {
	x, w := given(6, 8), given(8, 8)
	fresh := func() *plan.Plan { return build(t, tanh(transpose(matmul(tanh(x), w))), sum(tanh(x), false, 0)) }
	for name, damage := range map[string]func(p *plan.Plan){
		"steps out of order":       func(p *plan.Plan) { p.Steps[0], p.Steps[len(p.Steps)-1] = p.Steps[len(p.Steps)-1], p.Steps[0] },
		"operand past its buffer":  func(p *plan.Plan) { p.Steps[1].In[0].Offset = 1000 },
		"missing input":            func(p *plan.Plan) { p.Steps[0].In = nil },
		"arena too small":          func(p *plan.Plan) { p.Arena = 8 },
		"write to a leaf":          func(p *plan.Plan) { p.Steps[0].Out[0].Buffer = 0 },
		"output that nobody wrote": func(p *plan.Plan) { p.Steps = p.Steps[:1] },
	} {
		p := fresh()
		damage(p)
		if p.Verify() == nil {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestKeysTellStructuresApart(t *testing.T) {
	x, y := given(6, 8), given(6, 8)
	cache := plan.NewCache(100)
	graphs := []func() *ir.Node{
		func() *ir.Node { return add(x, y) },
		func() *ir.Node { return add(x, x) },
		func() *ir.Node { return sub(x, y) },
		func() *ir.Node { return sum(x, false, 1) },
		func() *ir.Node { return sum(x, true, 1) },
		func() *ir.Node { return sum(x, false, 0) },
		func() *ir.Node { return add(given(8, 6), given(8, 6)) },
		func() *ir.Node { return mul(x, num(2)) },
		func() *ir.Node { return mul(x, num(1)) },
		func() *ir.Node { return mul(x, num(0.123)) },
		func() *ir.Node { return mul(mul(x, num(0.123)), num(0.123)) },
		func() *ir.Node { return mul(mul(x, num(0.123)), num(0.456)) },
	}
	var m plan.Match
	for round := range 2 {
		for i, g := range graphs {
			if err := cache.Find(&m, []*ir.Node{g()}, options); err != nil {
				t.Fatal(err)
			}
			if m.Hit != (round == 1) {
				t.Errorf("round %d, graph %d: hit is %v", round, i, m.Hit)
			}
		}
	}
	if err := cache.Find(&m, []*ir.Node{mul(x, num(0.984375))}, options); err != nil || !m.Hit || m.Consts[0] != 0.984375 {
		t.Errorf("another constant: %v, hit %v, constants %v", err, m.Hit, m.Consts)
	}
	small := plan.NewCache(3)
	for _, g := range graphs {
		if err := small.Find(&m, []*ir.Node{g()}, options); err != nil {
			t.Fatal(err)
		}
	}
	if s := small.Stats(); s.Plans != 3 || s.Evicted != int64(len(graphs)-3) {
		t.Errorf("%+v", s)
	}
}

func TestDumpTellsStepsAndMemory(t *testing.T) {
	s := build(t, tanh(add(matmul(given(6, 8), given(8, 4)), given(4)))).String()
	for _, want := range []string{"matmul add tanh", "pass fuse", "leaf 0", "%0 = add f32 each product in0", "result 0"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing in\n%s", want, s)
		}
	}
}
