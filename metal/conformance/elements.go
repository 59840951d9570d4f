package conformance

import (
	"fmt"
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
				all = append(all, reduction(t, s[0], s[1], s[2], r)...)
			}
		}
		all = append(all, longReductions(t)...)
		if t == kernels.Bool {
			continue
		}
		for _, r := range []kernels.Reduction{kernels.Max, kernels.Min} {
			for _, s := range [][3]int{{3, 70, 1}, {2, 5, 4}, {1, 1500, 1}} {
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

// longReductions are those that are made in two launches.
func longReductions(t kernels.Type) (all []*Case) {
	kind := kernels.Sum
	if t == kernels.Bool {
		kind = kernels.Max
	}
	for _, s := range [][3]int{{1, 40000, 1}, {2, 1000, 3}} {
		if t != kernels.F32 && s[1] == 40000 {
			continue
		}
		all = append(all, reduction(t, s[0], s[1], s[2], kind)...)
	}
	return all
}

// reduction has a case for each launch that reduces x [outer, length, inner].
func reduction(t kernels.Type, outer, length, inner int, r kernels.Reduction) (all []*Case) {
	launches := kernels.Reduce(t, outer, length, inner, r)
	if len(launches) > 1 {
		parts := launches[1].Arguments[0].Size / (outer * inner)
		return []*Case{reduceCase(launches[0], t, outer, length, inner, parts, r), reduceCase(launches[1], t, outer*inner, parts, 1, 1, r)}
	}
	return []*Case{reduceCase(launches[0], t, outer, length, inner, 1, r)}
}

// reduceCase reduces `parts` parts of each line, which come to lie side by side.
func reduceCase(l *kernels.Launch, t kernels.Type, outer, length, inner, parts int, r kernels.Reduction) *Case {
	b := build(l, length < 2000, "%dx%dx%d in %d", outer, length, inner, parts)
	b.fill("x", func(i int) float64 {
		switch {
		case t == kernels.Bool:
			return float64(b.random.IntN(2))
		case t == kernels.I32 && r == kernels.Sum || t == kernels.I64 && r != kernels.Product:
			return float64(b.random.IntN(1<<20) - 1<<19) // exact only in integers
		case !t.Float():
			return float64(1 + i%3*(i%37/36)) // small, so that products fit
		case r >= kernels.Max && r <= kernels.Min && i == 1 && outer > 2:
			return math.NaN()
		}
		return 1 + 0.1*b.random.NormFloat64()
	})
	part := (length + parts - 1) / parts
	var y []float64
	lines(b.values["x"], [3]int{outer, length, inner}, func(x []float64) float64 {
		for begin := 0; begin < length; begin += part {
			y = append(y, combined(x[begin:min(length, begin+part)], r))
		}
		return 0
	})
	return b.want("y", 0, y).c
}

func combined(x []float64, r kernels.Reduction) float64 {
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
	// A counter whose low half overflows within the draw.
	r := kernels.Random{Key: [2]uint32{0x13198a2e, 0x03707344}, Counter: 5<<32 | 0xffffffff - 20}
	block := func(n int) (uint32, uint32) {
		c := r.Counter + uint64(n)
		return threefry(r.Key, uint32(c), uint32(c>>32))
	}
	word := func(i int) float64 {
		a, b := block(i / 2)
		if i%2 == 1 {
			a = b
		}
		return float64(a)
	}
	for _, r.Size = range []int{1, 2, 777} {
		b := build(r.Bits(), true, "%d", r.Size)
		all = append(all, b.want("out", 0, each(r.Size, word)).c)
	}
	for _, r.Type = range floatTypes {
		r.Size = 3333
		all = append(all, build(r.Uniform(), true, "3333").want("out", 0, each(r.Size, func(i int) float64 { return math.Floor(word(i)/256) / (1 << 24) })).c,
			build(r.Normal(), true, "3333").want("out", 0, each(r.Size, func(i int) float64 {
				return math.Sqrt2 * math.Erfinv(2*(math.Floor(word(i)/256)+0.5)/(1<<24)-1)
			})).c)
	}
	for _, c := range []struct {
		t         kernels.Type
		low, span int64
	}{{kernels.I32, -7, 20}, {kernels.I64, -1 << 40, 1<<41 + 12345}, {kernels.U8, 3, 250}} {
		r.Type, r.Low, r.Span, r.Size = c.t, c.low, c.span, 500
		all = append(all, build(r.Integers(), true, "%d from %d", c.span, c.low).want("out", 0, each(r.Size, func(i int) float64 {
			a, b := block(i)
			upper, _ := bits.Mul64(uint64(a)<<32|uint64(b), uint64(c.span))
			return float64(c.low + int64(upper))
		})).c)
	}
	return all
}

func adamwCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		a := kernels.AdamW{Type: t, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1}
		for _, size := range []int{1, 300} {
			a.Size = size
			all = append(all, adamwCase(a, build(a.Launch(), true, "%d", size), []string{""}, nil))
		}
		for _, sets := range [][]kernels.Set{{{Size: 7}, {Size: 300}}, {{Size: 1}, {Size: 40, Columns: 8}, {Size: 5}, {Size: 33, Columns: 3}}} {
			var suffixes []string
			columns := map[string]int{}
			for i, s := range sets {
				columns[fmt.Sprint(i)] = s.Columns
				suffixes = append(suffixes, fmt.Sprint(i))
			}
			all = append(all, adamwCase(a, build(a.LaunchSets(sets), true, "%v", sets), suffixes, columns))
		}
	}
	return all
}

// adamwCase fills in and checks the parameters whose arguments have these suffixes.
func adamwCase(a kernels.AdamW, b *builder, suffixes []string, columns map[string]int) *Case {
	changing := []float64{0.01, 1 / (1 - math.Pow(0.9, 3)), 1 / (1 - math.Pow(0.999, 3))}
	b.fill("h", func(i int) float64 { return changing[i] })
	h, b1, b2 := b.values["h"], float64(a.Beta1), float64(a.Beta2)
	for _, s := range suffixes {
		b.fill("v"+s, func(int) float64 { return b.random.Float64() })
		size := len(b.values["g"+s])
		p, m, v := make([]float64, size), make([]float64, size), make([]float64, size)
		for i := range size {
			from := i
			if c := columns[s]; c > 0 { // the gradient lies transposed
				from = i%c*(size/c) + i/c
			}
			g := b.values["g"+s][from]
			m[i] = b1*b.values["m"+s][i] + (1-b1)*g
			v[i] = b2*b.values["v"+s][i] + (1-b2)*g*g
			p[i] = b.values["p"+s][i]*(1-h[0]*float64(a.Decay)) - h[0]*m[i]*h[1]/(math.Sqrt(v[i]*h[2])+float64(a.Eps))
		}
		b.want("p_out"+s, 0, p).want("m_out"+s, 0, m).want("v_out"+s, 0, v)
	}
	return b.c
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
