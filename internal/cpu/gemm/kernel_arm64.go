//go:build !noasm

package gemm

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func kernelNEON(t *tile)

//go:noescape
func narrow4NEON(t *tile)

//go:noescape
func narrow8NEON(t *tile)

//go:noescape
func dotNEON(out *float32, x unsafe.Pointer, ldx uintptr, y unsafe.Pointer, ldy uintptr, k, rows, cols int)

var kernels = map[feature.Level]*kernel{
	feature.NEON: {"neon 7x12", 7, 12, []func(*tile){narrow4NEON, narrow8NEON, kernelNEON}, dotNEON, 4, 4, nil, nil, nil, nil},
}

var (
	pairKernels   = map[feature.Level]*kernel{}
	doubleKernels = map[feature.Level]*doubleKernel{} // plain Go
)
