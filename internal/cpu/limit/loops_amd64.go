//go:build !noasm

package limit

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func fmaAVX512(turns int)

//go:noescape
func fmaAVX2(turns int)

//go:noescape
func readAVX512(p unsafe.Pointer, bytes int)

//go:noescape
func readAVX2(p unsafe.Pointer, bytes int)

var levels = map[feature.Level]loops{
	feature.AVX512: {fmaAVX512, 24, readAVX512},
	feature.AVX2:   {fmaAVX2, 12, readAVX2},
}
