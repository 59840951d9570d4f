package cpu

import (
	"fmt"
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
	register(compileTakeAlong, op.TakeAlong)
	register(compileScatter, op.Scatter)
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

func compilePad(r *run, s *plan.Step) (kernel, error) {
	m := s.Attrs.(op.Margins)
	x, out := &s.In[0], &s.Out[0]
	l, st, n := newLoader(x, 0), out.Shape.Strides(), out.Shape.Size()
	start := 0
	for i, b := range m.Before {
		start += b * st[i]
	}
	return func() error {
		p := r.at(out)
		fillAny(p, out.DType, m.Value, n)
		scatterBox(r, &l, r.at(x), p, start, x.Shape, st, out.DType.Bytes())
		return nil
	}, nil
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

// indexError is what an index out of range gives.
func indexError(i int64, size int) error {
	return &ir.Error{Code: ir.CodeIndex, Msg: fmt.Sprintf("index %d is out of range for an axis of %d", i, size)}
}

// indices reads all indices, wrapped to 0..size-1.
func (r *run) indices(o *plan.Operand, l *loader, size int, dst []int32) error {
	p := r.at(o)
	for i := range dst {
		k := readIndex(p, o.DType, l.offset(i))
		if k < -int64(size) || k >= int64(size) {
			return indexError(k, size)
		}
		if k < 0 {
			k += int64(size)
		}
		dst[i] = int32(k)
	}
	return nil
}

// offset returns where element i lies.
func (l *loader) offset(i int) int {
	off := 0
	for d := len(l.shape) - 1; d >= 0; d-- {
		off += i % l.shape[d] * l.strides[d]
		i /= l.shape[d]
	}
	return off
}

func compileTake(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Axis).Axis
	x, idx, out := &s.In[0], &s.In[1], &s.Out[0]
	n := idx.Shape.Size()
	outer, size, inner := x.Shape[:axis].Size(), x.Shape[axis], x.Shape[axis+1:].Size()
	bytes := x.DType.Bytes()
	direct := x.IsDense()
	all, places := newLoader(x, 0), newLoader(idx, 1)
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
	return func() error {
		if total == 0 {
			return nil
		}
		at = slice[int32](r.mustTemp(4*n), n)
		if err := r.indices(idx, &places, size, at); err != nil {
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

func compileTakeAlong(r *run, s *plan.Step) (kernel, error) {
	axis := s.Attrs.(op.Axis).Axis
	x, idx, out := &s.In[0], &s.In[1], &s.Out[0]
	n, bytes := out.Shape.Size(), x.DType.Bytes()
	places := newLoader(idx, 1)
	return func() error {
		at := slice[int32](r.mustTemp(4*n), n)
		if err := r.indices(idx, &places, x.Shape[axis], at); err != nil {
			return err
		}
		src, dst := r.at(x), r.at(out)
		for i := range n {
			off, rest := 0, i
			for d := len(out.Shape) - 1; d >= 0; d-- {
				k := rest % out.Shape[d]
				rest /= out.Shape[d]
				if d == axis {
					k = int(at[i])
				}
				off += k * x.Strides[d]
			}
			moveElement(unsafe.Add(dst, i*bytes), unsafe.Add(src, off*bytes), bytes)
		}
		return nil
	}, nil
}

// compileScatter copies x and writes or adds the updates, in order, so that the
// last of several wins.
func compileScatter(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Scattering)
	x, idx, out := &s.In[0], &s.In[1], &s.Out[0]
	u := newArg(&s.In[2])
	xs, o := newArg(x), newResult(out)
	n, places := idx.Shape.Size(), newLoader(idx, 1)
	st := out.Shape.Strides()
	add := typed(out.DType, addTo[float32], addTo[float64], addTo[int32], addTo[int64], addTo[uint8])
	bytes := computed(out.DType).Bytes()
	return func() error {
		at := slice[int32](r.mustTemp(4*n), n)
		if err := r.indices(idx, &places, out.Shape[a.Axis], at); err != nil {
			return err
		}
		p := o.get(r)
		copy(slice[byte](p, o.n*bytes), slice[byte](xs.get(r), o.n*bytes))
		up := u.get(r)
		put := func(to, from, count int) {
			d, q := unsafe.Add(p, to*bytes), unsafe.Add(up, from*bytes)
			if a.Mode == op.ScatterAdd {
				add(d, q, count)
				return
			}
			copy(slice[byte](d, count*bytes), slice[byte](q, count*bytes))
		}
		if a.Along {
			shape := idx.Shape
			for i := range n {
				off, rest := 0, i
				for d := len(shape) - 1; d >= 0; d-- {
					k := rest % shape[d]
					rest /= shape[d]
					if d == a.Axis {
						k = int(at[i])
					}
					off += k * st[d]
				}
				put(off, i, 1)
			}
		} else if n > 0 {
			inner := st[a.Axis]
			outer := out.Shape[:a.Axis].Size()
			for b := range outer {
				for i := range n {
					put((b*out.Shape[a.Axis]+int(at[i]))*inner, (b*n+i)*inner, inner)
				}
			}
		}
		o.put(r, p)
		return nil
	}, nil
}

func addTo[T number](dst, src unsafe.Pointer, n int) {
	d, s := slice[T](dst, n), slice[T](src, n)
	for i := range d {
		d[i] += s[i]
	}
}
