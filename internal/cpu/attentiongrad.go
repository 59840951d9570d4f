package cpu

import (
	"math"
	"sync"
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/plan"
)

// headGrad computes the gradient of the queries of one head, some rows of the weights
// at a time, by five products; w are the weights and dw their gradient:
//
//	w = softmax(scale·q·kᵀ + mask)   dw = g·vᵀ   ds = w∘(dw − Σ w∘dw)
//	dq = scale·ds·k   dk += scale·dsᵀ·q   dv += wᵀ·g
type headGrad struct {
	rows                         int
	scores, values, dq, dkey, dv *gemm.Call
}

func newHeadGrad(p *heads, rows int) *headGrad {
	by := func(row, col int) gemm.Matrix { return gemm.Matrix{RowStride: row, ColStride: col} }
	call := func(m, n, k int, a, b gemm.Matrix, scale, beta float32) *gemm.Call {
		return &gemm.Call{M: m, N: n, Beta: beta, C: by(n, 1), Terms: []gemm.Term{{A: a, B: b, K: k, Alpha: scale}}}
	}
	scale := float32(p.a.Scale)
	return &headGrad{rows: rows,
		scores: call(rows, p.s, p.d, by(p.d, 1), by(1, p.d), scale, 0),
		values: call(rows, p.s, p.dv, by(p.dv, 1), by(1, p.dv), 1, 0),
		dq:     call(rows, p.d, p.s, by(p.s, 1), by(p.d, 1), scale, 0),
		dkey:   call(p.s, p.d, rows, by(1, p.s), by(p.d, 1), scale, 1),
		dv:     call(p.s, p.dv, rows, by(1, p.s), by(p.dv, 1), 1, 1),
	}
}

// weightBytes bounds the weights that are held at a time.
const weightBytes = 1 << 20

// headGrads are the forms for whole blocks of rows and for the rest, taken by one
// goroutine at a time.
type headGrads struct{ whole, rest *headGrad }

// fastAttentionGrad returns the kernel of float32, and of halves, widened, that works
// over heads of keys, each with all queries that share it, so that no two chunks add
// to the same gradient.
func fastAttentionGrad(r *run, s *plan.Step, p *heads) kernel {
	args := make([]*arg, 4)
	for i := range args {
		args[i] = newArg(&s.In[i])
	}
	outs := [3]*result{newResult(&s.Out[0]), newResult(&s.Out[1]), newResult(&s.Out[2])}
	block := max(1, min(p.t, weightBytes/4/p.s))
	forms := sync.Pool{New: func() any {
		f := &headGrads{whole: newHeadGrad(p, block)}
		if rest := p.t % block; rest > 0 {
			f.rest = newHeadGrad(p, rest)
		}
		return f
	}}
	group := p.h / p.hk
	cost := 10 * float64(p.b*p.h*p.t) * float64(p.s) * float64(p.d+p.dv) / 50
	var in, to [4]unsafe.Pointer
	at := func(base unsafe.Pointer, row, width int) unsafe.Pointer { return unsafe.Add(base, 4*row*width) }
	job := func(kv int, worker *pool.Worker) {
		f := forms.Get().(*headGrads)
		scratch := worker.Scratch(8 * block * p.s).Pointer()
		for x := range group {
			b, h := kv/p.hk, kv%p.hk*group+x
			for i := 0; i < p.t; i += block {
				g := f.whole
				if i+block > p.t {
					g = f.rest
				}
				query, key := (b*p.h+h)*p.t+i, kv*p.s
				if !g.run(r, p, scratch, b, h, i, [8]unsafe.Pointer{
					at(in[0], query, p.d), at(in[1], key, p.d), at(in[2], key, p.dv), at(in[3], query, p.dv),
					at(to[0], query, p.d), at(to[1], key, p.d), at(to[2], key, p.dv)}) {
					return
				}
			}
		}
		forms.Put(f)
	}
	return func() error {
		for i, a := range args {
			in[i] = a.get(r)
		}
		for i, o := range outs {
			to[i] = o.get(r)
			clear(slice[byte](to[i], 4*o.n))
		}
		r.split(p.b*p.hk, cost, job)
		for i, o := range outs {
			o.put(r, to[i])
		}
		return nil
	}
}

// run computes one block; m are q, k, v, g and the gradients of the first three. It
// returns false if it was stopped.
func (g *headGrad) run(r *run, p *heads, scratch unsafe.Pointer, b, h, row int, m [8]unsafe.Pointer) bool {
	w, dw := scratch, unsafe.Add(scratch, 4*g.rows*p.s)
	product := func(c *gemm.Call, left, right, to unsafe.Pointer) bool {
		c.Terms[0].A.Data, c.Terms[0].B.Data, c.C.Data = left, right, to
		return c.Run(r.pool, r.b.Stop.Flag())
	}
	if !product(g.scores, m[0], m[1], w) || !product(g.values, m[3], m[2], dw) {
		return false
	}
	for i := range g.rows {
		g.row(p, slice[float32](unsafe.Add(w, 4*i*p.s), p.s), slice[float32](unsafe.Add(dw, 4*i*p.s), p.s), p.maskAt(r), b, h, row+i)
	}
	return product(g.dv, w, m[3], m[6]) && product(g.dq, dw, m[1], m[4]) && product(g.dkey, dw, m[0], m[5])
}

// row makes scores weights, and the gradient of the weights that of the scores.
func (g *headGrad) row(p *heads, w, dw []float32, mask unsafe.Pointer, b, h, i int) {
	n := p.visible(i)
	clear(w[n:])
	clear(dw[n:])
	w, dw = w[:n], dw[:n]
	if mask != nil {
		maskRow(p, w, mask, b*p.maskStrides[0]+h*p.maskStrides[1]+i*p.maskStrides[2])
	}
	if n == 0 || math.IsInf(float64(rowMax(w)), -1) {
		clear(w)
		clear(dw)
		return
	}
	vec.Softmax(vec.RowsOf(w, n), vec.RowsOf(w, n), 1, n)
	mean := 0.0 // in double precision, since dw - mean cancels
	for j, c := range w {
		if c == 0 {
			dw[j] = 0
		}
		mean += float64(dw[j]) * float64(c)
	}
	vec.BinaryScalar(vec.Sub, dw, dw, float32(mean))
	vec.Binary(vec.Mul, dw, dw, w)
}
