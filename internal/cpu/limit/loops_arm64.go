//go:build !noasm

package limit

import (
	"unsafe"

	"loris/internal/cpu/feature"
)

//go:noescape
func fmaNEON(turns int)

//go:noescape
func readNEON(p unsafe.Pointer, bytes int)

var levels = map[feature.Level]loops{feature.NEON: {fmaNEON, 24, readNEON}}
