package eval_test

import (
	"context"
	"math"
	"testing"
	"unsafe"

	_ "loris/internal/cpu"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() { plan.CheckPasses(true) }

var ctx = context.Background()

// leaf returns a float32 leaf with the given elements.
func leaf(shape ir.Shape, f func(i int) float32) *ir.Node {
	return eval.FromHost(ir.F32, shape, func(dst []byte) {
		d := unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)/4)
		for i := range d {
			d[i] = f(i)
		}
	})
}

// wave has values that differ everywhere and are neither small nor large.
func wave(shape ...int) *ir.Node {
	return leaf(shape, func(i int) float32 { return float32(math.Sin(float64(i)*0.7) + 0.1*math.Cos(float64(i)*3.1)) })
}

// floats evaluates n and returns its elements.
func floats(t testing.TB, n *ir.Node) []float32 {
	t.Helper()
	if err := eval.Eval(ctx, n); err != nil {
		t.Fatal(err)
	}
	b, err := eval.Bytes(n)
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)...)
}

func near(t testing.TB, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tol*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("element %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestAddMulMatMulSum(t *testing.T) {
	a, b := wave(5, 7), wave(7, 3)
	x := op.Binary(op.Mul, op.Binary(op.Add, a, a), op.Filled(0.25, ir.F32, nil))
	y := op.Apply(op.MatMul, nil, x, b)
	s := op.Apply(op.Sum, op.Reduce{Axes: []int{1}}, y)
	av, bv := floats(t, a), floats(t, b)
	want := make([]float32, 5)
	for i := range 5 {
		for j := range 3 {
			for k := range 7 {
				want[i] += av[i*7+k] * 0.5 * bv[k*3+j]
			}
		}
	}
	near(t, floats(t, s), want, 1e-5)
}
