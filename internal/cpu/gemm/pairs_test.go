package gemm

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/ir"
)

// eachPairKernel runs a test with every kernel of bfloat16 pairs that runs here.
func eachPairKernel(t *testing.T, f func(t *testing.T)) {
	old, library := activePairs, useLibrary
	defer func() { activePairs, useLibrary = old, library }()
	useLibrary = false
	kernels := []*kernel{genericPairs}
	if runs, _ := feature.BFloat16(); runs {
		kernels = append(kernels, pairsFor(feature.Active()))
	}
	for _, activePairs = range kernels {
		t.Run(activePairs.name, f)
	}
}

// rounded is what the kernels must take for a factor: the nearest bfloat16, by way of float64.
func rounded(x float32) float64 {
	if math.Abs(float64(x)) < 0x1p-126 {
		return math.Copysign(0, float64(x))
	}
	return ir.BF16.Round(float64(x))
}

// roundedCopy is m rows of n elements, times alpha, as the kernels see them.
func roundedCopy(x Matrix, m, n int, alpha float32) Matrix {
	d := make([]float32, m*n+1)
	for i := range m {
		for j := range n {
			d[i*n+j] = low(bfloat16Bits(alpha * float32(x.value(i, j))))
		}
	}
	return Slice(d, n)
}

// roundedReference is the reference of a call whose factors are rounded.
func roundedReference(c *Call) (want, size []float64) {
	ref := *c
	ref.Terms = nil
	for _, t := range c.Terms {
		ref.Terms = append(ref.Terms, Term{A: roundedCopy(t.A, c.M, t.K, t.alpha()), B: roundedCopy(t.B, t.K, c.N, 1), K: t.K})
	}
	return reference(&ref)
}

// anyFloats are numbers of all sizes and kinds.
func anyFloats(r *rand.Rand, n int) []float32 {
	special := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		math.MaxFloat32, -math.MaxFloat32, 0x1p-126, -0x1p-127, 1 + 0x1p-8, 1 + 3*0x1p-8, 1 + 0x1p-8 + 0x1p-23, 0x1.fep127, 0x1.ffp127}
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(3) {
		case 0:
			x[i] = special[r.IntN(len(special))]
		case 1:
			x[i] = math.Float32frombits(r.Uint32())
		default: // a tie, or nearly
			x[i] = math.Float32frombits(r.Uint32()&^0xffff | 0x8000 + uint32(r.IntN(3)) - 1)
		}
	}
	return x
}

func sameFloat(a, b float64) bool {
	return a == b && math.Signbit(a) == math.Signbit(b) || a != a && b != b
}

func TestFactorsAreRoundedToNearest(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 1))
		k := activePairs
		pair := func(p uint32) [2]float64 { return [2]float64{float64(low(p)), float64(high(p))} }
		for range 400 {
			n, cols, lds := 1+r.IntN(150), 1+r.IntN(k.nr), 40
			alpha := []float32{1, 1, -0.5}[r.IntN(3)]
			x := anyFloats(r, max(n, n*lds))
			element := func(i int, inside bool) float64 {
				if !inside {
					return 0
				}
				return rounded(alpha * x[i])
			}
			row := make([]uint32, 96)
			k.rounding.row(unsafe.Pointer(&row[0]), unsafe.Pointer(&x[0]), n, alpha)
			for i := range (n + 1) / 2 {
				got := pair(row[i])
				if !sameFloat(got[0], element(2*i, true)) || !sameFloat(got[1], element(2*i+1, 2*i+1 < n)) {
					t.Fatalf("row of %d: pair %d of %v times %v is %v", n, i, x[2*i:][:2], alpha, got)
				}
			}
			panel := make([]uint32, (n+1)/2*k.nr)
			for i := range panel {
				panel[i] = 0xdeadbeef
			}
			k.rounding.panel(unsafe.Pointer(&panel[0]), unsafe.Pointer(&x[0]), uintptr(4*lds), n, cols, alpha)
			for i := range panel {
				at, j := i/k.nr*2, i%k.nr
				got := pair(panel[i])
				if !sameFloat(got[0], element(at*lds+j, j < cols)) || !sameFloat(got[1], element((at+1)*lds+j, j < cols && at+1 < n)) {
					t.Fatalf("panel of %d rows: rows %d and %d of column %d of %d are %v", n, at, at+1, j, cols, got)
				}
			}
		}
	})
}

// TestPairKernelIsItsTwin compares the kernels bit by bit where they add in the same
// order: with eight vectors of sums there is one sum for each element.
func TestPairKernelIsItsTwin(t *testing.T) {
	if runs, _ := feature.BFloat16(); !runs {
		t.Skip("no AVX512_BF16")
	}
	k, r := pairsFor(feature.Active()), rand.New(rand.NewPCG(2, 2))
	const depth = 41
	a, b := make([]uint32, k.mr*depth), make([]uint32, depth*k.nr)
	for _, s := range [][]uint32{a, b} {
		for i := range s {
			s[i] = bfloat16Bits(float32(r.NormFloat64())) | bfloat16Bits(float32(r.NormFloat64()))<<16
		}
	}
	for rows := 1; rows <= k.mr; rows++ {
		for _, width := range []int{k.nr / 2, k.nr} {
			for _, segments := range []int{1, 3} {
				start, got := random(r, rows*k.nr), make([]float32, rows*k.nr)
				want := make([]float32, rows*k.nr)
				run := func(f func(*tile), y []float32, j int) {
					m := &tile{c: unsafe.Pointer(&y[j]), ldc: uintptr(4 * k.nr), init: unsafe.Pointer(&start[j]), ldinit: uintptr(4 * k.nr), rows: rows, segments: segments}
					for s := range segments {
						k0, k1 := cut(depth, segments, s), cut(depth, segments, s+1)
						m.segment[s] = segment{unsafe.Pointer(&a[k0]), 4 * depth, unsafe.Pointer(&b[k0*k.nr+j]), uintptr(4 * k.nr), k1 - k0}
					}
					f(m)
				}
				run(k.width[width/(k.nr/2)-1], got, 0)
				for j := 0; j < width; j += genericPairs.nr {
					run(genericPairs.width[0], want, j)
				}
				for i := range want {
					if i%k.nr >= width {
						continue
					}
					if d := math.Abs(float64(got[i] - want[i])); rows*width*2/k.nr >= 8 && d != 0 || d > 1e-4 {
						t.Fatalf("%d rows, %d columns, %d segments: element %d is %v, by the twin %v", rows, width, segments, i, got[i], want[i])
					}
				}
			}
		}
	}
}

func TestRoundedShapesAndLayouts(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 3))
		p := newPool(t, 2)
		kinds := []string{"plain", "transposed", "padded", "strided", "reversed", "broadcast"}
		for n, s := range [][3]int{{4, 17, 1}, {5, 20, 2}, {14, 32, 3}, {15, 33, 5}, {16, 64, 63}, {63, 51, 65}, {9, 97, 129}, {40, 200, 1030}, {29, 97, 2001}, {130, 110, 90}, {17, 70, 0}} {
			for i, ka := range kinds {
				for j, kb := range kinds {
					if (i+j+n)%3 != 0 || raceEnabled && (i+j+n)%len(kinds) != 0 {
						continue
					}
					c := &Call{M: s[0], N: s[1], kern: activePairs}
					_, a := layout(r, ka, s[0], s[2])
					_, b := layout(r, kb, s[2], s[1])
					keep, cm := layout(r, kinds[(i+len(kb))%5], s[0], s[1])
					c.C = cm
					c.Terms = []Term{{A: a, B: b, K: s[2]}}
					want, size := roundedReference(c)
					before := append([]float32(nil), keep...)
					c.Run(p, nil)
					compare(t, c, want, size)
					untouched(t, c, keep, before)
				}
			}
		}
	})
}

func TestRoundedTermsBetaBiasResidual(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(4, 4))
		p := newPool(t, 3)
		kinds := []string{"plain", "transposed", "padded", "strided"}
		for n := range sampled(150) {
			c := &Call{M: 4 + r.IntN(70), N: 17 + r.IntN(90), kern: activePairs}
			_, c.C = layout(r, kinds[r.IntN(4)], c.M, c.N)
			var packs []*PackedB
			for range 1 + r.IntN(MaxTerms) {
				term := Term{K: r.IntN(3) * r.IntN(400)}
				_, term.A = layout(r, kinds[r.IntN(4)], c.M, term.K)
				_, term.B = layout(r, kinds[r.IntN(4)], term.K, c.N)
				if r.IntN(3) == 0 {
					term.Alpha = -0.3
				}
				switch r.IntN(3) {
				case 0:
					term.Packed = new(PackedB)
					if err := term.Packed.LoadRounded(p.Arena(), term.B, term.K, c.N); err != nil {
						t.Fatal(err)
					}
					packs = append(packs, term.Packed)
				case 1:
					term.Source = matrixSource{term.B}
				}
				c.Terms = append(c.Terms, term)
			}
			c.Beta = []float32{0, 0, 1, 0.25}[r.IntN(4)]
			if n%3 == 0 {
				c.Bias = unsafe.Pointer(&random(r, c.N)[0])
			}
			if n%4 == 0 {
				_, c.Residual = layout(r, kinds[r.IntN(4)], c.M, c.N)
				c.Minus = n%8 == 0
			}
			want, size := roundedReference(c)
			c.Run(p, nil)
			compare(t, c, want, size)
			for _, q := range packs {
				q.Free()
			}
		}
	})
}

// matrixSource is a matrix that the kernels cannot address.
type matrixSource struct{ b Matrix }

func (s matrixSource) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	for k := k0; k < k1; k++ {
		for j := j0; j < j1; j++ {
			dst[(k-k0)*ld+j-j0] = float32(s.b.value(k, j))
		}
	}
}

func TestRoundedBatch(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 5))
		p := newPool(t, 2)
		for _, s := range [][4]int{{3, 70, 80, 91}, {17, 19, 33, 65}} {
			n, m, cols, k := s[0], s[1], s[2], s[3]
			a, b, y := random(r, n*m*k), random(r, n*k*cols), random(r, n*m*cols)
			c := &Call{M: m, N: cols, kern: activePairs, C: Slice(y, cols), Terms: []Term{{A: Slice(a, k), B: Matrix{unsafe.Pointer(&b[0]), 1, k}, K: k}}}
			for i := range n {
				o := Offsets{C: i * m * cols}
				o.A[0], o.B[0] = i*m*k, (n-1-i)*k*cols
				c.Batch = append(c.Batch, o)
			}
			c.Run(p, nil)
			for i := range n {
				one := &Call{M: m, N: cols, C: Slice(y[i*m*cols:], cols),
					Terms: []Term{{A: Slice(a[i*m*k:], k), B: Matrix{unsafe.Pointer(&b[(n-1-i)*k*cols]), 1, k}, K: k}}}
				want, size := roundedReference(one)
				compare(t, one, want, size)
			}
		}
		if s := p.Arena().Stats(); s.Blocks > 4 {
			t.Errorf("blocks left: %+v", s)
		}
	})
}

func TestRoundedSpecialValues(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		p := newPool(t, 1)
		inf, nan := math.Inf(1), math.NaN()
		rows := [][3]float64{{inf, 1, 0}, {1e-40, 1e-40, 1}, {nan, 2, 3}, {1, 1, inf}, {math.MaxFloat32, 1, 1}, {inf, 1, -inf}, {1e-40, 0, 0}}
		want := []float64{inf, 1, nan, inf, inf, nan, 0}
		for _, n := range []int{17, 40} {
			x, w, y := make([]float32, 0, 21), make([]float32, 3*n), make([]float32, len(rows)*n)
			for _, row := range rows {
				x = append(x, float32(row[0]), float32(row[1]), float32(row[2]))
			}
			for i := range w {
				w[i] = 1
			}
			for i := range y {
				y[i] = float32(nan) // must not be read
			}
			c := &Call{M: len(rows), N: n, kern: activePairs, C: Slice(y, n), Terms: []Term{{A: Slice(x, 3), B: Slice(w, n), K: 3}}}
			c.Run(p, nil)
			for i, v := range y {
				if got := float64(v); got != want[i/n] && !(got != got && want[i/n] != want[i/n]) {
					t.Fatalf("n=%d: %v·1 = %v, want %v", n, rows[i/n], got, want[i/n])
				}
			}
		}
	})
}

func TestPackingChangesNoRoundedResult(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(6, 6))
		p := newPool(t, 2)
		for _, s := range [][3]int{{16, 100, 2100}, {63, 511, 513}, {100, 70, 17}} {
			m, n, k := s[0], s[1], s[2]
			x, w, y, z := random(r, m*k), random(r, k*n), make([]float32, m*n), make([]float32, m*n)
			var q PackedB
			if err := q.LoadRounded(p.Arena(), Slice(w, n), k, n); err != nil {
				t.Fatal(err)
			}
			call := func(y []float32) *Call {
				return &Call{M: m, N: n, BFloat16: true, C: Slice(y, n), Terms: []Term{{A: Slice(x, k), B: Slice(w, n), K: k}}}
			}
			plain, packed := call(y), call(z)
			packed.Terms[0].Packed = &q
			for range 2 {
				plain.Run(p, nil)
				packed.Run(p, nil)
				if plain.kern != activePairs {
					t.Fatalf("%v does not round", s)
				}
				for i := range y {
					if y[i] != z[i] {
						t.Fatalf("%v: element %d is %v, packed %v", s, i, y[i], z[i])
					}
				}
				for i := range w {
					w[i] = float32(r.NormFloat64())
				}
				q.Repack(p, Slice(w, n))
			}
			if n := testing.AllocsPerRun(20, func() { plain.Run(p, nil) }); n > 0 && !raceEnabled {
				t.Errorf("%v: %v allocations", s, n)
			}
			q.Free()
		}
	})
}

func TestWhichCallsRound(t *testing.T) {
	eachPairKernel(t, func(t *testing.T) {
		allowed := func(m, n, k int) *Call { return &Call{M: m, N: n, BFloat16: true, Terms: []Term{{K: k}}} }
		causal, exact := allowed(64, 512, 512), allowed(64, 512, 512)
		causal.Depth, causal.Cols, exact.BFloat16 = 7, 7, false
		for _, c := range []struct {
			name string
			call *Call
			want bool
		}{
			{"large", allowed(64, 512, 512), true},
			{"square", allowed(64, 64, 64), true},
			{"not allowed", exact, false},
			{"few rows", allowed(8, 512, 512), false},
			{"few columns", allowed(512, activePairs.nr/2, 512), false},
			{"outer product", allowed(512, 512, 8), false},
			{"tiny", allowed(32, 32, 32), false},
			{"cut", causal, false},
		} {
			if got := c.call.Rounds(); got != c.want {
				t.Errorf("%s: rounds = %v", c.name, got)
			}
		}
		activePairs = nil
		if allowed(64, 512, 512).Rounds() {
			t.Error("rounds though there is no kernel")
		}
	})
}
