//go:build !(amd64 || arm64) || noasm

package gemm

import "loris/internal/cpu/feature"

var (
	kernels, pairKernels = map[feature.Level]*kernel{}, map[feature.Level]*kernel{}
	doubleKernels        = map[feature.Level]*doubleKernel{}
)
