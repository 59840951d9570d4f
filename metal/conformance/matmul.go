package conformance

import (
	"math"

	"loris/metal/kernels"
)

// matrix is a view of numbers in float64.
type matrix struct {
	data        []float64
	rows, cols  int
	row, column int // strides
}

func dense(data []float64, rows, cols int, transposed bool) matrix {
	if transposed {
		return matrix{data, rows, cols, 1, rows}
	}
	return matrix{data, rows, cols, cols, 1}
}

func (m matrix) at(r, c int) float64 { return m.data[r*m.row+c*m.column] }
func (m matrix) t() matrix           { return matrix{m.data, m.cols, m.rows, m.column, m.row} }

// product is a·b, row by row.
func product(a, b matrix) matrix {
	out := make([]float64, a.rows*b.cols)
	for r := range a.rows {
		for k := range a.cols {
			v := a.at(r, k)
			for c := range b.cols {
				out[r*b.cols+c] += v * b.at(k, c)
			}
		}
	}
	return dense(out, a.rows, b.cols, false)
}

func activate(a kernels.Activation, x float64) float64 {
	switch a {
	case kernels.Relu:
		return max(x, 0)
	case kernels.Gelu:
		return 0.5 * x * (1 + math.Erf(x/math.Sqrt2))
	case kernels.GeluTanh:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case kernels.Silu:
		return x / (1 + math.Exp(-x))
	case kernels.Sigmoid:
		return 1 / (1 + math.Exp(-x))
	case kernels.Tanh:
		return math.Tanh(x)
	}
	return x
}

func loraCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, s := range []struct {
			m, n, k, r int
			peft, bias bool
		}{{40, 72, 48, 8, false, true}, {1, 33, 17, 3, true, false}, {5, 64, 100, 16, true, true}, {33, 31, 65, 29, false, false}, {64, 40, 24, 64, true, false}, {64, 512, 512, 8, true, false}} {
			if t != kernels.F32 && s.m*s.n*s.k > 1e6 {
				continue
			}
			l := kernels.LoRA{Type: t, M: s.m, N: s.n, K: s.k, R: s.r, Scale: 2, TransposeW: s.peft, TransposeA: s.peft, TransposeB: s.peft, Bias: s.bias, SaveH: true, Z: s.r == 3 || s.r == 29}
			small := s.m*s.n*s.k < 200000
			all = append(all, loraForward(l, small), loraInputGradient(l, small), loraWeightGradients(l, small))
		}
	}
	return all
}

func loraTolerance(t kernels.Type) float64 { return 2 * precision[t] }

func loraForward(l kernels.LoRA, small bool) *Case {
	b := build(l.Forward(), small, "%dx%dx%d rank %d, transposed %v, bias %v, dropout %v", l.M, l.N, l.K, l.R, l.TransposeW, l.Bias, l.Z)
	x := dense(b.values["x"], l.M, l.K, false)
	z := x
	if l.Z {
		z = dense(b.values["z"], l.M, l.K, false)
	}
	h := product(z, dense(b.values["A"], l.K, l.R, l.TransposeA))
	y := product(x, dense(b.values["W"], l.K, l.N, l.TransposeW))
	low := product(h, dense(b.values["B"], l.R, l.N, l.TransposeB))
	for i := range y.data {
		y.data[i] += float64(l.Scale) * low.data[i]
		if l.Bias {
			y.data[i] += b.values["bias"][i%l.N]
		}
	}
	return b.want("y", loraTolerance(l.Type), y.data).want("h", loraTolerance(l.Type), h.data).c
}

func loraInputGradient(l kernels.LoRA, small bool) *Case {
	b := build(l.InputGradient(), small, "input gradient %dx%dx%d rank %d, transposed %v", l.M, l.N, l.K, l.R, l.TransposeW)
	dy := dense(b.values["dy"], l.M, l.N, false)
	dh := product(dy, dense(b.values["B"], l.R, l.N, l.TransposeB).t())
	dx := product(dy, dense(b.values["W"], l.K, l.N, l.TransposeW).t())
	low := product(dh, dense(b.values["A"], l.K, l.R, l.TransposeA).t())
	for i := range dx.data {
		dx.data[i] += float64(l.Scale) * low.data[i]
	}
	return b.want("dx", loraTolerance(l.Type), dx.data).want("dh", loraTolerance(l.Type), dh.data).c
}

func loraWeightGradients(l kernels.LoRA, small bool) *Case {
	b := build(l.WeightGradients(), small, "%dx%dx%d rank %d, transposed %v", l.M, l.N, l.K, l.R, l.TransposeW)
	x, dy := dense(b.values["x"], l.M, l.K, false), dense(b.values["dy"], l.M, l.N, false)
	h, dh := dense(b.values["h"], l.M, l.R, false), dense(b.values["dh"], l.M, l.R, false)
	lay := func(m matrix, transposed bool) []float64 {
		if transposed {
			m = m.t()
		}
		return each(m.rows*m.cols, func(i int) float64 { return float64(l.Scale) * m.at(i/m.cols, i%m.cols) })
	}
	return b.want("dA", loraTolerance(l.Type), lay(product(x.t(), dh), l.TransposeA)).
		want("dB", loraTolerance(l.Type), lay(product(h.t(), dy), l.TransposeB)).c
}

func gemmCases() []*Case {
	var all []*Case
	add := func(g kernels.GEMM) {
		g = g.Resolve(kernels.Chip{Class: 'g'})
		launches := g.Launches(kernels.Chip{Class: 'g'})
		small := g.M*g.N*g.K*g.Batches < 120000
		all = append(all, gemmCase(g, launches[0], small, len(launches) > 1))
		if len(launches) > 1 {
			all = append(all, splitSumCase(g, launches[1]))
		}
	}
	for _, t := range floatTypes {
		for _, tile := range kernels.Tiles {
			for transposes := range 4 {
				if t != kernels.F32 && transposes%3 != 0 {
					continue
				}
				add(kernels.GEMM{Type: t, M: 45, N: 70, K: 35, TransposeA: transposes&1 != 0, TransposeB: transposes&2 != 0, Alpha: 1, Tile: tile, Splits: 1})
			}
		}
		add(kernels.GEMM{Type: t, M: 40, N: 33, K: 29, Alpha: 0.5, Bias: true, Addend: true, Gate: true, Prologue: kernels.Silu, Activation: kernels.Gelu})
		add(kernels.GEMM{Type: t, M: 16, N: 24, K: 600, TransposeB: true, Alpha: 1, Bias: true, Activation: kernels.Relu})
		add(kernels.GEMM{Type: t, M: 9, N: 17, K: 20, Alpha: 1, Batches: 3, BatchA: 9 * 20, BatchB: 0})
	}
	for _, a := range []kernels.Activation{kernels.GeluTanh, kernels.Silu, kernels.Sigmoid, kernels.Tanh} {
		add(kernels.GEMM{Type: kernels.F32, M: 8, N: 8, K: 8, Alpha: 1, Activation: a})
	}
	for _, s := range [][3]int{{1, 1, 1}, {1, 100, 1}, {63, 511, 513}, {300, 3, 40}, {3, 300, 40}} {
		add(kernels.GEMM{Type: kernels.F32, M: s[0], N: s[1], K: s[2], Alpha: 1})
	}
	add(kernels.GEMM{Type: kernels.F32, M: 10, N: 12, K: 14, RowA: 20, RowB: 13, RowC: 15, Alpha: 1})
	return all
}

func gemmCase(g kernels.GEMM, l *kernels.Launch, small, split bool) *Case {
	b := build(l, small, "%dx%dx%d transposed %v %v batches %d epilogue %v %v %v %d %d strides %d %d %d split %v", g.M, g.N, g.K, g.TransposeA, g.TransposeB, g.Batches, g.Bias, g.Addend, g.Gate, g.Prologue, g.Activation, g.RowA, g.RowB, g.RowC, split)
	if split {
		return wantSplit(b, g)
	}
	view := func(name string, rows, cols, row int, transposed bool, batch int) matrix {
		data := b.values[name][batch:]
		if transposed {
			return matrix{data, rows, cols, 1, row}
		}
		return matrix{data, rows, cols, row, 1}
	}
	y := make([]float64, 0)
	for n := range g.Batches {
		left := view("A", g.M, g.K, g.RowA, g.TransposeA, n*g.BatchA)
		prepared := make([]float64, g.M*g.K)
		for r := range g.M {
			for k := range g.K {
				prepared[r*g.K+k] = activate(g.Prologue, left.at(r, k))
				if g.Gate {
					prepared[r*g.K+k] *= view("gate", g.M, g.K, g.RowA, g.TransposeA, n*g.BatchA).at(r, k)
				}
			}
		}
		y = append(y, product(dense(prepared, g.M, g.K, false), view("B", g.K, g.N, g.RowB, g.TransposeB, n*g.BatchB)).data...)
	}
	out := decode(g.Type, b.c.Before[b.index("C")])
	for i, v := range y {
		n, r, c := i/(g.M*g.N), i/g.N%g.M, i%g.N
		at := n*g.BatchC + r*g.RowC + c
		out[at] = epilogue(g, b, at, c, v)
	}
	return b.want("C", 2*precision[g.Type], out).c
}

func epilogue(g kernels.GEMM, b *builder, at, c int, v float64) float64 {
	v *= float64(g.Alpha)
	if g.Bias {
		v += b.values["bias"][c]
	}
	if g.Addend {
		v += b.values["addend"][at]
	}
	return activate(g.Activation, v)
}

// wantSplit expects partial sums, each of its own part of K.
func wantSplit(b *builder, g kernels.GEMM) *Case {
	var want []float64
	left, right := dense(b.values["A"], g.M, g.K, g.TransposeA), dense(b.values["B"], g.K, g.N, g.TransposeB)
	for begin := 0; begin < g.K; begin += g.PerSplit() {
		for r := range g.M {
			for c := range g.N {
				v := 0.0
				for k := begin; k < min(g.K, begin+g.PerSplit()); k++ {
					v += left.at(r, k) * right.at(k, c)
				}
				want = append(want, v)
			}
		}
	}
	return b.want("partial", 0, want).c
}

func splitSumCase(g kernels.GEMM, l *kernels.Launch) *Case {
	b := build(l, true, "%dx%d", g.M, g.N)
	size := g.M * g.N * g.Batches
	y := make([]float64, size)
	for i, v := range b.values["partial"] {
		y[i%size] += v
	}
	for i := range y {
		y[i] = epilogue(g, b, i, i%g.N, y[i])
	}
	return b.want("C", 2*precision[g.Type], y).c
}

func gemvCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, s := range [][3]int{{1, 33, 70}, {3, 5, 31}, {1, 1, 1}, {2, 130, 257}} {
			for _, transpose := range []bool{true, false} {
				g := kernels.GEMV{Type: t, M: s[0], N: s[1], K: s[2], TransposeW: transpose, Bias: s[0] == 3, Activation: kernels.Activation(s[0] % 3)}
				b := build(g.Launch(), true, "%dx%dx%d", g.M, g.N, g.K)
				w := dense(b.values["W"], g.K, g.N, transpose)
				y := product(dense(b.values["x"], g.M, g.K, false), w)
				for i := range y.data {
					if g.Bias {
						y.data[i] += b.values["bias"][i%g.N]
					}
					y.data[i] = activate(g.Activation, y.data[i])
				}
				all = append(all, b.want("y", 0, y.data).c)
			}
		}
	}
	return all
}

func quantisedCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, q := range []kernels.Quantised{{M: 1, N: 13, K: 128, Bits: 4}, {M: 3, N: 6, K: 64, Bits: 8}, {M: 40, N: 37, K: 96, Bits: 4}, {M: 9, N: 33, K: 128, Bits: 8}, {M: 2, N: 5, K: 77, Bits: 4}, {M: 12, N: 7, K: 70, Bits: 4}, {M: 5, N: 4, K: 41, Bits: 8}} {
			q.Type = t
			for _, l := range []*kernels.Launch{q.Launch(), q.Dequantise(), q.Transposed()} {
				b := build(l, true, "%dx%dx%d", q.M, q.N, q.K)
				b.fill("W", func(int) float64 { return float64(b.random.Uint32()) })
				b.fill("scales", func(int) float64 { return 0.05 + 0.1*b.random.Float64() })
				w := each(q.N*q.K, func(i int) float64 {
					group := i/q.K*(q.Groups()/q.N) + i%q.K/kernels.QuantGroup
					return b.values["scales"][group]*quantisedCode(q, b.values["W"][group*q.Bits:], i%q.K%kernels.QuantGroup) + b.values["lows"][group]
				})
				switch l.Kernel {
				case "dequantise":
					b.want("out", 0, w)
				case "quantised_gemm_transposed":
					b.want("y", 0, product(dense(b.values["x"], q.M, q.N, false), dense(w, q.N, q.K, false)).data)
				default:
					b.want("y", 0, product(dense(b.values["x"], q.M, q.K, false), dense(w, q.K, q.N, true)).data)
				}
				all = append(all, b.c)
			}
		}
	}
	return all
}

// quantisedCode returns the integer of weight i of the group whose words these are.
func quantisedCode(q kernels.Quantised, words []float64, i int) float64 {
	at := func(b int) uint32 { return uint32(words[b/4]) >> (b % 4 * 8) & 255 }
	if q.Bits == 8 {
		return float64(int8(at(i)))
	}
	return float64(at(i%16)>>(i/16*4)&15) - 8
}
