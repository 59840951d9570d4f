//go:build !race

// Pools drop what they hold under the race detector, so allocations are counted without it.

package eval

import (
	"context"
	"math"
	"testing"
	"unsafe"

	_ "loris/internal/cpu"
	"loris/internal/ir"
	"loris/internal/op"
)

// Running a plan again allocates nothing: neither its arena nor anything that
// its kernels need. (The graph's nodes and the values of the results are
// allocated, but not by the plan.)
func TestReplayAllocatesNothing(t *testing.T) {
	wave := func(shape ...int) *ir.Node {
		return FromHost(ir.F32, shape, func(dst []byte) {
			d := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)/4)
			for i := range d {
				d[i] = float32(math.Sin(float64(i)))
			}
		})
	}
	x, w, a, b, bias := wave(64, 128), wave(128, 96), wave(128, 8), wave(8, 96), wave(96)
	mm := func(x, y *ir.Node) *ir.Node { return op.Apply(op.MatMul, nil, x, y) }
	y := op.Binary(op.Add, mm(x, w), op.Binary(op.Mul, mm(mm(x, a), b), op.Filled(2, ir.F32, nil)))
	y = op.Unary(op.Gelu, op.Binary(op.Add, y, bias))
	p := op.Apply(op.Softmax, op.Axis{Axis: 1}, op.Binary(op.Mul, y, op.Filled(0.3, ir.F32, nil)))
	column := op.Apply(op.Sum, op.Reduce{Axes: []int{0}}, op.Binary(op.Mul, p, y))
	loss := op.Apply(op.Sum, op.Reduce{Axes: []int{0, 1}}, op.Unary(op.Square, y))
	long := op.Apply(op.Sum, op.Reduce{Axes: []int{0}}, op.Unary(op.Square, wave(1<<17)))
	picked := op.Apply(op.Take, op.Axis{Axis: 0}, y, FromHost(ir.I64, ir.Shape{2}, func(dst []byte) { clear(dst) }))

	var j job
	if err := j.plan(context.Background(), []*ir.Node{p, column, loss, long, picked}); err != nil {
		t.Fatal(err)
	}
	if err := j.prepare(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // weights are packed at the second use
		if err := j.run(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(20, func() { j.run() }); n > 0 {
		t.Errorf("%v allocations a run of\n%v", n, j.match.Plan)
	}
}

// Finding a cached plan allocates nothing either.
func TestPlanHitAllocatesNothing(t *testing.T) {
	x := FromHost(ir.F32, ir.Shape{16}, func([]byte) {})
	y := x
	for range 100 {
		y = op.Binary(op.Add, op.Unary(op.Neg, y), x)
	}
	roots := []*ir.Node{y}
	var j job
	find := func() {
		if err := j.plan(context.Background(), roots); err != nil {
			t.Fatal(err)
		}
	}
	find()
	if n := testing.AllocsPerRun(20, find); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
