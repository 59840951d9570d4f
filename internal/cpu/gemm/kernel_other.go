//go:build !(amd64 || arm64) || noasm

package gemm

import "loris/internal/cpu/feature"

var kernels = map[feature.Level]*kernel{}
