package plan

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// crossEntropy turns the picking of one class of a log-softmax for each row into the
// loss, which stores no probabilities, and the gradient of that into the loss's own,
// which scatters nothing. A log-softmax that is used otherwise too is left alone: it
// has to be computed anyway.
func crossEntropy(dev Device, consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph {
		m := &matcher{b: g, uses: g.uses(), consts: consts, old: make([]int32, len(g.vals))}
		for i := range m.old {
			m.old[i] = int32(i)
		}
		// Each way in which a value is used may be part of a loss; the log-softmax goes
		// if all are.
		part := make(map[int32]int32)
		for i := range g.vals {
			if p, ok := m.pick(&g.vals[i]); ok {
				part[p.logp]++
			}
		}
		if len(part) == 0 {
			return g
		}
		whole := func(old int32) bool { return part[old] == m.uses[old] }
		m = &matcher{uses: m.uses, consts: consts}
		return rewrite(g, m.each(func(v value) value {
			p, ok := m.pick(&v)
			if !ok || !whole(m.old[p.logp]) {
				return m.negated(v)
			}
			id := op.CrossEntropy
			if p.grad >= 0 {
				id = op.CrossEntropyGrad
			}
			x := m.b.vals[p.logp].in[0]
			if !dev.Supports(id, v.dtype) {
				return v
			}
			return m.loss(v, id, x, p)
		}))
	}
}

// pick is one class of each row of a log-softmax, or the gradient that comes from it.
type pick struct {
	logp, index int32
	grad        int32 // of what was picked; -1 for the pick itself
}

// pick matches logp[index], or the gradient G - exp(logp)·ΣG, where G is grad in the
// places that were picked, and 0 elsewhere.
func (m *matcher) pick(v *value) (p pick, ok bool) {
	switch {
	case len(v.shape) == 0:
		return p, false
	case v.op == op.TakeAlong && v.attrs.(op.Axis).Axis == len(v.shape)-1 && v.shape[len(v.shape)-1] == 1:
		p = pick{v.in[0], v.in[1], -1}
	case v.op == op.Sub && v.dtype != ir.F64: // of an infinite logit the f64 kernels make other NaNs
		s := &m.b.vals[v.in[0]]
		a, isScatter := s.attrs.(op.Scattering)
		if !isScatter || s.op != op.Scatter || !a.Along || a.Mode != op.ScatterAdd || a.Axis != len(v.shape)-1 {
			return p, false
		}
		idx := &m.b.vals[s.in[1]]
		if zero, ok := m.number(s.in[0]); !ok || zero != 0 || idx.shape[len(idx.shape)-1] != 1 {
			return p, false
		}
		if p.logp, ok = m.probabilitiesTimesSum(v.in[1], v.in[0], v.shape); !ok {
			return p, false
		}
		p.index, p.grad = s.in[1], s.in[2]
	default:
		return p, false
	}
	l := &m.b.vals[p.logp]
	a, isAxis := l.attrs.(op.Axis)
	return p, l.op == op.LogSoftmax && isAxis && a.Axis == len(l.shape)-1 && l.shape.Size() > 0 && l.shape[a.Axis] > 1
}

// probabilitiesTimesSum matches exp(logp)·Σg, each used for that alone.
func (m *matcher) probabilitiesTimesSum(i, g int32, s ir.Shape) (logp int32, ok bool) {
	x := &m.b.vals[i]
	if x.op != op.Mul || !m.once(i) {
		return 0, false
	}
	for k := range 2 {
		e := &m.b.vals[x.in[k]]
		if e.op != op.Exp || !m.once(x.in[k]) || !m.perRow(x.in[1-k], s) {
			continue
		}
		if summed, ok := m.reduced(x.in[1-k], op.Sum, s); ok && summed == g {
			return e.in[0], true
		}
	}
	return 0, false
}

// loss returns what stands for v, the pick p of the log-softmax of x: minus the loss,
// or its gradient for minus that of the pick.
func (m *matcher) loss(v value, id ir.Op, x int32, p pick) value {
	shape := m.b.vals[x].shape
	rows := slices.Clone(shape[:len(shape)-1])
	out := v
	out.op, out.attrs, out.flops = id, op.Targets{Index: true}, 16*int64(shape.Size())
	out.in = []int32{x, m.reshaped(p.index, rows, v.node)}
	if id == op.CrossEntropyGrad {
		out.in = append(out.in, m.minus(m.reshaped(p.grad, rows, v.node), v.node))
		return out
	}
	out.shape = rows
	v.op, v.attrs, v.in, v.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{m.minus(m.add(out), v.node)}, 0
	return v
}

// minus returns -x for value i, or y where it is -y.
func (m *matcher) minus(i, node int32) int32 {
	v := m.b.vals[i]
	x := m.bare(i)
	if inner := &m.b.vals[x]; inner.op == op.Neg {
		return m.reshaped(inner.in[0], v.shape, node)
	}
	neg := value{op: op.Neg, dtype: v.dtype, shape: v.shape, in: []int32{x}, node: node, flops: int64(v.shape.Size())}
	if c, ok := m.consts.folded(m.b, neg); ok {
		return m.add(c)
	}
	neg.in[0] = i
	return m.add(neg)
}

// negated takes away the sign that loss has put before a value, and the text as well.
func (m *matcher) negated(v value) value {
	if v.op != op.Neg {
		return v
	}
	x := &m.b.vals[m.bare(v.in[0])]
	if x.op != op.Neg || m.b.vals[x.in[0]].op != op.CrossEntropy {
		return v
	}
	v.op, v.attrs, v.in, v.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{x.in[0]}, 0
	return v
}
