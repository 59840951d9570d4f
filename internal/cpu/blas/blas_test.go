package blas

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestSgemm(t *testing.T) {
	if !Available() {
		t.Skip("no BLAS library in this build (macOS, or Linux with -tags openblas and OpenBLAS installed)")
	}
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	const m, n, k = 17, 23, 31
	for variant := range 4 {
		a, b, c := random(m*k), random(k*n), random(m*(n+3))
		old := append([]float32(nil), c...)
		ma, mb := Matrix{unsafe.Pointer(&a[0]), k, false}, Matrix{unsafe.Pointer(&b[0]), n, false}
		ai, ak, bk, bj := k, 1, n, 1
		if variant&1 == 1 {
			ma.Stride, ma.Transposed, ai, ak = m, true, 1, m
		}
		if variant&2 == 2 {
			mb.Stride, mb.Transposed, bk, bj = k, true, 1, k
		}
		Sgemm(m, n, k, .5, ma, mb, 2, unsafe.Pointer(&c[0]), n+3)
		for i := range m {
			for j := range n + 3 {
				want := float64(old[i*(n+3)+j])
				if j < n {
					want *= 2
					for q := range k {
						want += .5 * float64(a[i*ai+q*ak]) * float64(b[q*bk+j*bj])
					}
				}
				if math.Abs(float64(c[i*(n+3)+j])-want) > 1e-4 {
					t.Fatalf("variant %d: [%d,%d] = %v, want %v", variant, i, j, c[i*(n+3)+j], want)
				}
			}
		}
	}
}
