//go:build !noasm

package gemv

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func gemvRowsF32NEON(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF32NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsBF16NEON(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsBF16NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsF16NEON(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF16NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsI8NEON(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsI8NEON(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

var levels = map[feature.Level]*kernels{
	feature.NEON: {
		lanes: 4, outputs: 4,
		rows: [kinds]rowsFunc{gemvRowsF32NEON, gemvRowsBF16NEON, gemvRowsF16NEON, gemvRowsI8NEON},
		dots: [kinds]dotsFunc{gemvDotsF32NEON, gemvDotsBF16NEON, gemvDotsF16NEON, gemvDotsI8NEON},
	},
}
