package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has reductions over axes that are not the last ones, and those that
// programs do not hold. The operand is seen as a sequence of result elements,
// each with a strided set of elements to reduce.

func init() {
	register(compileReduce, op.Sum, op.Prod, op.Max, op.Min, op.Any, op.All)
	register(compileArg, op.ArgMax, op.ArgMin)
}

// compileReduce reduces one group of neighbouring axes after the other, the last
// first, with the results of one group as the operand of the next.
func compileReduce(r *run, s *plan.Step) (kernel, error) {
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	if x.n == 0 {
		start := map[ir.Op]float64{op.Sum: 0, op.Prod: 1, op.Any: 0, op.All: 1}[s.Op]
		return func() error { fillAny(r.at(&s.Out[0]), s.Out[0].DType, start, out.n); return nil }, nil
	}
	dtype := computed(s.Out[0].DType)
	phases := phasesOf(s.In[0].Shape, s.Attrs.(op.Reduce).Axes)
	runs := make([]func(dst, src unsafe.Pointer), len(phases))
	for i, p := range phases {
		runs[i] = r.phase(s.Op, dtype, p)
	}
	return func() error {
		src, dst := x.get(r), out.get(r)
		for i, run := range runs {
			to := dst
			if i < len(runs)-1 {
				to = r.mustTemp(phases[i].outer * phases[i].inner * dtype.Bytes())
			}
			run(to, src)
			src = to
		}
		out.put(r, dst)
		return nil
	}, nil
}

// phase is the reduction of the middle axis of a row-major array of three.
type phase struct{ outer, gone, inner int }

// phasesOf joins neighbouring axes that share a fate.
func phasesOf(shape ir.Shape, axes []int) []phase {
	isGone := make([]bool, len(shape))
	for _, a := range axes {
		isGone[a] = true
	}
	var phases []phase
	inner := 1
	for last := len(shape) - 1; last >= 0; {
		for ; last >= 0 && !isGone[last]; last-- {
			inner *= shape[last]
		}
		gone := 1
		for ; last >= 0 && isGone[last]; last-- {
			gone *= shape[last]
		}
		if gone > 1 {
			phases = append(phases, phase{shape[:last+1].Size(), gone, inner})
		}
	}
	if phases == nil { // axes of size 1 only
		phases = []phase{{1, 1, inner}}
	}
	return phases
}

// phase returns the kernel of a reduction.
func (r *run) phase(o ir.Op, d ir.DType, p phase) func(dst, src unsafe.Pointer) {
	if p.inner > 1 || p.gone == 1 {
		return r.columnPhase(o, d, p)
	}
	reduce, size := reducers(o, d), d.Bytes()
	var dst, src unsafe.Pointer
	run := r.eachRow(p.outer, float64(p.outer*p.gone)*0.3, func(from, to int, _ *pool.Worker) {
		reduce(unsafe.Add(dst, from*size), unsafe.Add(src, from*p.gone*size), to-from, p.gone, false)
	})
	return func(d, s unsafe.Pointer) {
		dst, src = d, s
		run()
	}
}

// place returns where element i of a strided array lies.
func place(i int, dims, strides []int) int {
	off := 0
	for d := len(dims) - 1; d >= 0; d-- {
		off += i % dims[d] * strides[d]
		i /= dims[d]
	}
	return off
}

// lines are the rows of elements along one axis of a row-major array.
type lines struct{ count, length, stride int }

func linesOf(shape ir.Shape, axis int) lines {
	inner := shape[axis+1:].Size()
	return lines{shape[:axis].Size() * inner, shape[axis], inner}
}

// start returns where line i begins.
func (l lines) start(i int) int { return i/l.stride*l.stride*l.length + i%l.stride }

func compileArg(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Reduce).Axes[0]
	x, out := newArg(&s.In[0]), &s.Out[0]
	l := linesOf(s.In[0].Shape, axis)
	f := typed(s.In[0].DType, argLine[float32], argLine[float64], argLine[int32], argLine[int64], argLine[uint8])
	var rows func(out []int64, x vec.Rows, rows, n int)
	if computed(s.In[0].DType) == ir.F32 && l.stride == 1 {
		if rows = vec.ArgMax; s.Op == op.ArgMin {
			rows = vec.ArgMin
		}
	}
	cost, units, strips := float64(x.n)*1.5, l.count, 1
	columns := typed(s.In[0].DType, argColumns[float32], argColumns[float64], argColumns[int32], argColumns[int64], argColumns[uint8])
	if l.stride > 1 {
		strips = (l.stride + argStrip - 1) / argStrip
		units = l.count / l.stride * strips
	}
	chunks := r.chunksFor(cost, max(1, units))
	var src unsafe.Pointer
	job := func(c int, w *pool.Worker) {
		d := slice[int64](r.at(out), l.count)
		from, to := units*c/chunks, units*(c+1)/chunks
		switch {
		case rows != nil:
			rows(d[from:to], vec.Rows{Data: unsafe.Add(src, 4*from*l.length), Stride: l.length}, to-from, l.length)
		case l.stride > 1:
			for i := from; i < to; i++ {
				first := i % strips * argStrip
				at := i/strips*l.stride + first
				columns(d[at:at+min(argStrip, l.stride-first)], src, l.start(at), l.length, l.stride, s.Op == op.ArgMin, w.Scratch(8*argStrip).Pointer())
			}
		default:
			for i := from; i < to; i++ {
				d[i] = f(src, l.start(i), l.length, l.stride, s.Op == op.ArgMin)
			}
		}
	}
	return func() error {
		src = x.get(r)
		r.split(chunks, cost, job)
		return nil
	}, nil
}

// argStrip is how many columns argColumns is for.
const argStrip = 512

// argColumns is argLine for neighbouring lines, whose elements lie side by side.
func argColumns[T number](out []int64, p unsafe.Pointer, start, n, stride int, smallest bool, scratch unsafe.Pointer) {
	size := int(unsafe.Sizeof(T(0)))
	best := slice[T](scratch, len(out))
	copy(best, slice[T](unsafe.Add(p, start*size), len(out)))
	clear(out)
	for i := 1; i < n; i++ {
		x := slice[T](unsafe.Add(p, (start+i*stride)*size), len(out))
		if smallest {
			for k, v := range x {
				if b := best[k]; !(v >= b) && b == b {
					best[k], out[k] = v, int64(i)
				}
			}
			continue
		}
		for k, v := range x {
			if b := best[k]; !(v <= b) && b == b {
				best[k], out[k] = v, int64(i)
			}
		}
	}
}

// argLine returns the first of the largest (or smallest) elements; NaN wins.
func argLine[T number](p unsafe.Pointer, start, n, stride int, smallest bool) int64 {
	best, at := element[T](p, start), 0
	for i := 1; i < n && best == best; i++ {
		v := element[T](p, start+i*stride)
		if v != v || smallest && v < best || !smallest && v > best {
			best, at = v, i
		}
	}
	return int64(at)
}
