//go:build !darwin && !(linux && openblas)

package blas

func library() (string, sgemmFunc) { return "", nil }
