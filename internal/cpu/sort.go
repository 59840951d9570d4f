package cpu

import (
	"slices"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileSort, op.Sort)
	register(compileTopK, op.TopK)
}

func compileSort(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Order)
	return rankKernel(r, s, a.Axis, s.In[0].Shape[a.Axis], a.Descending)
}

func compileTopK(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Top)
	return rankKernel(r, s, a.Axis, a.K, !a.Smallest)
}

// rankKernel writes the first k elements of each line in order, and where they
// came from. Equal elements keep their order, NaN comes last.
func rankKernel(r *run, s *plan.Step, axis, k int, descending bool) (kernel, error) {
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	from, to := linesOf(s.In[0].Shape, axis), linesOf(s.Out[0].Shape, axis)
	if out.n == 0 {
		return func() error { return nil }, nil
	}
	f := typed(s.In[0].DType, rankLine[float32], rankLine[float64], rankLine[int32], rankLine[int64], rankLine[uint8])
	cost := float64(x.n) * 40
	chunks := r.chunksFor(cost, from.count)
	var src, dst unsafe.Pointer
	job := func(c int, w *pool.Worker) {
		order := slice[int32](w.Scratch(4*from.length).Pointer(), from.length)
		for i := from.count * c / chunks; i < from.count*(c+1)/chunks; i++ {
			if r.stopped() {
				return
			}
			f(dst, r.at(&s.Out[1]), src, order, from.start(i), from.stride, to.start(i), to.stride, k, descending)
		}
	}
	return func() error {
		src, dst = x.get(r), out.get(r)
		r.split(chunks, cost, job)
		out.put(r, dst)
		return nil
	}, nil
}

func rankLine[T number](dst, index, src unsafe.Pointer, order []int32, from, fromStride, to, toStride, k int, descending bool) {
	at := func(i int32) T { return element[T](src, from+int(i)*fromStride) }
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(i, j int32) int {
		a, b := at(i), at(j)
		switch {
		case a != a && b != b:
			return 0
		case a != a:
			return 1
		case b != b:
			return -1
		case a == b:
			return 0
		case (a < b) != descending:
			return -1
		}
		return 1
	})
	for i := range k {
		o := to + i*toStride
		v := at(order[i])
		*(*T)(unsafe.Add(dst, o*int(unsafe.Sizeof(v)))) = v
		*(*int64)(unsafe.Add(index, o*8)) = int64(order[i])
	}
}
