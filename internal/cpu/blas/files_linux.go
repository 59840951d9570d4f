//go:build openblas

package blas

const libraryName = "OpenBLAS"

var files = []string{"libopenblas.so.0", "libopenblas.so"}
