//go:build !(amd64 || arm64) || noasm

package vec

import "loris/internal/cpu/feature"

var micros = map[feature.Level][kernelCount]micro{}
