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
	register(compileCumSum, op.CumSum)
}

// compileReduce reduces row by row of the inner kept elements: each row of the
// operand is added to the row of results.
func compileReduce(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Reduce)
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	shape := s.In[0].Shape
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	start := map[ir.Op]float64{op.Sum: 0, op.Prod: 1, op.Any: 0, op.All: 1}[s.Op]
	if x.n == 0 {
		return func() error { fillAny(r.at(&s.Out[0]), s.Out[0].DType, start, out.n); return nil }, nil
	}
	g := newReduction(shape, a.Axes)
	f := typed(s.Out[0].DType, reduceRows[float32], reduceRows[float64], reduceRows[int32], reduceRows[int64], reduceRows[uint8])
	both := foldOf(s.Op, s.Out[0].DType)
	deep := s.Op == op.Sum && s.Out[0].DType.IsFloat() && g.reduced > cascade
	cost := float64(x.n)
	var src, dst unsafe.Pointer
	chunks := r.chunksFor(cost, g.outer)
	parts := 1
	if chunks < r.pool.Threads() && g.inner >= 64 {
		parts = r.chunksFor(cost/float64(g.outer), g.inner/32)
	}
	job := func(c int, w *pool.Worker) {
		part := c % parts
		c /= parts
		var sums unsafe.Pointer
		if deep {
			sums = w.Scratch(2 * strip * 8).Pointer()
		}
		f(dst, src, g, g.outer*c/chunks, g.outer*(c+1)/chunks, g.inner*part/parts, g.inner*(part+1)/parts, both, sums)
	}
	return func() error {
		src, dst = x.get(r), out.get(r)
		r.split(chunks*parts, cost, job)
		out.put(r, dst)
		return nil
	}, nil
}

// reduction is a row-major operand cut into outer blocks, whose elements of one
// position go to one result; inner elements lie together.
type reduction struct {
	outer, inner int
	kept, keptSt []int // dimensions before the inner ones that stay
	gone, goneSt []int // and those that are reduced
	reduced      int
}

func newReduction(shape ir.Shape, axes []int) *reduction {
	g := &reduction{outer: 1, inner: 1, reduced: 1}
	isGone := make([]bool, len(shape))
	for _, a := range axes {
		isGone[a] = true
	}
	st := shape.Strides()
	last := len(shape) - 1
	for ; last >= 0 && !isGone[last]; last-- {
		g.inner *= shape[last]
	}
	for i := 0; i <= last; i++ {
		if isGone[i] {
			g.gone, g.goneSt = append(g.gone, shape[i]), append(g.goneSt, st[i])
			g.reduced *= shape[i]
		} else {
			g.kept, g.keptSt = append(g.kept, shape[i]), append(g.keptSt, st[i])
			g.outer *= shape[i]
		}
	}
	return g
}

func place(i int, dims, strides []int) int {
	off := 0
	for d := len(dims) - 1; d >= 0; d-- {
		off += i % dims[d] * strides[d]
		i /= dims[d]
	}
	return off
}

// Long sums of floats are taken in a cascade, so that the error grows with its
// depth: cascade rows are added up, as many of these sums, and all of those.
const (
	cascade = 32
	strip   = 2048 // elements of a row that are summed at a time
)

// reduceRows computes inner elements i0..i1-1 of results from..to-1, sums in a
// cascade if it is given memory for two strips.
func reduceRows[T number](dst, src unsafe.Pointer, g *reduction, from, to, i0, i1 int, both any, sums unsafe.Pointer) {
	f := both.(func(d, x []T))
	size := int(unsafe.Sizeof(T(0)))
	for o := from; o < to; o++ {
		base := place(o, g.kept, g.keptSt)
		if sums != nil {
			for i := i0; i < i1; i += strip {
				n := min(strip, i1-i)
				d := slice[T](unsafe.Add(dst, (o*g.inner+i)*size), n)
				a, b := slice[T](sums, n), slice[T](unsafe.Add(sums, strip*8), n)
				sumCascade(d, a, b, g, unsafe.Add(src, (base+i)*size), f)
			}
			continue
		}
		d := slice[T](unsafe.Add(dst, (o*g.inner+i0)*size), i1-i0)
		for k := range g.reduced {
			x := slice[T](unsafe.Add(src, (base+place(k, g.gone, g.goneSt)+i0)*size), i1-i0)
			if k == 0 {
				copy(d, x)
				continue
			}
			f(d, x)
		}
	}
}

// sumCascade adds the rows at src into d; a and b hold the sums on the way.
func sumCascade[T number](d, a, b []T, g *reduction, src unsafe.Pointer, add func(d, x []T)) {
	put := func(d, x []T, first bool) {
		if first {
			copy(d, x)
		} else {
			add(d, x)
		}
	}
	size := int(unsafe.Sizeof(T(0)))
	for k := range g.reduced {
		put(a, slice[T](unsafe.Add(src, place(k, g.gone, g.goneSt)*size), len(d)), k%cascade == 0)
		end := k == g.reduced-1
		if k%cascade < cascade-1 && !end {
			continue
		}
		block := k / cascade
		put(b, a, block%cascade == 0)
		if block%cascade == cascade-1 || end {
			put(d, b, block < cascade)
		}
	}
}

// foldOf returns the function that reduces a row into a row of results.
func foldOf(o ir.Op, d ir.DType) any {
	switch computed(d) {
	case ir.F32:
		if v, ok := map[ir.Op]vec.Op{op.Sum: vec.Add, op.Prod: vec.Mul, op.Max: vec.Maximum, op.Min: vec.Minimum}[o]; ok {
			return func(d, x []float32) { vec.Binary(v, d, d, x) }
		}
		return rowFold[float32](o)
	case ir.F64:
		return rowFold[float64](o)
	case ir.I32:
		return rowFold[int32](o)
	case ir.I64:
		return rowFold[int64](o)
	}
	return rowFold[uint8](o)
}

func rowFold[T number](o ir.Op) func(d, x []T) {
	each := func(f func(a, b T) T) func(d, x []T) {
		return func(d, x []T) {
			for i := range d {
				d[i] = f(d[i], x[i])
			}
		}
	}
	switch o {
	case op.Sum:
		return func(d, x []T) {
			for i := range d {
				d[i] += x[i]
			}
		}
	case op.Prod:
		return each(func(a, b T) T { return a * b })
	case op.Max:
		return each(func(a, b T) T {
			if a != a || a > b {
				return a
			}
			return b
		})
	case op.Min:
		return each(func(a, b T) T {
			if a != a || a < b {
				return a
			}
			return b
		})
	case op.Any:
		return each(func(a, b T) T {
			if a != 0 || b != 0 {
				return 1
			}
			return 0
		})
	}
	return each(func(a, b T) T {
		if a != 0 && b != 0 {
			return 1
		}
		return 0
	})
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
	cost := float64(x.n) * 1.5
	chunks := r.chunksFor(cost, max(1, l.count))
	var src unsafe.Pointer
	job := func(c int, _ *pool.Worker) {
		d := slice[int64](r.at(out), l.count)
		for i := l.count * c / chunks; i < l.count*(c+1)/chunks; i++ {
			d[i] = f(src, l.start(i), l.length, l.stride, s.Op == op.ArgMin)
		}
	}
	return func() error {
		src = x.get(r)
		r.split(chunks, cost, job)
		return nil
	}, nil
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

func compileCumSum(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Scan)
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	l := linesOf(s.In[0].Shape, a.Axis)
	f := typed(s.Out[0].DType, scanLine[float32], scanLine[float64], scanLine[int32], scanLine[int64], scanLine[uint8])
	return func() error {
		src, dst := x.get(r), out.get(r)
		for i := range l.count {
			f(dst, src, l.start(i), l.length, l.stride, a.Reverse)
		}
		out.put(r, dst)
		return nil
	}, nil
}

func scanLine[T number](dst, src unsafe.Pointer, start, n, stride int, reverse bool) {
	if reverse {
		start, stride = start+(n-1)*stride, -stride
	}
	var sum T
	var exact float64 // of floats: the sum is kept in double precision
	isFloat := T(1)/2 != 0
	for i := range n {
		k := start + i*stride
		v := element[T](src, k)
		sum += v
		if isFloat {
			exact += float64(v)
			sum = T(exact)
		}
		*(*T)(unsafe.Add(dst, k*int(unsafe.Sizeof(v)))) = sum
	}
}
