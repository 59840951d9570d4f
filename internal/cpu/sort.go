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
	f, perElement := keyRank(s.In[0].DType), 16
	if s.In[0].DType.Bytes() == 8 {
		perElement = 32
	}
	size := computed(s.In[0].DType).Bytes()
	transposed := typed(s.In[0].DType, rankTogether[uint32], rankTogether[uint64], rankTogether[uint32], rankTogether[uint64], rankTogether[uint8])
	cost, units, groups := float64(x.n)*15, from.count, 1
	if from.stride > 1 {
		groups = (from.stride + rankGroup - 1) / rankGroup
		units = from.count / from.stride * groups
	}
	chunks := r.chunksFor(cost, units)
	var src, dst unsafe.Pointer
	job := func(c int, w *pool.Worker) {
		bytes := perElement * from.length
		if from.stride > 1 {
			bytes += rankGroup * (from.length*size + k*(size+8))
		}
		l := &rank{dst: dst, index: r.at(&s.Out[1]), src: src, scratch: w.Scratch(bytes).Pointer(),
			n: from.length, most: k, descending: descending}
		for i := units * c / chunks; i < units*(c+1)/chunks; i++ {
			if r.stopped() {
				return
			}
			if from.stride > 1 {
				first := i % groups * rankGroup
				at := i/groups*from.stride + first
				l.from, l.to = from.start(at), to.start(at)
				transposed(*l, f, min(rankGroup, from.stride-first), from.stride, unsafe.Add(l.scratch, perElement*from.length))
				continue
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

// rankGroup is how many lines that lie side by side are ranked together: what a line of the
// cache holds.
const rankGroup = 16

// rankTogether ranks lines whose elements are stride apart in copies where they lie together.
func rankTogether[T uint8 | uint32 | uint64](l rank, f func(l *rank), lines, stride int, scratch unsafe.Pointer) {
	size, n, k := int(unsafe.Sizeof(T(0))), l.n, l.most
	index, dst := slice[int64](l.index, l.to+(k-1)*stride+lines)[l.to:], slice[T](l.dst, l.to+(k-1)*stride+lines)[l.to:]
	places, values := slice[int64](scratch, rankGroup*k), slice[T](unsafe.Add(scratch, 8*rankGroup*k), rankGroup*k)
	line := unsafe.Add(scratch, rankGroup*(8+size)*k)
	transposeTo[T](line, unsafe.Add(l.src, l.from*size), lines, n, stride)
	l.src, l.dst, l.index = line, unsafe.Pointer(&values[0]), unsafe.Pointer(&places[0])
	for i := range lines {
		l.from, l.to = i*n, i*k
		f(&l)
	}
	for i := range k {
		for j := range lines {
			dst[i*stride+j], index[i*stride+j] = values[j*k+i], places[j*k+i]
		}
	}
}

// rank is the ranking of one line, whose elements lie together.
type rank struct {
	dst, index, src, scratch unsafe.Pointer
	n, from, to, most        int
	descending               bool
}

// emit writes element i of the line as number place of the result.
func emit[T number](l *rank, place, i int) {
	o := l.to + place
	v := element[T](l.src, l.from+i)
	*(*T)(unsafe.Add(l.dst, o*int(unsafe.Sizeof(v)))) = v
	*(*int64)(unsafe.Add(l.index, o*8)) = int64(i)
}

// keyRank ranks elements by unsigned numbers of the same order, and words of them: the
// number above, the place below, so that no two are equal and equal elements keep their
// order. Elements of 64 bits have their place beside the number.
func keyRank(d ir.DType) func(l *rank) {
	switch computed(d) {
	case ir.F64:
		return func(l *rank) { rankByWideKey(l, wideFloatKey) }
	case ir.I64:
		return func(l *rank) { rankByWideKey(l, func(b, flip uint64) uint64 { return b ^ 1<<63 ^ flip }) }
	case ir.F32:
		return func(l *rank) { rankByKey[float32](l, floatKeys) }
	case ir.I32:
		return func(l *rank) { rankByKey[int32](l, intKeys) }
	}
	return func(l *rank) { rankByKey[uint8](l, byteKeys) }
}

// floatKey orders the bits of floats, NaN last either way. Signs are random, and cost no branch.
func floatKey(b, flip uint32) uint32 {
	const sign, infinity = 1 << 31, 0xff << 24
	if b<<1 == 0 {
		return sign ^ flip // both zeros
	}
	if b<<1 > infinity {
		return math.MaxUint32
	}
	return b ^ (uint32(int32(b)>>31) | sign) ^ flip
}

func floatKeys(words []uint64, src unsafe.Pointer, flip uint32) {
	for i := range words {
		words[i] = uint64(floatKey(element[uint32](src, i), flip))<<32 | uint64(i)
	}
}

func intKeys(words []uint64, src unsafe.Pointer, flip uint32) {
	for i := range words {
		words[i] = uint64(element[uint32](src, i)^1<<31^flip)<<32 | uint64(i)
	}
}

func byteKeys(words []uint64, src unsafe.Pointer, flip uint32) {
	for i := range words {
		words[i] = uint64(uint32(element[uint8](src, i))^flip)<<32 | uint64(i)
	}
}

func rankByKey[T number](l *rank, keys func(words []uint64, src unsafe.Pointer, flip uint32)) {
	words := slice[uint64](l.scratch, l.n)
	flip := uint32(0)
	if l.descending {
		flip = math.MaxUint32
	}
	src := unsafe.Add(l.src, l.from*int(unsafe.Sizeof(T(0))))
	const few, short, long = 64, 96, 8192
	line, isFloat := any(slice[T](src, l.n)).([]float32)
	if isFloat && l.most > 0 && l.most <= few && l.most < l.n/8 {
		for place, w := range leastFloats(words, line, l.most, flip) {
			emit[T](l, place, int(uint32(w)))
		}
		return
	}
	keys(words, src, flip)
	other := slice[uint64](unsafe.Add(l.scratch, 8*l.n), l.n)
	switch {
	case l.most <= few && l.most < l.n/8:
		words = least(words, l.most)
	case l.n <= short:
		slices.Sort(words)
	case l.n <= long:
		words = sortByBytes(words, other)
	default:
		words = sortByDigits(words, other)
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
		if w < best[k-1] {
			insert(best, w)
		}
	}
	return best
}

// insert puts a word into an ordered list, whose last one it takes the place of.
func insert(best []uint64, w uint64) {
	at := len(best) - 1
	for ; at > 0 && best[at-1] > w; at-- {
		best[at] = best[at-1]
	}
	best[at] = w
}

// leastFloats is least of the words of a line, which it makes of few elements only: most are
// no better than the last of the best so far. It keeps them in words.
func leastFloats(words []uint64, line []float32, k int, flip uint32) []uint64 {
	best := words[:k]
	floatKeys(best, unsafe.Pointer(&line[0]), flip)
	slices.Sort(best)
	last := line[uint32(best[k-1])]
	try := func(i int) {
		w := uint64(floatKey(math.Float32bits(line[i]), flip))<<32 | uint64(i)
		if w < best[k-1] {
			insert(best, w)
			last = line[uint32(best[k-1])]
		}
	}
	if flip != 0 {
		for i := k; i < len(line); i++ {
			if !(line[i] <= last) {
				try(i)
			}
		}
		return best
	}
	for i := k; i < len(line); i++ {
		if !(line[i] >= last) {
			try(i)
		}
	}
	return best
}

// sortByBytes orders words by their upper half, by counting eight bits at a time; words of
// equal upper halves keep their order. The result is one of the two slices.
func sortByBytes(words, other []uint64) []uint64 {
	var counts [4][1 << 8]int32
	for _, w := range words {
		counts[0][uint8(w>>32)]++
		counts[1][uint8(w>>40)]++
		counts[2][uint8(w>>48)]++
		counts[3][uint8(w>>56)]++
	}
	for pass := range counts {
		words, other = radixPass(words, other, counts[pass][:], 32+8*pass)
	}
	return words
}

// sortByDigits is sortByBytes with eleven bits at a time, which pays for many words.
func sortByDigits(words, other []uint64) []uint64 {
	const bits, digits = 11, 1 << 11
	var counts [3][digits]int32
	for _, w := range words {
		counts[0][w>>32&(digits-1)]++
		counts[1][w>>(32+bits)&(digits-1)]++
		counts[2][w>>(32+2*bits)]++
	}
	for pass := range counts {
		words, other = radixPass(words, other, counts[pass][:], 32+bits*pass)
	}
	return words
}

// radixPass orders words by the digit at a shift, of which c has the counts, and returns
// them and the slice that is free now.
func radixPass(words, other []uint64, c []int32, shift int) (sorted, free []uint64) {
	mask := uint64(len(c) - 1)
	if c[words[0]>>shift&mask] == int32(len(words)) {
		return words, other // all digits are equal
	}
	startsOf(c)
	for _, w := range words {
		d := &c[w>>shift&mask]
		other[*d] = w
		*d++
	}
	return other, words
}

// startsOf turns the counts of digits into where the first element of each belongs.
func startsOf(counts []int32) {
	sum := int32(0)
	for d, n := range counts {
		counts[d] = sum
		sum += n
	}
}
