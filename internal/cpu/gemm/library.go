package gemm

import (
	"sync/atomic"
	"unsafe"

	"loris/internal/cpu/blas"
)

// Where a BLAS library is found (Accelerate on macOS), large products whose
// matrices it can address go there. Right factors are then packed as plain
// row-major copies, which both the library and our own kernels read in place.

// useLibrary is whether this process has a library; tests switch it off.
var useLibrary = blas.Available()

// libraryFlop is the size from which a call of the library pays.
const libraryFlop = 2e6

// libraryCall bounds the operations of one call, so that a stop is seen in time.
const libraryCall = 4e9

// forLibrary converts a matrix of m rows and n columns, if its rows or columns are contiguous.
func forLibrary(x Matrix, m, n int) (blas.Matrix, bool) {
	switch {
	case x.ColStride == 1 && x.RowStride >= max(1, n):
		return blas.Matrix{Data: x.Data, Stride: x.RowStride}, true
	case x.RowStride == 1 && x.ColStride >= max(1, m):
		return blas.Matrix{Data: x.Data, Stride: x.ColStride, Transposed: true}, true
	}
	return blas.Matrix{}, false
}

// fitsLibrary reports whether all matrices of the call can be addressed.
func (c *Call) fitsLibrary(flop float64) bool {
	if !useLibrary || flop < libraryFlop || c.Cols > 0 || c.Depth > 0 || c.C.ColStride != 1 || c.C.RowStride < c.N {
		return false
	}
	for i := range c.Terms {
		t := &c.Terms[i]
		_, a := forLibrary(t.A, c.M, t.K)
		_, b := forLibrary(t.B, t.K, c.N)
		if !a || !b || t.Source != nil || t.K == 0 {
			return false
		}
	}
	return len(c.Terms) > 0
}

// UsesLibrary reports whether the call goes to a library, which takes factors as they lie.
func (c *Call) UsesLibrary() bool { return useLibrary && c.fitsLibrary(c.flop()) }

// runLibrary computes all items by the library, some rows at a time.
func (c *Call) runLibrary(stop *atomic.Bool) bool {
	var flop float64
	for _, t := range c.Terms {
		flop += 2 * float64(c.N) * float64(t.K)
	}
	step := max(16, int(libraryCall/flop))
	for item := range max(1, len(c.Batch)) {
		var off Offsets
		if len(c.Batch) > 0 {
			off = c.Batch[item]
		}
		for i := 0; i < c.M; i += step {
			if stop != nil && stop.Load() {
				return false
			}
			rows := min(step, c.M-i)
			beta := c.Beta
			if c.Bias != nil || c.Residual.Data != nil {
				m := multiplication{call: c, off: off}
				m.start(i, i+rows, 0, c.N)
				beta = 1
			}
			for n := range c.Terms {
				t := &c.Terms[n]
				a, _ := forLibrary(Matrix{unsafe.Add(t.A.at(i, 0), 4*off.A[n]), t.A.RowStride, t.A.ColStride}, rows, t.K)
				b, _ := forLibrary(Matrix{unsafe.Add(t.B.Data, 4*off.B[n]), t.B.RowStride, t.B.ColStride}, t.K, c.N)
				blas.Sgemm(rows, c.N, t.K, t.alpha(), a, b, beta, unsafe.Add(c.C.at(i, 0), 4*off.C), c.C.RowStride)
				beta = 1
			}
			if c.Epilogue != nil {
				c.Epilogue(item, i, i+rows, 0, c.N)
			}
		}
	}
	return true
}

// unpack makes plainly packed factors ordinary ones.
func (c *Call) unpack() {
	for i := range c.Terms {
		if t := &c.Terms[i]; t.Packed != nil && t.Packed.plain {
			t.B = Matrix{t.Packed.mem.Pointer(), t.Packed.N, 1}
		}
	}
}
