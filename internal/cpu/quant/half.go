package quant

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/gemv"
	"loris/internal/cpu/vec"
)

// Half is a right factor of bfloat16 or float16 elements for [gemm.Term]: element
// (k, j) lies at Data + k·RowStride + j·ColStride, counted in elements. One of the
// strides is 1 where it is to be fast.
type Half struct {
	Kind      gemv.Kind // BF16 or F16
	Data      unsafe.Pointer
	RowStride int
	ColStride int
}

// Panel implements [gemm.Source].
func (h *Half) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	t := vec.BF16
	if h.Kind == gemv.F16 {
		t = vec.F16
	}
	at := func(k, j, n int) []uint16 {
		return unsafe.Slice((*uint16)(unsafe.Add(h.Data, 2*(k*h.RowStride+j*h.ColStride))), n)
	}
	switch {
	case h.ColStride == 1:
		for k := k0; k < k1; k++ {
			vec.Widen(dst[(k-k0)*ld:], at(k, j0, j1-j0), t)
		}
	case h.RowStride == 1:
		s := strips.Get().(*strip)
		for k := k0; k < k1; k += stripRows {
			n := min(stripRows, k1-k)
			for j := j0; j < j1; j += stripCols {
				cols := min(stripCols, j1-j)
				for c := range cols {
					vec.Widen(s[c*stripRows:], at(k, j+c, n), t)
				}
				src := gemm.Matrix{Data: unsafe.Pointer(s), RowStride: 1, ColStride: stripRows}
				gemm.Transpose(dst[(k-k0)*ld+j-j0:], ld, src, n, cols)
			}
		}
		strips.Put(s)
	default:
		for k := k0; k < k1; k++ {
			for j := j0; j < j1; j++ {
				vec.Widen(dst[(k-k0)*ld+j-j0:], at(k, j, 1), t)
			}
		}
	}
}
