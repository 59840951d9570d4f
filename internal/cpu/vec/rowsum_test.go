package vec

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Sums of rows lie beside stored elements, of what registers, outputs and squares hold.
func TestRowSums(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		workers := newPool(t, 3)
		for _, shape := range [][2]int{{1, 16}, {5, 48}, {64, 512}, {3, 2064}, {900, 32}} {
			rows, cols := shape[0], shape[1]
			n := rows * cols
			x, y := normal(r, n), normal(r, n)
			p := &Program{}
			a, b := p.Input(F32), p.Input(F32)
			d := p.Apply(Sub, a, b)
			p.RowSum(p.Apply(Square, d))
			p.Output(p.Apply(Mul, d, p.Const(.5, F32)), BF16)
			p.RowSum(d)
			p.Output(d, F32)
			p.RowSum(p.Apply(Square, a))
			p.RowSum(b)
			if err := p.Compile(); err != nil {
				t.Fatal(err)
			}
			k, err := p.Bind([]int{rows, cols}, make([][]int, 2))
			if err != nil {
				t.Fatal(err)
			}
			inSquares, inSums := make([]float32, rows), make([]float32, rows)
			squares, half, sums, diff := make([]float32, rows), make([]uint16, n), make([]float32, rows), make([]float32, n)
			k.Run(workers, nil, []unsafe.Pointer{ptrOf(x), ptrOf(y)}, []unsafe.Pointer{ptrOf(squares), ptrOf(half), ptrOf(sums), ptrOf(diff), ptrOf(inSquares), ptrOf(inSums)})
			for i := range rows {
				sum, square, inSum, inSquare := 0.0, 0.0, 0.0, 0.0
				for j := i * cols; j < (i+1)*cols; j++ {
					v := x[j] - y[j]
					if diff[j] != v {
						t.Fatalf("%v: element %d is %v, want %v", shape, j, diff[j], v)
					}
					sum += float64(v)
					square += float64(v) * float64(v)
					inSum += float64(y[j])
					inSquare += float64(x[j]) * float64(x[j])
				}
				if math.Abs(float64(sums[i])-sum) > 1e-5*float64(cols) || math.Abs(float64(squares[i])-square) > 1e-6*square {
					t.Fatalf("%v row %d: %v and %v, want %v and %v", shape, i, sums[i], squares[i], sum, square)
				}
				if math.Abs(float64(inSums[i])-inSum) > 1e-5*float64(cols) || math.Abs(float64(inSquares[i])-inSquare) > 1e-6*inSquare {
					t.Fatalf("%v row %d of the inputs: %v and %v, want %v and %v", shape, i, inSums[i], inSquares[i], inSum, inSquare)
				}
			}
		}
	})
}

func TestRowSumsThatCannotBe(t *testing.T) {
	p := &Program{}
	p.RowSum(p.Element(F32))
	if p.Compile() == nil {
		t.Error("the sum of a constant's rows compiles")
	}
	p = &Program{}
	p.RowSum(p.Input(F32))
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Bind([]int{4, 16}, [][]int{{0, 0}}); err == nil {
		t.Error("rows of one element are bound")
	}
	p = &Program{}
	p.RowSum(p.Apply(Neg, p.Input(F32)))
	if err := p.Compile(); err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][]int{nil, {4, 20}} {
		strides := make([]int, len(shape))
		if _, err := p.Bind(shape, [][]int{strides}); err == nil {
			t.Errorf("rows of %v are bound", shape)
		}
	}
}
