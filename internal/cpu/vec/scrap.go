package vec

import (
	"sync"
	"unsafe"
)

// scrap is memory for splats, tails, partial sums and statistics that nobody asked
// for. Local arrays would do, but calls through the tables of kernels move them to
// the heap.
type scrap struct {
	b     []float32
	tail  [4][lanes]float32
	splat [splatBytes / 4]float32
	v     [1]float32
	r     rowArgs
}

var scraps = sync.Pool{New: func() any { return new(scrap) }}

// numbers returns n floats with undefined contents.
func (s *scrap) numbers(n int) []float32 {
	if len(s.b) < n {
		s.b = make([]float32, n)
	}
	return s.b[:n]
}

// one returns the result of a kernel that gives one number for a row, with the
// argument's scalar 0, adding the results of blocks in float64.
func one(k rowKernel, x []float32, scalar float32) (sum float64) {
	s := scraps.Get().(*scrap)
	for o := 0; o < len(x); o += sumBlock {
		s.r = rowArgs{x: unsafe.Pointer(&x[o]), rows: 1, n: min(sumBlock, len(x)-o), out: unsafe.Pointer(&s.v)}
		s.r.s[0] = scalar
		runRows(k, &s.r)
		sum += float64(s.v[0])
	}
	s.r = rowArgs{}
	scraps.Put(s)
	return sum
}

// call runs a row kernel with a copy of its argument outside the stack.
func call(k rowKernel, r rowArgs) {
	s := scraps.Get().(*scrap)
	s.r = r
	runRows(k, &s.r)
	s.r = rowArgs{}
	scraps.Put(s)
}
