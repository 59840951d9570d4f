package plan

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// crossEntropy turns losses that are written out into the op, which stores no
// probabilities, and their gradients into the op's own, which scatters nothing: minus
// one class of a log-softmax for each row, or log Σ exp minus one logit. What is used
// otherwise too is left alone: it has to be computed anyway.
func crossEntropy(dev Device, consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph {
		m := &matcher{b: g, uses: g.uses(), consts: consts, old: make([]int32, len(g.vals))}
		for i := range m.old {
			m.old[i] = int32(i)
		}
		part := make(map[int32]int32) // how often a value is used for losses
		for i := range g.vals {
			if p, ok := m.loss(&g.vals[i]); ok {
				part[p.of]++
				if p.grad >= 0 && p.exp >= 0 {
					part[p.exp]++
				}
			}
		}
		if len(part) == 0 {
			return g
		}
		m = &matcher{uses: m.uses, consts: consts}
		whole := func(p loss) bool {
			of := m.old[p.of]
			return part[of] == m.uses[of] && (p.exp < 0 || part[m.old[p.exp]]+1 == m.uses[m.old[p.exp]])
		}
		return rewrite(g, m.each(func(v value) value {
			p, ok := m.loss(&v)
			if !ok || !whole(p) {
				return m.negated(v)
			}
			id := op.CrossEntropy
			if p.grad >= 0 {
				id = op.CrossEntropyGrad
			}
			if !dev.Supports(id, v.dtype) {
				return v
			}
			return m.crossEntropy(v, id, p)
		}))
	}
}

// loss is a cross-entropy, or minus one, for each row of x, or the gradient of it.
type loss struct {
	x, index int32
	grad     int32 // of the losses, or of minus the losses; -1 for these themselves
	minus    bool
	of, exp  int32 // what is used for losses alone: logp, or Σ exp and exp; exp is -1 for logp
}

// loss matches logp[index] and log Σ exp(x) - x[index], and their gradients.
func (m *matcher) loss(v *value) (loss, bool) {
	if len(v.shape) == 0 {
		return loss{}, false
	}
	switch v.op {
	case op.TakeAlong:
		if v.attrs.(op.Axis).Axis == len(v.shape)-1 && v.shape[len(v.shape)-1] == 1 {
			return m.ofLogSoftmax(loss{index: v.in[1], grad: -1, of: v.in[0]})
		}
	case op.Sub:
		if g, ok := m.placed(v.in[0], v.shape); ok && v.dtype != ir.F64 { // of an infinite logit the f64 kernels make other NaNs
			if logp, ok := m.probabilitiesTimesSum(v.in[1], v.in[0], v.shape); ok {
				return m.ofLogSoftmax(loss{index: g.index, grad: g.grad, of: logp})
			}
		}
		return m.logSumExpMinusLogit(v)
	case op.Add:
		return m.logSumExpGradient(v)
	}
	return loss{}, false
}

// ofLogSoftmax completes a loss if what it is of is a log-softmax.
func (m *matcher) ofLogSoftmax(p loss) (loss, bool) {
	l := &m.b.vals[p.of]
	a, isAxis := l.attrs.(op.Axis)
	if l.op != op.LogSoftmax || !isAxis || a.Axis != len(l.shape)-1 || l.shape.Size() == 0 || l.shape[a.Axis] < 2 {
		return p, false
	}
	p.x, p.minus, p.exp = l.in[0], true, -1
	return p, true
}

// placed matches zeros of shape s with one value for each row in it.
func (m *matcher) placed(i int32, s ir.Shape) (p loss, ok bool) {
	v := &m.b.vals[i]
	a, isScatter := v.attrs.(op.Scattering)
	if !isScatter || v.op != op.Scatter || !a.Along || a.Mode != op.ScatterAdd || a.Axis != len(s)-1 || !v.shape.Equal(s) {
		return p, false
	}
	idx := &m.b.vals[v.in[1]]
	zero, ok := m.number(v.in[0])
	return loss{index: v.in[1], grad: v.in[2]}, ok && zero == 0 && idx.shape[len(idx.shape)-1] == 1
}

// logSumExpMinusLogit matches log Σ exp(x) - x[index].
func (m *matcher) logSumExpMinusLogit(v *value) (p loss, ok bool) {
	if v.dtype != ir.F32 {
		return p, false
	}
	sum, pick := m.bare(v.in[0]), &m.b.vals[m.bare(v.in[1])]
	s := &m.b.vals[sum]
	if s.op != op.Add || !m.once(sum) || pick.op != op.TakeAlong || pick.shape[len(pick.shape)-1] != 1 {
		return p, false
	}
	for k := range 2 {
		l := m.bare(s.in[k])
		if m.b.vals[l].op != op.Log || !m.once(l) {
			continue
		}
		p, top, ok := m.sumOfExp(m.b.vals[l].in[0])
		if ok && m.bare(s.in[1-k]) == top && pick.in[0] == p.x && pick.attrs.(op.Axis).Axis == len(pick.shape)-1 && v.shape.Size() == pick.shape.Size() {
			p.index, p.grad = pick.in[1], -1
			return p, true
		}
	}
	return p, false
}

// sumOfExp matches Σ exp(x - top) over rows, where top is the largest element, or 0
// where that is infinite.
func (m *matcher) sumOfExp(i int32) (p loss, top int32, ok bool) {
	p.of = m.bare(i)
	sum := &m.b.vals[p.of]
	if sum.op != op.Sum {
		return p, 0, false
	}
	p.exp = sum.in[0]
	e := &m.b.vals[p.exp]
	if e.op != op.Exp || len(e.shape) == 0 || e.shape.Size() == 0 || e.shape[len(e.shape)-1] < 2 {
		return p, 0, false
	}
	d := &m.b.vals[e.in[0]]
	if _, ok := m.reduced(i, op.Sum, e.shape); !ok || d.op != op.Sub || !m.perRow(d.in[1], e.shape) {
		return p, 0, false
	}
	p.x, top = d.in[0], m.bare(d.in[1])
	largest := top
	if w := &m.b.vals[top]; w.op == op.Where {
		zero, ok := m.number(w.in[1])
		inf := &m.b.vals[w.in[0]]
		if largest = m.bare(w.in[2]); !ok || zero != 0 || inf.op != op.IsInf || m.bare(inf.in[0]) != largest {
			return p, 0, false
		}
	}
	x, ok := m.reduced(largest, op.Max, e.shape)
	return p, top, ok && x == p.x
}

// logSumExpGradient matches exp(x - top)·(g/Σ exp(x - top)) plus -g in one place of each row.
func (m *matcher) logSumExpGradient(v *value) (p loss, ok bool) {
	if v.dtype != ir.F32 {
		return p, false
	}
	for k := range 2 {
		one, ok := m.placed(v.in[k], v.shape)
		q := &m.b.vals[v.in[1-k]]
		if !ok || !m.once(v.in[k]) || q.op != op.Mul || !m.once(v.in[1-k]) {
			continue
		}
		for j := range 2 {
			r := m.bare(q.in[1-j])
			d := &m.b.vals[r]
			if d.op != op.Div || !m.once(r) || !m.perRow(q.in[1-j], v.shape) {
				continue
			}
			p, _, ok := m.sumOfExp(d.in[1])
			if ok && p.exp == q.in[j] && m.b.vals[p.x].shape.Equal(v.shape) && m.opposite(one.grad, d.in[0]) {
				p.index, p.grad = one.index, d.in[0]
				return p, m.b.vals[p.grad].shape.Size() == m.b.vals[p.index].shape.Size()
			}
		}
	}
	return p, false
}

// opposite reports whether value i is minus value g, both of them one per row.
func (m *matcher) opposite(i, g int32) bool {
	i, g = m.bare(i), m.bare(g)
	x, y := &m.b.vals[i], &m.b.vals[g]
	if x.op == op.Const && y.op == op.Const {
		return m.consts.opposite(x.leaf, y.leaf)
	}
	return x.op == op.Neg && m.bare(x.in[0]) == g
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

// crossEntropy returns what stands for v, the loss p.
func (m *matcher) crossEntropy(v value, id ir.Op, p loss) value {
	shape := m.b.vals[p.x].shape
	rows := slices.Clone(shape[:len(shape)-1])
	out := v
	out.op, out.attrs, out.flops = id, op.Targets{Index: true}, 16*int64(shape.Size())
	out.in = []int32{p.x, m.reshaped(p.index, rows, v.node)}
	if id == op.CrossEntropyGrad {
		g := m.reshaped(p.grad, rows, v.node)
		if p.minus {
			g = m.minus(g, v.node)
		}
		out.in = append(out.in, g)
		return out
	}
	out.shape = rows
	l := m.add(out)
	if p.minus {
		l = m.minus(l, v.node)
	}
	v.op, v.attrs, v.in, v.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{l}, 0
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
