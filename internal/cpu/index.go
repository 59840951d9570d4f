package cpu

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has the ops whose places in memory are computed: they read or write where
// arrays of indices say.

func init() {
	register(compileTake, op.Take)
	register(compileTakeAlong, op.TakeAlong)
	register(compileScatter, op.Scatter)
}

// indexError is what an index out of range gives.
func indexError(i int64, size int) error {
	return &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("index %d is out of range for an axis of %d", i, size)}
}

// firstBad remembers the first index out of range, by its number, of those that several
// threads find. It is used again from run to run.
type firstBad struct{ at atomic.Int64 }

func (f *firstBad) reset() { f.at.Store(math.MaxInt64) }

func (f *firstBad) note(at int) {
	for {
		old := f.at.Load()
		if old <= int64(at) || f.at.CompareAndSwap(old, int64(at)) {
			return
		}
	}
}

// err returns the error of the index noted, nil if none was.
func (f *firstBad) err(p unsafe.Pointer, l *loader, size int) error {
	at := f.at.Load()
	if at == math.MaxInt64 {
		return nil
	}
	return indexError(readIndex(p, l.dtype, l.offset(int(at))), size)
}

// indexer reads indices over the pool, wrapped to 0..size-1.
type indexer struct {
	o    *plan.Operand
	l    loader
	n    int
	size int
	src  unsafe.Pointer
	dst  []int32
	bad  firstBad
	cost float64
	job  pool.Func
}

func newIndexer(r *run, o *plan.Operand, size int) *indexer {
	x := &indexer{o: o, l: newLoader(o, 0), n: o.Shape.Size(), size: size}
	x.cost = float64(x.n)
	chunks := r.chunksFor(x.cost, x.n/256+1)
	x.job = func(c int, w *pool.Worker) {
		const block = 256
		buf := w.Scratch(8 * block).Pointer()
		for i, to := x.n*c/chunks, x.n*(c+1)/chunks; i < to; i += block {
			n := min(block, to-i)
			x.l.copyRange(buf, x.src, i, n)
			at := -1
			if x.l.dtype == ir.I32 {
				at = wrapIndices(x.dst[i:i+n], slice[int32](buf, n), size)
			} else {
				at = wrapIndices(x.dst[i:i+n], slice[int64](buf, n), size)
			}
			if at >= 0 {
				x.bad.note(i + at)
				return
			}
		}
	}
	return x
}

// read returns the indices in order, valid until the step ends.
func (x *indexer) read(r *run) ([]int32, error) {
	if x.n == 0 {
		return nil, nil
	}
	x.src, x.dst = r.at(x.o), slice[int32](r.mustTemp(4*x.n), x.n)
	x.bad.reset()
	r.split(r.chunksFor(x.cost, x.n/256+1), x.cost, x.job)
	return x.dst, x.bad.err(x.src, &x.l, x.size)
}

// wrapIndices adds size to negative indices and returns the place of the first that is
// out of range, or -1.
func wrapIndices[I int32 | int64](dst []int32, src []I, size int) int {
	dst = dst[:len(src)]
	for i, v := range src {
		k := wrap(int(v), size)
		if uint(k) >= uint(size) {
			return i
		}
		dst[i] = int32(k)
	}
	return -1
}

// wrap adds size to a negative index.
func wrap(i, size int) int { return i + i>>63&size }

func compileTake(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Axis).Axis
	x, idx, out := &s.In[0], &s.In[1], &s.Out[0]
	n := idx.Shape.Size()
	outer, size, inner := x.Shape[:axis].Size(), x.Shape[axis], x.Shape[axis+1:].Size()
	bytes := x.DType.Bytes()
	direct := x.IsDense()
	all, places := newLoader(x, 0), newIndexer(r, idx, size)
	total := out.Shape.Size()
	cost := float64(total) * 0.3
	rows := outer * n
	chunks := r.chunksFor(cost, max(1, rows))
	var src, dst unsafe.Pointer
	var at []int32
	f := func(c int, _ *pool.Worker) {
		for row := rows * c / chunks; row < rows*(c+1)/chunks; row++ {
			from := (row/n*size + int(at[row%n])) * inner * bytes
			copy(slice[byte](unsafe.Add(dst, row*inner*bytes), inner*bytes), slice[byte](unsafe.Add(src, from), inner*bytes))
		}
	}
	return func() (err error) {
		if total == 0 {
			return nil
		}
		if at, err = places.read(r); err != nil {
			return err
		}
		src, dst = r.at(x), r.at(out)
		if !direct {
			src = r.mustTemp(x.Shape.Size() * bytes)
			copyAll(r, &all, src, r.at(x), x.Shape.Size())
		}
		r.split(chunks, cost, f)
		return nil
	}, nil
}

// takeLine sets dst[i] to the element of src at the place that index i names.
type takeLine = func(dst, src, idx unsafe.Pointer, n int, l *alongLine) (bad int)

// alongLine tells how places move along a line of indices, in elements: the index is
// times stride, and each element is step further; indices are idxStep apart.
type alongLine struct{ size, stride, step, idxStep int }

func takeLineOf[E any, I int32 | int64](dst, src, idx unsafe.Pointer, n int, l *alongLine) int {
	d, size, stride, step, idxStep := slice[E](dst, n), l.size, l.stride, l.step, l.idxStep*int(unsafe.Sizeof(I(0)))
	off, at := 0, 0
	for i := range d {
		k := wrap(int(*(*I)(unsafe.Add(idx, at))), size)
		if uint(k) >= uint(size) {
			return i
		}
		d[i] = *(*E)(unsafe.Add(src, (k*stride+off)*int(unsafe.Sizeof(d[0]))))
		off += step
		at += idxStep
	}
	return -1
}

// takeLines returns the takeLine for elements of a size and indices of a dtype.
func takeLines(bytes int, idx ir.DType) takeLine {
	narrow := idx == ir.I32
	switch {
	case bytes == 8 && narrow:
		return takeLineOf[uint64, int32]
	case bytes == 8:
		return takeLineOf[uint64, int64]
	case bytes == 4 && narrow:
		return takeLineOf[uint32, int32]
	case bytes == 4:
		return takeLineOf[uint32, int64]
	case bytes == 2 && narrow:
		return takeLineOf[uint16, int32]
	case bytes == 2:
		return takeLineOf[uint16, int64]
	case narrow:
		return takeLineOf[uint8, int32]
	}
	return takeLineOf[uint8, int64]
}

func compileTakeAlong(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Axis).Axis
	x, idx, out := &s.In[0], &s.In[1], &s.Out[0]
	n, bytes, idxBytes := out.Shape.Size(), x.DType.Bytes(), idx.DType.Bytes()
	last := len(out.Shape) - 1
	for last > 0 && out.Shape[last] == 1 { // a line is of the last dimension that has one
		last--
	}
	cols := out.Shape[last]
	line := alongLine{x.Shape[axis], x.Strides[axis], x.Strides[last], idx.Strides[last]}
	if axis == last {
		line.step = 0
	}
	outer, outerX := out.Shape[:last], append([]int(nil), x.Strides[:last]...)
	if axis < last {
		outerX[axis] = 0
	}
	take, places := takeLines(bytes, idx.DType), newLoader(idx, 1)
	cost := float64(n) * 1.2
	chunks := r.chunksFor(cost, n/64+1)
	var src, dst, index unsafe.Pointer
	var bad firstBad
	job := func(c int, _ *pool.Worker) {
		for i, to := n*c/chunks, n*(c+1)/chunks; i < to; {
			row, col := i/cols, i%cols
			m := min(cols-col, to-i)
			from := unsafe.Add(src, (place(row, outer, outerX)+col*line.step)*bytes)
			at := unsafe.Add(index, (place(row, outer, idx.Strides[:last])+col*line.idxStep)*idxBytes)
			if k := take(unsafe.Add(dst, i*bytes), from, at, m, &line); k >= 0 {
				bad.note(i + k)
				return
			}
			i += m
		}
	}
	return func() error {
		src, dst, index = r.at(x), r.at(out), r.at(idx)
		bad.reset()
		r.split(chunks, cost, job)
		return bad.err(index, &places, line.size)
	}, nil
}

// scatter puts updates [outer, n, inner] into an array [outer, size, inner]: update
// (b, i, c) goes to (b, k, c), where at[b·strides[0] + i·strides[1] + c·strides[2]] is k.
type scatter struct {
	outer, n, size, inner int
	strides               [3]int
	at                    []int32
	dst, src              unsafe.Pointer
}

// compileScatter copies x and writes or adds the updates. Threads share the elements,
// not the updates, so that those of one element are put in order and the last wins.
func compileScatter(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Scattering)
	x, idx, out := newArg(&s.In[0]), s.In[1], newResult(&s.Out[0])
	updates := newArg(&s.In[2])
	shape := s.Out[0].Shape
	t := &scatter{outer: shape[:a.Axis].Size(), n: idx.Shape.Size(), size: shape[a.Axis], inner: shape[a.Axis+1:].Size()}
	if a.Along {
		t.n = idx.Shape[a.Axis]
	}
	t.strides = [3]int{0, 1, 0}
	if a.Along && idx.Shape.Size() > 0 {
		idx, t.strides = t.distinct(idx)
	}
	places := newIndexer(r, &idx, t.size)
	put := typed(s.Out[0].DType, setUpdates[float32], setUpdates[float64], setUpdates[int32], setUpdates[int64], setUpdates[uint8])
	if a.Mode == op.ScatterAdd {
		put = typed(s.Out[0].DType, addUpdates[float32], addUpdates[float64], addUpdates[int32], addUpdates[int64], addUpdates[uint8])
	}
	cost := float64(updates.n) * 0.8
	if t.strides[2] == 0 && t.inner > 1 {
		cost = float64(updates.n) * 0.2
	}
	const strip = 64 // columns, whole cache lines
	parts := r.chunksFor(cost, 2*r.pool.Threads())
	chunks := max(1, min(parts, t.outer))
	cols := max(1, min((parts+chunks-1)/chunks, t.inner/strip))
	job := func(c int, _ *pool.Worker) {
		c0, c1 := t.inner/strip*(c%cols)/cols*strip, t.inner/strip*(c%cols+1)/cols*strip
		if c%cols == cols-1 {
			c1 = t.inner
		}
		for b := t.outer * (c / cols) / chunks; b < t.outer*(c/cols+1)/chunks; b++ {
			put(t, b, c0, c1-c0)
		}
	}
	return func() (err error) {
		if t.at, err = places.read(r); err != nil {
			return err
		}
		t.dst, t.src = out.get(r), updates.get(r)
		x.copyTo(r, t.dst)
		if updates.n > 0 {
			r.split(chunks*cols, cost, job)
		}
		out.put(r, t.dst)
		return nil
	}, nil
}

// distinct returns the indices without those that repeat others along dimensions, and
// the strides of [outer, n, inner] in them.
func (t *scatter) distinct(idx plan.Operand) (plan.Operand, [3]int) {
	shape := ir.Shape{t.outer, t.n, t.inner}
	v, ok := idx.View.Reshape(shape)
	if !ok {
		return idx, [3]int(shape.Strides())
	}
	for d := range shape {
		if v.Strides[d] == 0 {
			shape[d] = 1
		}
	}
	idx.View = plan.View{Shape: shape, Strides: v.Strides, Offset: v.Offset}
	st := [3]int(shape.Strides())
	for d := range shape {
		if shape[d] == 1 {
			st[d] = 0
		}
	}
	return idx, st
}

// scatterLine is a line of updates: number i goes to index at[i·atStep] times stride and
// i·step further.
type scatterLine struct {
	dst, src             unsafe.Pointer
	at                   []int32
	n                    int
	atStep, stride, step int
}

func setUpdates[T number](t *scatter, b, c, n int) {
	t.put(b, c, n, int(unsafe.Sizeof(T(0))), setTo[T], func(l scatterLine) {
		for i, v := range slice[T](l.src, l.n) {
			*(*T)(unsafe.Add(l.dst, (int(l.at[i*l.atStep])*l.stride+i*l.step)*int(unsafe.Sizeof(v)))) = v
		}
	})
}

func addUpdates[T number](t *scatter, b, c, n int) {
	t.put(b, c, n, int(unsafe.Sizeof(T(0))), addTo[T], func(l scatterLine) {
		for i, v := range slice[T](l.src, l.n) {
			*(*T)(unsafe.Add(l.dst, (int(l.at[i*l.atStep])*l.stride+i*l.step)*int(unsafe.Sizeof(v)))) += v
		}
	})
}

// put puts the updates (b, all, c to c+n-1) of elements of so many bytes.
func (t *scatter) put(b, c, n, bytes int, row func(dst, src unsafe.Pointer, n int), line func(l scatterLine)) {
	dst, src := unsafe.Add(t.dst, b*t.size*t.inner*bytes), unsafe.Add(t.src, b*t.n*t.inner*bytes)
	at := t.at[b*t.strides[0]:]
	if t.inner == 1 {
		line(scatterLine{dst: dst, src: src, at: at, n: t.n, atStep: t.strides[1], stride: 1})
		return
	}
	for i := range t.n {
		from := unsafe.Add(src, (i*t.inner+c)*bytes)
		at := at[i*t.strides[1]:]
		if t.strides[2] == 0 {
			row(unsafe.Add(dst, (int(at[0])*t.inner+c)*bytes), from, n)
			continue
		}
		line(scatterLine{dst: unsafe.Add(dst, c*bytes), src: from, at: at[c*t.strides[2]:], n: n, atStep: t.strides[2], stride: t.inner, step: 1})
	}
}

func setTo[T number](dst, src unsafe.Pointer, n int) { copy(slice[T](dst, n), slice[T](src, n)) }

func addTo[T number](dst, src unsafe.Pointer, n int) {
	d, s := slice[T](dst, n), slice[T](src, n)
	if d, ok := any(d).([]float32); ok {
		vec.Binary(vec.Add, d, d, any(s).([]float32))
		return
	}
	for i, v := range s {
		d[i] += v
	}
}
