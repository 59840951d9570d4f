package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/gemv"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/quant"
	"loris/internal/ir"
	"loris/internal/plan"
)

// halfKinds are the weights of package gemv.
var halfKinds = map[ir.DType]gemv.Kind{ir.F16: gemv.F16, ir.BF16: gemv.BF16}

// halfRows is the number of rows up to which each is multiplied by the weights as
// they are, in 16 bits; for more it pays to widen the weights.
const halfRows = 8

// halfProduct multiplies halves in float32 and narrows the result. A weight is
// never written out in float32 whole: it is widened in registers, or panel by panel.
func (r *run) halfProduct(s *plan.Step) (kernel, error) {
	x, w := &s.In[0], &s.In[1]
	d := len(x.Shape)
	rs, cs := w.Strides[d-2], w.Strides[d-1]
	if !constantBatch(w) || rs != 1 && cs != 1 {
		return r.denseHalfProduct(s)
	}
	arg, out := newArg(x), newResult(&s.Out[0])
	m, k, n := x.Shape[:d-1].Size(), x.Shape[d-1], w.Shape[d-1]
	h := &quant.Half{Kind: halfKinds[w.DType], RowStride: rs, ColStride: cs}
	if m <= halfRows {
		v := &halfVector{r: r, Half: h, m: m, k: k, n: n}
		v.chunks = r.chunksFor(float64(m*k*n)/15, n/64+1)
		job := func(c int, _ *pool.Worker) { v.columns(n*c/v.chunks, n*(c+1)/v.chunks) }
		return func() error {
			v.x, v.y, h.Data = arg.get(r), out.get(r), r.at(w)
			r.split(v.chunks, float64(m*k*n)/15, job)
			out.put(r, v.y)
			return nil
		}, nil
	}
	call := denseCall(1, m, k, n)
	call.Terms[0].Source = h
	return func() error {
		call.Terms[0].A.Data, call.C.Data, h.Data = arg.get(r), out.get(r), r.at(w)
		call.Terms[0].B = gemm.Matrix{}
		call.Run(r.pool, r.b.Stop.Flag())
		out.put(r, call.C.Data)
		return nil
	}, nil
}

// halfVector is a product of few rows.
type halfVector struct {
	*quant.Half
	r       *run
	m, k, n int
	chunks  int
	x, y    unsafe.Pointer // float32, row-major
}

// columns computes columns from..to-1 of all rows. Those that lie apart are done a
// few at a time, so that a second row finds them in the cache.
func (v *halfVector) columns(from, to int) {
	const block = 32
	if v.RowStride == 1 && v.m > 1 && to-from > block {
		for ; to-from > block; from += block {
			v.columns(from, from+block)
		}
	}
	if from == to {
		return
	}
	at := unsafe.Add(v.Data, 2*from*v.ColStride)
	y := func(i int) []float32 { return slice[float32](unsafe.Add(v.y, 4*(i*v.n+from)), to-from) }
	if v.RowStride == 1 {
		for i := range v.m {
			gemv.Dots(v.Kind, y(i), at, 2*v.ColStride, slice[float32](unsafe.Add(v.x, 4*i*v.k), v.k))
		}
		return
	}
	for i := range v.m {
		clear(y(i))
	}
	gemv.RowsOfMany(v.Kind, unsafe.Add(v.y, 4*from), 4*v.n, v.m, to-from, at, 2*v.RowStride, v.x, 4*v.k, v.k)
}

// denseHalfProduct widens both factors first.
func (r *run) denseHalfProduct(s *plan.Step) (kernel, error) {
	x, w, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	d := len(s.In[0].Shape)
	m, k, n := s.In[0].Shape[d-2], s.In[0].Shape[d-1], s.In[1].Shape[d-1]
	call := denseCall(batchOf(&s.In[0]).Size(), m, k, n)
	return func() error {
		call.Terms[0].A.Data, call.Terms[0].B.Data, call.C.Data = x.get(r), w.get(r), out.get(r)
		call.Run(r.pool, r.b.Stop.Flag())
		out.put(r, call.C.Data)
		return nil
	}, nil
}
