package gemm

import (
	"math"
	"sync"
	"unsafe"

	"loris/internal/cpu/feature"
)

// A call that allows it ([Call.BFloat16]) runs on factors rounded to bfloat16, two of
// them in the place of one float32: where the processor multiplies such pairs, it does
// twice the work in the same time. What a kernel takes for one step along k is then the
// pair of elements k and k+1, and B lies in panels of [k/2][nr] pairs. Sums are float32.
//
// Rounding is to nearest, ties to even; numbers beyond bfloat16's become infinite, NaN
// stays NaN. Denormal numbers, factors or sums, count as zero.

// rounding makes the operands of a kernel of pairs.
type rounding struct {
	// row rounds alpha times n elements, and may fill the last vector up with zeros.
	row func(dst, src unsafe.Pointer, n int, alpha float32)

	// panel rounds alpha times the first cols of nr columns of k rows, lds bytes apart, to
	// rows of pairs. What is missing to nr columns or an even k is zero.
	panel func(dst, src unsafe.Pointer, lds uintptr, k, cols int, alpha float32)
}

var genericPairs = &kernel{name: "generic bf16 4x8", mr: 4, nr: 8, width: []func(*tile){tilePairsGeneric},
	dot: dotGeneric, lanes: 1, dotCols: 4, rounding: &rounding{roundRowGeneric, roundPanelGeneric}}

// pairsFor returns the kernel of pairs of a level.
func pairsFor(l feature.Level) *kernel {
	if k := pairKernels[l]; k != nil {
		return k
	}
	return genericPairs
}

// activePairs is the kernel that rounds factors; nil where that gains nothing.
var activePairs = func() *kernel {
	if _, fast := feature.BFloat16(); !fast {
		return nil
	}
	return pairsFor(feature.Active())
}()

const (
	roundedRows  = 16  // rows of A that pay for rounding B, even if it is used once
	roundedDepth = 16  // of the longest term
	roundedFlop  = 2e5 // operations
)

// Rounds reports whether the call runs on factors rounded to bfloat16: where it allows
// that, and it is worth it. Its packs must then be made by [PackedB.LoadRounded]. The
// answer depends on the shape alone, so that packing changes no result.
func (c *Call) Rounds() bool {
	if !c.BFloat16 || activePairs == nil || useLibrary || c.Cols > 0 || c.Depth > 0 {
		return false
	}
	longest := 0
	for i := range c.Terms {
		longest = max(longest, c.Terms[i].K)
	}
	return c.M >= roundedRows && c.N > activePairs.nr/2 && longest >= roundedDepth && c.flop() >= roundedFlop
}

// steps returns how many steps of the kernel k elements are.
func (k *kernel) steps(n int) int {
	if k.rounding != nil {
		return (n + 1) / 2
	}
	return n
}

// cut is the function cut at whole steps of the kernel.
func (k *kernel) cut(length, n, i int) int {
	if k.rounding != nil {
		return min(length, 2*cut(k.steps(length), n, i))
	}
	return cut(length, n, i)
}

// roundRows makes pairs of the rows i0 to i1 of A, k0 to k1, at dst, and returns their
// stride in bytes.
func (k *kernel) roundRows(dst unsafe.Pointer, a Matrix, i0, i1, k0, k1 int, alpha float32) uintptr {
	ld := packedStride(k.steps(k1 - k0))
	stride := uintptr(4 * ld)
	if a.ColStride == 1 {
		for i := range i1 - i0 {
			k.rounding.row(unsafe.Add(dst, uintptr(i)*stride), a.at(i0+i, k0), k1-k0, alpha)
		}
		return stride
	}
	s := slabs.Get().(*slab)
	defer slabs.Put(s)
	d := unsafe.Slice((*float32)(dst), (i1-i0)*ld) // transposing pairs is transposing float32
	for p := k0; p < k1; p += slabLength {
		n := min(slabLength, k1-p)
		for i := i0; i < i1; i += k.nr {
			m := min(k.nr, i1-i)
			to := d[(i-i0)*ld+(p-k0)/2:]
			if a.RowStride == 1 {
				k.rounding.panel(s.at(0), a.at(i, p), uintptr(4*a.ColStride), n, m, alpha)
				transpose(to, ld, Matrix{s.at(0), 1, k.nr}, 0, m, 0, k.steps(n))
				continue
			}
			transpose(s[:], slabLength, a, i, i+m, p, p+n)
			for r := range m {
				k.rounding.row(unsafe.Pointer(&to[r*ld]), s.at(r*slabLength), n, alpha)
			}
		}
	}
	return stride
}

// roundPanel makes pairs of the rows k0 to k1 and columns j0 to j1 of B.
func (k *kernel) roundPanel(dst unsafe.Pointer, b Matrix, from Source, k0, k1, j0, j1 int) {
	cols := j1 - j0
	if from == nil && b.ColStride == 1 {
		k.rounding.panel(dst, b.at(k0, j0), uintptr(4*b.RowStride), k1-k0, cols, 1)
		return
	}
	s := slabs.Get().(*slab)
	defer slabs.Put(s)
	for p := k0; p < k1; p += slabLength {
		n := min(slabLength, k1-p)
		if from != nil {
			from.Panel(s[:n*k.nr], k.nr, p, p+n, j0, j1)
		} else {
			transpose(s[:], k.nr, b, p, p+n, j0, j1)
		}
		k.rounding.panel(unsafe.Add(dst, 4*k.nr*k.steps(p-k0)), s.at(0), uintptr(4*k.nr), n, cols, 1)
	}
}

// slab is a part of a factor on the way from another order, or another type, to pairs.
type slab [slabLength * 32]float32 // of the widest panel

const slabLength = 64 // elements along k

var slabs = sync.Pool{New: func() any { return new(slab) }}

func (s *slab) at(i int) unsafe.Pointer { return unsafe.Pointer(&s[i]) }

// bfloat16Bits rounds to bfloat16 and returns the upper half of the float32.
func bfloat16Bits(x float32) uint32 {
	b := math.Float32bits(x)
	switch {
	case b<<1 > 0xff<<24: // NaN stays one
		return b>>16 | 0x40
	case b<<1 < 1<<24: // denormal
		return b >> 31 << 15
	}
	return (b + 0x7fff + b>>16&1) >> 16
}

// low and high are the elements of a pair.
func low(pair uint32) float32  { return math.Float32frombits(pair << 16) }
func high(pair uint32) float32 { return math.Float32frombits(pair &^ 0xffff) }

func roundRowGeneric(dst, src unsafe.Pointer, n int, alpha float32) {
	for i := 0; i < n; i += 2 {
		pair := bfloat16Bits(alpha * *at(src, uintptr(4*i)))
		if i+1 < n {
			pair |= bfloat16Bits(alpha**at(src, uintptr(4*i+4))) << 16
		}
		*(*uint32)(unsafe.Add(dst, 2*i)) = pair
	}
}

func roundPanelGeneric(dst, src unsafe.Pointer, lds uintptr, k, cols int, alpha float32) {
	const nr = 8
	for i := 0; i < k; i += 2 {
		to := (*[nr]uint32)(unsafe.Add(dst, 4*nr*i/2))
		clear(to[:])
		row := unsafe.Slice((*float32)(unsafe.Add(src, uintptr(i)*lds)), cols)
		for j, x := range row {
			to[j] = bfloat16Bits(alpha * x)
		}
		if i+1 == k {
			break
		}
		row = unsafe.Slice((*float32)(unsafe.Add(src, uintptr(i+1)*lds)), cols)
		for j, x := range row {
			to[j] |= bfloat16Bits(alpha*x) << 16
		}
	}
}

// tilePairsGeneric is tileGeneric on pairs; the upper element is added first.
func tilePairsGeneric(t *tile) {
	const nr = 8
	for r := range uintptr(t.rows) {
		var sum [nr]float32
		if t.init != nil {
			sum = *(*[nr]float32)(unsafe.Add(t.init, r*t.ldinit))
			for j := range sum {
				sum[j] *= t.sign()
			}
		}
		for _, s := range t.segment[:t.segments] {
			for k, x := range unsafe.Slice((*uint32)(unsafe.Add(s.a, r*s.lda)), s.k) {
				b := (*[nr]uint32)(unsafe.Add(s.b, uintptr(k)*s.ldb))
				for j := range sum {
					sum[j] += high(x) * high(b[j])
					sum[j] += low(x) * low(b[j])
				}
			}
		}
		*(*[nr]float32)(unsafe.Add(t.c, r*t.ldc)) = sum
	}
}
