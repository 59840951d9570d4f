package cpu

import (
	"math"
	"slices"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/ir"
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
	f, perElement := comparingRank(s.In[0].DType), 4
	if g := keyRank(computed(s.In[0].DType)); g != nil {
		f, perElement = g, 16
	}
	cost := float64(x.n) * 15
	chunks := r.chunksFor(cost, from.count)
	var src, dst unsafe.Pointer
	job := func(c int, w *pool.Worker) {
		l := &rank{dst: dst, index: r.at(&s.Out[1]), src: src, scratch: w.Scratch(perElement * from.length).Pointer(),
			n: from.length, fromStride: from.stride, toStride: to.stride, most: k, descending: descending}
		for i := from.count * c / chunks; i < from.count*(c+1)/chunks; i++ {
			if r.stopped() {
				return
			}
			l.from, l.to = from.start(i), to.start(i)
			f(l)
		}
	}
	return func() error {
		src, dst = x.get(r), out.get(r)
		r.split(chunks, cost, job)
		out.put(r, dst)
		return nil
	}, nil
}

// rank is the ranking of one line.
type rank struct {
	dst, index, src, scratch                unsafe.Pointer
	n, from, fromStride, to, toStride, most int
	descending                              bool
}

// emit writes element i of the line as number place of the result.
func emit[T number](l *rank, place, i int) {
	o := l.to + place*l.toStride
	v := element[T](l.src, l.from+i*l.fromStride)
	*(*T)(unsafe.Add(l.dst, o*int(unsafe.Sizeof(v)))) = v
	*(*int64)(unsafe.Add(l.index, o*8)) = int64(i)
}

func comparingRank(d ir.DType) func(l *rank) {
	return typed(d, rankByComparing[float32], rankByComparing[float64], rankByComparing[int32], rankByComparing[int64], rankByComparing[uint8])
}

func rankByComparing[T number](l *rank) {
	order := slice[int32](l.scratch, l.n)
	at := func(i int32) T { return element[T](l.src, l.from+int(i)*l.fromStride) }
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
		case (a < b) != l.descending:
			return -1
		}
		return 1
	})
	for place := range l.most {
		emit[T](l, place, int(order[place]))
	}
}

// keyRank ranks elements of 32 bits or less by words: an unsigned number of the same
// order above, the place below, so that no two are equal and equal elements keep their
// order. It is nil for wider ones.
func keyRank(d ir.DType) func(l *rank) {
	switch d {
	case ir.F32:
		return func(l *rank) { rankByKey(l, floatKey) }
	case ir.I32:
		return func(l *rank) {
			rankByKey(l, func(v int32, flip uint32) uint32 { return uint32(v) ^ 1<<31 ^ flip })
		}
	case ir.U8, ir.Bool:
		return func(l *rank) { rankByKey(l, func(v uint8, flip uint32) uint32 { return uint32(v) ^ flip }) }
	}
	return nil
}

// floatKey orders floats, NaN last either way.
func floatKey(v float32, flip uint32) uint32 {
	b := math.Float32bits(v)
	switch {
	case v != v:
		return math.MaxUint32
	case v == 0:
		b = 1 << 31 // both zeros
	case b>>31 == 1:
		b = ^b
	default:
		b |= 1 << 31
	}
	return b ^ flip
}

func rankByKey[T number](l *rank, key func(v T, flip uint32) uint32) {
	words := slice[uint64](l.scratch, l.n)
	flip := uint32(0)
	if l.descending {
		flip = math.MaxUint32
	}
	for i := range words {
		words[i] = uint64(key(element[T](l.src, l.from+i*l.fromStride), flip))<<32 | uint64(i)
	}
	const few, short = 64, 1024
	switch {
	case l.most <= few && l.most < l.n/8:
		words = least(words, l.most)
	case l.n <= short:
		slices.Sort(words)
	default:
		words = radixSort(words, slice[uint64](unsafe.Add(l.scratch, 8*l.n), l.n))
	}
	for place := range l.most {
		emit[T](l, place, int(uint32(words[place])))
	}
}

// least moves the k smallest words to the front, in order: most others are only
// compared with the largest of them.
func least(words []uint64, k int) []uint64 {
	if k == 0 {
		return words
	}
	best := words[:k]
	slices.Sort(best)
	for _, w := range words[k:] {
		if w >= best[k-1] {
			continue
		}
		at, _ := slices.BinarySearch(best, w)
		copy(best[at+1:], best[at:k-1])
		best[at] = w
	}
	return best
}

// radixSort orders words by their upper half, by counting 11 bits at a time; words of
// equal upper halves keep their order. The result is one of the two slices.
func radixSort(words, other []uint64) []uint64 {
	const bits, digits = 11, 1 << 11
	var counts [3][digits]int32
	for _, w := range words {
		counts[0][w>>32&(digits-1)]++
		counts[1][w>>(32+bits)&(digits-1)]++
		counts[2][w>>(32+2*bits)]++
	}
	for pass := range counts {
		c, shift := &counts[pass], 32+pass*bits
		if c[words[0]>>shift&(digits-1)] == int32(len(words)) {
			continue // all digits are equal
		}
		sum := int32(0)
		for d, n := range c {
			c[d] = sum
			sum += n
		}
		for _, w := range words {
			d := w >> shift & (digits - 1)
			other[c[d]] = w
			c[d]++
		}
		words, other = other, words
	}
	return words
}
