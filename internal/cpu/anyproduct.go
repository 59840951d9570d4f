package cpu

import (
	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/plan"
)

// compileAnyProduct is the matrix product of dtypes other than float32: rows of
// the result are computed by plain loops. Halves are multiplied in float32.
func (r *run) compileAnyProduct(s *plan.Step) (kernel, error) {
	switch s.In[0].DType {
	case ir.F16, ir.BF16:
		return r.halfProduct(s)
	case ir.F64:
		return plainProduct[float64](r, s), nil
	case ir.I32:
		return plainProduct[int32](r, s), nil
	case ir.I64:
		return plainProduct[int64](r, s), nil
	}
	return plainProduct[uint8](r, s), nil
}

// plainProduct runs over rows of all items of the batch.
func plainProduct[T number](r *run, s *plan.Step) kernel {
	x, w, out := &s.In[0], &s.In[1], &s.Out[0]
	d := len(x.Shape)
	m, k, n := x.Shape[d-2], x.Shape[d-1], w.Shape[d-1]
	items := batchOf(x).Size()
	rows := items * m
	cost := float64(rows) * float64(k) * float64(n)
	chunks := r.chunksFor(cost, max(1, rows))
	f := func(c int, _ *pool.Worker) {
		for row := rows * c / chunks; row < rows*(c+1)/chunks; row++ {
			if r.stopped() {
				return
			}
			xo, wo, rest := row%m*x.Strides[d-2], 0, row/m
			for i := d - 3; i >= 0; i-- {
				xo += rest % x.Shape[i] * x.Strides[i]
				wo += rest % x.Shape[i] * w.Strides[i]
				rest /= x.Shape[i]
			}
			y := slice[T](r.at(out), rows*n)[row*n : (row+1)*n]
			clear(y)
			for l := range k {
				a := element[T](r.at(x), xo+l*x.Strides[d-1])
				for j := range y {
					y[j] += a * element[T](r.at(w), wo+l*w.Strides[d-2]+j*w.Strides[d-1])
				}
			}
		}
	}
	return func() error { r.split(chunks, cost, f); return nil }
}

// denseCall is a batch of products of row-major matrices.
func denseCall(items, m, k, n int) *gemm.Call {
	c := &gemm.Call{M: m, N: n, C: gemm.Matrix{RowStride: n, ColStride: 1},
		Terms: []gemm.Term{{A: gemm.Matrix{RowStride: k, ColStride: 1}, B: gemm.Matrix{RowStride: n, ColStride: 1}, K: k}}}
	for i := range items {
		if items > 1 {
			c.Batch = append(c.Batch, gemm.Offsets{A: [gemm.MaxTerms]int{i * m * k}, B: [gemm.MaxTerms]int{i * k * n}, C: i * m * n})
		}
	}
	return c
}
