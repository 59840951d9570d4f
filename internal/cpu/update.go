package cpu

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
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

// adamTile is how many elements are updated at a time.
const adamTile = 2048

// adamNanos is the time of one element on one thread.
const adamNanos = 0.25

// adamJob updates float32 parameters in tiles; those of different parameters are
// handed out alike.
type adamJob struct {
	sets   []plan.AdamWSet
	tiles  []int // before each set, and of all
	chunks int
	rates  vec.AdamWRates
	chunk  pool.Func
}

var adamJobs = sync.Pool{New: func() any {
	j := new(adamJob)
	j.chunk = j.run
	return j
}}

// update updates all sets.
func (j *adamJob) update(p *pool.Pool) {
	j.tiles = append(j.tiles[:0], 0)
	total := 0
	for i := range j.sets {
		total += (j.sets[i].N + adamTile - 1) / adamTile
		j.tiles = append(j.tiles, total)
	}
	cost := float64(total) * adamTile * adamNanos
	j.chunks = chunksOf(p, cost, total)
	p.Run(j.chunks, cost, nil, j.chunk) // an update is done as a whole
}

func (j *adamJob) run(chunk int, _ *pool.Worker) {
	total := j.tiles[len(j.sets)]
	from, to := total*chunk/j.chunks, total*(chunk+1)/j.chunks
	k, _ := slices.BinarySearch(j.tiles, from+1)
	call := j.rates.Begin()
	defer call.End()
	for k--; from < to; k++ {
		s := &j.sets[k]
		end := min(to, j.tiles[k+1])
		lo, hi := (from-j.tiles[k])*adamTile, min(s.N, (end-j.tiles[k])*adamTile)
		at := func(p unsafe.Pointer) []float32 { return slice[float32](p, hi)[lo:] }
		call.Update(at(s.W), at(s.P), at(s.G), at(s.M), at(s.V))
		from = end
	}
}

// AdamW implements plan.Updater.
func (d *Device) AdamW(sets []plan.AdamWSet, k op.AdamWStep, h [3]float64) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // operands may be mapped files
	defer func() {
		if v := recover(); v != nil {
			err = asError(v)
		}
	}()
	j := adamJobs.Get().(*adamJob)
	j.sets, j.rates = sets, ratesOf(k, h)
	j.update(d.pool)
	j.sets = nil
	adamJobs.Put(j)
	return nil
}

// adamSet is the update of one parameter in a plan.
type adamSet struct {
	in  []*arg
	out []*result
	n   int
}

// compileAdamW updates all parameters of the step's batch as one job.
func compileAdamW(r *run, s *plan.Step) (kernel, error) {
	sets := []*adamSet{newAdamSet(s.In, s.Out)}
	for _, b := range s.Batch {
		sets = append(sets, newAdamSet(b.In, b.Out))
	}
	attrs := s.Attrs.(op.AdamWStep)
	h := newArg(&s.In[4])
	if s.In[2].DType == ir.F64 {
		return func() error {
			p := h.get(r)
			for _, a := range sets {
				a.update64(r, attrs, [3]float64(slice[float64](p, 3)))
			}
			return nil
		}, nil
	}
	j := &adamJob{sets: make([]plan.AdamWSet, len(sets))}
	j.chunk = j.run
	return func() error {
		c := slice[float32](h.get(r), 3)
		j.rates = ratesOf(attrs, [3]float64{float64(c[0]), float64(c[1]), float64(c[2])})
		for i, a := range sets {
			a.bind(r, &j.sets[i])
		}
		j.update(r.pool)
		for i, a := range sets {
			d := &j.sets[i]
			for k, y := range [3]unsafe.Pointer{d.W, d.M, d.V} {
				a.out[k].put(r, y)
			}
		}
		clear(j.sets)
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

// bind finds where the operands lie; moments that were not donated are copied.
func (a *adamSet) bind(r *run, d *plan.AdamWSet) {
	*d = plan.AdamWSet{P: a.in[0].get(r), G: a.in[1].get(r), W: a.out[0].get(r), M: a.out[1].get(r), V: a.out[2].get(r), N: a.n}
	for i, y := range [2]unsafe.Pointer{d.M, d.V} {
		if x := a.in[2+i].get(r); x != y {
			copy(slice[float32](y, a.n), slice[float32](x, a.n))
		}
	}
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

// update64 does the same in float64; c is as in ratesOf.
func (a *adamSet) update64(r *run, k op.AdamWStep, c [3]float64) {
	at := func(p unsafe.Pointer) []float64 { return slice[float64](p, a.n) }
	p, g, m, v := at(a.in[0].get(r)), a.in[1].get(r), at(a.in[2].get(r)), at(a.in[3].get(r))
	w, mo, vo := at(a.out[0].get(r)), at(a.out[1].get(r)), at(a.out[2].get(r))
	for i := range w {
		d := gradientAt(a.in[1], g, i)
		x := k.Beta1*m[i] + (1-k.Beta1)*d
		y := k.Beta2*v[i] + (1-k.Beta2)*d*d
		q := p[i]
		w[i] = q - c[0]*k.Decay*q - c[0]*(x*c[1])/(math.Sqrt(y*c[2])+k.Eps)
		mo[i], vo[i] = x, y
	}
	for i, y := range [3][]float64{w, mo, vo} {
		a.out[i].put(r, unsafe.Pointer(unsafe.SliceData(y)))
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
