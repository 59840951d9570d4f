package gemm

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

// MaxTerms is the largest number of products a Call sums.
const MaxTerms = 4

// tile is the argument of a micro-kernel: C[rows][nr] = ±Init + Σ A·B over the
// segments. Strides are in bytes. The assembly knows this layout.
type tile struct {
	c        unsafe.Pointer
	ldc      uintptr
	init     unsafe.Pointer // nil starts from zero
	ldinit   uintptr
	rows     int
	segments int
	segment  [2 * MaxTerms]segment
	negate   uintptr // 1: minus Init
}

// sign is what init is multiplied by.
func (t *tile) sign() float32 { return 1 - 2*float32(t.negate) }

// segment is a product of rows of A, contiguous along k, and a panel of B.
type segment struct {
	a   unsafe.Pointer
	lda uintptr
	b   unsafe.Pointer
	ldb uintptr
	k   int
}

// dotFunc gives out[cols*r+c] = Σ x[r][i]·y[c][i] for i < k, a multiple of the
// lanes; at most dotRows rows, and 1, 2, 4, … dotCols columns.
type dotFunc func(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)

// kernel is one row of the table of micro-kernels.
type kernel struct {
	name    string
	mr, nr  int           // largest tile
	width   []func(*tile) // for the first 1, 2, … of equal parts of the columns
	dot     dotFunc
	lanes   int
	dotCols int

	// transpose turns rows of blocks of 8×8 elements of src into columns of dst, whose
	// addresses move by steps from block to block; nil where plain Go does it.
	transpose func(dst unsafe.Pointer, ldd uintptr, src unsafe.Pointer, lds uintptr, blocks int, dstStep, srcStep uintptr)

	// everySecond copies elements 0, 2, … of blocks of 16; nil where plain Go does it.
	everySecond func(dst, src unsafe.Pointer, blocks int)

	// reverse copies blocks of 8 elements, the last first; src is that one.
	reverse func(dst, src unsafe.Pointer, blocks int)

	rounding *rounding // how factors become pairs of bfloat16; nil: they stay float32
}

// run computes a whole tile.
func (k *kernel) run(t *tile) { k.width[len(k.width)-1](t) }

// runFirst computes at least the first columns of a tile.
func (k *kernel) runFirst(t *tile, cols int) {
	k.width[k.readWidth(cols)*len(k.width)/k.nr-1](t)
}

// readWidth returns how many columns runFirst computes.
func (k *kernel) readWidth(cols int) int {
	part := k.nr / len(k.width)
	return (cols + part - 1) / part * part
}

const dotRows = 3

var genericKernel = &kernel{"generic 4x8", 4, 8, []func(*tile){tileGeneric}, dotGeneric, 1, 4, nil, nil, nil, nil}

// kernelFor returns the micro-kernel of a level.
func kernelFor(l feature.Level) *kernel {
	if k := kernels[l]; k != nil {
		return k
	}
	return genericKernel
}

var active = kernelFor(feature.Active())

// KernelName names the chosen micro-kernel, for reports.
func KernelName() string { return active.name }

func at(p unsafe.Pointer, bytes uintptr) *float32 { return (*float32)(unsafe.Add(p, bytes)) }

func tileGeneric(t *tile) {
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
			a := unsafe.Slice((*float32)(unsafe.Add(s.a, r*s.lda)), s.k)
			for k, x := range a {
				b := (*[nr]float32)(unsafe.Add(s.b, uintptr(k)*s.ldb))
				for j := range sum {
					sum[j] += x * b[j]
				}
			}
		}
		*(*[nr]float32)(unsafe.Add(t.c, r*t.ldc)) = sum
	}
}

func dotGeneric(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int) {
	o := unsafe.Slice(out, dotRows*4)
	for r := range rows {
		xs := unsafe.Slice((*float32)(unsafe.Add(x, uintptr(r)*ldx)), k)
		for c := range cols {
			sum := float32(0)
			for i, v := range unsafe.Slice((*float32)(unsafe.Add(y, uintptr(c)*ldy)), k) {
				sum += v * xs[i]
			}
			o[4*r+c] = sum
		}
	}
}
