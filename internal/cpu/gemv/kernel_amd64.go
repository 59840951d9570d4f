//go:build !noasm

package gemv

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func gemvRowsF32AVX512(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF32AVX512(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsBF16AVX512(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsBF16AVX512(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsF16AVX512(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF16AVX512(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsI8AVX512(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsI8AVX512(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsF32AVX2(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF32AVX2(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsBF16AVX2(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsBF16AVX2(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsF16AVX2(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsF16AVX2(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

//go:noescape
func gemvRowsI8AVX2(y, w unsafe.Pointer, ldw, nextw uintptr, x unsafe.Pointer, ldx, nextx uintptr, n, rows, times, outputs int, ldy, ldv uintptr)

//go:noescape
func gemvDotsI8AVX2(out *float32, w unsafe.Pointer, ldw uintptr, x unsafe.Pointer, k, rows, outputs int, ldx uintptr)

var levels = map[feature.Level]*kernels{
	feature.AVX512: {
		lanes: 16, outputs: 4, ahead: true,
		rows: [kinds]rowsFunc{gemvRowsF32AVX512, gemvRowsBF16AVX512, gemvRowsF16AVX512, gemvRowsI8AVX512},
		dots: [kinds]dotsFunc{gemvDotsF32AVX512, gemvDotsBF16AVX512, gemvDotsF16AVX512, gemvDotsI8AVX512},
	},
	feature.AVX2: {
		lanes: 8, outputs: 2, ahead: true,
		rows: [kinds]rowsFunc{gemvRowsF32AVX2, gemvRowsBF16AVX2, gemvRowsF16AVX2, gemvRowsI8AVX2},
		dots: [kinds]dotsFunc{gemvDotsF32AVX2, gemvDotsBF16AVX2, gemvDotsF16AVX2, gemvDotsI8AVX2},
	},
}
