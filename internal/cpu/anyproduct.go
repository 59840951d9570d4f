package cpu

import (
	"unsafe"

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
		return r.doubleProduct(s), nil
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
			a, b := r.at(x), r.at(w)
			if w.Strides[d-2] == 1 || n < thinProduct {
				for j := range y {
					y[j] = dot[T](k, a, xo, x.Strides[d-1], b, wo+j*w.Strides[d-1], w.Strides[d-2])
				}
				continue
			}
			clear(y)
			for l := range k {
				addScaled(y, element[T](a, xo+l*x.Strides[d-1]), b, wo+l*w.Strides[d-2], w.Strides[d-1])
			}
		}
	}
	return func() error { r.split(chunks, cost, f); return nil }
}

// addScaled adds a times the elements of b from at on to y.
func addScaled[T number](y []T, a T, b unsafe.Pointer, at, stride int) {
	if stride == 1 && len(y) > 0 {
		for j, v := range sliceAt[T](b, at, len(y)) {
			y[j] += a * v
		}
		return
	}
	for j := range y {
		y[j] += a * element[T](b, at+j*stride)
	}
}

// dot is the sum of n products of elements from atA and atB on.
func dot[T number](n int, a unsafe.Pointer, atA, strideA int, b unsafe.Pointer, atB, strideB int) (sum T) {
	if strideA != 1 || strideB != 1 || n == 0 {
		for i := range n {
			sum += element[T](a, atA+i*strideA) * element[T](b, atB+i*strideB)
		}
		return sum
	}
	return inner(sliceAt[T](a, atA, n), sliceAt[T](b, atB, n))
}

// thinProduct is how many columns, or rows, products have for which the kernels of
// package gemm do not pay.
const thinProduct = 4

// doubleProduct is the matrix product of float64.
func (r *run) doubleProduct(s *plan.Step) kernel {
	x, w, out := &s.In[0], &s.In[1], &s.Out[0]
	d := len(x.Shape)
	c := &gemm.Double{M: x.Shape[d-2], N: w.Shape[d-1], K: x.Shape[d-1], A: matrixOf(x), B: matrixOf(w),
		C: gemm.Matrix{RowStride: w.Shape[d-1], ColStride: 1}}
	if c.M < thinProduct || c.N < thinProduct || c.K == 0 {
		return plainProduct[float64](r, s)
	}
	if items := batchOf(x).Size(); items != 1 {
		c.Batch = batchOffsets(items, batchOf(x), func(i int) *plan.Operand {
			return [gemm.MaxTerms]*plan.Operand{x, w}[i]
		})
		for i := range c.Batch {
			c.Batch[i].C = i * c.M * c.N
		}
	}
	return func() error {
		c.A.Data, c.B.Data, c.C.Data = r.at(x), r.at(w), r.at(out)
		c.Run(r.pool, r.b.Stop.Flag())
		return nil
	}
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
