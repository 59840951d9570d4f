package cpu

import "loris/internal/cpu/gemm"

// packed is a matrix in the order that products read it, made once from memory
// that is not written again.
type packed struct {
	version uint64
	layout  matrixLayout
	b       *gemm.PackedB
	seen    int // products that wanted it
}

// matrixLayout is which part of the memory is packed, in elements.
type matrixLayout struct{ offset, rowStride, colStride, k, n int }

func (p *packed) free() {
	if p.b != nil {
		p.b.Free()
		p.b = nil
	}
}
