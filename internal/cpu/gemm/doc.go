// Package gemm takes float32 matrices by address and strides and gives their
// product: C = beta·C + bias + residual + Σ alpha·A·B over up to [MaxTerms]
// pairs of factors, for every shape and stride.
//
// A [Call] describes one product. Its shape is planned at the first Run and
// kept; later runs may change addresses only and allocate nothing. Frozen right
// factors are packed once with [Pack]. Two terms serve LoRA: y = [x | xa]·[W; sB]
// is one pass over y.
//
//	w, err := gemm.Pack(p, gemm.Matrix{Data: w, RowStride: n, ColStride: 1}, k, n)
//	c := &gemm.Call{M: m, N: n, C: …, Terms: []gemm.Term{{A: …, Packed: w, K: k}}}
//	finished := c.Run(p, stop)
//
// # How it works
//
// A micro-kernel (AVX-512 14x32, AVX2 6x16, NEON 7x12, or plain Go 4x8) keeps a
// tile of C in registers, walks down rows of A and a panel of B, and adds to the
// tile's start value: zero, C, the bias or the residual. Panels of B lie packed,
// or in place where few rows use them. A is read in place unless its rows would
// share cache sets, are not contiguous, or are scaled. Blocks follow from the
// cache sizes; chunks of columns or rows go to the worker pool. Thin products (few
// columns, or few rows by factors that would have to be packed) run as dot products
// or sums of rows instead, which read the large factor as fast as memory gives it. Where the caller and the processor allow it, a second kernel
// takes factors rounded to bfloat16 (see [Call.BFloat16]). Float64 has kernels and a
// simpler way of its own ([Double]).
package gemm

//go:generate go run loris/internal/cpu/asmgen gemm
