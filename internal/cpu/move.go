package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has the ops that only move elements. They work on the bits of any
// dtype, so that one form for each element size is enough.

func init() {
	register(compilePad, op.Pad)
	register(compileConcat, op.Concat)
	register(compileUpdateSlice, op.UpdateSlice)
	register(compileDynamicSlice, op.DynamicSlice)
	register(compileDynamicUpdate, op.DynamicUpdateSlice)
	register(compileTake, op.Take)
}

// scatterBox writes the elements of a strided operand into a box of a
// row-major output: the box begins at element start and has the given strides.
func scatterBox(r *run, l *loader, src unsafe.Pointer, dst unsafe.Pointer, start int, shape ir.Shape, strides []int, size int) {
	n := shape.Size()
	if n == 0 {
		return
	}
	inner := 1
	if k := len(shape); k > 0 {
		inner = shape[k-1]
	}
	rows := n / inner
	chunks := r.chunksFor(float64(n), rows)
	r.split(chunks, float64(n), func(c int, w *pool.Worker) {
		buf := w.Scratch(inner * size).Pointer()
		for row := rows * c / chunks; row < rows*(c+1)/chunks; row++ {
			off, rest := start, row
			for d := len(shape) - 2; d >= 0; d-- {
				off += rest % shape[d] * strides[d]
				rest /= shape[d]
			}
			to := unsafe.Add(dst, off*size)
			st := 1
			if k := len(shape); k > 0 {
				st = strides[k-1]
			}
			if st == 1 {
				l.copyRange(to, src, row*inner, inner)
				continue
			}
			l.copyRange(buf, src, row*inner, inner)
			for i := range inner {
				moveElement(unsafe.Add(to, i*st*size), unsafe.Add(buf, i*size), size)
			}
		}
	})
}

func moveElement(dst, src unsafe.Pointer, size int) {
	switch size {
	case 8:
		*(*uint64)(dst) = *(*uint64)(src)
	case 4:
		*(*uint32)(dst) = *(*uint32)(src)
	case 2:
		*(*uint16)(dst) = *(*uint16)(src)
	default:
		*(*uint8)(dst) = *(*uint8)(src)
	}
}

// copyAll writes all elements of a strided operand row-major.
func copyAll(r *run, l *loader, dst, src unsafe.Pointer, n int) {
	if n == 0 {
		return
	}
	size := l.dtype.Bytes()
	chunks := r.chunksFor(float64(n)*0.5, n/256+1)
	r.split(chunks, float64(n)*0.5, func(i int, _ *pool.Worker) {
		from, to := n*i/chunks, n*(i+1)/chunks
		l.copyRange(unsafe.Add(dst, from*size), src, from, to-from)
	})
}

// compilePad writes each row once: a row of x between margins, or a margin.
func compilePad(r *run, s *plan.Step) (kernel, error) {
	m := s.Attrs.(op.Margins)
	x, out := &s.In[0], &s.Out[0]
	last := len(out.Shape) - 1
	if last < 0 {
		return r.compileCopy(s)
	}
	l, size := newLoader(x, 0), out.DType.Bytes()
	cols, inner := out.Shape[last], x.Shape[last]
	rows, cost := out.Shape[:last].Size(), float64(out.Shape.Size())*0.2
	chunks := r.chunksFor(cost, rows)
	var src, dst unsafe.Pointer
	f := func(c int, _ *pool.Worker) {
		for row := rows * c / chunks; row < rows*(c+1)/chunks; row++ {
			p := unsafe.Add(dst, row*cols*size)
			from := rowInside(row, out.Shape[:last], x.Shape[:last], m.Before)
			if from < 0 || inner == 0 {
				fillAny(p, out.DType, m.Value, cols)
				continue
			}
			before := m.Before[last]
			fillAny(p, out.DType, m.Value, before)
			l.copyRange(unsafe.Add(p, before*size), src, from*inner, inner)
			fillAny(unsafe.Add(p, (before+inner)*size), out.DType, m.Value, cols-before-inner)
		}
	}
	return func() error {
		src, dst = r.at(x), r.at(out)
		r.split(chunks, cost, f)
		return nil
	}, nil
}

// rowInside returns which element of a box, that begins at before, element i of the array
// around it is, or -1.
func rowInside(i int, around, box ir.Shape, before []int) int {
	at, step := 0, 1
	for d := len(around) - 1; d >= 0; d-- {
		k := i%around[d] - before[d]
		if uint(k) >= uint(box[d]) {
			return -1
		}
		at += k * step
		step *= box[d]
		i /= around[d]
	}
	return at
}

// fillAny fills memory of a dtype, halves included.
func fillAny(p unsafe.Pointer, d ir.DType, v float64, n int) {
	switch d {
	case ir.F16:
		fill(p, ir.F32ToF16(float32(v)), n)
	case ir.BF16:
		fill(p, ir.F32ToBF16(float32(v)), n)
	case ir.Bool:
		b := uint8(0)
		if v != 0 {
			b = 1
		}
		fill(p, b, n)
	default:
		fillConst(p, d, v, n)
	}
}

func compileConcat(r *run, s *plan.Step) (kernel, error) {
	axis, out := s.Attrs.(op.Axis).Axis, &s.Out[0]
	st := out.Shape.Strides()
	loaders := make([]loader, len(s.In))
	for i := range s.In {
		loaders[i] = newLoader(&s.In[i], i)
	}
	return func() error {
		start := 0
		for i := range s.In {
			x := &s.In[i]
			scatterBox(r, &loaders[i], r.at(x), r.at(out), start, x.Shape, st, out.DType.Bytes())
			start += x.Shape[axis] * st[axis]
		}
		return nil
	}, nil
}

func compileUpdateSlice(r *run, s *plan.Step) (kernel, error) {
	w, x, u, out := s.Attrs.(op.Window), &s.In[0], &s.In[1], &s.Out[0]
	lx, lu := newLoader(x, 0), newLoader(u, 1)
	st := out.Shape.Strides()
	start := 0
	steps := make([]int, len(st))
	for i := range st {
		start += w.Start[i] * st[i]
		steps[i] = st[i] * w.Step[i]
	}
	return func() error {
		copyAll(r, &lx, r.at(out), r.at(x), out.Shape.Size())
		scatterBox(r, &lu, r.at(u), r.at(out), start, u.Shape, steps, out.DType.Bytes())
		return nil
	}, nil
}

// boxStart reads computed starts, moved so that a box of the given size fits.
func boxStart(r *run, starts *plan.Operand, size, shape ir.Shape, strides []int) int {
	at := 0
	for i := range shape {
		s := int(readIndex(r.at(starts), starts.DType, i*starts.Strides[0]))
		at += max(0, min(s, shape[i]-size[i])) * strides[i]
	}
	return at
}

// readIndex reads element i of an i32 or i64 array.
func readIndex(p unsafe.Pointer, d ir.DType, i int) int64 {
	if d == ir.I32 {
		return int64(element[int32](p, i))
	}
	return element[int64](p, i)
}

func compileDynamicSlice(r *run, s *plan.Step) (kernel, error) {
	x, starts, out := &s.In[0], &s.In[1], &s.Out[0]
	box := *x
	box.Shape = out.Shape
	l := newLoader(&box, 0)
	return func() error {
		off := boxStart(r, starts, out.Shape, x.Shape, x.Strides)
		copyAll(r, &l, r.at(out), unsafe.Add(r.at(x), off*out.DType.Bytes()), out.Shape.Size())
		return nil
	}, nil
}

func compileDynamicUpdate(r *run, s *plan.Step) (kernel, error) {
	x, u, starts, out := &s.In[0], &s.In[1], &s.In[2], &s.Out[0]
	lx, lu, st := newLoader(x, 0), newLoader(u, 1), out.Shape.Strides()
	return func() error {
		copyAll(r, &lx, r.at(out), r.at(x), out.Shape.Size())
		off := boxStart(r, starts, u.Shape, out.Shape, st)
		scatterBox(r, &lu, r.at(u), r.at(out), off, u.Shape, st, out.DType.Bytes())
		return nil
	}, nil
}
