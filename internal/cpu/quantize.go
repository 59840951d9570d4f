package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/quant"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// This file has quantised matrices; plan.QuantBytes tells how they lie in memory.

func init() {
	register(compileQuantize, op.Quantize)
	register(compileDequantize, op.Dequantize)
	register(compileQMatMul, op.QMatMul)
}

// quantised gives access to a matrix in memory. Without its lows it is the
// symmetric matrix of package quant.
type quantised struct {
	quant.Matrix
	rowBytes int
	lows     []float32
}

func newQuantised(d ir.DType, shape ir.Shape) *quantised {
	cols := shape[len(shape)-1]
	q := &quantised{}
	q.Rows, q.Cols, q.Bits, q.Group = shape.Size()/max(1, cols), cols, 8, plan.QuantGroup
	if d == ir.Q4 {
		q.Bits = 4
	}
	q.rowBytes = q.Groups() * q.Group * q.Bits / 8
	return q
}

// bind sets the address.
func (q *quantised) bind(p unsafe.Pointer) *quantised {
	bytes, groups := q.Rows*q.rowBytes, q.Rows*q.Groups()
	q.Data = slice[byte](p, bytes)
	q.Scales = slice[float32](unsafe.Add(p, bytes), groups)
	q.lows = slice[float32](unsafe.Add(p, bytes+4*groups), groups)
	return q
}

// get returns the integer of a value.
func (q *quantised) get(row, k int) int {
	at := row * q.rowBytes
	if q.Bits == 8 {
		return int(int8(q.Data[at+k]))
	}
	return int(q.Data[at+k/32*16+k%16]>>(k%32/16*4)&15) - 8
}

func (q *quantised) set(row, k, v int) {
	at := row * q.rowBytes
	if q.Bits == 8 {
		q.Data[at+k] = byte(v)
		return
	}
	p := &q.Data[at+k/32*16+k%16]
	shift := k % 32 / 16 * 4
	*p = *p&^(15<<shift) | byte(v+8)<<shift
}

// row decodes one row.
func row[T floating](q *quantised, dst []T, i int) {
	for j := range dst {
		g := i*q.Groups() + j/q.Group
		dst[j] = T(q.get(i, j))*T(q.Scales[g]) + T(q.lows[g])
	}
}

func compileQuantize(r *run, s *plan.Step) (kernel, error) {
	x := newArg(&s.In[0])
	q := newQuantised(s.Out[0].DType, s.Out[0].Shape)
	shared := s.Attrs.(op.Quant).Group
	double := s.In[0].DType == ir.F64
	var src unsafe.Pointer
	run := r.eachRow(q.Rows, float64(x.n)*4, func(from, to int, _ *pool.Worker) {
		for i := from; i < to; i++ {
			if double {
				quantizeRow(q, slice[float64](src, x.n)[i*q.Cols:][:q.Cols], i, shared)
			} else {
				quantizeRow(q, slice[float32](src, x.n)[i*q.Cols:][:q.Cols], i, shared)
			}
		}
	})
	return func() error {
		src = x.get(r)
		q.bind(r.at(&s.Out[0]))
		fill(unsafe.Pointer(unsafe.SliceData(q.Data)), [...]byte{4: 0x88, 8: 0}[q.Bits], len(q.Data)) // padding is 0
		run()
		return nil
	}, nil
}

// quantizeRow spreads the levels evenly from the least to the largest of each
// group of so many values.
func quantizeRow[T floating](q *quantised, x []T, i, group int) {
	levels, middle := 255.0, 128.0
	if q.Bits == 4 {
		levels, middle = 15, 8
	}
	for from := 0; from < len(x); from += group {
		part := x[from:min(len(x), from+group)]
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, v := range part {
			lo, hi = min(lo, float64(v)), max(hi, float64(v))
		}
		step := float32((hi - lo) / levels)
		for at := from; at < from+len(part); at += q.Group {
			g := i*q.Groups() + at/q.Group
			q.Scales[g], q.lows[g] = step, float32(lo+middle*float64(step))
		}
		for j, v := range part {
			c := 0.0
			if step > 0 {
				c = max(0, min(levels, math.RoundToEven((float64(v)-lo)/float64(step))))
			}
			q.set(i, from+j, int(c-middle))
		}
	}
}

func compileDequantize(r *run, s *plan.Step) (kernel, error) {
	out := newResult(&s.Out[0])
	q := newQuantised(s.In[0].DType, s.In[0].Shape)
	double := s.Out[0].DType == ir.F64
	var dst unsafe.Pointer
	run := r.eachRow(q.Rows, float64(out.n)*3, func(from, to int, _ *pool.Worker) {
		for i := from; i < to; i++ {
			if double {
				row(q, slice[float64](dst, out.n)[i*q.Cols:][:q.Cols], i)
			} else {
				row(q, slice[float32](dst, out.n)[i*q.Cols:][:q.Cols], i)
			}
		}
	})
	return func() error {
		q.bind(r.at(&s.In[0]))
		dst = out.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

// compileQMatMul is x·Wᵀ = x·(step·q)ᵀ + Σ_groups low·Σx: a product with the
// symmetric matrix, and a small one of the lows with the sums of x over groups.
func compileQMatMul(r *run, s *plan.Step) (kernel, error) {
	if s.In[0].DType == ir.F64 {
		return wideQMatMul(r, s), nil
	}
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	q := newQuantised(s.In[1].DType, s.In[1].Shape)
	n, k, groups := q.Rows, q.Cols, q.Groups()
	m := x.n / max(1, k)
	lows := gemm.Term{A: gemm.Matrix{RowStride: groups, ColStride: 1}, B: gemm.Matrix{RowStride: 1, ColStride: groups}, K: groups}
	y, left := gemm.Matrix{RowStride: n, ColStride: 1}, gemm.Matrix{RowStride: k, ColStride: 1}
	product := &quant.Product{W: &q.Matrix, M: m, X: left, Y: y}
	both := &gemm.Call{M: m, N: n, C: y, Terms: []gemm.Term{{A: left, Source: &q.Matrix, K: k}, lows}}
	add := &gemm.Call{M: m, N: n, C: y, Beta: 1, Terms: []gemm.Term{lows}}
	return func() error {
		if x.n == 0 {
			clear(slice[byte](r.at(&s.Out[0]), out.n*s.Out[0].DType.Bytes()))
			return nil
		}
		q.bind(r.at(&s.In[1]))
		src, dst := x.get(r), out.get(r)
		sums := r.mustTemp(4 * m * groups)
		groupSums(slice[float32](sums, m*groups), src, m, k, q.Group)
		low := unsafe.Pointer(unsafe.SliceData(q.lows))
		flag := r.b.Stop.Flag()
		if m > quant.FewRows {
			both.C.Data, both.Terms[0].A.Data, both.Terms[1].A.Data, both.Terms[1].B.Data = dst, src, sums, low
			both.Run(r.pool, flag)
		} else {
			product.X.Data, product.Y.Data = src, dst
			if product.Run(r.pool, flag) {
				add.C.Data, add.Terms[0].A.Data, add.Terms[0].B.Data = dst, sums, low
				add.Run(r.pool, flag)
			}
		}
		out.put(r, dst)
		return nil
	}, nil
}

// groupSums adds up the groups of each row of x.
func groupSums(dst []float32, x unsafe.Pointer, m, k, group int) {
	groups := (k + group - 1) / group
	if k%group == 0 {
		vec.Sum(dst, vec.Rows{Data: x, Stride: group}, m*groups, group)
		return
	}
	for i := range m {
		for g := range groups {
			sum := float32(0)
			for _, v := range slice[float32](x, (i+1)*k)[i*k+g*group : i*k+min(k, (g+1)*group)] {
				sum += v
			}
			dst[i*groups+g] = sum
		}
	}
}

func wideQMatMul(r *run, s *plan.Step) kernel {
	x := newArg(&s.In[0])
	q := newQuantised(s.In[1].DType, s.In[1].Shape)
	return func() error {
		q.bind(r.at(&s.In[1]))
		src := slice[float64](x.get(r), x.n)
		y := slice[float64](r.at(&s.Out[0]), s.Out[0].Shape.Size())
		w := make([]float64, q.Cols)
		for j := range q.Rows {
			row(q, w, j)
			for i := range len(y) / q.Rows {
				sum := 0.0
				for l, v := range w {
					sum += v * src[i*q.Cols+l]
				}
				y[i*q.Rows+j] = sum
			}
		}
		return nil
	}
}
