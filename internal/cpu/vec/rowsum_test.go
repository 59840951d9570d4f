package vec

import (
	"math"
	"math/rand/v2"
	"slices"
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

// An output may lie where an input was whose rows are summed, or a result that is.
func TestRowSumsInPlace(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const rows, cols = 70, 48
		r := rand.New(rand.NewPCG(5, 6))
		for order := range 2 {
			x := normal(r, rows*cols)
			old := append([]float32(nil), x...)
			p := &Program{}
			a := p.Input(F32)
			half := p.Apply(Mul, a, p.Const(.5, F32))
			sums := func() {
				p.RowSum(p.Apply(Square, a))
				p.RowSum(a)
				p.RowSum(half)
			}
			if order == 0 {
				sums()
			}
			p.Output(half, F32)
			if order == 1 {
				sums()
			}
			if err := p.Compile(); err != nil {
				t.Fatal(err)
			}
			k, err := p.Bind([]int{rows, cols}, make([][]int, 1))
			if err != nil {
				t.Fatal(err)
			}
			var got [3][]float32
			out := make([]unsafe.Pointer, 0, 4)
			for i := range got {
				got[i] = make([]float32, rows)
				out = append(out, ptrOf(got[i]))
			}
			at := 3 * (1 - order)
			out = slices.Insert(out, at, ptrOf(x))
			k.Run(newPool(t, 2), nil, []unsafe.Pointer{ptrOf(x)}, out)
			for i := range rows {
				want := [3]float64{}
				for j := i * cols; j < (i+1)*cols; j++ {
					v := float64(old[j])
					want[0], want[1], want[2] = want[0]+v*v, want[1]+v, want[2]+v/2
					if x[j] != old[j]/2 {
						t.Fatalf("element %d is %v, want %v", j, x[j], old[j]/2)
					}
				}
				for q := range want {
					if math.Abs(float64(got[q][i])-want[q]) > 1e-4 {
						t.Fatalf("order %d, sum %d of row %d is %v, want %v", order, q, i, got[q][i], want[q])
					}
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
