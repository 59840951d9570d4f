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

var levels = map[feature.Level]*[2]dotsFunc{
	feature.AVX512: {dotsQ4AVX512, dotsQ8AVX512},
	feature.AVX2:   {dotsQ4AVX2, dotsQ8AVX2},
}
