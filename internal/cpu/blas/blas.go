// Package blas takes large float32 products and gives them to a BLAS library that
// is found at run time: Accelerate on macOS, whose matrix units no assembly of ours
// can reach. With the build tag openblas it is OpenBLAS on Linux, which has the same
// interface and serves to test the call path. Other builds find nothing, and do not
// even contain the means to look.
package blas

import "unsafe"

// sgemmFunc is cblas_sgemm.
type sgemmFunc func(order, transA, transB, m, n, k int32, alpha float32, a unsafe.Pointer, lda int32, b unsafe.Pointer, ldb int32, beta float32, c unsafe.Pointer, ldc int32)

// The CBLAS constants.
const (
	rowMajor = 101
	noTrans  = 111
	trans    = 112
)

// Name returns the library's name, or "" if there is none.
func Name() string {
	name, _ := library()
	return name
}

// Available reports whether Sgemm can be called.
func Available() bool {
	_, f := library()
	return f != nil
}

// Matrix is a row-major matrix, or the transpose of one.
type Matrix struct {
	Data       unsafe.Pointer
	Stride     int // elements from row to row, as stored
	Transposed bool
}

func (m Matrix) trans() int32 {
	if m.Transposed {
		return trans
	}
	return noTrans
}

// Sgemm computes C = alpha·A·B + beta·C for C of m×n and A of m×k. It panics if
// no library is available.
func Sgemm(m, n, k int, alpha float32, a, b Matrix, beta float32, c unsafe.Pointer, ldc int) {
	_, f := library()
	f(rowMajor, a.trans(), b.trans(), int32(m), int32(n), int32(k), alpha, a.Data, int32(a.Stride), b.Data, int32(b.Stride), beta, c, int32(ldc))
}
