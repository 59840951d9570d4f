package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// A quantised matrix of n x k elements lies in memory as its packed values, row
// by row (Q8: one byte each; Q4: two to a byte, the first in the low half), then
// the f32 steps of all groups, then their f32 lows. A value is low + step·q.

func init() {
	register(compileQuantize, op.Quantize)
	register(compileDequantize, op.Dequantize)
	register(compileQMatMul, op.QMatMul)
}

// quantised gives access to a matrix in memory.
type quantised struct {
	four       bool
	rows, cols int
	group      int
	perRow     int // groups of a row
	values     unsafe.Pointer
	steps      []float32
	lows       []float32
}

const quantGroup = 64

func quantisedAt(p unsafe.Pointer, d ir.DType, shape ir.Shape) quantised {
	cols := shape[len(shape)-1]
	q := quantised{four: d == ir.Q4, rows: shape.Size() / max(1, cols), cols: cols, group: quantGroup, values: p}
	q.perRow = (cols + q.group - 1) / q.group
	bytes := q.rows * cols
	if q.four {
		bytes = (bytes + 1) / 2
	}
	groups := q.rows * q.perRow
	q.steps = slice[float32](unsafe.Add(p, bytes), groups)
	q.lows = slice[float32](unsafe.Add(p, bytes+4*groups), groups)
	return q
}

func (q *quantised) get(i int) uint8 {
	if !q.four {
		return element[uint8](q.values, i)
	}
	return element[uint8](q.values, i/2) >> (4 * (i % 2)) & 15
}

func (q *quantised) set(i int, v uint8) {
	if !q.four {
		*(*uint8)(unsafe.Add(q.values, i)) = v
		return
	}
	p := (*uint8)(unsafe.Add(q.values, i/2))
	if i%2 == 0 {
		*p = *p&0xf0 | v
	} else {
		*p = *p&0x0f | v<<4
	}
}

// row decodes one row.
func (q *quantised) row(dst []float32, i int) {
	for j := range dst {
		g := i*q.perRow + j/q.group
		dst[j] = float32(q.get(i*q.cols+j))*q.steps[g] + q.lows[g]
	}
}

func compileQuantize(r *run, s *plan.Step) (kernel, error) {
	x := newArg(&s.In[0])
	d := s.Out[0].DType
	levels := 255.0
	if d == ir.Q4 {
		levels = 15
	}
	return func() error {
		src := x.get(r)
		v := make([]float64, x.n)
		load64(v, src, computed(s.In[0].DType))
		q := quantisedAt(r.at(&s.Out[0]), d, s.Out[0].Shape)
		for i := range q.rows {
			if r.stopped() {
				return nil
			}
			for g := range q.perRow {
				from, to := i*q.cols+g*q.group, i*q.cols+min(q.cols, (g+1)*q.group)
				lo, hi := math.Inf(1), math.Inf(-1)
				for _, y := range v[from:to] {
					lo, hi = min(lo, y), max(hi, y)
				}
				step := float32((hi - lo) / levels)
				q.steps[i*q.perRow+g], q.lows[i*q.perRow+g] = step, float32(lo)
				for j := from; j < to; j++ {
					c := 0.0
					if step > 0 {
						c = max(0, min(levels, math.RoundToEven((v[j]-lo)/float64(step))))
					}
					q.set(j, uint8(c))
				}
			}
		}
		return nil
	}, nil
}

func compileDequantize(r *run, s *plan.Step) (kernel, error) {
	out := newResult(&s.Out[0])
	shape := s.In[0].Shape
	cols := shape[len(shape)-1]
	rows := shape.Size() / max(1, cols)
	var dst unsafe.Pointer
	run := r.eachRow(rows, float64(out.n)*3, func(from, to int, _ *pool.Worker) {
		q := quantisedAt(r.at(&s.In[0]), s.In[0].DType, shape)
		for i := from; i < to; i++ {
			q.row(slice[float32](unsafe.Add(dst, 4*i*cols), cols), i)
		}
	})
	if s.Out[0].DType == ir.F64 {
		return wideDequantize(r, s), nil
	}
	return func() error {
		dst = out.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

func wideDequantize(r *run, s *plan.Step) kernel {
	return func() error {
		q := quantisedAt(r.at(&s.In[0]), s.In[0].DType, s.In[0].Shape)
		y := slice[float64](r.at(&s.Out[0]), q.rows*q.cols)
		for i := range y {
			g := i/q.cols*q.perRow + i%q.cols/q.group
			y[i] = float64(q.get(i))*float64(q.steps[g]) + float64(q.lows[g])
		}
		return nil
	}
}

// compileQMatMul decodes each row of w once and multiplies it with all rows of x.
func compileQMatMul(r *run, s *plan.Step) (kernel, error) {
	x, out := newArg(&s.In[0]), newResult(&s.Out[0])
	w := s.In[1].Shape
	n, k := w[0], w[1]
	m := x.n / max(1, k)
	var src, dst unsafe.Pointer
	run := r.eachRow(n, float64(n)*float64(k)*(3+0.5*float64(m)), func(from, to int, worker *pool.Worker) {
		q := quantisedAt(r.at(&s.In[1]), s.In[1].DType, w)
		row := slice[float32](worker.Scratch(4*k+1).Pointer(), k)
		for j := from; j < to; j++ {
			if r.stopped() {
				return
			}
			q.row(row, j)
			for i := range m {
				*(*float32)(unsafe.Add(dst, 4*(i*n+j))) = dot(slice[float32](unsafe.Add(src, 4*i*k), k), row)
			}
		}
	})
	if computed(s.In[0].DType) == ir.F64 {
		return wideQMatMul(r, s), nil
	}
	return func() error {
		src, dst = x.get(r), out.get(r)
		run()
		out.put(r, dst)
		return nil
	}, nil
}

func wideQMatMul(r *run, s *plan.Step) kernel {
	x := newArg(&s.In[0])
	return func() error {
		q := quantisedAt(r.at(&s.In[1]), s.In[1].DType, s.In[1].Shape)
		src := slice[float64](x.get(r), x.n)
		y := slice[float64](r.at(&s.Out[0]), s.Out[0].Shape.Size())
		for o := range y {
			i, j := o/q.rows, o%q.rows
			y[o] = 0
			for l := range q.cols {
				g := j*q.perRow + l/q.group
				y[o] += src[i*q.cols+l] * (float64(q.get(j*q.cols+l))*float64(q.steps[g]) + float64(q.lows[g]))
			}
		}
		return nil
	}
}

// dot adds in eight lanes.
func dot(x, y []float32) float32 {
	var s [8]float32
	y = y[:len(x)]
	for ; len(x) >= 8; x, y = x[8:], y[8:] {
		for k := range s {
			s[k] += x[k] * y[k]
		}
	}
	for k := range x {
		s[k] += x[k] * y[k]
	}
	return (s[0] + s[4] + (s[1] + s[5])) + (s[2] + s[6] + (s[3] + s[7]))
}
