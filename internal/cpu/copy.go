package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/plan"
)

// compileCopy returns the kernel that writes a strided operand row-major.
func (r *run) compileCopy(s *plan.Step) (kernel, error) {
	in, out := &s.In[0], &s.Out[0]
	m := newMover(in, (*loader).copyRange, out.DType.Bytes())
	return func() error { m.run(r, r.at(out), r.at(in)); return nil }, nil
}

// mover writes the elements of a strided operand row-major, over the pool.
type mover struct {
	l        loader
	n        int
	dst, src unsafe.Pointer
	chunks   int
	cost     float64
	job      pool.Func
	load     func(l *loader, dst, src unsafe.Pointer, start, n int)
	size     int // bytes of an element written
	rows     int // of the result in a block of a transposition
}

// newMover returns a mover whose load writes elements of size bytes.
func newMover(o *plan.Operand, load func(l *loader, dst, src unsafe.Pointer, start, n int), size int) *mover {
	return &mover{l: newLoader(o, 0), n: o.Shape.Size(), load: load, size: size}
}

func (m *mover) run(r *run, dst, src unsafe.Pointer) {
	if m.n == 0 {
		return
	}
	if m.job == nil {
		m.prepare(r)
	}
	m.dst, m.src = dst, src
	r.split(m.chunks, m.cost, m.job)
	m.dst, m.src = nil, nil
}

func (m *mover) prepare(r *run) {
	if m.l.transposed() && m.size == m.l.dtype.Bytes() {
		d := len(m.l.shape) - 1
		rows, cols := m.l.shape[d-1], m.l.shape[d]
		m.rows = max(transposeRows, transposeCells/cols/8*8)
		blocks := (rows + m.rows - 1) / m.rows
		all := m.n / (rows * cols) * blocks
		m.cost = float64(m.n) * 0.3
		m.chunks = r.chunksFor(m.cost, all)
		m.job = func(c int, _ *pool.Worker) {
			for b := all * c / m.chunks; b < all*(c+1)/m.chunks; b++ {
				m.l.transposeBlock(m.dst, m.src, b/blocks, b%blocks*m.rows, min(m.rows, rows-b%blocks*m.rows), rows, cols)
			}
		}
		return
	}
	m.cost = float64(m.n) * 0.7
	m.chunks = r.chunksFor(m.cost, m.n/256+1)
	m.job = func(i int, _ *pool.Worker) {
		from, to := m.n*i/m.chunks, m.n*(i+1)/m.chunks
		m.load(&m.l, unsafe.Add(m.dst, from*m.size), m.src, from, to-from)
	}
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

// A transposition writes this many rows of the result together, reading as many
// neighbours at a time; more of short rows, so that a block has enough elements.
const (
	transposeRows  = 16
	transposeCells = 4096
)

// transposed reports whether the last two dimensions are a transposed matrix,
// whose elements of one column lie together.
func (l *loader) transposed() bool {
	d := len(l.shape) - 1
	return d >= 1 && l.strides[d-1] == 1 && l.strides[d] >= 2 && l.shape[d] >= 4 && l.shape[d-1] >= 4
}

// transposeBlock writes n of the result's rows, from row on, of matrix item.
func (l *loader) transposeBlock(dst, src unsafe.Pointer, item, row, n, rows, cols int) {
	d := len(l.shape) - 1
	off := place(item, l.shape[:d-1], l.strides[:d-1]) + row
	size := l.dtype.Bytes()
	dst = unsafe.Add(dst, ((item*rows+row)*cols)*size)
	src = unsafe.Add(src, off*size)
	switch size {
	case 8:
		transposeTo[uint64](dst, src, n, cols, l.strides[d])
	case 4:
		gemm.Transpose(slice[float32](dst, n*cols), cols, gemm.Matrix{Data: src, RowStride: 1, ColStride: l.strides[d]}, n, cols)
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
