//go:build !(amd64 || arm64) || noasm

package quant

import "loris/internal/cpu/feature"

var levels = map[feature.Level]*kernels{}
