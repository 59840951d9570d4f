package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileAdamW, op.AdamW)
	register(compileCustom, op.Custom)
}

// adamSet is the update of one parameter.
type adamSet struct {
	in  []*arg
	out []*result
	n   int
	p   [5]unsafe.Pointer // p, g, m, v
	y   [3]unsafe.Pointer
}

// adamTile is how many elements are updated at a time: moments that were not
// donated are copied first, and updated while they are in the first-level cache.
const adamTile = 1024

// compileAdamW updates all parameters of the step's batch as one job: tiles of
// different parameters are handed out alike.
func compileAdamW(r *run, s *plan.Step) (kernel, error) {
	sets := []*adamSet{newAdamSet(s.In, s.Out)}
	for _, b := range s.Batch {
		sets = append(sets, newAdamSet(b.In, b.Out))
	}
	tiles := []int{0} // tiles before each set
	for _, a := range sets {
		tiles = append(tiles, tiles[len(tiles)-1]+(a.n+adamTile-1)/adamTile)
	}
	total := tiles[len(sets)]
	if total == 0 {
		return func() error { return nil }, nil
	}
	attrs := s.Attrs.(op.AdamWStep)
	h := newArg(&s.In[4])
	double := s.In[2].DType == ir.F64
	cost := float64(total) * adamTile * 0.35
	chunks := r.chunksFor(cost, total)
	var c [3]float64
	var rates vec.AdamWRates
	job := func(chunk int, _ *pool.Worker) {
		k := 0
		for t := total * chunk / chunks; t < total*(chunk+1)/chunks; t++ {
			for t >= tiles[k+1] {
				k++
			}
			a := sets[k]
			from := (t - tiles[k]) * adamTile
			if to := min(a.n, from+adamTile); double {
				adamElements[float64](a, attrs, c, from, to)
			} else {
				a.update(&rates, from, to)
			}
		}
	}
	return func() error {
		p := h.get(r)
		for i := range c {
			if double {
				c[i] = element[float64](p, i)
			} else {
				c[i] = float64(element[float32](p, i))
			}
		}
		rates = ratesOf(attrs, c)
		for _, a := range sets {
			for i := range 4 {
				a.p[i] = a.in[i].get(r)
			}
			for i := range 3 {
				a.y[i] = a.out[i].get(r)
			}
		}
		r.pool.Run(chunks, cost, nil, job) // an update is done as a whole
		for _, a := range sets {
			for i := range 3 {
				a.out[i].put(r, a.y[i])
			}
		}
		return nil
	}, nil
}

func newAdamSet(in, out []plan.Operand) *adamSet {
	a := &adamSet{n: in[0].Shape.Size()}
	for i := range 4 {
		a.in = append(a.in, newArg(&in[i]))
	}
	for i := range 3 {
		a.out = append(a.out, newResult(&out[i]))
	}
	return a
}

// ratesOf returns the factors of a step; c is the learning rate and the two bias corrections.
func ratesOf(k op.AdamWStep, c [3]float64) vec.AdamWRates {
	// √(v·h2)+ε = √h2·(√v + ε/√h2), which leaves corrections of 1 to the kernel.
	root := math.Sqrt(c[2])
	rate := c[0] * c[1] / root
	u := vec.AdamW{LearningRate: rate, Beta1: k.Beta1, Beta2: k.Beta2, Epsilon: k.Eps / root, Step: 1 << 40}
	if rate != 0 {
		u.WeightDecay = c[0] * k.Decay / rate
	}
	return u.Rates()
}

// update moves elements from..to-1.
func (a *adamSet) update(rates *vec.AdamWRates, from, to int) {
	at := func(p unsafe.Pointer) []float32 { return slice[float32](p, to)[from:] }
	m, v := at(a.y[1]), at(a.y[2])
	for i, moment := range [2][]float32{m, v} {
		if a.y[1+i] != a.p[2+i] { // in place where the old values were donated
			copy(moment, at(a.p[2+i]))
		}
	}
	rates.Update(at(a.y[0]), at(a.p[0]), at(a.p[1]), m, v)
}

// adamElements does the same in float64; c is as in ratesOf.
func adamElements[T floating](a *adamSet, k op.AdamWStep, c [3]float64, from, to int) {
	p, g, m, v := slice[T](a.p[0], to), a.p[1], slice[T](a.p[2], to), slice[T](a.p[3], to)
	w, mo, vo := slice[T](a.y[0], to), slice[T](a.y[1], to), slice[T](a.y[2], to)
	for i := from; i < to; i++ {
		d := float64(gradientAt(a.in[1], g, i))
		x := k.Beta1*float64(m[i]) + (1-k.Beta1)*d
		y := k.Beta2*float64(v[i]) + (1-k.Beta2)*d*d
		q := float64(p[i])
		w[i] = T(q - c[0]*k.Decay*q - c[0]*(x*c[1])/(math.Sqrt(y*c[2])+k.Eps))
		mo[i], vo[i] = T(x), T(y)
	}
}

// gradientAt reads a gradient, which may be narrower than the moments.
func gradientAt(a *arg, p unsafe.Pointer, i int) float64 {
	if a.o.DType == ir.F64 {
		return element[float64](p, i)
	}
	return float64(element[float32](p, i))
}

// compileCustom runs a user's kernel over ranges of elements.
func compileCustom(r *run, s *plan.Step) (kernel, error) {
	k := s.Attrs.(*op.Kernel)
	if k.CPU == nil {
		return nil, &ir.Error{Code: ir.CodeDevice, Op: k.Name, Msg: "the kernel has no CPU function", Hint: "give it one, or use a device it has a source for"}
	}
	n := k.Grid[0] * k.Grid[1] * k.Grid[2]
	args, outs := make([]*arg, len(s.In)), make([]*result, len(s.Out))
	for i := range args {
		args[i] = newArg(&s.In[i])
	}
	for i := range outs {
		if s.Out[i].DType != ir.F32 {
			return nil, &ir.Error{Code: ir.CodeDType, Op: k.Name, Msg: fmt.Sprintf("output %d is %s; kernels write f32", i, s.Out[i].DType)}
		}
		outs[i] = newResult(&s.Out[i])
	}
	in, out := make([][]float32, len(args)), make([][]float32, len(outs))
	chunks := r.chunksFor(float64(n)*20, n/256+1)
	job := func(c int, _ *pool.Worker) {
		if from, to := n*c/chunks, n*(c+1)/chunks; from < to && !r.stopped() {
			value, at := ir.Protect(func() { k.CPU(in, out, from, to) })
			if value != nil {
				panic(&ir.Error{Code: ir.CodeUser, Op: k.Name, Pos: at, Msg: fmt.Sprintf("the kernel's CPU function panicked: %v", value)})
			}
		}
	}
	return func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				if err = asError(v); r.stopped() {
					err = ErrStopped
				}
			}
		}()
		for i, a := range args {
			in[i] = slice[float32](a.get(r), a.n)
		}
		for i, o := range outs {
			out[i] = slice[float32](o.get(r), o.n)
			if o.n > n {
				clear(out[i]) // of elements that the function may leave out
			}
		}
		r.split(chunks, float64(n)*20, job)
		return nil
	}, nil
}
