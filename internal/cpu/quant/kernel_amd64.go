//go:build !noasm

package quant

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func dotsQ8AVX512(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

//go:noescape
func dotsQ4AVX512(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

//go:noescape
func dotsQ8AVX2(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

//go:noescape
func dotsQ4AVX2(out *float32, w unsafe.Pointer, ldw uintptr, scales unsafe.Pointer, lds uintptr, x unsafe.Pointer, groups, blocks, rows int)

//go:noescape
func widenQ8AVX512(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

//go:noescape
func widenQ4AVX512(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

//go:noescape
func widenQ8AVX2(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

//go:noescape
func widenQ4AVX2(dst *float32, w, scales unsafe.Pointer, groups, blocks int)

var levels = map[feature.Level]*kernels{
	feature.AVX512: {[2]dotsFunc{dotsQ4AVX512, dotsQ8AVX512}, [2]widenFunc{widenQ4AVX512, widenQ8AVX512}},
	feature.AVX2:   {[2]dotsFunc{dotsQ4AVX2, dotsQ8AVX2}, [2]widenFunc{widenQ4AVX2, widenQ8AVX2}},
}
