package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

// compileCopy returns the kernel that writes a strided operand row-major.
func (r *run) compileCopy(s *plan.Step) (kernel, error) {
	in, out := &s.In[0], &s.Out[0]
	n := in.Shape.Size()
	l := newLoader(in, 0)
	size := out.DType.Bytes()
	cost := float64(n) * 0.7
	if rows, cols, ok := l.transposed(); ok {
		blocks := (rows + transposeRows - 1) / transposeRows
		items := n / (rows * cols)
		chunks := r.chunksFor(cost, items*blocks)
		f := func(c int, _ *pool.Worker) {
			for b := items * blocks * c / chunks; b < items*blocks*(c+1)/chunks; b++ {
				l.transposeBlock(r.at(out), r.at(in), b/blocks, b%blocks*transposeRows, rows, cols)
			}
		}
		return func() error { r.split(chunks, cost, f); return nil }, nil
	}
	chunks := r.chunksFor(cost, n/256+1)
	f := func(i int, _ *pool.Worker) {
		from, to := n*i/chunks, n*(i+1)/chunks
		l.copyRange(unsafe.Add(r.at(out), from*size), r.at(in), from, to-from)
	}
	return func() error { r.split(chunks, cost, f); return nil }, nil
}

// copyRange is load without widening of halves.
func (l *loader) copyRange(dst, src unsafe.Pointer, start, n int) {
	switch l.dtype.Bytes() {
	case 8:
		gather(l, slice[uint64](dst, n), src, start)
	case 4:
		gather(l, slice[uint32](dst, n), src, start)
	case 2:
		gather(l, slice[uint16](dst, n), src, start)
	default:
		gather(l, slice[uint8](dst, n), src, start)
	}
}

// transposeRows is the number of result rows that a transposition writes
// together: it reads as many neighbours at a time.
const transposeRows = 16

// transposed reports whether the last two dimensions are a transposed matrix,
// whose elements of one column lie together, and of what shape.
func (l *loader) transposed() (rows, cols int, ok bool) {
	d := len(l.shape) - 1
	if d < 1 || l.strides[d-1] != 1 || l.strides[d] < 2 || l.shape[d] < 4 || l.shape[d-1] < 4 {
		return 0, 0, false
	}
	return l.shape[d-1], l.shape[d], true
}

// transposeBlock writes result rows row.. of matrix item.
func (l *loader) transposeBlock(dst, src unsafe.Pointer, item, row, rows, cols int) {
	d := len(l.shape) - 1
	off := place(item, l.shape[:d-1], l.strides[:d-1]) + row
	n := min(transposeRows, rows-row)
	size := l.dtype.Bytes()
	dst = unsafe.Add(dst, ((item*rows+row)*cols)*size)
	src = unsafe.Add(src, off*size)
	switch size {
	case 8:
		transposeTo[uint64](dst, src, n, cols, l.strides[d])
	case 4:
		transposeTo[uint32](dst, src, n, cols, l.strides[d])
	case 2:
		transposeTo[uint16](dst, src, n, cols, l.strides[d])
	default:
		transposeTo[uint8](dst, src, n, cols, l.strides[d])
	}
}

// transposeTo writes n rows of cols elements; the elements of a column lie
// together in src, columns stride apart.
func transposeTo[T any](dst, src unsafe.Pointer, n, cols, stride int) {
	out := slice[T](dst, n*cols)
	for c := range cols {
		column := slice[T](unsafe.Add(src, c*stride*int(unsafe.Sizeof(out[0]))), n)
		for i, v := range column {
			out[i*cols+c] = v
		}
	}
}
