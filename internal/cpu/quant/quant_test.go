package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/gemv"
	"loris/internal/cpu/pool"
)

func newPool(t testing.TB, threads int) *pool.Pool {
	p := pool.New(threads, new(arena.Arena))
	t.Cleanup(p.Close)
	return p
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := active
	defer func() { active = old }()
	for _, l := range feature.Levels() {
		active = kernelsFor(l)
		t.Run(l.String(), f)
	}
}

func TestRoundingError(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{8, 4} {
		const rows, cols, group = 7, 75, 32
		w := normal(r, rows*cols)
		clear(w[cols : cols+40]) // a group of zeros
		m, err := Quantize(w, rows, cols, bits, group)
		if err != nil {
			t.Fatal(err)
		}
		d := m.Dequantize()
		for i := range w {
			row, k := i/cols, i%cols
			scale := math.Abs(float64(m.Scales[row*m.Groups()+k/group]))
			bound := scale/2 + 1e-6
			if bits == 4 {
				bound = scale + 1e-6 // 7 is nearest to what would need 8
			}
			if math.Abs(float64(d[i]-w[i])) > bound {
				t.Fatalf("%d bits: weight %d is %v, was %v, scale %v", bits, i, d[i], w[i], scale)
			}
		}
	}
}

func TestProduct(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		p := newPool(t, 2)
		for _, bits := range []int{8, 4} {
			for _, s := range [][4]int{{1, 1, 1, 32}, {1, 7, 64, 32}, {2, 5, 33, 32}, {1, 300, 1000, 64}, {4, 3, 256, 128}, {5, 17, 100, 32}, {12, 17, 100, 32}, {13, 17, 100, 32}, {70, 90, 330, 64}, {1, 4, 0, 32}, {0, 4, 4, 32}} {
				mm, rows, cols, group := s[0], s[1], s[2], s[3]
				w, err := Quantize(normal(r, rows*cols), rows, cols, bits, group)
				if err != nil {
					t.Fatal(err)
				}
				d := w.Dequantize()
				x, y, bias := normal(r, mm*cols+1), make([]float32, mm*rows+1), normal(r, rows)
				q := &Product{W: w, M: mm, X: gemm.Slice(x, cols), Y: gemm.Slice(y, rows), Bias: unsafe.Pointer(&bias[0])}
				for range 2 {
					if !q.Run(p, nil) {
						t.Fatal("not finished")
					}
				}
				for i := range mm {
					for j := range rows {
						want, size := float64(bias[j]), math.Abs(float64(bias[j]))
						for k := range cols {
							v := float64(x[i*cols+k]) * float64(d[j*cols+k])
							want += v
							size += math.Abs(v)
						}
						if math.Abs(float64(y[i*rows+j])-want) > 1e-6*size {
							t.Fatalf("%d bits %v: y[%d,%d] = %v, want %v", bits, s, i, j, y[i*rows+j], want)
						}
					}
				}
			}
		}
	})
}

// TestPanel compares parts of a matrix with the whole.
func TestPanel(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, bits := range []int{8, 4} {
			for _, group := range []int{32, 96} {
				const rows, cols, ld = 37, 700, 40
				w, err := Quantize(normal(r, rows*cols), rows, cols, bits, group)
				if err != nil {
					t.Fatal(err)
				}
				d := make([]float32, rows*cols)
				for i := range d {
					m, k := w, i%cols
					m.part(d[i:i+1], m.Data[i/cols*m.rowBytes()+k/32*m.blockBytes():], m.Scales[i/cols*m.Groups()+k/group], k%32)
				}
				for range 30 {
					k0, j0 := r.IntN(cols), r.IntN(rows)
					k1, j1 := k0+1+r.IntN(cols-k0), j0+1+r.IntN(rows-j0)
					got := make([]float32, (k1-k0)*ld)
					w.Panel(got, ld, k0, k1, j0, j1)
					for i, v := range got {
						k, j, want := k0+i/ld, j0+i%ld, float32(0)
						if j < j1 {
							want = d[j*cols+k]
						}
						if v != want {
							t.Fatalf("%d bits, groups of %d, [%d:%d, %d:%d]: weight %d of row %d is %v, want %v", bits, group, k0, k1, j0, j1, k, j, v, want)
						}
					}
				}
			}
		}
	})
}

func TestHalf(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	p := newPool(t, 2)
	for _, kind := range []gemv.Kind{gemv.BF16, gemv.F16} {
		const m, n, k = 9, 40, 70
		w := make([]uint16, k*n)
		for i := range w {
			w[i] = uint16(r.Uint32()) & 0xbbff // no exponent of all ones
			if kind == gemv.BF16 {
				w[i] = uint16(math.Float32bits(float32(r.NormFloat64())) >> 16)
			}
		}
		x, y := normal(r, m*k), make([]float32, m*n)
		h := &Half{Kind: kind, Data: unsafe.Pointer(&w[0]), RowStride: 1, ColStride: k}
		c := &gemm.Call{M: m, N: n, C: gemm.Slice(y, n), Terms: []gemm.Term{{A: gemm.Slice(x, k), Source: h, K: k}}}
		c.Run(p, nil)
		col := make([]float32, n)
		gemv.Dots(kind, col, unsafe.Pointer(&w[0]), 2*k, x[:k])
		for j := range n {
			if math.Abs(float64(y[j]-col[j])) > 1e-5*(1+math.Abs(float64(col[j]))) {
				t.Fatalf("kind %d column %d: %v and %v differ", kind, j, y[j], col[j])
			}
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ n, rows, cols, bits, group int }{{4, 2, 2, 3, 32}, {4, 2, 2, 8, 20}, {5, 2, 2, 8, 32}, {0, -1, 2, 8, 32}} {
		if _, err := Quantize(make([]float32, c.n), c.rows, c.cols, c.bits, c.group); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	if _, err := Quantize([]float32{1, float32(math.NaN())}, 1, 2, 8, 32); err == nil {
		t.Error("NaN: no error")
	}
}

func TestReplayAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	p := newPool(t, 2)
	w, _ := New(256, 256, 4, 32)
	x, y := make([]float32, (FewRows+1)*256), make([]float32, (FewRows+1)*256)
	for _, m := range []int{1, FewRows + 1} {
		q := &Product{W: w, M: m, X: gemm.Slice(x, 256), Y: gemm.Slice(y, 256)}
		q.Run(p, nil)
		if a := testing.AllocsPerRun(20, func() { q.Run(p, nil) }); a > 0 {
			t.Errorf("m=%d: %v allocations", m, a)
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 2048
	for _, bits := range []int{8, 4} {
		w, _ := Quantize(normal(r, n*n), n, n, bits, 64)
		for _, m := range []int{1, FewRows, FewRows + 1, 64} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("q%d/m=%d/threads=%d", bits, m, threads), func(b *testing.B) {
					p := newPool(b, threads)
					q := &Product{W: w, M: m, X: gemm.Slice(normal(r, m*n), n), Y: gemm.Slice(make([]float32, m*n), n)}
					b.SetBytes(int64(w.Bytes()))
					for b.Loop() {
						q.Run(p, nil)
					}
				})
			}
		}
	}
}
