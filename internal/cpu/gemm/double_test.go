package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"loris/internal/cpu/feature"
)

func random64(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// eachDouble runs a test with every float64 kernel that the machine has.
func eachDouble(t *testing.T, f func(t *testing.T)) {
	old := activeDouble
	defer func() { activeDouble = old }()
	for _, l := range feature.Levels() {
		k := doubleKernels[l]
		if k == nil {
			k = &doubleKernel{4, 4, doubleGeneric}
		}
		activeDouble = k
		t.Run(l.String(), f)
	}
}

func TestDouble(t *testing.T) {
	eachDouble(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		one, two := newPool(t, 1), newPool(t, 3)
		for _, s := range [][4]int{{1, 1, 1, 1}, {3, 5, 0, 1}, {14, 16, 7, 1}, {15, 17, 33, 2}, {29, 31, 300, 1}, {1, 100, 600, 1}, {300, 9, 40, 1}, {64, 130, 257, 3}, {600, 40, 20, 1}} {
			m, n, k, items := s[0], s[1], s[2], s[3]
			for layout := range 4 {
				a, b := random64(r, 2*items*m*max(k, 1)), random64(r, 2*items*max(k, 1)*n)
				am, bm := Matrix{unsafe.Pointer(&a[0]), k, 1}, Matrix{unsafe.Pointer(&b[0]), n, 1}
				if layout&1 > 0 {
					am.RowStride, am.ColStride = 1, m
				}
				if layout&2 > 0 {
					bm.RowStride, bm.ColStride = 2, 2*k // every second element of columns
				}
				run := func(threads int) []float64 {
					c := make([]float64, items*m*n)
					for i := range c {
						c[i] = math.NaN()
					}
					d := &Double{M: m, N: n, K: k, A: am, B: bm, C: Matrix{unsafe.Pointer(&c[0]), n, 1}}
					for i := range items {
						d.Batch = append(d.Batch, Offsets{A: [MaxTerms]int{i * m * k}, B: [MaxTerms]int{i * k * n}, C: i * m * n})
					}
					p := one
					if threads > 1 {
						p = two
					}
					if !d.Run(p, nil) {
						t.Fatal("stopped")
					}
					return c
				}
				got := run(1)
				if !slices.Equal(got, run(3)) {
					t.Fatalf("%v layout %d: the threads change the result", s, layout)
				}
				for i, v := range got {
					item, row, col := i/(m*n), i/n%m, i%n
					want, scale := 0.0, 1.0
					for q := range k {
						p := *at8(am, item*m*k, row, q) * *at8(bm, item*k*n, q, col)
						want += p
						scale += math.Abs(p)
					}
					if !(math.Abs(v-want) <= 1e-14*scale) {
						t.Fatalf("%v layout %d: element %d is %v, want %v", s, layout, i, v, want)
					}
				}
			}
		}
	})
}

func BenchmarkDouble(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{64, 256, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, y, c := random64(r, n*n), random64(r, n*n), make([]float64, n*n)
			matrix := func(s []float64) Matrix { return Matrix{unsafe.Pointer(&s[0]), n, 1} }
			d := &Double{M: n, N: n, K: n, A: matrix(x), B: matrix(y), C: matrix(c)}
			p := newPool(b, 2)
			for b.Loop() {
				d.Run(p, nil)
			}
			b.ReportMetric(2*float64(n*n*n)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}
