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
		v.plan(float64(m*k*n) / 15)
		return func() error {
			v.x, v.y, h.Data = arg.get(r), out.get(r), r.at(w)
			v.run()
			out.put(r, v.y)
			return nil
		}, nil
	}
	call := denseCall(1, m, k, n)
	call.Terms[0].Source, call.BFloat16 = h, r.rounds(s)
	return func() error {
		call.Terms[0].A.Data, call.C.Data, h.Data = arg.get(r), out.get(r), r.at(w)
		call.Terms[0].B = gemm.Matrix{}
		call.Run(r.pool, r.b.Stop.Flag())
		out.put(r, call.C.Data)
		return nil
	}, nil
}

// rounds reports whether the factors of a product may be rounded to bfloat16: float32 by
// the precision, bfloat16 always.
func (r *run) rounds(s *plan.Step) bool {
	if s.In[0].DType == ir.F32 {
		return r.plan.Precision == plan.Medium
	}
	return s.In[0].DType == ir.BF16
}

// halfVector is a product of few rows.
type halfVector struct {
	*quant.Half
	r       *run
	m, k, n int
	cost    float64
	chunks  int            // parts of k if it is split, or of the columns
	depth   bool           // k is split
	x, y    unsafe.Pointer // float32, row-major
	sums    unsafe.Pointer // m×n of each part of k but the first
	adds    int            // parts in which the sums are added
	job     pool.Func
	add     pool.Func
}

// plan cuts the work. Rows of weights are read from end to end, so k is split there.
func (v *halfVector) plan(cost float64) {
	const leastDepth = 128
	v.cost = cost
	v.depth = v.RowStride != 1 && v.k >= 2*leastDepth
	if v.depth {
		v.chunks = v.r.chunksFor(cost, min(2*v.r.pool.Threads(), v.k/leastDepth))
		v.adds = v.r.chunksFor(v.addCost(), v.n/64+1)
		v.job = func(c int, _ *pool.Worker) { v.part(c) }
		v.add = func(c int, _ *pool.Worker) { v.addParts(v.m*v.n*c/v.adds, v.m*v.n*(c+1)/v.adds) }
		return
	}
	v.chunks = v.r.chunksFor(cost, v.n/64+1)
	v.job = func(c int, _ *pool.Worker) { v.columns(v.n*c/v.chunks, v.n*(c+1)/v.chunks) }
}

// addCost estimates the nanoseconds of adding up the parts.
func (v *halfVector) addCost() float64 { return float64(v.m*v.n*v.chunks) / 8 }

func (v *halfVector) run() {
	if !v.depth {
		v.r.split(v.chunks, v.cost, v.job)
		return
	}
	v.sums = v.r.mustTemp(4 * (v.chunks - 1) * v.m * v.n)
	v.r.split(v.chunks, v.cost, v.job)
	if v.chunks > 1 && !v.r.stopped() {
		v.r.split(v.adds, v.addCost(), v.add)
	}
}

// part multiplies a part of k.
func (v *halfVector) part(c int) {
	k0, k1 := v.k*c/v.chunks, v.k*(c+1)/v.chunks
	y := v.y
	if c > 0 {
		y = unsafe.Add(v.sums, 4*(c-1)*v.m*v.n)
	}
	clear(slice[float32](y, v.m*v.n))
	gemv.RowsOfMany(v.Kind, y, 4*v.n, v.m, v.n, unsafe.Add(v.Data, 2*k0*v.RowStride), 2*v.RowStride, unsafe.Add(v.x, 4*k0), 4*v.k, k1-k0)
}

// one is the factor of partial sums.
var one = [...]float32{1}

// addParts adds elements from..to-1 of the parts to the first, in order.
func (v *halfVector) addParts(from, to int) {
	y := slice[float32](unsafe.Add(v.y, 4*from), to-from)
	for c := range v.chunks - 1 {
		gemv.Rows(gemv.F32, y, unsafe.Add(v.sums, 4*(c*v.m*v.n+from)), 0, one[:])
	}
}

// columns computes columns from..to-1 of all rows.
func (v *halfVector) columns(from, to int) {
	if from == to {
		return
	}
	at, y := unsafe.Add(v.Data, 2*from*v.ColStride), unsafe.Add(v.y, 4*from)
	if v.RowStride == 1 {
		gemv.DotsOfMany(v.Kind, y, 4*v.n, v.m, to-from, at, 2*v.ColStride, v.x, 4*v.k, v.k)
		return
	}
	for i := range v.m {
		clear(slice[float32](unsafe.Add(y, 4*i*v.n), to-from))
	}
	gemv.RowsOfMany(v.Kind, y, 4*v.n, v.m, to-from, at, 2*v.RowStride, v.x, 4*v.k, v.k)
}

// denseHalfProduct widens both factors first.
func (r *run) denseHalfProduct(s *plan.Step) (kernel, error) {
	x, w, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	d := len(s.In[0].Shape)
	m, k, n := s.In[0].Shape[d-2], s.In[0].Shape[d-1], s.In[1].Shape[d-1]
	call := denseCall(batchOf(&s.In[0]).Size(), m, k, n)
	call.BFloat16 = r.rounds(s)
	return func() error {
		call.Terms[0].A.Data, call.Terms[0].B.Data, call.C.Data = x.get(r), w.get(r), out.get(r)
		call.Run(r.pool, r.b.Stop.Flag())
		out.put(r, call.C.Data)
		return nil
	}, nil
}
