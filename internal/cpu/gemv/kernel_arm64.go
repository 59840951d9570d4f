//go:build !noasm

package gemv

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func gemvRowsF32NEON(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int)

//go:noescape
func gemvDotsF32NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int)

//go:noescape
func gemvRowsBF16NEON(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int)

//go:noescape
func gemvDotsBF16NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int)

//go:noescape
func gemvRowsF16NEON(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int)

//go:noescape
func gemvDotsF16NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int)

//go:noescape
func gemvRowsI8NEON(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int)

//go:noescape
func gemvDotsI8NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int)

var levels = map[feature.Level]*kernels{
	feature.NEON: {
		lanes: 4,
		rows:  [kinds]func(y, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, n, rows int){gemvRowsF32NEON, gemvRowsBF16NEON, gemvRowsF16NEON, gemvRowsI8NEON},
		dots:  [kinds]func(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows int){gemvDotsF32NEON, gemvDotsBF16NEON, gemvDotsF16NEON, gemvDotsI8NEON},
	},
}
