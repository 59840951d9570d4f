package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/feature"
	"loris/internal/cpu/pool"
)

// eachLevel runs a test with every kernel the machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	old, library := active, useLibrary
	defer func() { active, useLibrary = old, library }()
	if useLibrary {
		t.Run("library", f)
		useLibrary = false
	}
	for _, l := range feature.Levels() {
		active = kernelFor(l)
		t.Run(l.String(), f)
	}
}

func newPool(t testing.TB, threads int) *pool.Pool {
	p := pool.New(threads, new(arena.Arena))
	t.Cleanup(p.Close)
	return p
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// layout places an m×n matrix in memory in one of several ways.
func layout(r *rand.Rand, kind string, m, n int) ([]float32, Matrix) {
	switch kind {
	case "transposed":
		s := random(r, m*n+1)
		return s, Matrix{unsafe.Pointer(&s[0]), 1, max(m, 1)}
	case "padded":
		s := random(r, m*(n+5)+1)
		return s, Matrix{unsafe.Pointer(&s[0]), n + 5, 1}
	case "strided":
		s := random(r, m*(3*n+7)+1)
		return s, Matrix{unsafe.Pointer(&s[0]), 3*n + 7, 3}
	case "reversed":
		s := random(r, m*n+1)
		return s, Matrix{unsafe.Pointer(&s[max(0, m*n-1)]), -n, -1}
	case "broadcast":
		s := random(r, n+1)
		return s, Matrix{unsafe.Pointer(&s[0]), 0, 1}
	}
	s := random(r, m*n+1)
	return s, Matrix{unsafe.Pointer(&s[0]), n, 1}
}

func (m Matrix) value(i, j int) float64 { return float64(*(*float32)(m.at(i, j))) }

// reference computes the call in float64, with the sum of magnitudes for the error bound.
func reference(c *Call) (want, size []float64) {
	for i := range c.M {
		for j := range c.N {
			v, s := 0.0, 0.0
			add := func(x float64) { v += x; s += math.Abs(x) }
			if c.Beta != 0 {
				add(float64(c.Beta) * c.C.value(i, j))
			}
			if c.Bias != nil {
				add(float64(*at(c.Bias, uintptr(4*j))))
			}
			if c.Residual.Data != nil {
				add(float64(c.sign()) * c.Residual.value(i, j))
			}
			want, size = append(want, v), append(size, s)
		}
	}
	for _, t := range c.Terms {
		a, b := dense(t.A, c.M, t.K, float64(t.alpha())), dense(t.B.T(), c.N, t.K, 1)
		addProducts(want, size, a, b, c.N, t.K)
	}
	return want, size
}

// dense copies m rows of n elements, times alpha.
func dense(x Matrix, m, n int, alpha float64) []float64 {
	d := make([]float64, m*n)
	for i := range m {
		for j := range n {
			d[i*n+j] = alpha * x.value(i, j)
		}
	}
	return d
}

// addProducts is the inner loop of reference, where the race detector would take most of the time.
//
//go:norace
func addProducts(want, size, a, b []float64, n, k int) {
	for o := range want {
		x, y := a[o/n*k:][:k], b[o%n*k:][:k]
		v, s := want[o], size[o]
		for i := range x {
			p := x[i] * y[i]
			v += p
			s += math.Abs(p)
		}
		want[o], size[o] = v, s
	}
}

func compare(t *testing.T, c *Call, want, size []float64) {
	t.Helper()
	for i := range c.M {
		for j := range c.N {
			got, n := c.C.value(i, j), i*c.N+j
			if math.IsNaN(want[n]) && math.IsNaN(got) || want[n] == got {
				continue
			}
			// Rounding of a sum grows with the root of its length; 1e-6 of the magnitudes is ample.
			if !(math.Abs(got-want[n]) <= 1e-6*size[n]+1e-37) {
				t.Fatalf("M=%d N=%d K=%v: C[%d,%d] = %v, want %v", c.M, c.N, terms(c), i, j, got, want[n])
			}
		}
	}
}

func terms(c *Call) (ks []int) {
	for _, t := range c.Terms {
		ks = append(ks, t.K)
	}
	return ks
}

// sampled returns how many of n random cases to run: few where the race detector
// slows each down.
func sampled(n int) int {
	if raceEnabled {
		return (n + 9) / 10
	}
	return n
}

var sizes = [][3]int{
	{1, 1, 1}, {1, 1, 0}, {2, 3, 1}, {5, 1, 7}, {1, 33, 9}, {14, 32, 4}, {15, 31, 5}, {13, 64, 17},
	{7, 12, 3}, {8, 13, 66}, {63, 51, 53}, {3, 200, 1030}, {130, 5, 70}, {29, 97, 700}, {1, 700, 33}, {100, 100, 2},
	{40, 8, 512}, {40, 16, 130}, {65, 33, 129}, {0, 4, 4}, {4, 0, 4}, {130, 110, 90},
}

func TestShapesAndLayouts(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		p := newPool(t, 2)
		kinds := []string{"plain", "transposed", "padded", "strided", "reversed", "broadcast"}
		for n, s := range sizes {
			for i, ka := range kinds {
				for j, kb := range kinds {
					if raceEnabled && (i+j+n)%len(kinds) != 0 {
						continue
					}
					kc := kinds[(i+len(kb))%5] // C is never broadcast
					c := &Call{M: s[0], N: s[1]}
					_, a := layout(r, ka, s[0], s[2])
					_, b := layout(r, kb, s[2], s[1])
					keep, cm := layout(r, kc, s[0], s[1])
					c.C = cm
					c.Terms = []Term{{A: a, B: b, K: s[2]}}
					want, size := reference(c)
					before := append([]float32(nil), keep...)
					c.Run(p, nil)
					compare(t, c, want, size)
					untouched(t, c, keep, before)
				}
			}
		}
	})
}

// untouched checks that nothing beside C was written.
func untouched(t *testing.T, c *Call, now, before []float32) {
	t.Helper()
	inC := make([]bool, len(now))
	first := uintptr(unsafe.Pointer(&now[0]))
	for i := range c.M {
		for j := range c.N {
			inC[(uintptr(c.C.at(i, j))-first)/4] = true
		}
	}
	for i := range now {
		if !inC[i] && now[i] != before[i] {
			t.Fatalf("element %d beside C was written", i)
		}
	}
}

func TestTermsBetaBiasResidual(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		p := newPool(t, 3)
		for n := range sampled(300) {
			c := &Call{M: 1 + r.IntN(70), N: 1 + r.IntN(90)}
			kinds := []string{"plain", "transposed", "padded", "strided"}
			_, c.C = layout(r, kinds[r.IntN(4)], c.M, c.N)
			var packs []*PackedB
			for range 1 + r.IntN(MaxTerms) {
				term := Term{K: r.IntN(3) * r.IntN(400)}
				_, term.A = layout(r, kinds[r.IntN(4)], c.M, term.K)
				_, term.B = layout(r, kinds[r.IntN(4)], term.K, c.N)
				if r.IntN(3) == 0 {
					term.Alpha = -0.5
				}
				if r.IntN(2) == 0 {
					q, err := Pack(p, term.B, term.K, c.N)
					if err != nil {
						t.Fatal(err)
					}
					packs = append(packs, q)
					term.Packed = q
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
			var calls [][]atomic.Int32
			if n%2 == 0 {
				calls = make([][]atomic.Int32, c.M)
				for i := range calls {
					calls[i] = make([]atomic.Int32, c.N)
				}
				c.Epilogue = func(item, i0, i1, j0, j1 int) {
					for i := i0; i < i1; i++ {
						for j := j0; j < j1; j++ {
							calls[i][j].Add(1)
						}
					}
				}
			}
			want, size := reference(c)
			c.Run(p, nil)
			compare(t, c, want, size)
			for i := range calls {
				for j := range calls[i] {
					if calls[i][j].Load() != 1 {
						t.Fatalf("epilogue of [%d,%d] ran %d times", i, j, calls[i][j].Load())
					}
				}
			}
			for _, q := range packs {
				q.Free()
			}
		}
	})
}

// TestFewRows takes weights that a second-level cache holds and others, by input and by
// output, with one part of k and several, with what is left of rows, columns and vectors.
func TestFewRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for threads := 1; threads <= 3; threads += 2 {
			p := newPool(t, threads)
			for n, s := range [][3]int{{1, 1030, 530}, {4, 1024, 517}, {6, 300, 1024}, {1, 70, 40000}, {5, 257, 900}, {2, 33, 2050}, {13, 301, 515}, {15, 40, 260}, {3, 1501, 600}} {
				if raceEnabled && n%4 != 0 {
					continue
				}
				for _, kind := range []string{"plain", "transposed", "padded"} {
					for _, alpha := range []float32{0, -0.5} {
						c := &Call{M: s[0], N: s[1]}
						_, a := layout(r, kind, c.M, s[2])
						_, b := layout(r, kind, s[2], c.N)
						keep, cm := layout(r, "padded", c.M, c.N)
						c.C = cm
						c.Terms = []Term{{A: a, B: b, K: s[2], Alpha: alpha}}
						switch {
						case alpha != 0 && c.M > 1:
							c.Beta = 2
						case alpha != 0:
							c.Bias = unsafe.Pointer(&random(r, c.N)[0])
						}
						var parts atomic.Int64
						c.Epilogue = func(_, i0, i1, j0, j1 int) { parts.Add(int64((i1 - i0) * (j1 - j0))) }
						want, size := reference(c)
						before := append([]float32(nil), keep...)
						c.Run(p, nil)
						compare(t, c, want, size)
						untouched(t, c, keep, before)
						if int(parts.Load()) != c.M*c.N {
							t.Fatalf("%v: the epilogue saw %d elements of %d", s, parts.Load(), c.M*c.N)
						}
						again := append([]float32(nil), before...)
						c.C.Data = unsafe.Pointer(&again[(uintptr(cm.Data)-uintptr(unsafe.Pointer(&keep[0])))/4])
						c.Run(p, nil)
						if !slices.Equal(again, keep) {
							t.Fatalf("%v %s: two runs differ", s, kind)
						}
					}
				}
			}
		}
	})
}

func TestResidualMayBeC(t *testing.T) {
	p := newPool(t, 2)
	r := rand.New(rand.NewPCG(5, 6))
	x, w, y := random(r, 33*40), random(r, 40*50), random(r, 33*50)
	c := &Call{M: 33, N: 50, C: Slice(y, 50), Residual: Slice(y, 50), Terms: []Term{{A: Slice(x, 40), B: Slice(w, 50), K: 40}}}
	want, size := reference(c)
	c.Run(p, nil)
	compare(t, c, want, size)
}

func TestColsAndDepth(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		p := newPool(t, 2)
		for _, s := range [][3]int{{20, 200, 900}, {2, 200, 900}, {30, 5, 300}} {
			m, n, k := s[0], s[1], s[2]
			x, w, y := random(r, m*k), random(r, k*n), random(r, m*n)
			c := &Call{M: m, N: n, C: Slice(y, n), Terms: []Term{{A: Slice(x, k), B: Slice(w, n), K: k}}}
			if m > 2 && n > 8 {
				c.Terms[0].Packed, _ = Pack(p, Slice(w, n), k, n)
			}
			for range sampled(20) {
				c.Cols, c.Depth = 1+r.IntN(n), 1+r.IntN(k)
				for i := range y {
					y[i] = 5
				}
				c.Run(p, nil)
				part := &Call{M: m, N: c.Cols, C: c.C, Terms: []Term{{A: Slice(x, k), B: Slice(w, n), K: c.Depth}}}
				want, size := reference(part)
				compare(t, part, want, size)
				for i := range y {
					if i%n >= c.Cols && y[i] != 5 {
						t.Fatalf("column %d of %d was written", i%n, c.Cols)
					}
				}
			}
		}
	})
}

func TestBatch(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		p := newPool(t, 2)
		for _, s := range [][4]int{{1, 5, 6, 7}, {3, 70, 80, 90}, {17, 9, 33, 64}, {40, 1, 8, 3}} {
			n, m, cols, k := s[0], s[1], s[2], s[3]
			a, b, y, res := random(r, n*m*k), random(r, n*k*cols), random(r, n*m*cols), random(r, n*m*cols)
			c := &Call{M: m, N: cols, C: Slice(y, cols), Residual: Slice(res, cols), Minus: n%2 == 1, Terms: []Term{{A: Slice(a, k), B: Matrix{unsafe.Pointer(&b[0]), 1, k}, K: k}}}
			for i := range n {
				o := Offsets{C: i * m * cols, R: i * m * cols}
				o.A[0], o.B[0] = i*m*k, (n-1-i)*k*cols
				c.Batch = append(c.Batch, o)
			}
			c.Run(p, nil)
			for i := range n {
				one := &Call{M: m, N: cols, C: Slice(y[i*m*cols:], cols), Residual: Slice(res[i*m*cols:], cols), Minus: c.Minus,
					Terms: []Term{{A: Slice(a[i*m*k:], k), B: Matrix{unsafe.Pointer(&b[(n-1-i)*k*cols]), 1, k}, K: k}}}
				want, size := reference(one)
				compare(t, one, want, size)
			}
		}
		if s := p.Arena().Stats(); s.Blocks > 4 {
			t.Errorf("blocks left: %+v", s)
		}
	})
}

func TestSpecialValues(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		p := newPool(t, 1)
		inf, nan := float32(math.Inf(1)), float32(math.NaN())
		for _, n := range []int{1, 5, 40} {
			x := []float32{inf, 1, 0, 1e-40, nan, 2}
			w := make([]float32, 2*n)
			for j := range n {
				w[j], w[n+j] = 1, 1
			}
			y := make([]float32, 3*n)
			for i := range y {
				y[i] = nan // must not be read
			}
			c := &Call{M: 3, N: n, C: Slice(y, n), Terms: []Term{{A: Slice(x, 2), B: Slice(w, n), K: 2}}}
			c.Run(p, nil)
			for j := range n {
				if !math.IsInf(float64(y[j]), 1) || y[n+j] != 1e-40 || y[2*n+j] == y[2*n+j] {
					t.Fatalf("n=%d: %v %v %v", n, y[j], y[n+j], y[2*n+j])
				}
			}
		}
	})
}

func TestStop(t *testing.T) {
	p := newPool(t, 2)
	x := make([]float32, 600*600)
	for i := range x {
		x[i] = 1
	}
	y := make([]float32, 600*600)
	var stop atomic.Bool
	stop.Store(true)
	c := &Call{M: 600, N: 600, C: Slice(y, 600), Terms: []Term{{A: Slice(x, 600), B: Slice(x, 600), K: 600}}}
	if c.Run(p, &stop) {
		t.Error("finished though stopped")
	}
	if !c.Run(p, new(atomic.Bool)) || y[0] != 600 || y[600*600-1] != 600 {
		t.Error("a later run is wrong")
	}
}

func TestMisfitPanics(t *testing.T) {
	p := newPool(t, 1)
	q, err := Pack(p, Slice(make([]float32, 12), 4), 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	(&Call{M: 1, N: 5, Terms: []Term{{K: 3, Packed: q}}}).Run(p, nil)
}

func TestReplayAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	if useLibrary {
		t.Skip("calls of a library allocate their arguments")
	}
	p := newPool(t, 2)
	r := rand.New(rand.NewPCG(9, 10))
	for _, s := range [][3]int{{64, 300, 200}, {1, 300, 200}, {300, 3, 200}, {200, 200, 200}} {
		x, w, y := random(r, s[0]*s[2]), random(r, s[2]*s[1]), random(r, s[0]*s[1])
		c := &Call{M: s[0], N: s[1], C: Slice(y, s[1]), Terms: []Term{{A: Slice(x, s[2]), B: Slice(w, s[1]), K: s[2]}}}
		c.Run(p, nil)
		if n := testing.AllocsPerRun(50, func() { c.Run(p, nil) }); n > 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}

// BenchmarkGradient times xᵀ·dy, as for the weights of a layer: k rows of both.
func BenchmarkGradient(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][3]int{{512, 8, 64}, {8, 512, 64}, {512, 512, 64}} {
		b.Run(fmt.Sprintf("%dx%dx%d", s[0], s[1], s[2]), func(b *testing.B) {
			p := newPool(b, 1)
			x, w, y := random(r, s[0]*s[2]), random(r, s[1]*s[2]), random(r, s[0]*s[1])
			c := &Call{M: s[0], N: s[1], C: Slice(y, s[1]), Terms: []Term{{A: Slice(x, s[0]).T(), B: Slice(w, s[1]), K: s[2]}}}
			for b.Loop() {
				c.Run(p, nil)
			}
			b.ReportMetric(2*float64(s[0]*s[1]*s[2])*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}

func BenchmarkGemm(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range []struct {
		m, n, k int
		packed  bool
	}{
		{64, 512, 512, true}, {64, 512, 512, false}, {63, 511, 513, false}, {1024, 1024, 1024, true}, {1024, 1024, 1024, false},
		{256, 2048, 2048, true}, {4096, 64, 512, false}, {16, 4096, 512, false}, {512, 512, 1, false}, {8, 512, 64, false}, {64, 8, 512, false},
		{64, 12, 512, false}, {64, 16, 512, false}, {512, 8, 64, false}, {512, 16, 64, false}, {512, 8, 8, false}, {1000, 4, 16, false}, {37, 37, 37, false}, {64, 64, 64, false}, {64, 36, 512, false},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%dx%dx%d/packed=%v/threads=%d", s.m, s.n, s.k, s.packed, threads), func(b *testing.B) {
				p := newPool(b, threads)
				x, w, y := random(r, s.m*s.k), random(r, s.n*s.k), random(r, s.m*s.n)
				c := &Call{M: s.m, N: s.n, C: Slice(y, s.n), Terms: []Term{{A: Slice(x, s.k), B: Slice(w, s.n), K: s.k}}}
				if s.packed {
					c.Terms[0].Packed, _ = Pack(p, c.Terms[0].B, s.k, s.n)
				}
				for b.Loop() {
					c.Run(p, nil)
				}
				b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
