package eval_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"loris/internal/cpu/feature"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// hostFor is a host with a running cell that can be interrupted.
type hostFor struct{ done chan struct{} }

func (h *hostFor) Pos() ir.Pos               { return ir.Pos{Cell: "cell 1", Line: 7} }
func (h *hostFor) Done() <-chan struct{}     { return h.done }
func (h *hostFor) Unwrap(v any) any          { return v }
func (h *hostFor) Globals(func(string, any)) {}

// slow returns a graph that keeps the machine busy for some tenths of a second at least.
func slow() *ir.Node {
	x := wave(512, 512)
	y := x
	for range 400 {
		y = op.Unary(op.Tanh, matmul(y, x))
	}
	return y
}

func TestGraphOfAMillionNodes(t *testing.T) {
	x := leaf(ir.Shape{4}, func(i int) float32 { return float32(i) })
	one := leaf(ir.Shape{4}, func(int) float32 { return 1 })
	y := x
	n := 1_000_000
	if raceEnabled {
		n /= 20
	}
	for range n {
		y = add(y, one)
	}
	near(t, floats(t, y), []float32{float32(n), float32(n + 1), float32(n + 2), float32(n + 3)}, 1e-6)
	if len(y.Inputs()) != 0 {
		t.Error("the evaluated graph is still held")
	}
}

func TestReplayPlansNothing(t *testing.T) {
	x, w := wave(8, 16), wave(16, 16)
	eval.ClearPlans()
	run := func(rate float64) { eval.Release(now(t, mul(op.Unary(op.Tanh, matmul(x, w)), num(rate)))) }
	run(0.125)
	before := eval.Stats().Plans
	for i := range 50 {
		run(0.3 + float64(i)/1000) // a schedule: constants are data
	}
	after := eval.Stats().Plans
	if after.Misses != before.Misses || after.Hits != before.Hits+50 {
		t.Errorf("misses %d → %d, hits %d → %d", before.Misses, after.Misses, before.Hits, after.Hits)
	}
}

func TestSlicesOfALeafReplanNothing(t *testing.T) {
	data := wave(100, 8)
	batch := func(i int) *ir.Node {
		return op.Apply(op.Slice, op.Window{Start: []int{i, 0}, Size: []int{10, 8}, Step: []int{1, 1}}, data)
	}
	all := floats(t, data)
	eval.ClearPlans()
	misses := int64(-1)
	for i := range 20 {
		got := floats(t, op.Unary(op.Neg, batch(4*i)))
		for k, v := range got {
			if v != -all[4*i*8+k] {
				t.Fatalf("batch %d, element %d: %v", i, k, v)
			}
		}
		if m := eval.Stats().Plans.Misses; misses < 0 {
			misses = m
		} else if m != misses {
			t.Fatalf("batch %d was planned anew", i)
		}
	}
}

func TestAsyncReturnsBeforeTheWorkIsDone(t *testing.T) {
	y := slow()
	start := time.Now()
	p := eval.Async(ctx, y)
	select {
	case <-p.Done():
		t.Fatal("the evaluation was over when Async returned")
	default:
	}
	started := time.Since(start)
	z := add(y, y) // building goes on
	p.Cancel()
	if err := p.Wait(ctx); err == nil {
		t.Error("a cancelled evaluation reports success")
	}
	if took := time.Since(start) - started; took > time.Second {
		t.Errorf("cancelling took %v", took)
	}
	_ = z
}

func TestAsyncChainsRunInOrder(t *testing.T) {
	x := wave(64, 64)
	y := x
	var last *eval.Pending
	for range 40 {
		y = op.Unary(op.Tanh, matmul(y, x))
		last = eval.Async(ctx, y)
	}
	if err := last.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	want := x
	for range 40 {
		want = op.Unary(op.Tanh, matmul(want, x))
	}
	near(t, floats(t, y), floats(t, want), 1e-5)
}

func TestIndependentEvaluationsFromManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 30 {
				x := leaf(ir.Shape{33}, func(k int) float32 { return float32(g*1000 + i*10 + k) })
				y := op.Unary(op.Square, add(x, num(1)))
				if i%2 == 0 {
					if err := eval.Async(ctx, y).Wait(ctx); err != nil {
						t.Error(err)
					}
				}
				for k, v := range floats(t, y) {
					w := float32(g*1000+i*10+k) + 1
					if v != w*w {
						t.Errorf("goroutine %d: %v, want %v", g, v, w*w)
						return
					}
				}
			}
		}()
	}
	wg.Wait()
}

func TestFailureIsOnTheHandleAndOnDependents(t *testing.T) {
	ir.SetHost(&hostFor{make(chan struct{})})
	defer ir.SetHost(nil)
	x := wave(5, 3)
	bad := eval.FromHost(ir.I64, ir.Shape{2}, func(dst []byte) { clear(dst); dst[0] = 99 })
	y := op.Apply(op.Take, op.Axis{Axis: 0}, x, bad)
	p := eval.Async(ctx, y)
	z := add(y, y)
	err := p.Wait(ctx)
	var e *ir.Error
	if !errors.As(err, &e) || e.Code != ir.CodeIndex || !strings.Contains(e.Msg, "99") || e.Pos.Line != 7 {
		t.Errorf("Wait: %#v", err)
	}
	if err := eval.Eval(ctx, z); !errors.As(err, &e) || e.Code != ir.CodeIndex {
		t.Errorf("a dependent evaluation: %v", err)
	}
	if err := eval.Eval(ctx, op.Unary(op.Neg, x)); err != nil {
		t.Errorf("an independent one: %v", err)
	}
}

// An evaluation that a context or an interrupt ends stops within 50 ms, here
// with room for a loaded machine, and can be done again.
func TestInterruptEndsALongEvaluation(t *testing.T) {
	for _, how := range []string{"context", "interrupt"} {
		t.Run(how, func(t *testing.T) {
			c, cancel := context.WithCancel(ctx)
			defer cancel()
			h := &hostFor{make(chan struct{})}
			ir.SetHost(h)
			defer ir.SetHost(nil)
			y := slow()
			var stopped time.Time
			go func() {
				time.Sleep(30 * time.Millisecond)
				stopped = time.Now()
				if how == "context" {
					cancel()
				} else {
					close(h.done)
				}
			}()
			err := eval.Eval(c, y)
			var e *ir.Error
			if !errors.As(err, &e) || e.Code != ir.CodeInterrupted {
				t.Fatalf("Eval: %v", err)
			}
			if d := time.Since(stopped); d > 500*time.Millisecond {
				t.Errorf("it went on for %v", d)
			}
			if y.Value() != nil || len(y.Inputs()) == 0 {
				t.Error("the tensor cannot be evaluated again")
			}
		})
	}
}

// One kernel that runs long ends as soon as one of many short ones.
func TestInterruptEndsALongKernel(t *testing.T) {
	wide := func(shape ...int) *ir.Node { // repeats one row, so that the test needs little memory
		return op.Apply(op.Expand, op.Fill{Shape: shape}, wave(1, shape[1]))
	}
	const m, k, n = 2048, 1 << 14, 2048
	c, cancel := context.WithCancel(ctx)
	defer cancel()
	y := matmul(wide(m, k), op.Apply(op.Transpose, op.Perm{Axes: []int{1, 0}}, wide(n, k)))
	var stopped time.Time
	go func() {
		time.Sleep(30 * time.Millisecond)
		stopped = time.Now()
		cancel()
	}()
	err := eval.Eval(c, y)
	var e *ir.Error
	if !errors.As(err, &e) || e.Code != ir.CodeInterrupted {
		t.Fatalf("Eval: %v", err)
	}
	if d := time.Since(stopped); d > 500*time.Millisecond {
		t.Errorf("it went on for %v", d)
	}
}

func TestInterruptedAsyncCanBeEvaluatedAgain(t *testing.T) {
	x := wave(300, 300)
	y := x
	for range 60 {
		y = op.Unary(op.Tanh, matmul(y, x))
	}
	p := eval.Async(ctx, y)
	p.Cancel()
	if err := p.Wait(ctx); err == nil {
		t.Skip("it was faster than its cancellation")
	}
	if err := eval.Eval(ctx, op.Unary(op.Neg, y)); err != nil {
		t.Errorf("what depends on it: %v", err)
	}
	if err := eval.Eval(ctx, y); err != nil {
		t.Fatal(err)
	}
}

// Wait(ctx) is how an evaluation is cancelled by a context.
func TestWaitCancelsWhenItsContextEnds(t *testing.T) {
	y := slow()
	p := eval.Async(ctx, y)
	c, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := p.Wait(c); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("the evaluation goes on")
	}
	if y.Value() != nil && y.Value().Err == nil || len(y.Inputs()) == 0 {
		t.Error("the tensor cannot be evaluated again")
	}
}

// Who evaluates what somebody else has just cancelled, or what depends on it, gets
// a value and not the other's error.
func TestEvalRightAfterCancel(t *testing.T) {
	for range 20 {
		x := wave(300, 300)
		y := x
		for range 30 {
			y = op.Unary(op.Tanh, matmul(y, x))
		}
		p := eval.Async(ctx, y)
		z := op.Unary(op.Neg, y)
		p.Cancel()
		if err := eval.Eval(ctx, z); err != nil {
			t.Fatalf("what depends on it: %v", err)
		}
		if err := eval.Eval(ctx, y); err != nil {
			t.Fatal(err)
		}
	}
}

// An interrupted cell does not wait for room among the evaluations of earlier ones,
// which go on.
func TestInterruptEndsWaitingForRoom(t *testing.T) {
	var flying []*eval.Pending
	var graphs [10]*ir.Node
	eleventh := slow()
	for i := range graphs { // before the first one runs: under the race detector this takes longer
		graphs[i] = slow()
	}
	for _, y := range graphs {
		flying = append(flying, eval.Async(ctx, y))
	}
	defer func() {
		for _, p := range flying {
			p.Cancel()
			if p.Wait(ctx) == nil {
				t.Error("a slow evaluation had ended already")
			}
		}
	}()
	h := &hostFor{make(chan struct{})}
	ir.SetHost(h)
	defer ir.SetHost(nil)
	got := make(chan error)
	go func() { got <- eval.Async(ctx, eleventh).Wait(ctx) }()
	select {
	case err := <-got:
		t.Fatalf("the eleventh evaluation did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(h.done)
	select {
	case err := <-got:
		var e *ir.Error
		if !errors.As(err, &e) || e.Code != ir.CodeInterrupted {
			t.Errorf("Wait: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it waits for the others although its cell was interrupted")
	}
	for _, p := range flying {
		select {
		case <-p.Done():
			t.Error("an evaluation of an earlier cell was stopped")
		default:
		}
	}
}

func TestMemoryReturnsWhenHandlesGo(t *testing.T) {
	settle := func() int64 {
		for range 20 {
			runtime.GC()
			time.Sleep(2 * time.Millisecond)
		}
		return eval.Stats().Live
	}
	base := settle()
	func() {
		x := wave(1000, 100)
		for range 20 {
			x = now(t, add(x, x))
		}
		if eval.Stats().Live < base+400_000 {
			t.Error("live memory is not counted")
		}
	}()
	if left := settle(); left > base {
		t.Errorf("%d bytes are still live", left-base)
	}
}

func TestReleaseFreesAtOnce(t *testing.T) {
	before := eval.Stats().Live
	x := wave(1000)
	view := now(t, op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{10, 100}}, x))
	if got := eval.Stats().Live - before; got != 4000 {
		t.Errorf("%d bytes live, want 4000: a view shares its base's memory", got)
	}
	eval.Release(x)
	if len(floats(t, view)) != 1000 {
		t.Error("the view went with its base")
	}
	eval.Release(view)
	if got := eval.Stats().Live; got != before {
		t.Errorf("%d bytes still live", got-before)
	}
	if _, err := eval.Bytes(x); err == nil {
		t.Error("a released tensor can be read")
	}
	if err := eval.Eval(ctx, add(x, x)); err == nil {
		t.Error("a released tensor can be used")
	}
}

// A node that is kept on the way and asked for as well has one value, which Release frees.
func TestReleaseOfKeptRoot(t *testing.T) {
	leaf := wave(1000)
	before := eval.Stats().Live
	x := op.Apply(op.Square, nil, leaf)
	x.Flags |= ir.Kept
	y := add(x, x)
	if err := eval.Eval(ctx, x, y); err != nil {
		t.Fatal(err)
	}
	eval.Release(x)
	eval.Release(y)
	if got := eval.Stats().Live; got != before {
		t.Errorf("%d bytes are left", got-before)
	}
	runtime.KeepAlive(leaf)
}

func TestReleaseWaitsForEvaluationsInProgress(t *testing.T) {
	for range 50 {
		x := wave(200, 200)
		y := matmul(op.Unary(op.Tanh, matmul(x, x)), x)
		p := eval.Async(ctx, y)
		z := op.Unary(op.Neg, y)
		q := eval.Async(ctx, z)
		eval.Release(x)
		if err := p.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		eval.Release(y)
		if err := q.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		eval.Release(z)
	}
}

func TestMemoryLimitNamesTheStep(t *testing.T) {
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
	x := wave(1000, 1)
	eval.SetLimit(eval.Devices()[0].Memory.Active + 2<<20)
	defer eval.SetLimit(0)
	y := matmul(x, op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{1, 1000}}, x)) // 4 MB
	err := eval.Eval(ctx, y)
	var e *ir.Error
	if !errors.As(err, &e) || e.Code != ir.CodeMemory || e.Op != "matmul" {
		t.Fatalf("Eval: %v", err)
	}
	eval.SetLimit(0)
	if err := eval.Eval(ctx, y); err != nil {
		t.Errorf("with the limit lifted: %v", err)
	}
}

func TestLinesOfLiveMemory(t *testing.T) {
	ir.SetHost(&hostFor{make(chan struct{})})
	defer ir.SetHost(nil)
	eval.ResetPeak()
	line := func() eval.Line {
		for _, l := range eval.Stats().Lines {
			if l.Pos.Cell == "cell 1" && l.Pos.Line == 7 {
				return l
			}
		}
		return eval.Line{}
	}
	before := line()
	x := wave(1000)
	l := line()
	if l.Bytes-before.Bytes < 4000 || l.Values-before.Values != 1 || l.Peak < l.Bytes {
		t.Errorf("the line that made a tensor: %+v, before %+v", l, before)
	}
	eval.Release(x)
	if gone := line(); gone.Bytes != before.Bytes || gone.Peak < l.Bytes {
		t.Errorf("after the release: %+v", gone)
	}
}

func TestEagerGivesTheSameValues(t *testing.T) {
	x, w := wave(16, 32), wave(32, 8)
	build := func() *ir.Node {
		return op.Apply(op.Softmax, op.Axis{Axis: 1}, op.Unary(op.Gelu, add(matmul(x, w), num(0.5))))
	}
	var eager *ir.Node
	before := eval.Stats().Evals
	eval.Eager(func() { eager = build() })
	if n := eval.Stats().Evals - before; n < 4 {
		t.Errorf("%d evaluations for four ops", n)
	}
	if eager.Value() == nil {
		t.Fatal("not evaluated when Eager returned")
	}
	near(t, floats(t, eager), floats(t, build()), 1e-5)
}

func TestProfileNamesSteps(t *testing.T) {
	x, w := wave(16, 32), wave(32, 8)
	tr := eval.Profile(func() { now(t, op.Unary(op.Tanh, matmul(x, w))) })
	if len(tr.Steps) == 0 || tr.Steps[0].Flops < 2*16*32*8 || len(tr.Steps[0].Nodes) < 2 {
		t.Errorf("%+v", tr.Steps)
	}
}

// What a product is measured against follows its precision, where that makes it faster.
func TestLimitOfAProductFollowsItsPrecision(t *testing.T) {
	x, w := wave(256, 512), wave(512, 512)
	least := map[string]time.Duration{}
	for _, precision := range []string{"highest", "medium"} {
		if err := eval.SetPrecision(precision); err != nil {
			t.Fatal(err)
		}
		tr := eval.Profile(func() { now(t, matmul(x, w)) })
		least[precision] = tr.Steps[0].Least()
	}
	if err := eval.SetPrecision("highest"); err != nil {
		t.Fatal(err)
	}
	times := 1.0
	if _, fast := feature.BFloat16(); fast {
		times = 2
	}
	if got := float64(least["highest"]) / float64(least["medium"]); math.Abs(got-times) > 0.01*times {
		t.Errorf("least times %v: a ratio of %.2f, want %v", least, got, times)
	}
}

func TestKeptNodesGetTheirValue(t *testing.T) {
	x := wave(10)
	loss := op.Unary(op.Square, x)
	loss.Flags |= ir.Kept
	y := add(loss, x)
	floats(t, y)
	if loss.Value() == nil {
		t.Fatal("the kept node has no value")
	}
	for i, v := range floats(t, loss) {
		if w := floats(t, x)[i]; math.Abs(float64(v-w*w)) > 1e-6 {
			t.Errorf("element %d: %v", i, v)
		}
	}
}

// adamStep updates p with moments m and v by gradient g.
func adamStep(p, g, m, v *ir.Node) []*ir.Node {
	h := leaf(ir.Shape{3}, func(i int) float32 { return []float32{1e-2, 10, 100}[i] })
	var out []*ir.Node
	for o := range 3 {
		out = append(out, op.ApplyOutput(op.AdamW, op.AdamWStep{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Decay: 0.1}, o, p, g, m, v, h))
	}
	return out
}

func TestDonatedParametersAreUpdatedInPlace(t *testing.T) {
	positive := func(n int) *ir.Node { return leaf(ir.Shape{n}, func(i int) float32 { return float32(i%7) * 0.1 }) }
	const n = 5000
	p, g, m, v := wave(n), wave(n), wave(n), positive(n)
	want := adamStep(p, g, m, v)
	if err := eval.Eval(ctx, want...); err != nil {
		t.Fatal(err)
	}
	held := wave(n) // a second value looks at this moment
	view := now(t, op.Apply(op.Reshape, op.Fill{Shape: ir.Shape{n / 10, 10}}, held))
	loss := op.Unary(op.Square, p)
	for _, x := range []*ir.Node{p, held, v} {
		x.Flags |= ir.Donated
	}
	live := eval.Stats().Live
	got := adamStep(p, g, held, v)
	if err := eval.Eval(ctx, append(got, loss)...); err != nil {
		t.Fatal(err)
	}
	if grown := eval.Stats().Live - live; grown > 4*n*2+4*3 {
		t.Errorf("%d more bytes live: the parameter and one moment should be updated in place", grown)
	}
	for i := range got {
		near(t, floats(t, got[i]), floats(t, want[i]), 1e-5)
	}
	if len(floats(t, view)) != n || len(floats(t, held)) != n {
		t.Error("a value that is still looked at was taken away")
	}
	var e *ir.Error
	if err := eval.Eval(ctx, op.Unary(op.Neg, p)); !errors.As(err, &e) || e.Code != ir.CodeDonated {
		t.Errorf("the old parameter can still be used: %v", err)
	}
	near(t, floats(t, loss), floats(t, op.Unary(op.Square, wave(n))), 1e-6)
}

func TestLongGraphsAreNoted(t *testing.T) {
	var got []eval.Note
	eval.OnNote(func(n eval.Note) { got = append(got, n) })
	defer eval.OnNote(nil)
	x := wave(2)
	y := x
	for range 3*ir.GrowthLimit - 1 {
		y = add(y, x)
	}
	if len(got) != 1 || !strings.Contains(got[0].Msg, "20000 ops") {
		t.Errorf("%+v", got)
	}
	for range 2 * ir.GrowthLimit {
		y = add(y, x)
		if y.Pending%1000 == 0 {
			now(t, y)
		}
	}
	if len(got) != 1 {
		t.Errorf("an evaluated loop is noted: %+v", got)
	}
}
