package eval_test

import (
	"math"
	"testing"

	"loris/internal/ir"
	"loris/internal/op"
)

// Sums of squares have a kernel of their own, also where rows are cut into tiles and
// parts, and where the squares are wanted beside them.
func TestSumsOfSquares(t *testing.T) {
	for _, shape := range []ir.Shape{{3, 1}, {5, 700}, {1, 4097}, {1, 32768}, {3, 9001}, {2, 300001}, {40, 5000}} {
		x := wave(shape...)
		rows, cols := shape[0], shape[1]
		v := floats(t, x)
		sum := op.Apply(op.Sum, op.Reduce{Axes: []int{1}}, op.Unary(op.Square, x))
		half := op.Binary(op.Mul, sum, num(0.5))
		square := op.Unary(op.Square, wave(shape...))
		both := op.Apply(op.Sum, op.Reduce{Axes: []int{1}}, square)
		got, beside, squares := floats(t, half), floats(t, both), floats(t, square)
		for i := range rows {
			want := 0.0
			for _, e := range v[i*cols : (i+1)*cols] {
				want += float64(e) * float64(e)
			}
			for _, y := range []float64{2 * float64(got[i]), float64(beside[i])} {
				if math.Abs(y-want) > 1e-6*want {
					t.Errorf("%v row %d: %v, want %v", shape, i, y, want)
				}
			}
		}
		for i, e := range v {
			if squares[i] != e*e {
				t.Fatalf("%v: square %d is %v, want %v", shape, i, squares[i], e*e)
			}
		}
	}
}
