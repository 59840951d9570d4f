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

//go:noescape
func widenQ8NEON(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

//go:noescape
func widenQ4NEON(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

var levels = map[feature.Level]*kernels{
	feature.NEON: {[2]dotsFunc{dotsQ4NEON, dotsQ8NEON}, [2]widenFunc{widenQ4NEON, widenQ8NEON}},
}
