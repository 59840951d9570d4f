package quant

import (
	"math"
	"unsafe"

	"github.com/x448/float16"

	"loris/internal/cpu/gemv"
)

// Half is a right factor of bfloat16 or float16 elements for [gemm.Term]: element
// (k, j) lies at Data + k·RowStride + j·ColStride, counted in elements.
type Half struct {
	Kind      gemv.Kind // BF16 or F16
	Data      unsafe.Pointer
	RowStride int
	ColStride int
}

// Panel implements [gemm.Source].
func (h *Half) Panel(dst []float32, ld, k0, k1, j0, j1 int) {
	for j := j0; j < j1; j++ {
		for k := k0; k < k1; k++ {
			bits := *(*uint16)(unsafe.Add(h.Data, 2*(k*h.RowStride+j*h.ColStride)))
			v := math.Float32frombits(uint32(bits) << 16)
			if h.Kind == gemv.F16 {
				v = float16.Frombits(bits).Float32()
			}
			dst[(k-k0)*ld+j-j0] = v
		}
	}
}
