package eval_test

import (
	"errors"
	"testing"

	"loris/internal/eval"
	"loris/internal/ir"
)

func TestRecycleReleasesWhatWasComputed(t *testing.T) {
	before := eval.Stats().Live
	x := wave(1000)
	var kept, y *ir.Node
	eval.Recycle(func() {
		y = add(x, num(1))
		mustEvaluate(t, y)
		state := mul(x, num(2))
		mustEvaluate(t, state)
		kept = eval.LeafOf(state.Value())
	})
	var e *ir.Error
	if err := eval.Wait(y); !errors.As(err, &e) || e.Code != ir.CodeFreed {
		t.Errorf("reading a recycled value gives %v, want an error with code %q", err, ir.CodeFreed)
	}
	near(t, floats(t, kept)[:2], []float32{2 * floats(t, x)[0], 2 * floats(t, x)[1]}, 1e-6)
	if live := eval.Stats().Live - before; live > 3*4096 {
		t.Errorf("%d bytes are live; want the input and the leaf only", live)
	}
	if err := eval.Eval(ctx, add(kept, x)); err != nil {
		t.Error(err)
	}
}

func mustEvaluate(t *testing.T, n *ir.Node) {
	t.Helper()
	if err := eval.Eval(ctx, n); err != nil {
		t.Fatal(err)
	}
}
