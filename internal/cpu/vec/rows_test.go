package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/threefry"
)

var rowLengths = []int{1, 2, 3, 7, 8, 15, 16, 17, 31, 48, 63, 64, 65, 100, 128, 511, 512, 1000, 1040, 33000}

// near fails if got is farther from want than a relative and an absolute bound.
func near(t *testing.T, what string, got float32, want, relative, absolute float64, where ...int) {
	t.Helper()
	if math.IsNaN(want) && got != got || float64(got) == want {
		return
	}
	if !(math.Abs(float64(got)-want) <= relative*math.Abs(want)+absolute) {
		t.Fatalf("%s%v: %v, want %v", what, where, got, want)
	}
}

func TestReductions(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range rowLengths {
			const rows, pad = 3, 5
			x, y := normal(r, rows*(n+pad)), normal(r, rows*(n+pad))
			if n > 2 {
				x[n+pad+n/2] = float32(math.NaN())
			}
			xs, ys := RowsOf(x, n+pad), RowsOf(y, n+pad)
			var sum, squares, dot, top, bottom, mean, variance [rows]float32
			var hi, lo [rows]int64
			Sum(sum[:], xs, rows, n)
			SumSquares(squares[:], xs, rows, n)
			Dot(dot[:], xs, ys, rows, n)
			Max(top[:], xs, rows, n)
			Min(bottom[:], xs, rows, n)
			MeanVar(mean[:], variance[:], xs, rows, n, 1)
			ArgMax(hi[:], xs, rows, n)
			ArgMin(lo[:], xs, rows, n)
			for i := range rows {
				row := rowAt(xs, i, n)
				var s, q, d, sizes float64
				wantTop, wantBottom, at, low := math.Inf(-1), math.Inf(1), 0, 0
				for j, v := range row {
					s += float64(v)
					sizes += math.Abs(float64(v))
					q += float64(v) * float64(v)
					d += float64(v) * float64(rowAt(ys, i, n)[j])
					if w := larger(wantTop, float64(v)); w != wantTop && wantTop == wantTop {
						wantTop, at = w, j
					}
					if w := smaller(wantBottom, float64(v)); w != wantBottom && wantBottom == wantBottom {
						wantBottom, low = w, j
					}
				}
				what := fmt.Sprintf("n=%d row %d ", n, i)
				near(t, what+"sum", sum[i], s, 0, 1e-6*sizes)
				near(t, what+"squares", squares[i], q, 1e-6, 0)
				near(t, what+"dot", dot[i], d, 0, 1e-6*(sizes+q))
				near(t, what+"max", top[i], wantTop, 0, 0)
				near(t, what+"min", bottom[i], wantBottom, 0, 0)
				near(t, what+"mean", mean[i], s/float64(n), 0, 1e-6*sizes/float64(n))
				v := 0.0
				for _, x := range row {
					v += (float64(x) - s/float64(n)) * (float64(x) - s/float64(n))
				}
				near(t, what+"variance", variance[i], v/float64(n-1), 2e-6, 0)
				if hi[i] != int64(at) || lo[i] != int64(low) {
					t.Fatalf("%sargmax %d argmin %d, want %d %d", what, hi[i], lo[i], at, low)
				}
			}
		}
		var out [2]float32
		Sum(out[:], Rows{}, 2, 0)
		if out != [2]float32{} {
			t.Error("the sum of nothing is not 0")
		}
	})
}

func TestSoftmaxFamily(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		inf := float32(math.Inf(1))
		for _, n := range rowLengths {
			const rows, pad = 4, 3
			x := normal(r, rows*(n+pad))
			for i := range x {
				x[i] *= 20
			}
			if n > 3 {
				x[1] = -inf                   // weight 0
				x[2*(n+pad)+n-1] = inf        // NaN
				x[3*(n+pad)] = float32(-1e30) // far below
				x[3*(n+pad)+1] = -math.MaxFloat32
			}
			labels := []int64{0, int64(n - 1), int64(n / 2), 77777}
			y, l, g := slices.Clone(x), slices.Clone(x), make([]float32, len(x))
			var lse, loss, only [rows]float32
			xs := RowsOf(x, n+pad)
			Softmax(RowsOf(y, n+pad), RowsOf(y, n+pad), rows, n)
			LogSoftmax(RowsOf(l, n+pad), RowsOf(l, n+pad), rows, n)
			LogSumExp(lse[:], xs, rows, n)
			CrossEntropy(loss[:], RowsOf(g, n+pad), xs, labels, 77777, .25, rows, n)
			CrossEntropy(only[:], Rows{}, xs, labels, 77777, .25, rows, n)
			for i := range rows {
				row := rowAt(xs, i, n)
				top, sum := expSum(row)
				ref := float64(top) + math.Log(sum)
				what := fmt.Sprintf("n=%d row %d ", n, i)
				near(t, what+"logsumexp", lse[i], ref, 1e-6, 1e-6)
				for j, v := range row {
					p := math.Exp(float64(v)-float64(top)) / sum
					near(t, what+"softmax", y[i*(n+pad)+j], p, 1e-5, 1e-38, j) // x - max is rounded
					near(t, what+"logsoftmax", l[i*(n+pad)+j], float64(v)-float64(top)-math.Log(sum), 1e-6, 1e-5, j)
					want := p
					if labels[i] == 77777 {
						want = 0
					} else if int64(j) == labels[i] {
						want = p - 1
					}
					near(t, what+"gradient", g[i*(n+pad)+j], want*.25, 1e-5, 1e-7, j)
				}
				want := 0.0
				if labels[i] != 77777 {
					want = ref - float64(row[labels[i]])
				}
				near(t, what+"loss", loss[i], want, 1e-6, 1e-4)
				near(t, what+"loss alone", only[i], want, 1e-6, 1e-4)
				for j := n; j < n+pad; j++ {
					if k := i*(n+pad) + j; y[k] != x[k] || l[k] != x[k] || g[k] != 0 {
						t.Fatalf("%swrote behind the row", what)
					}
				}
			}
		}
	})
}

func TestNorms(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, n := range rowLengths {
			const rows, pad, eps = 3, 7, 1e-5
			ld := n + pad
			x, res, gain, bias := normal(r, rows*ld), normal(r, rows*ld), normal(r, n), normal(r, n)
			for i := range x {
				x[i] += 3
			}
			y1, y2, y3, h, y4 := make([]float32, rows*ld), slices.Clone(res), make([]float32, rows*ld), slices.Clone(x), slices.Clone(x)
			var inverse [rows]float32
			var stats [2 * rows]float32
			xs, rs := RowsOf(x, ld), RowsOf(res, ld)
			RMSNorm(RowsOf(y1, ld), xs, gain, Rows{}, inverse[:], eps, rows, n)
			RMSNorm(RowsOf(y2, ld), xs, gain, RowsOf(y2, ld), nil, eps, rows, n)
			AddRMSNorm(RowsOf(y3, ld), RowsOf(h, ld), RowsOf(h, ld), rs, gain, nil, eps, rows, n)
			LayerNorm(RowsOf(y4, ld), RowsOf(y4, ld), gain, bias, stats[:], eps, rows, n)
			for i := range rows {
				row, rrow := rowAt(xs, i, n), rowAt(rs, i, n)
				var q, qh, s, v float64
				for j, a := range row {
					q += float64(a) * float64(a)
					b := float64(a + rrow[j])
					qh += b * b
					s += float64(a)
				}
				s /= float64(n)
				for _, a := range row {
					v += (float64(a) - s) * (float64(a) - s)
				}
				k, kh, kv := 1/math.Sqrt(q/float64(n)+eps), 1/math.Sqrt(qh/float64(n)+eps), 1/math.Sqrt(v/float64(n)+eps)
				what := fmt.Sprintf("n=%d row %d ", n, i)
				near(t, what+"1/rms", inverse[i], k, 1e-6, 0)
				near(t, what+"mean", stats[2*i], s, 1e-6, 0)
				near(t, what+"1/σ", stats[2*i+1], kv, 1e-5, 0)
				for j, a := range row {
					o, g := i*ld+j, float64(gain[j])
					near(t, what+"rmsnorm", y1[o], float64(a)*k*g, 1e-6, 1e-6)
					near(t, what+"rmsnorm+residual", y2[o], float64(a)*k*g+float64(rrow[j]), 1e-6, 2e-6)
					near(t, what+"sum", h[o], float64(a+rrow[j]), 0, 0)
					near(t, what+"add rmsnorm", y3[o], float64(a+rrow[j])*kh*g, 1e-6, 1e-6)
					near(t, what+"layernorm", y4[o], (float64(a)-s)*kv*g+float64(bias[j]), 2e-5, 1e-5*kv)
				}
			}
		}
	})
}

func TestAdamW(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range []int{1, 5, 16, 17, 100, 40000} {
			w, next, m, v := normal(r, n), make([]float32, n), make([]float32, n), make([]float32, n)
			wr, mr, vr := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range w {
				wr[i] = float64(w[i])
			}
			a := AdamW{LearningRate: 1e-2, Beta1: .9, Beta2: .999, Epsilon: 1e-8, WeightDecay: .1, GradientScale: .5}
			for a.Step = 1; a.Step <= 5; a.Step++ {
				g := normal(r, n)
				rates := a.Rates()
				c := rates.Begin()
				if a.Step%2 == 0 { // in place and from one array to another
					c.Update(w, w, g, m, v)
				} else {
					c.Update(next, w, g, m, v)
					w, next = next, w
				}
				c.End()
				for i := range g {
					x := float64(g[i]) * .5
					mr[i] = .9*mr[i] + .1*x
					vr[i] = .999*vr[i] + .001*x*x
					mh, vh := mr[i]/(1-math.Pow(.9, float64(a.Step))), vr[i]/(1-math.Pow(.999, float64(a.Step)))
					wr[i] = wr[i] - 1e-2*.1*wr[i] - 1e-2*mh/(math.Sqrt(vh)+1e-8)
					near(t, "step, weight ", w[i], wr[i], 2e-6, 1e-6, a.Step, i)
				}
			}
		}
	})
}

// Rounding errors of one sign do not collect in long rows.
func TestLongSumsAreExact(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const n = 1 << 20
		x := make([]float32, 2*n)
		for i := range x {
			x[i] = .1
		}
		want, square := float64(x[0])*n, float64(x[0])*float64(x[0])*n
		out := make([]float32, 2)
		Sum(out, RowsOf(x, n), 2, n)
		near(t, "sum", out[1], want, 1e-6, 0)
		SumSquares(out, RowsOf(x, n), 2, n)
		near(t, "squares", out[1], square, 1e-6, 0)
		Dot(out, RowsOf(x, n), RowsOf(x, n), 2, n)
		near(t, "dot", out[1], square, 1e-6, 0)
		for _, cols := range []int{n, n - 16} { // with blocks of 32 elements and without
			for _, cold := range []float64{0, math.Inf(1)} {
				p := &Program{}
				p.RowSum(p.Apply(Neg, p.Input(F32)))
				if err := p.Compile(); err != nil {
					t.Fatal(err)
				}
				k, _ := p.Bind([]int{2, cols}, make([][]int, 1))
				k.cold = cold
				k.Run(newPool(t, 2), nil, []unsafe.Pointer{ptrOf(x)}, []unsafe.Pointer{ptrOf(out)})
				near(t, "fused", out[1], -float64(x[0])*float64(cols), 1e-6, 0)
			}
		}
	})
}

func TestNormAndClip(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	a, b := normal(r, 100000), normal(r, 3)
	want := 0.0
	for _, x := range append(slices.Clone(a), b...) {
		want += float64(x) * float64(x)
	}
	if got := Norm(a, b); math.Abs(got-math.Sqrt(want)) > 1e-5*math.Sqrt(want) {
		t.Errorf("norm %v, want %v", got, math.Sqrt(want))
	}
	if ClipFactor(.5, 1) != 1 || ClipFactor(4, 1) != .25 {
		t.Error("clip factor")
	}
}

// TestRowTwins compares each row kernel with its twin on data with special values.
func TestRowTwins(t *testing.T) {
	for _, l := range feature.Levels()[1:] {
		set := rowsFor(l)
		t.Run(l.String(), func(t *testing.T) {
			for k := range rowKernelCount {
				r := rand.New(rand.NewPCG(11, uint64(k)))
				for _, n := range []int{4, 5, 11, 16, 32, 35, 48, 64, 80, 95, 144, 512, 525} {
					if raceEnabled && n > 100 {
						continue
					}
					for _, special := range []float32{0, 1e-40, float32(math.Inf(-1)), float32(math.NaN())} {
						const rows = 3
						var bufs [2][6][]float32
						for i := range 5 {
							bufs[0][i] = normal(r, rows*n)
							if i == 1 && k == kProdRows { // a product that overflows in no order
								for j, v := range bufs[0][i] {
									bufs[0][i][j] = 1 + v/8
								}
							}
							if i == 1 && k != kAdamWRows {
								bufs[0][i][n+3] = special
							}
							if i == 4 && k == kAdamWRows {
								Unary(Abs, bufs[0][i], bufs[0][i])
							}
							bufs[1][i] = slices.Clone(bufs[0][i])
						}
						for side, run := range []rowMicro{set[k], rowTwins[k]} {
							b := &bufs[side]
							b[5] = make([]float32, 2*rows)
							ld := uintptr(4 * n)
							a := rowArgs{dst: ptrOf(b[0]), x: ptrOf(b[1]), a: ptrOf(b[2]), b: ptrOf(b[3]), c: ptrOf(b[4]), out: ptrOf(b[5]), ldd: ld, ldx: ld, ldb: ld, ldc: ld, rows: rows, n: n}
							a.s = [8]float32{.9, .1, .99, .01, .999, .001, 1, 1e-8}
							if k == kThreefryRows {
								a.s[2] = math.Float32frombits(math.Float32bits(.9) ^ math.Float32bits(.1) ^ threefry.Parity)
							}
							run(&a)
						}
						what := fmt.Sprintf("%s n=%d special %v: operand, element ", rowKernelNames[k], n, special)
						for i := range bufs[0] {
							for j := range bufs[0][i] {
								g, w := bufs[0][i][j], bufs[1][i][j]
								near(t, what, g, float64(w), 2e-5, 2e-5, i, j)
							}
						}
					}
				}
			}
		})
	}
}

// TestColumns folds rows of many lengths, with strides and numbers of rows that
// three does not divide.
func TestColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, n := range []int{1, 3, 16, 17, 64, 1000} {
		for _, rows := range []int{0, 1, 2, 3, 4, 31, 96} {
			stride := n + 5
			x := normal(r, rows*stride+n)
			for _, c := range []struct {
				f    func([]float32, Rows, int)
				fold func(a, b float64) float64
			}{
				{AddColumns, func(a, b float64) float64 { return a + b }}, {MaxColumns, math.Max}, {MinColumns, math.Min},
			} {
				dst := normal(r, n)
				want := make([]float64, n)
				for j := range want {
					want[j] = float64(dst[j])
					for i := range rows {
						want[j] = c.fold(want[j], float64(x[i*stride+j]))
					}
				}
				c.f(dst, RowsOf(x, stride), rows)
				for j := range want {
					near(t, "column", dst[j], want[j], 2e-5, 2e-5, rows, j)
				}
			}
		}
	}
}

func BenchmarkRows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const rows = 64
	for _, n := range []int{512, 500} {
		x, y, g, res := normal(r, rows*n), make([]float32, rows*n), normal(r, n), normal(r, rows*n)
		stats := make([]float32, 2*rows)
		labels := make([]int64, rows)
		for _, c := range []struct {
			name string
			f    func()
		}{
			{"softmax", func() { Softmax(RowsOf(y, n), RowsOf(x, n), rows, n) }},
			{"logsoftmax", func() { LogSoftmax(RowsOf(y, n), RowsOf(x, n), rows, n) }},
			{"rmsnorm", func() { RMSNorm(RowsOf(y, n), RowsOf(x, n), g, RowsOf(res, n), stats, 1e-5, rows, n) }},
			{"layernorm", func() { LayerNorm(RowsOf(y, n), RowsOf(x, n), g, g, stats, 1e-5, rows, n) }},
			{"crossentropy", func() { CrossEntropy(stats, RowsOf(y, n), RowsOf(x, n), labels, -1, 1, rows, n) }},
			{"sum", func() { Sum(stats, RowsOf(x, n), rows, n) }},
			{"max", func() { Max(stats, RowsOf(x, n), rows, n) }},
		} {
			b.Run(fmt.Sprintf("%s/%dx%d", c.name, rows, n), func(b *testing.B) {
				for b.Loop() {
					c.f()
				}
			})
		}
	}
}

func BenchmarkAdamW(b *testing.B) {
	const n = 96 * 8 * 768
	r := rand.New(rand.NewPCG(1, 1))
	w, g, m, v := normal(r, n), normal(r, n), make([]float32, n), make([]float32, n)
	a := AdamW{LearningRate: 1e-3, Beta1: .9, Beta2: .999, Epsilon: 1e-8, WeightDecay: .01, Step: 1}
	b.SetBytes(int64(unsafe.Sizeof(float32(0))) * 7 * n)
	rates := a.Rates()
	c := rates.Begin()
	for b.Loop() {
		c.Update(w, w, g, m, v)
	}
	c.End()
}

func TestRowFunctionsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	const rows = 4
	for _, n := range []int{512, 500, 40000} {
		x, y, g := make([]float32, rows*n), make([]float32, rows*n), make([]float32, n)
		out, labels := make([]float32, 2*rows), make([]int64, rows)
		rates := AdamW{Step: 1}.Rates()
		xs, ys := RowsOf(x, n), RowsOf(y, n)
		all := func() {
			Softmax(ys, xs, rows, n)
			LogSoftmax(ys, xs, rows, n)
			LogSumExp(out, xs, rows, n)
			CrossEntropy(out, ys, xs, labels, -1, 1, rows, n)
			RMSNorm(ys, xs, g, Rows{}, nil, 1, rows, n)
			RMSNorm(ys, xs, g, xs, nil, 1, rows, n)
			AddRMSNorm(ys, ys, xs, ys, g, nil, 1, rows, n)
			LayerNorm(ys, xs, g, g, nil, 1, rows, n)
			Sum(out, xs, rows, n)
			Max(out, xs, rows, n)
			MeanVar(out, out, xs, rows, n, 0)
			ArgMax(labels, xs, rows, n)
			c := rates.Begin()
			c.Update(x, x, y, x, y)
			c.End()
			Norm(x)
			BinaryScalar(Mul, y, x, 2)
			Unary(Exp, y[:7], x[:7])
		}
		all()
		if a := testing.AllocsPerRun(20, all); a > 0 {
			t.Errorf("n=%d: %v allocations", n, a)
		}
	}
}

// The stream's blocks are the generator's, also where the low word of their number wraps.
func TestThreefry(t *testing.T) {
	key := [2]uint32{0x13198a2e, 0xffffffff}
	for _, first := range []uint64{0, 1<<32 - 100, 1<<64 - 700} {
		for _, n := range []int{0, 1, 7, 16, 300, 700} {
			w0, w1 := make([]uint32, n), make([]uint32, n)
			Threefry(w0, w1, key, first)
			for i := range w0 {
				at := first + uint64(i)
				a, b := threefry.Block(key, uint32(at), uint32(at>>32))
				if w0[i] != a || w1[i] != b {
					t.Fatalf("block %d of %d from %d: %x %x, want %x %x", i, n, first, w0[i], w1[i], a, b)
				}
			}
		}
	}
}

// Normal numbers are within four units in the last place of what package math says, at
// words of all magnitudes of the probability.
func TestNormals(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 1))
		words := []uint32{0, math.MaxUint32, 1 << 31, 1<<31 - 1, 1<<31 + 255, 256, 511, 512, 0x00ffffff, 0xff000000, 0x02df0000}
		for range 200000 {
			words = append(words, r.Uint32()>>r.IntN(24), ^(r.Uint32() >> r.IntN(24)))
		}
		got := make([]float32, len(words))
		Normals(got, words)
		worst := 0.0
		for i, u := range words {
			want := normalOf(u)
			ulp := math.Abs(float64(math.Nextafter32(float32(want), float32(math.Inf(1))) - float32(want)))
			if e := math.Abs(float64(got[i])-want) / ulp; !(e <= worst) {
				worst = e
				if !(e <= 4) {
					t.Fatalf("word %x gives %v, want %v: %.1f units", u, got[i], want, e)
				}
			}
		}
		t.Logf("%.2f units", worst)
	})
}
