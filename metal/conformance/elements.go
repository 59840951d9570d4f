package conformance

import (
	"math"
	"math/bits"

	"loris/metal/kernels"
)

func reduceCases() []*Case {
	var all []*Case
	for _, t := range append([]kernels.Type{kernels.I32, kernels.I64, kernels.U8, kernels.Bool}, floatTypes...) {
		for r := kernels.Sum; r <= kernels.Product; r++ {
			for _, s := range [][3]int{{3, 100, 1}, {2, 1, 1}, {2, 17, 5}, {1, 1000, 1}} {
				if t.Float() && t != kernels.F32 && r > kernels.Mean && s[1] != 17 || !t.Float() && (r == kernels.Mean || s[1] == 1000) || t == kernels.Bool && r != kernels.Max && r != kernels.Min {
					continue
				}
				all = append(all, reduceCase(t, s[0], s[1], s[2], r))
			}
		}
		if t == kernels.I64 || t == kernels.Bool {
			continue
		}
		for _, r := range []kernels.Reduction{kernels.Max, kernels.Min} {
			for _, s := range [][3]int{{3, 70, 1}, {2, 5, 4}} {
				l := kernels.ArgReduce(t, s[0], s[1], s[2], r)
				b := build(l, true, "%dx%dx%d", s[0], s[1], s[2])
				b.fill("x", func(i int) float64 { return math.Abs(math.Round(3 * b.random.NormFloat64())) }) // with ties
				all = append(all, b.want("y", 0, lines(b.values["x"], s, func(x []float64) float64 {
					best := 0
					for i, v := range x {
						if r == kernels.Max && v > x[best] || r == kernels.Min && v < x[best] {
							best = i
						}
					}
					return float64(best)
				})).c)
			}
		}
		for _, s := range [][3]int{{3, 70, 1}, {2, 33, 4}} {
			b := build(kernels.CumulativeSum(t, s[0], s[1], s[2]), true, "%dx%dx%d", s[0], s[1], s[2])
			if !t.Float() {
				b.fill("x", func(int) float64 { return float64(b.random.IntN(4)) })
			}
			y := make([]float64, s[0]*s[1]*s[2])
			for o := range s[0] {
				for i := range s[2] {
					sum := 0.0
					for j := range s[1] {
						sum += b.values["x"][(o*s[1]+j)*s[2]+i]
						y[(o*s[1]+j)*s[2]+i] = sum
					}
				}
			}
			all = append(all, b.want("y", 0, y).c)
		}
	}
	return all
}

// lines applies f to each line along the middle axis.
func lines(x []float64, s [3]int, f func([]float64) float64) []float64 {
	return each(s[0]*s[2], func(n int) float64 {
		return f(each(s[1], func(j int) float64 { return x[(n/s[2]*s[1]+j)*s[2]+n%s[2]] }))
	})
}

func reduceCase(t kernels.Type, outer, length, inner int, r kernels.Reduction) *Case {
	b := build(kernels.Reduce(t, outer, length, inner, r), length < 500, "%dx%dx%d", outer, length, inner)
	b.fill("x", func(i int) float64 {
		switch {
		case t == kernels.Bool:
			return float64(b.random.IntN(2))
		case t == kernels.I32 && r == kernels.Sum || t == kernels.I64 && r != kernels.Product:
			return float64(b.random.IntN(1<<24) - 1<<23) // exact only in integers
		case !t.Float():
			return float64(1 + i%3*(i%37/36)) // small, so that products fit
		case r >= kernels.Max && r <= kernels.Min && i == 1 && outer > 2:
			return math.NaN()
		}
		return 1 + 0.1*b.random.NormFloat64()
	})
	y := lines(b.values["x"], [3]int{outer, length, inner}, func(x []float64) float64 {
		v := x[0]
		for _, w := range x[1:] {
			switch r {
			case kernels.Max:
				v = math.Max(v, w)
			case kernels.Min:
				v = math.Min(v, w)
			case kernels.Product:
				v *= w
			default:
				v += w
			}
		}
		if r == kernels.Mean {
			v /= float64(len(x))
		}
		return v
	})
	return b.want("y", 0, y).c
}

func indexCases() []*Case {
	var all []*Case
	for _, t := range append([]kernels.Type{kernels.I32, kernels.I64, kernels.U8, kernels.Bool}, floatTypes...) {
		for _, along := range []bool{false, true} {
			x := kernels.Index{Type: t, Outer: 2, Axis: 7, Count: 11, Inner: 5, Along: along}
			for _, bad := range []bool{false, true} {
				all = append(all, indexCase(x, x.Gather(), false, bad))
			}
			if t == kernels.Bool || t == kernels.U8 {
				continue
			}
			for _, add := range []bool{false, true} {
				x.Add = add
				all = append(all, indexCase(x, x.Scatter(), true, false))
			}
		}
	}
	return all
}

func indexCase(x kernels.Index, l *kernels.Launch, scatters, bad bool) *Case {
	b := build(l, true, "2x7x5 by 11, add %v, out of range %v", x.Add, bad)
	b.fill("status", func(int) float64 { return 0 })
	b.fill("index", func(i int) float64 {
		if bad && i == 4 {
			return float64(x.Axis)
		}
		return float64(b.random.IntN(2*x.Axis) - x.Axis)
	})
	status := 0.0
	if bad {
		status = 5
	}
	b.want("status", 0, []float64{status})
	for i, a := range l.Arguments {
		if (a.Name == "x" || a.Name == "source") && !x.Type.Float() && (!a.Writes || scatters) {
			b.fill(l.Arguments[i].Name, func(int) float64 { return float64(b.random.IntN(2)) })
		}
	}
	place := func(o, j, i int) int {
		at := j
		if x.Along {
			at = (o*x.Count+j)*x.Inner + i
		}
		p := int(b.values["index"][at])
		if p < 0 {
			p += x.Axis
		}
		return p
	}
	if !scatters {
		return b.want("y", 0, each(x.Outer*x.Count*x.Inner, func(n int) float64 {
			o, j, i := n/(x.Count*x.Inner), n/x.Inner%x.Count, n%x.Inner
			if p := place(o, j, i); p < x.Axis {
				return b.values["x"][(o*x.Axis+p)*x.Inner+i]
			}
			return 0
		})).c
	}
	if x.Type.Float() {
		b.fill("x", func(int) float64 { return b.random.NormFloat64() })
	}
	y := append([]float64(nil), b.values["x"]...)
	for o := range x.Outer {
		for j := range x.Count {
			for i := range x.Inner {
				to, v := (o*x.Axis+place(o, j, i))*x.Inner+i, b.values["source"][(o*x.Count+j)*x.Inner+i]
				if x.Add {
					v += y[to]
				}
				y[to] = v
			}
		}
	}
	return b.want("x", 3*precision[x.Type], y).c
}

// threefry is Threefry-2x32 with 20 rounds, written from its definition, apart from the kernel.
func threefry(key [2]uint32, a, b uint32) (uint32, uint32) {
	schedule := [3]uint32{key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]}
	rotations := [8]int{13, 15, 26, 6, 17, 29, 16, 24}
	a, b = a+schedule[0], b+schedule[1]
	for round := range 20 {
		a += b
		b = bits.RotateLeft32(b, rotations[round%8]) ^ a
		if round%4 == 3 {
			n := uint32(round/4 + 1)
			a, b = a+schedule[n%3], b+schedule[(n+1)%3]+n
		}
	}
	return a, b
}

func randomCases() []*Case {
	var all []*Case
	draw := func(r kernels.Random, i int) (uint32, uint32) { return threefry(r.Key, uint32(i/2), r.Counter) }
	for _, size := range []int{1, 2, 777} {
		r := kernels.Random{Size: size, Key: [2]uint32{0x13198a2e, 0x03707344}, Counter: 5}
		b := build(r.Bits(), true, "%d", size)
		all = append(all, b.want("out", 0, each(size, func(i int) float64 {
			x, y := draw(r, i)
			if i%2 == 1 {
				x = y
			}
			return float64(x)
		})).c)
	}
	for _, t := range floatTypes {
		r := kernels.Random{Type: t, Size: 333, Key: [2]uint32{1, 2}, Counter: 3, Low: -1, Span: 2}
		b := build(r.Uniform(), true, "333")
		all = append(all, b.want("out", 0, each(r.Size, func(i int) float64 {
			x, y := draw(r, i)
			if i%2 == 1 {
				x = y
			}
			return -1 + 2*float64(x>>8)/(1<<24)
		})).c)
		r.Low, r.Span = 0.5, 1.5
		b = build(r.Normal(), true, "333")
		all = append(all, b.want("out", 0, each(r.Size, func(i int) float64 {
			x, y := draw(r, i)
			radius := math.Sqrt(-2 * math.Log(float64(x>>8+1)/(1<<24)))
			angle := 2 * math.Pi * float64(y>>8) / (1 << 24)
			if i%2 == 1 {
				return 0.5 + 1.5*radius*math.Sin(angle)
			}
			return 0.5 + 1.5*radius*math.Cos(angle)
		})).c)
	}
	return all
}

func adamwCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, size := range []int{1, 300} {
			b := build(kernels.AdamW(t, size), true, "%d", size)
			for _, name := range []string{"parameters", "first"} {
				b.fill(name, func(int) float64 { return b.random.NormFloat64() })
			}
			b.fill("second", func(int) float64 { return b.random.Float64() })
			hyper := []float64{0.01, 0.9, 0.999, 1e-8, 0.1, 1 / (1 - math.Pow(0.9, 3)), 1 / (1 - math.Pow(0.999, 3)), 0.5}
			b.fill("hyper", func(i int) float64 { return hyper[i] })
			h := b.values["hyper"]
			w, m, v := make([]float64, size), make([]float64, size), make([]float64, size)
			for i := range size {
				g := b.values["gradients"][i] * h[7]
				m[i] = h[1]*b.values["first"][i] + (1-h[1])*g
				v[i] = h[2]*b.values["second"][i] + (1-h[2])*g*g
				w[i] = b.values["parameters"][i]*(1-h[0]*h[4]) - h[0]*m[i]*h[5]/(math.Sqrt(v[i]*h[6])+h[3])
			}
			all = append(all, b.want("parameters", 0, w).want("first", 0, m).want("second", 0, v).c)
		}
	}
	return all
}

func copyCases() []*Case {
	var all []*Case
	every := []kernels.Type{kernels.F32, kernels.F16, kernels.BF16, kernels.I32, kernels.I64, kernels.U8, kernels.Bool}
	for _, from := range every {
		for _, to := range every {
			if from != to && from != kernels.F32 && to != kernels.F32 {
				continue // the other pairs differ in nothing but two names
			}
			b := build(kernels.Cast(from, to, 100, false), true, "100")
			fillIntegers(b, from)
			all = append(all, b.want("to", 0, each(100, func(i int) float64 { return converted(to, b.values["from"][i]) })).c)
		}
	}
	b := build(kernels.Cast(kernels.F16, kernels.F16, 33, true), true, "fill 33")
	all = append(all, b.want("to", 0, each(33, func(int) float64 { return b.values["from"][0] })).c)
	for _, t := range []kernels.Type{kernels.F32, kernels.BF16, kernels.I64} {
		for _, c := range []kernels.Copy{
			{Shape: []int{4, 6}, FromStrides: []int{1, 4}, ToStrides: []int{6, 1}, FromSize: 24, ToSize: 24},                      // transpose
			{Shape: []int{3, 5}, FromStrides: []int{0, 1}, ToStrides: []int{5, 1}, FromOffset: 2, FromSize: 7, ToSize: 15},        // broadcast of a slice
			{Shape: []int{7}, FromStrides: []int{-2}, ToStrides: []int{3}, FromOffset: 12, ToOffset: 1, FromSize: 13, ToSize: 20}, // reversed, scattered
			{Shape: []int{2, 1, 3, 2}, FromStrides: []int{6, 6, 2, 1}, ToStrides: []int{1, 0, 4, 2}, FromSize: 12, ToSize: 12},    // permuted
			{Shape: []int{}, FromStrides: []int{}, ToStrides: []int{}, FromSize: 1, ToSize: 1},                                    // scalar
		} {
			c.From, c.To = t, t
			all = append(all, strideCase(c))
		}
	}
	return all
}

func fillIntegers(b *builder, t kernels.Type) {
	b.fill("from", func(i int) float64 {
		switch t {
		case kernels.Bool:
			return float64(i % 2)
		case kernels.U8:
			return float64(i % 120)
		}
		return float64(i%120) - 7*float64(min(1, i%120)) // some negative, some zero
	})
	if t == kernels.U8 || t == kernels.Bool {
		return
	}
	to := b.c.Launch.Arguments[1].Type
	if to == kernels.U8 { // negative numbers have no defined conversion
		b.fill("from", func(i int) float64 { return float64(i % 120) })
	}
}

func converted(to kernels.Type, v float64) float64 {
	if to == kernels.Bool {
		if v != 0 {
			return 1
		}
		return 0
	}
	return decode(to, encode(to, []float64{v}))[0]
}

func strideCase(c kernels.Copy) *Case {
	b := build(c.Launch(), true, "%v from %v+%d to %v+%d", c.Shape, c.FromStrides, c.FromOffset, c.ToStrides, c.ToOffset)
	b.fill("from", func(i int) float64 { return float64(i + 1) })
	to := decode(c.To, b.c.Before[1])
	size := 1
	for _, n := range c.Shape {
		size *= n
	}
	for i := range size {
		source, target, rest := c.FromOffset, c.ToOffset, i
		for axis := len(c.Shape) - 1; axis >= 0; axis-- {
			source += rest % c.Shape[axis] * c.FromStrides[axis]
			target += rest % c.Shape[axis] * c.ToStrides[axis]
			rest /= c.Shape[axis]
		}
		to[target] = b.values["from"][source]
	}
	return b.want("to", 0, to).c
}
