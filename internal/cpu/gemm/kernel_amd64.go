//go:build !noasm

package gemm

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func kernelAVX512(t *tile)

//go:noescape
func kernelAVX2(t *tile)

//go:noescape
func narrowAVX512(t *tile)

//go:noescape
func narrowAVX2(t *tile)

//go:noescape
func kernelBF16(t *tile)

//go:noescape
func narrowBF16(t *tile)

//go:noescape
func roundRowBF16(dst, src unsafe.Pointer, n int, alpha float32)

//go:noescape
func roundPanelBF16(dst, src unsafe.Pointer, lds uintptr, k, cols int, alpha float32)

//go:noescape
func dotAVX512(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)

//go:noescape
func dotAVX2(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)

//go:noescape
func transposeAVX2(dst unsafe.Pointer, ldd uintptr, src unsafe.Pointer, lds uintptr, blocks int, dstStep, srcStep uintptr)

//go:noescape
func everySecondAVX2(dst, src unsafe.Pointer, blocks int)

//go:noescape
func reverseAVX2(dst, src unsafe.Pointer, blocks int)

var kernels = map[feature.Level]*kernel{
	feature.AVX512: {"avx512 14x32", 14, 32, []func(*tile){narrowAVX512, kernelAVX512}, dotAVX512, 16, 8, transposeAVX2, everySecondAVX2, reverseAVX2, nil},
	feature.AVX2:   {"avx2 6x16", 6, 16, []func(*tile){narrowAVX2, kernelAVX2}, dotAVX2, 8, 4, transposeAVX2, everySecondAVX2, reverseAVX2, nil},
}

// pairKernels multiply pairs of bfloat16, for processors that do so.
var pairKernels = map[feature.Level]*kernel{
	feature.AVX512: {"avx512 bf16 14x32", 14, 32, []func(*tile){narrowBF16, kernelBF16}, dotAVX512, 16, 8, transposeAVX2, everySecondAVX2, reverseAVX2,
		&rounding{roundRowBF16, roundPanelBF16}},
}

//go:noescape
func doubleAVX512(t *tile)

//go:noescape
func doubleAVX2(t *tile)

var doubleKernels = map[feature.Level]*doubleKernel{
	feature.AVX512: {14, 16, doubleAVX512},
	feature.AVX2:   {6, 8, doubleAVX2},
}
