//go:build !(amd64 || arm64) || noasm

package vec

import "loris/internal/cpu/feature"

var rowMicros = map[feature.Level][rowKernelCount]rowMicro{}
