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
	s.r = rowArgs{x: unsafe.Pointer(unsafe.SliceData(x))}
	s.r.s[0] = scalar
	sum = s.overBlocks(k, len(x), plus)
	s.r = rowArgs{}
	scraps.Put(s)
	return sum
}

// overBlocks runs a kernel that gives one number for a row over the blocks of one row of
// n elements, which s.r has, and combines their numbers.
func (s *scrap) overBlocks(k rowKernel, n int, combine func(acc float64, v float32) float64) (acc float64) {
	const atOnce = 64
	row, block, numbers := s.r, sumBlock(), s.numbers(atOnce)
	for o := 0; o < n; {
		r := &s.r
		*r = row
		r.rows = max(1, min(atOnce, (n-o)/block))
		r.n = min(block, n-o)
		r.x, r.ldx, r.out = unsafe.Add(row.x, 4*o), uintptr(4*r.n), unsafe.Pointer(&numbers[0])
		if row.b != nil {
			r.b, r.ldb = unsafe.Add(row.b, 4*o), uintptr(4*r.n)
		}
		done, step := r.rows*r.n, numbers[:r.rows]
		runRows(k, r)
		for i, v := range step {
			if o == 0 && i == 0 {
				acc = float64(v)
			} else {
				acc = combine(acc, v)
			}
		}
		o += done
	}
	return acc
}

// call runs a row kernel with a copy of its argument outside the stack.
func call(k rowKernel, r rowArgs) {
	s := scraps.Get().(*scrap)
	s.r = r
	runRows(k, &s.r)
	s.r = rowArgs{}
	scraps.Put(s)
}
