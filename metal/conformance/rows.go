package conformance

import (
	"math"
	"sort"

	"loris/metal/kernels"
)

// widths are row lengths around the sizes where kernels change: one lane, a SIMD group, a threadgroup.
var widths = []int{1, 3, 32, 33, 100, 129, 1000, 1025}

func mean(x []float64, f func(float64) float64) float64 {
	s := 0.0
	for _, v := range x {
		s += f(v)
	}
	return s / float64(len(x))
}

func logSumExp(x []float64) float64 {
	largest := math.Inf(-1)
	for _, v := range x {
		largest = max(largest, v)
	}
	if math.IsInf(largest, -1) {
		largest = 0
	}
	s := 0.0
	for _, v := range x {
		s += math.Exp(v - largest)
	}
	return largest + math.Log(s)
}

func softmaxCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, n := range widths {
			for _, log := range []bool{false, true} {
				b := build(kernels.Softmax(t, 3, n, log), n < 200, "3x%d log %v", n, log)
				b.fill("x", func(i int) float64 {
					if i%7 == 3 && n > 7 {
						return math.Inf(-1)
					}
					return 4 * b.random.NormFloat64()
				})
				y := make([]float64, 3*n)
				for r := range 3 {
					row := b.values["x"][r*n : (r+1)*n]
					for i, v := range row {
						if y[r*n+i] = v - logSumExp(row); !log {
							y[r*n+i] = math.Exp(y[r*n+i])
						}
					}
				}
				all = append(all, b.want("y", 0, y).c)
			}
		}
	}
	return all
}

func normCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, n := range widths {
			for _, full := range []bool{false, true} {
				norm := kernels.Norm{Type: t, Rows: 3, Columns: n, Eps: 1e-5, Weight: full, Offset: full, Residual: full && n%2 == 1}
				all = append(all, normCase(norm, norm.RMS(), n, full), normCase(norm, norm.Layer(), n, full))
			}
		}
	}
	return all
}

func normCase(norm kernels.Norm, l *kernels.Launch, n int, full bool) *Case {
	layer := l.Kernel == "layer_norm"
	b := build(l, n < 200, "3x%d affine %v residual %v", n, full, norm.Residual)
	b.fill("x", func(int) float64 { return 3 + b.random.NormFloat64() }) // a mean far from zero: cancellation shows
	x := append([]float64(nil), b.values["x"]...)
	if norm.Residual {
		for i := range x {
			x[i] += b.values["residual"][i]
		}
		x = decode(norm.Type, encode(norm.Type, x))
		b.want("sum", 0, x)
	}
	y := make([]float64, len(x))
	for r := range norm.Rows {
		row := x[r*n : (r+1)*n]
		centre := 0.0
		if layer {
			centre = mean(row, func(v float64) float64 { return v })
		}
		variance := mean(row, func(v float64) float64 { return (v - centre) * (v - centre) })
		for i, v := range row {
			v = (v - centre) / math.Sqrt(variance+float64(norm.Eps))
			if norm.Weight {
				v *= b.values["weight"][i]
			}
			if layer && norm.Offset {
				v += b.values["offset"][i]
			}
			y[r*n+i] = v
		}
	}
	tolerance := 0.0
	if layer && n == 3 { // three values close to each other: rounding of x itself is magnified
		tolerance = 3 * precision[norm.Type]
	}
	return b.want("y", tolerance, y).c
}

func crossEntropyCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, n := range []int{2, 33, 1000} {
			for _, smoothing := range []float32{0, 0.1} {
				const rows = 4
				c := kernels.CrossEntropy{Type: t, Rows: rows, Columns: n, Ignored: -100, Smoothing: smoothing, Gradient: n != 33 || smoothing > 0, ScalePerRow: n == 2}
				b := build(c.Launch(), n < 200, "%dx%d smoothing %v gradient %v", rows, n, smoothing, c.Gradient)
				b.fill("targets", func(i int) float64 {
					if i == 2 {
						return -100
					}
					return float64(b.random.IntN(n))
				})
				scale := func(row int) float64 {
					if c.ScalePerRow {
						return 0.25 + float64(row)
					}
					return 0.25
				}
				if c.Gradient {
					b.fill("scale", scale)
				}
				loss, gradient := make([]float64, rows), make([]float64, rows*n)
				for r := range rows {
					target := int(b.values["targets"][r])
					if target < 0 {
						continue
					}
					row, s := b.values["logits"][r*n:(r+1)*n], float64(smoothing)
					total := logSumExp(row)
					uniform := mean(row, func(v float64) float64 { return total - v })
					loss[r] = (1-s)*(total-row[target]) + s*uniform
					for i, v := range row {
						gradient[r*n+i] = scale(r) * (math.Exp(v-total) - s/float64(n))
						if i == target {
							gradient[r*n+i] -= scale(r) * (1 - s)
						}
					}
				}
				b.want("loss", 0, loss)
				if c.Gradient {
					b.want("gradient", 0, gradient)
				}
				all = append(all, b.c)
			}
		}
	}
	return all
}

func ropeCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for n, interleaved := range []bool{false, true} {
			for _, rotated := range []int{16, 24} {
				p := kernels.Rope{Type: t, Outer: 2, Sequence: 5, Heads: 3, Size: 24, Rotated: rotated, First: int32(7 * n), Base: 10000, Factor: 1, Interleaved: interleaved, Gradient: n == 1 && rotated == 24, Offset: rotated == 24, Frequencies: n == 1}
				b := build(p.Launch(), true, "2x5x3x24 rotated %d interleaved %v gradient %v", rotated, interleaved, p.Gradient)
				if p.Offset {
					b.fill("offset", func(int) float64 { return 11 })
				}
				frequency := func(j int) float64 { return math.Pow(p.Base, -2*float64(j)/float64(rotated)) }
				if p.Frequencies {
					b.fill("frequencies", func(j int) float64 { return 1 / float64(j+1) })
					frequency = func(j int) float64 { return b.values["frequencies"][j] }
				}
				x, y := b.values["x"], append([]float64(nil), b.values["x"]...)
				for row := range p.Outer * p.Sequence * p.Heads {
					position := float64(int(p.First) + row/p.Heads%p.Sequence)
					if p.Offset {
						position += 11
					}
					for j := range rotated / 2 {
						angle := position * frequency(j)
						c, s := math.Cos(angle), math.Sin(angle)
						if p.Gradient {
							s = -s
						}
						first, second := row*p.Size+j, row*p.Size+j+rotated/2
						if interleaved {
							first, second = row*p.Size+2*j, row*p.Size+2*j+1
						}
						y[first], y[second] = x[first]*c-x[second]*s, x[first]*s+x[second]*c
					}
				}
				all = append(all, b.want("y", 2*precision[t], y).c)
			}
		}
	}
	return all
}

func sortCases() []*Case {
	var all []*Case
	for _, t := range append([]kernels.Type{kernels.I32, kernels.I64}, floatTypes...) {
		for _, s := range []kernels.Sort{{Rows: 3, Columns: 1}, {Rows: 2, Columns: 37}, {Rows: 2, Columns: 100, Kept: 5, Descending: true}, {Rows: 1, Columns: 2048, Descending: true}} {
			s.Type = t
			all = append(all, sortCase(s, s.Launches()[0]))
		}
	}
	long := kernels.Sort{Type: kernels.F32, Rows: 2, Columns: 2500, Kept: 7}
	launches := long.Launches()
	for _, i := range []int{0, 1, 2, len(launches) - 2, len(launches) - 1} {
		all = append(all, longSortCase(long, launches[i], i-1))
	}
	return all
}

// order gives the sorted places of a row, ties by place and NaN last.
func order(row []float64, descending bool) []int {
	places := make([]int, len(row))
	for i := range places {
		places[i] = i
	}
	sort.SliceStable(places, func(i, j int) bool {
		a, b := row[places[i]], row[places[j]]
		if math.IsNaN(a) || math.IsNaN(b) {
			return math.IsNaN(b) && !math.IsNaN(a)
		}
		if descending {
			return a > b
		}
		return a < b
	})
	return places
}

func sortCase(s kernels.Sort, l *kernels.Launch) *Case {
	if s.Kept == 0 {
		s.Kept = s.Columns
	}
	b := build(l, s.Columns < 200, "%dx%d first %d descending %v", s.Rows, s.Columns, s.Kept, s.Descending)
	b.fill("x", func(i int) float64 {
		if !s.Type.Float() {
			return float64(1<<30 + b.random.IntN(30)) // equal as floats
		}
		if i == 5 {
			return math.NaN()
		}
		return math.Round(4*b.random.NormFloat64()) / 2 // with ties
	})
	var values, indices []float64
	for r := range s.Rows {
		row := b.values["x"][r*s.Columns : (r+1)*s.Columns]
		for _, p := range order(row, s.Descending)[:s.Kept] {
			values, indices = append(values, row[p]), append(indices, float64(p))
		}
	}
	return b.want("values", 0, values).want("indices", 0, indices).c
}

// stage is the block and distance of a step of the network on n elements.
func stage(n, step int) (block, distance int) {
	for block = 2; block <= n; block *= 2 {
		for distance = block / 2; distance > 0; distance /= 2 {
			if step--; step < 0 {
				return block, distance
			}
		}
	}
	panic("conformance: a bitonic network has no such step")
}

// longSortCase checks one dispatch of a sort in global memory by doing the same in Go.
func longSortCase(s kernels.Sort, l *kernels.Launch, step int) *Case {
	b := build(l, false, "%dx%d", s.Rows, s.Columns)
	const padded = 4096
	size := s.Rows * padded
	switch l.Kernel {
	case "sort_load":
		keys := each(size, func(i int) float64 {
			if i%padded < s.Columns {
				return b.values["x"][i/padded*s.Columns+i%padded]
			}
			return 0
		})
		b.want("keys", 0, keys).want("places", 0, each(size, func(i int) float64 { return float64(i % padded) }))
	case "sort_step":
		places := func(i int) float64 { return float64(i % padded) }
		b.fill("keys", func(int) float64 { return b.random.NormFloat64() }).fill("places", places)
		keys, at := append([]float64(nil), b.values["keys"]...), each(size, places)
		block, distance := stage(padded, step)
		for t := range size / 2 {
			row, in := t/(padded/2)*padded, t%(padded/2)
			first := 2*in - in%distance
			i, j := row+first, row+first+distance
			ordered := keys[i] < keys[j]
			if int(at[i]) >= s.Columns || int(at[j]) >= s.Columns {
				ordered = at[i] < at[j]
			}
			if ordered != (first&block == 0) {
				keys[i], keys[j], at[i], at[j] = keys[j], keys[i], at[j], at[i]
			}
		}
		b.want("keys", 0, keys).want("places", 0, at)
	case "sort_store":
		b.fill("places", func(i int) float64 { return float64((i*7 + 3) % padded) })
		pick := func(name string) []float64 {
			return each(s.Rows*s.Kept, func(i int) float64 { return b.values[name][i/s.Kept*padded+i%s.Kept] })
		}
		b.want("values", 0, pick("keys")).want("indices", 0, pick("places"))
	}
	return b.c
}
