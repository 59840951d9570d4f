package gemm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestTile multiplies by many spans, with steps back and of zero, onto what is there and not.
func TestTile(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		draw := func(n int) []float32 {
			s := make([]float32, n)
			for i := range s {
				s[i] = float32(r.NormFloat64())
			}
			return s
		}
		mr, nr, part := TileSize()
		var x Tile
		for range 200 {
			rows, cols, ldc := 1+r.IntN(3*mr), 1+r.IntN(nr), nr+r.IntN(9)
			b := draw(4000)
			var spans []Span
			lda := 0
			for range 1 + r.IntN(20) {
				s := Span{A: lda, B: 1000 + r.IntN(2000), Step: r.IntN(80) - 40, K: 1 + r.IntN(20)}
				spans, lda = append(spans, s), lda+s.K+r.IntN(3)
			}
			a, c := draw(rows*lda), draw(rows*ldc)
			add, before := r.IntN(2) == 1, slices.Clone(c)
			x.Run(unsafe.Pointer(&c[0]), ldc, unsafe.Pointer(&a[0]), lda, unsafe.Pointer(&b[0]), spans, rows, cols, add)
			wide := (cols + part - 1) / part * part
			for i := range rows {
				for j := range ldc {
					if j >= cols && j < wide {
						continue
					}
					at := i*ldc + j
					want := float64(before[at])
					if j < cols {
						if !add {
							want = 0
						}
						for _, s := range spans {
							for k := range s.K {
								want += float64(a[i*lda+s.A+k]) * float64(b[s.B+k*s.Step+j])
							}
						}
					}
					if math.Abs(float64(c[at])-want) > 1e-3 {
						t.Fatalf("%d rows, %d columns, %d spans, add %v: element (%d, %d) is %v, want %v", rows, cols, len(spans), add, i, j, c[at], want)
					}
				}
			}
		}
		x.Forget()
	})
}

func TestEverySecond(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := range 70 {
			src := make([]float32, max(0, 2*n-1), 2*n+40)
			for i := range src {
				src[i] = float32(i)
			}
			dst := make([]float32, n+1)
			dst[n] = -1
			EverySecond(dst[:n], src)
			for i, v := range dst[:n] {
				if v != float32(2*i) {
					t.Fatalf("of %d: element %d is %v", n, i, v)
				}
			}
			if dst[n] != -1 {
				t.Fatalf("of %d: writes beyond", n)
			}
		}
	})
}

// TestDots takes rows that overlap, ends that are no whole vector and all numbers of columns.
func TestDots(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		var x Tile
		for range 200 {
			k, rows, cols, ldb := r.IntN(200), 1+r.IntN(7), 1+r.IntN(20), 1+r.IntN(30)
			a, b, c := make([]float32, rows*(k+3)), make([]float32, cols*ldb+k), make([]float32, rows*cols)
			for _, s := range [][]float32{a, b, c} {
				for i := range s {
					s[i] = float32(r.NormFloat64())
				}
			}
			got := slices.Clone(c)
			x.Dots(unsafe.Pointer(&got[0]), cols, unsafe.Pointer(unsafe.SliceData(a)), k+3, unsafe.Pointer(&b[0]), ldb, k, rows, cols)
			for i := range rows {
				for j := range cols {
					want := float64(c[i*cols+j])
					for p := range k {
						want += float64(a[i*(k+3)+p]) * float64(b[j*ldb+p])
					}
					if math.Abs(float64(got[i*cols+j])-want) > 1e-3 {
						t.Fatalf("%d rows, %d columns of %d: element (%d, %d) is %v, want %v", rows, cols, k, i, j, got[i*cols+j], want)
					}
				}
			}
		}
	})
}

func TestReverse(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := range 70 {
			src, dst := make([]float32, n), make([]float32, n+1)
			for i := range src {
				src[i] = float32(i)
			}
			dst[n] = -1
			Reverse(dst[:n], src)
			for i, v := range dst[:n] {
				if v != float32(n-1-i) {
					t.Fatalf("of %d: element %d is %v", n, i, v)
				}
			}
			if dst[n] != -1 {
				t.Fatalf("of %d: writes beyond", n)
			}
		}
	})
}
