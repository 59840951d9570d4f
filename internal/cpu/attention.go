package cpu

import (
	"math"
	"unsafe"

	"loris/internal/cpu/attention"
	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileAttention, op.Attention)
	register(compileAttentionGrad, op.AttentionGrad)
}

// heads describes the sizes of an attention: batch, heads of queries and of
// keys, queries, keys, their length, and the length of values.
type heads struct {
	a                     op.Attend
	b, h, hk, t, s, d, dv int
	mask                  *plan.Operand
	maskStrides           [4]int
	step                  *plan.Step
}

func newHeads(s *plan.Step) *heads {
	q, k, v := s.In[0].Shape, s.In[1].Shape, s.In[2].Shape
	p := &heads{a: s.Attrs.(op.Attend), b: q[0], h: q[1], hk: k[1], t: q[2], s: k[2], d: q[3], dv: v[3], step: s}
	if p.a.Mask > 0 {
		p.mask = &s.In[p.a.Mask]
		copy(p.maskStrides[:], p.mask.View.Expand(ir.Shape{p.b, p.h, p.t, p.s}).Strides)
	}
	return p
}

// visible returns how many keys query i may look at before any mask.
func (p *heads) visible(i int) int {
	if !p.a.Causal {
		return p.s
	}
	return max(0, min(p.s, i+p.s-p.t+1))
}

// weights writes the softmax weights of query i of head h to w.
func weights[T floating](p *heads, w, q, k []T, mask unsafe.Pointer, b, h, i int) {
	n := p.visible(i)
	scale := T(p.a.Scale)
	query := q[((b*p.h+h)*p.t+i)*p.d:][:p.d]
	keys := k[(b*p.hk+h/(p.h/p.hk))*p.s*p.d:]
	for j := range w[:n] {
		key := keys[j*p.d:][:p.d]
		sum := 0.0
		for l, x := range query {
			sum += float64(x) * float64(key[l])
		}
		w[j] = T(sum) * scale
	}
	clear(w[n:])
	if mask != nil {
		maskRow(p, w[:n], mask, b*p.maskStrides[0]+h*p.maskStrides[1]+i*p.maskStrides[2])
	}
	if n == 0 || math.IsInf(float64(rowMax(w[:n])), -1) {
		clear(w)
		return
	}
	softmaxRow(w[:n], w[:n])
}

func maskRow[T floating](p *heads, w []T, mask unsafe.Pointer, at int) {
	st := p.maskStrides[3]
	for j := range w {
		o := at + j*st
		switch p.mask.DType {
		case ir.Bool:
			if element[uint8](mask, o) == 0 {
				w[j] = T(math.Inf(-1))
			}
		case ir.F32:
			w[j] += T(element[float32](mask, o))
		case ir.F64:
			w[j] += T(element[float64](mask, o))
		case ir.F16:
			w[j] += T(ir.F16ToF32(element[uint16](mask, o)))
		case ir.BF16:
			w[j] += T(ir.BF16ToF32(element[uint16](mask, o)))
		}
	}
}

// maskAt returns the address of the mask, nil without one.
func (p *heads) maskAt(r *run) unsafe.Pointer {
	if p.mask == nil {
		return nil
	}
	return r.at(p.mask)
}

func compileAttention(r *run, s *plan.Step) (kernel, error) {
	p := newHeads(s)
	switch {
	case s.In[0].DType == ir.F64:
		return attentionOf[float64](r, s), nil
	case p.a.Scale == 0 || p.s == 0 || p.d == 0:
		return attentionOf[float32](r, s), nil
	}
	return fastAttention(r, s, p), nil
}

// fastAttention is the form of float32 (and of halves, widened) in package attention.
func fastAttention(r *run, s *plan.Step, p *heads) kernel {
	args := [3]*arg{newArg(&s.In[0]), newArg(&s.In[1]), newArg(&s.In[2])}
	out := newResult(&s.Out[0])
	call := &attention.Call{Batch: p.b, Heads: p.h, KVHeads: p.hk, Queries: p.t, Keys: p.s, Dim: p.d, ValueDim: p.dv,
		Scale: float32(p.a.Scale), Causal: p.a.Causal}
	tensors := [3]*attention.Tensor{&call.Q, &call.K, &call.V}
	var inPlace [3]bool
	for i, a := range args {
		o := &s.In[i]
		if st := o.Strides; o.DType == ir.F32 && (st[3] == 1 || o.Shape[3] == 1) {
			inPlace[i] = true
			*tensors[i] = attention.Tensor{Batch: st[0], Head: st[1], Row: st[2]}
			continue
		}
		st := a.o.Shape.Strides()
		*tensors[i] = attention.Tensor{Batch: st[0], Head: st[1], Row: st[2]}
	}
	st := s.Out[0].Shape.Strides()
	call.Out = attention.Tensor{Batch: st[0], Head: st[1], Row: st[2]}
	mask := newAdditiveMask(p, &call.Mask)
	return func() error {
		for i, a := range args {
			if inPlace[i] {
				tensors[i].Data = r.at(a.o)
			} else {
				tensors[i].Data = a.get(r)
			}
		}
		if mask != nil {
			call.Mask.Data = mask.get(r)
		}
		dst := out.get(r)
		call.Out.Data = dst
		call.Run(r.pool, r.b.Stop.Flag())
		out.put(r, dst)
		return nil
	}
}

// additiveMask writes a mask as float32 to be added: 0 where a query may look
// and -Inf where it may not. Axes that the mask broadcasts over stay of size 1.
type additiveMask struct {
	p       *heads
	shape   ir.Shape
	strides [4]int
}

// newAdditiveMask returns the mask, and how it lies, or nil if there is none.
func newAdditiveMask(p *heads, t *attention.Tensor) *additiveMask {
	if p.mask == nil {
		return nil
	}
	m := &additiveMask{p: p, shape: ir.Shape{p.b, p.h, p.t, p.s}, strides: p.maskStrides}
	for i := range 3 {
		if m.strides[i] == 0 {
			m.shape[i] = 1
		}
	}
	st := m.shape.Strides()
	for i := range 3 {
		if m.shape[i] == 1 {
			st[i] = 0
		}
	}
	t.Batch, t.Head, t.Row = st[0], st[1], st[2]
	return m
}

func (m *additiveMask) get(r *run) unsafe.Pointer {
	n := m.shape.Size()
	to := r.mustTemp(4 * n)
	from, p := r.at(m.p.mask), m.p
	rows := n / p.s
	x := slice[float32](to, n)
	for row := range rows {
		rest := row
		at := rest % m.shape[2] * m.strides[2]
		rest /= m.shape[2]
		at += rest%m.shape[1]*m.strides[1] + rest/m.shape[1]*m.strides[0]
		w := x[row*p.s:][:p.s]
		clear(w)
		maskRow(p, w, from, at)
	}
	return to
}

// attentionOf works query by query, so that no matrix of weights exists.
func attentionOf[T floating](r *run, s *plan.Step) kernel {
	p := newHeads(s)
	qa, ka, va, out := newArg(&s.In[0]), newArg(&s.In[1]), newArg(&s.In[2]), newResult(&s.Out[0])
	size := int(unsafe.Sizeof(T(0)))
	rows := p.b * p.h * p.t
	var q, k, v, y []T
	run := r.eachRow(rows, float64(rows)*float64(p.s)*float64(p.d+p.dv), func(from, to int, w *pool.Worker) {
		weight := slice[T](w.Scratch(p.s*size+1).Pointer(), p.s)
		for row := from; row < to; row++ {
			if r.stopped() {
				return
			}
			b, h, i := row/p.t/p.h, row/p.t%p.h, row%p.t
			weights(p, weight, q, k, p.maskAt(r), b, h, i)
			o := y[row*p.dv:][:p.dv]
			clear(o)
			values := v[(b*p.hk+h/(p.h/p.hk))*p.s*p.dv:]
			for j, c := range weight {
				if c == 0 {
					continue
				}
				for l, x := range values[j*p.dv:][:p.dv] {
					o[l] += c * x
				}
			}
		}
	})
	return func() error {
		if out.n == 0 {
			return nil
		}
		q, k, v = slice[T](qa.get(r), qa.n), slice[T](ka.get(r), ka.n), slice[T](va.get(r), va.n)
		dst := out.get(r)
		y = slice[T](dst, out.n)
		run()
		out.put(r, dst)
		return nil
	}
}

func compileAttentionGrad(r *run, s *plan.Step) (kernel, error) {
	if s.In[0].DType == ir.F64 {
		return attentionGradOf[float64](r, s), nil
	}
	if p := newHeads(s); p.t*p.s >= 64 && p.d > 0 && p.dv > 0 && p.a.Scale != 0 && p.hk > 0 && p.b > 0 {
		return fastAttentionGrad(r, s, p), nil
	}
	return attentionGradOf[float32](r, s), nil
}

// attentionGradOf works over heads of keys, each with all queries that share it,
// so that no two chunks add to the same gradient.
func attentionGradOf[T floating](r *run, s *plan.Step) kernel {
	p := newHeads(s)
	args := make([]*arg, 4)
	for i := range args {
		args[i] = newArg(&s.In[i])
	}
	outs := [3]*result{newResult(&s.Out[0]), newResult(&s.Out[1]), newResult(&s.Out[2])}
	size := int(unsafe.Sizeof(T(0)))
	var q, k, v, g, dq, dk, dv []T
	group := p.h / max(1, p.hk)
	run := r.eachRow(p.b*p.hk, 3*float64(p.b*p.h*p.t)*float64(p.s)*float64(p.d+p.dv), func(from, to int, worker *pool.Worker) {
		scratch := slice[T](worker.Scratch(2*p.s*size+1).Pointer(), 2*p.s)
		w, dw := scratch[:p.s], scratch[p.s:]
		for kv := from; kv < to; kv++ {
			for x := range group * p.t {
				if r.stopped() {
					return
				}
				b, h, i := kv/p.hk, kv%p.hk*group+x/p.t, x%p.t
				query := (b*p.h+h)*p.t + i
				weights(p, w, q, k, p.maskAt(r), b, h, i)
				gq := g[query*p.dv:][:p.dv]
				mean := 0.0 // in double precision, since dw - mean cancels
				for j, c := range w {
					dw[j] = 0
					if c == 0 {
						continue
					}
					key := kv*p.s + j
					sum := 0.0
					for l, y := range gq {
						sum += float64(y) * float64(v[key*p.dv+l])
						dv[key*p.dv+l] += c * y
					}
					dw[j] = T(sum)
					mean += float64(dw[j]) * float64(c)
				}
				for j, c := range w {
					if c == 0 {
						continue
					}
					ds := c * T(float64(dw[j])-mean) * T(p.a.Scale)
					key := kv*p.s + j
					for l := range p.d {
						dq[query*p.d+l] += ds * k[key*p.d+l]
						dk[key*p.d+l] += ds * q[query*p.d+l]
					}
				}
			}
		}
	})
	return func() error {
		for i, to := range []*[]T{&q, &k, &v, &g} {
			*to = slice[T](args[i].get(r), args[i].n)
		}
		var ps [3]unsafe.Pointer
		for i, to := range []*[]T{&dq, &dk, &dv} {
			ps[i] = outs[i].get(r)
			*to = slice[T](ps[i], outs[i].n)
			clear(*to)
		}
		if outs[0].n+outs[1].n > 0 {
			run()
		}
		for i := range outs {
			outs[i].put(r, ps[i])
		}
		return nil
	}
}
