//go:build !noasm

package quant

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func dotsQ8NEON(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

//go:noescape
func dotsQ4NEON(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

var levels = map[feature.Level]*[2]dotsFunc{feature.NEON: {dotsQ4NEON, dotsQ8NEON}}
