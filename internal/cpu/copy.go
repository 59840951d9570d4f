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
	if n == 0 {
		return func() error { return nil }, nil
	}
	l := newLoader(in, 0)
	chunks := r.chunksFor(float64(n)*0.7, n/256+1)
	f := func(i int, _ *pool.Worker) {
		from, to := n*i/chunks, n*(i+1)/chunks
		l.copyRange(unsafe.Add(r.at(out), from*out.DType.Bytes()), r.at(in), from, to-from)
	}
	return func() error { r.split(chunks, float64(n)*0.7, f); return nil }, nil
}

// copyRange is load without widening of halves.
func (l *loader) copyRange(dst, src unsafe.Pointer, start, n int) {
	switch l.dtype.Bytes() {
	case 8:
		l.copy64(dst, src, start, n)
	case 4:
		l.copy32(dst, src, start, n)
	case 2:
		gather(l, slice[uint16](dst, n), src, start)
	default:
		gather(l, slice[uint8](dst, n), src, start)
	}
}

func (l *loader) copy32(dst, src unsafe.Pointer, start, n int) {
	gather(l, slice[uint32](dst, n), src, start)
}

func (l *loader) copy64(dst, src unsafe.Pointer, start, n int) {
	gather(l, slice[uint64](dst, n), src, start)
}
