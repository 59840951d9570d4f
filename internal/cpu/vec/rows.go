package vec

import (
	"math"
	"unsafe"

	"loris/internal/cpu/feature"
)

// Rows addresses rows of float32: row i starts at Data + i·Stride elements, and its
// elements are contiguous. A stride of 0 repeats one row.
type Rows struct {
	Data   unsafe.Pointer
	Stride int
}

// RowsOf returns the rows of n elements in s.
func RowsOf(s []float32, n int) Rows { return Rows{unsafe.Pointer(unsafe.SliceData(s)), n} }

func (r Rows) bytes() uintptr { return uintptr(4 * r.Stride) }

const (
	// callElements bounds the elements of one assembly call, so that it ends soon.
	callElements = 32 << 10
	// blockElements is how much of a long row is kept at a time.
	blockElements = 8 << 10
)

// sumBlock bounds the elements summed in float32, by what the level's kernels sum in each
// lane; the blocks are summed in float64.
func sumBlock() int { return 128 * max(8, accumulators[level]*level.Lanes()) }

// accumulators are the vectors that kernels of sums add to in turn.
var accumulators = map[feature.Level]int{feature.AVX512: 4, feature.AVX2: 2, feature.NEON: 2}

// rowOuts tells how many numbers a kernel gives for a row beside its rows of results.
var rowOuts = [rowKernelCount]int{
	kSumRows: 1, kSumIntsRows: 2, kProdRows: 1, kSumSquaresRows: 1, kDotRows: 1, kCenteredSquaresRows: 1, kMaxRows: 1, kMinRows: 1,
	kLogSumExpRows: 1, kCrossEntropyRows: 1, kRMSNormRows: 1, kRMSNormResidualRows: 1, kAddRMSNormRows: 1, kLayerNormRows: 2,
}

// runRows runs a kernel over any number of rows.
func runRows(k rowKernel, r *rowArgs) {
	if r.rows <= 0 || r.n <= 0 {
		return
	}
	group := max(1, callElements/r.n)
	all, outs := r.rows, rowOuts[k]
	for i := 0; i < all; i += group {
		r.rows = min(group, all-i)
		activeRows[k](r)
		if i+group < all {
			r.advance(group, outs)
		}
	}
}

// advance moves to a later row.
func (r *rowArgs) advance(rows, outs int) {
	step := func(p *unsafe.Pointer, ld uintptr) {
		if *p != nil {
			*p = unsafe.Add(*p, uintptr(rows)*ld)
		}
	}
	step(&r.dst, r.ldd)
	step(&r.x, r.ldx)
	step(&r.b, r.ldb)
	step(&r.c, r.ldc)
	step(&r.out, uintptr(4*outs))
}

// reduce runs a kernel that gives one number for a row, block by block where rows are long.
func reduce(k rowKernel, out []float32, x, b Rows, rows, n int, combine func(acc float64, v float32) float64) {
	if rows == 0 {
		return
	}
	s := scraps.Get().(*scrap)
	r := &s.r
	defer func() {
		s.r = rowArgs{}
		scraps.Put(s)
	}()
	if n <= sumBlock() {
		*r = rowArgs{x: x.Data, ldx: x.bytes(), rows: rows, n: n, out: unsafe.Pointer(&out[0])}
		if b.Data != nil {
			r.b, r.ldb = b.Data, b.bytes()
		}
		runRows(k, r)
		return
	}
	for i := range rows {
		*r = rowArgs{x: unsafe.Add(x.Data, 4*i*x.Stride)}
		if b.Data != nil {
			r.b = unsafe.Add(b.Data, 4*i*b.Stride)
		}
		out[i] = float32(s.overBlocks(k, n, combine))
	}
}

func plus(acc float64, v float32) float64 { return acc + float64(v) }

// Sum sets out[i] to the sum of row i; 0 for rows without elements.
func Sum(out []float32, x Rows, rows, n int) {
	clear(out[:rows])
	if n > 0 {
		reduce(kSumRows, out, x, Rows{}, rows, n, plus)
	}
}

// SumSquares sets out[i] to the sum of the squares of row i.
func SumSquares(out []float32, x Rows, rows, n int) {
	clear(out[:rows])
	if n > 0 {
		reduce(kSumSquaresRows, out, x, Rows{}, rows, n, plus)
	}
}

// Dot sets out[i] to the dot product of the rows i of x and y.
func Dot(out []float32, x, y Rows, rows, n int) {
	clear(out[:rows])
	if n > 0 {
		reduce(kDotRows, out, x, y, rows, n, plus)
	}
}

// Max sets out[i] to the largest element of row i, NaN if there is one; n must not be 0.
func Max(out []float32, x Rows, rows, n int) {
	reduce(kMaxRows, out, x, Rows{}, rows, n, func(acc float64, v float32) float64 { return larger(acc, float64(v)) })
}

// Min sets out[i] to the smallest element of row i, NaN if there is one; n must not be 0.
func Min(out []float32, x Rows, rows, n int) {
	reduce(kMinRows, out, x, Rows{}, rows, n, func(acc float64, v float32) float64 { return smaller(acc, float64(v)) })
}

// Prod sets out[i] to the product of row i; 1 for rows without elements.
func Prod(out []float32, x Rows, rows, n int) {
	for i := range out[:rows] {
		out[i] = 1
	}
	if n > 0 {
		reduce(kProdRows, out, x, Rows{}, rows, n, func(acc float64, v float32) float64 { return float64(float32(acc) * v) })
	}
}

// intBlock bounds the elements whose halves are summed in 32 bits.
const intBlock = 16 << 10

// SumInts sets out[i] to the sum of row i of int32 values.
func SumInts(out []int64, x unsafe.Pointer, rows, n int) {
	s := scraps.Get().(*scrap)
	for i := range out[:rows] {
		out[i] = 0
		for o := 0; o < n; o += intBlock {
			halves := s.numbers(2)
			s.r = rowArgs{x: unsafe.Add(x, 4*(i*n+o)), rows: 1, n: min(intBlock, n-o), out: unsafe.Pointer(&halves[0])}
			runRows(kSumIntsRows, &s.r)
			out[i] += int64(int32(math.Float32bits(halves[0]))) + int64(int32(math.Float32bits(halves[1])))<<16
		}
	}
	s.r = rowArgs{}
	scraps.Put(s)
}

// MeanVar sets mean[i] and variance[i] of row i; the squares are divided by
// n - correction (0 or 1; NaN if that is 0). Either result may be nil. It visits each
// row twice, which is exact where one pass would cancel.
func MeanVar(mean, variance []float32, x Rows, rows, n, correction int) {
	for i := range rows {
		row := rowAt(x, i, n)
		m := one(kSumRows, row, 0) / float64(n)
		if mean != nil {
			mean[i] = float32(m)
		}
		if variance == nil {
			continue
		}
		total := one(kCenteredSquaresRows, row, float32(m))
		variance[i] = float32(total / float64(n-correction))
	}
}

// ArgMax sets out[i] to the index of the first largest element of row i, or of its first NaN.
func ArgMax(out []int64, x Rows, rows, n int) { argBest(out, x, rows, n, Max) }

// ArgMin sets out[i] to the index of the first smallest element of row i, or of its first NaN.
func ArgMin(out []int64, x Rows, rows, n int) { argBest(out, x, rows, n, Min) }

// argBlock is how many elements argBest searches for the best one.
const argBlock = 64

func argBest(out []int64, x Rows, rows, n int, best func([]float32, Rows, int, int)) {
	blocks := n / argBlock
	if blocks < 2 {
		blocks = 0
	}
	s := scraps.Get().(*scrap)
	defer scraps.Put(s)
	tops := s.numbers(blocks + 2)
	for i := range rows {
		p := unsafe.Add(x.Data, 4*i*x.Stride)
		all := tops[:0]
		if blocks > 0 { // the best of each block, then of what is left
			all = tops[:blocks]
			best(all, Rows{p, argBlock}, blocks, argBlock)
		}
		if rest := n - blocks*argBlock; rest > 0 {
			all = all[:len(all)+1]
			best(all[len(all)-1:], Rows{unsafe.Add(p, 4*blocks*argBlock), 0}, 1, rest)
		}
		best(tops[blocks+1:], RowsOf(all, 0), 1, len(all))
		top := tops[blocks+1]
		first := argBlock * indexOf(all, top)
		out[i] = int64(first + indexOf(unsafe.Slice((*float32)(p), n)[first:], top))
	}
}

// indexOf returns where v, or NaN if that is NaN, is first.
func indexOf(x []float32, v float32) int {
	for i, y := range x {
		if y == v || y != y {
			return i
		}
	}
	return 0
}
