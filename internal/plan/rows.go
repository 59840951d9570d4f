package plan

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// rowOps turns softmax, log-softmax, RMSNorm and LayerNorm over the last axis,
// written out, into the ops, whose kernels hold a row in registers: five times the
// speed of the program that it would be. Along other axes it is the other way round,
// and the ops are written out. Gradients read the parts again: these are left alone.
func rowOps(consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph {
		m := &matcher{uses: g.uses(), consts: consts}
		return rewrite(g, m.each(func(v value) value {
			if v.op == op.TakeAlong {
				return m.picked(v)
			}
			if v.dtype != ir.F32 || len(v.shape) == 0 || v.shape[len(v.shape)-1] < 2 || v.shape.Size() == 0 {
				return v
			}
			switch v.op {
			case op.Softmax, op.LogSoftmax:
				return m.writtenOut(v)
			case op.Sub:
				return m.logSoftmax(v)
			case op.Div, op.Mul:
				for _, match := range []func(value) (value, bool){m.softmax, m.norm, m.weighted} {
					if w, ok := match(v); ok {
						return w
					}
				}
			case op.Add:
				return m.biased(v)
			}
			return v
		}))
	}
}

// picked returns a function of some elements for some elements of the function of all.
func (m *matcher) picked(v value) value {
	f := &m.b.vals[v.in[0]]
	if !isElementwise(f.op) || len(f.in) != 1 || !m.once(v.in[0]) || f.shape.Size() <= v.shape.Size() {
		return v
	}
	taken, x := v, f.in[0]
	taken.dtype, taken.in = m.b.vals[x].dtype, []int32{x, v.in[1]}
	v.op, v.attrs, v.in, v.flops = f.op, f.attrs, []int32{m.add(taken)}, int64(v.shape.Size())
	return v
}

// shifted matches x minus the largest element of its row.
func (m *matcher) shifted(i int32) (x int32, ok bool) {
	d := &m.b.vals[i]
	if d.op != op.Sub || !m.perRow(d.in[1], d.shape) {
		return 0, false
	}
	x, ok = m.reduced(d.in[1], op.Max, d.shape)
	return x, ok && x == d.in[0]
}

// softmax matches e/Σe, or e·(1/Σe), with e = exp(x - max x).
func (m *matcher) softmax(v value) (value, bool) {
	for k := range 2 {
		i, s := v.in[k], v.in[1-k]
		e := &m.b.vals[i]
		if k == 1 && v.op == op.Div || e.op != op.Exp || !e.shape.Equal(v.shape) || m.uses[m.old[i]] != 2 || !m.perRow(s, v.shape) {
			continue
		}
		if v.op == op.Mul {
			r := &m.b.vals[m.bare(s)]
			if r.op != op.Reciprocal {
				continue
			}
			s = r.in[0]
		}
		if summed, ok := m.reduced(s, op.Sum, v.shape); !ok || summed != i {
			continue
		}
		if x, ok := m.shifted(e.in[0]); ok {
			return m.rowOp(v, op.Softmax, op.Axis{Axis: len(v.shape) - 1}, x), true
		}
	}
	return v, false
}

// logSoftmax matches d - log Σ exp(d) with d = x - max x.
func (m *matcher) logSoftmax(v value) value {
	if !m.perRow(v.in[1], v.shape) {
		return v
	}
	l := &m.b.vals[m.bare(v.in[1])]
	if l.op != op.Log {
		return v
	}
	i, ok := m.reduced(l.in[0], op.Sum, v.shape)
	if e := &m.b.vals[i]; !ok || e.op != op.Exp || e.in[0] != v.in[0] || !m.once(i) {
		return v
	}
	if x, ok := m.shifted(v.in[0]); ok {
		return m.rowOp(v, op.LogSoftmax, op.Axis{Axis: len(v.shape) - 1}, x)
	}
	return v
}

// rowOp returns the op that stands for v.
func (m *matcher) rowOp(v value, id ir.Op, attrs ir.Attrs, in ...int32) value {
	v.op, v.attrs, v.in, v.flops = id, attrs, in, 16*int64(v.shape.Size())
	return v
}

// fewElements are not worth more steps than one.
const fewElements = 1 << 10

// writtenOut returns the softmax v along another axis than the last as reductions and
// element by element: devices add up columns at the speed of memory, and gather each
// line of a softmax.
func (m *matcher) writtenOut(v value) value {
	axis := v.attrs.(op.Axis).Axis
	if v.shape[axis+1:].Size() < 2 || v.shape.Size() < fewElements {
		return v
	}
	each := func(id ir.Op, in ...int32) value {
		return value{op: id, dtype: v.dtype, shape: v.shape, in: in, node: v.node, flops: int64(v.shape.Size())}
	}
	reduced := func(id ir.Op, x int32) int32 {
		r := each(id, x)
		r.shape, r.attrs = slices.Clone(v.shape), op.Reduce{Axes: []int{axis}, Keep: true}
		r.shape[axis] = 1
		return m.add(r)
	}
	x := v.in[0]
	d := m.add(each(op.Sub, x, reduced(op.Max, x)))
	e := m.add(each(op.Exp, d))
	s := reduced(op.Sum, e)
	if v.op == op.Softmax {
		return each(op.Div, e, s)
	}
	l := each(op.Log, s)
	l.shape, l.flops = m.b.vals[s].shape, int64(m.b.vals[s].shape.Size())
	return each(op.Sub, d, m.add(l))
}

// norm matches x·1/√(mean(y²) + ε) and x/√(…): with y = x, or x = y·w, an RMSNorm,
// with y = x minus its mean a LayerNorm.
func (m *matcher) norm(v value) (value, bool) {
	for k := range 2 {
		i, r := v.in[k], v.in[1-k]
		if k == 1 && v.op == op.Div || !m.b.vals[i].shape.Equal(v.shape) || !m.perRow(r, v.shape) || !m.once(r) {
			continue
		}
		square, eps, ok := m.spread(r, v.op == op.Div, v.shape)
		if !ok {
			continue
		}
		q := &m.b.vals[square]
		if q.op != op.Square && (q.op != op.Mul || q.in[0] != q.in[1]) {
			continue
		}
		x, y := &m.b.vals[i], q.in[0]
		if z, ok := m.centred(y); ok {
			if c, ok := m.centred(i); ok && c == z {
				return m.rowOp(v, op.LayerNorm, op.Norm{Eps: eps}, z), true
			}
		}
		if y == i {
			return m.rowOp(v, op.RMSNorm, op.Norm{Eps: eps}, y), true
		}
		if x.op == op.Mul && m.once(i) {
			for side := range 2 {
				if w, ok := m.perColumn(x.in[1-side], v.shape, v.node); ok && x.in[side] == y {
					return m.rowOp(v, op.RMSNorm, op.Norm{Eps: eps, Weight: true}, y, w), true
				}
			}
		}
	}
	return v, false
}

// spread matches √(mean + ε), or 1/√(mean + ε), and returns what the mean is of.
func (m *matcher) spread(i int32, root bool, s ir.Shape) (x int32, eps float64, ok bool) {
	r := &m.b.vals[m.bare(i)]
	switch {
	case root && r.op == op.Sqrt, !root && r.op == op.Rsqrt:
		i = r.in[0]
	case !root && r.op == op.Pow:
		if p, ok := m.number(r.in[1]); !ok || p != -0.5 {
			return 0, 0, false
		}
		i = r.in[0]
	case !root && (r.op == op.Reciprocal || r.op == op.Div):
		if one, ok := m.number(r.in[0]); r.op == op.Div && (!ok || one != 1) {
			return 0, 0, false
		}
		return m.spread(r.in[len(r.in)-1], true, s)
	default:
		return 0, 0, false
	}
	sum := &m.b.vals[m.bare(i)]
	if sum.op != op.Add {
		return 0, 0, false
	}
	for k := range 2 {
		if eps, ok := m.number(sum.in[k]); ok && eps >= 0 {
			x, ok := m.mean(sum.in[1-k], s)
			return x, eps, ok
		}
	}
	return 0, 0, false
}

// mean returns what value i, one per row, is the mean of over the last axis of shape s.
func (m *matcher) mean(i int32, s ir.Shape) (int32, bool) {
	v := &m.b.vals[m.bare(i)]
	count := float64(s[len(s)-1])
	switch v.op {
	case op.Div:
		if c, ok := m.number(v.in[1]); ok && c == count {
			return m.reduced(v.in[0], op.Sum, s)
		}
	case op.Mul:
		for k := range 2 {
			if c, ok := m.number(v.in[k]); ok && float32(c) == float32(1/count) {
				return m.reduced(v.in[1-k], op.Sum, s)
			}
		}
	}
	return 0, false
}

// centred matches x minus its mean, which may be taken of distances from the first
// element.
func (m *matcher) centred(i int32) (x int32, ok bool) {
	d := &m.b.vals[i]
	if d.op != op.Sub || !m.perRow(d.in[1], d.shape) {
		return 0, false
	}
	x, ok = m.mean(d.in[1], d.shape)
	if !ok || x != d.in[0] {
		return 0, false
	}
	if e := &m.b.vals[x]; e.op == op.Sub && m.perRow(e.in[1], e.shape) {
		if first := &m.b.vals[e.in[1]]; first.op == op.Slice && first.in[0] == e.in[0] {
			return e.in[0], true
		}
	}
	return x, true
}

// weighted matches a norm without weight, times one.
func (m *matcher) weighted(v value) (value, bool) {
	if v.op != op.Mul {
		return v, false
	}
	return m.withColumns(v, func(n op.Norm) (op.Norm, bool) {
		ok := !n.Weight && !n.Bias
		n.Weight = true
		return n, ok
	}, op.RMSNorm, op.LayerNorm)
}

// biased matches a LayerNorm without bias, plus one.
func (m *matcher) biased(v value) value {
	v, _ = m.withColumns(v, func(n op.Norm) (op.Norm, bool) {
		ok := !n.Bias
		n.Bias = true
		return n, ok
	}, op.LayerNorm)
	return v
}

// withColumns puts what norm v is combined with, one for each column, into the op.
func (m *matcher) withColumns(v value, change func(op.Norm) (op.Norm, bool), norms ...ir.Op) (value, bool) {
	for k := range 2 {
		n := &m.b.vals[v.in[k]]
		if !slices.Contains(norms, n.op) || !m.once(v.in[k]) || !n.shape.Equal(v.shape) {
			continue
		}
		a, ok := change(n.attrs.(op.Norm))
		if !ok {
			continue
		}
		in := slices.Clone(n.in)
		if c, ok := m.perColumn(v.in[1-k], v.shape, v.node); ok {
			return m.rowOp(v, n.op, a, append(in, c)...), true
		}
	}
	return v, false
}

// perColumn returns value i as a vector if it is broadcast along all axes of shape s
// but the last. (A constant is none: devices read weights from memory.)
func (m *matcher) perColumn(i int32, s ir.Shape, node int32) (int32, bool) {
	w := &m.b.vals[i]
	cols := s[len(s)-1]
	if w.op == op.Expand {
		i = w.in[0]
		w = &m.b.vals[i]
	}
	if w.op == op.Const || w.dtype != ir.F32 || len(w.shape) == 0 || len(w.shape) > len(s) || w.shape[len(w.shape)-1] != cols || w.shape.Size() != cols {
		return 0, false
	}
	if len(w.shape) > 1 {
		v := ir.Shape{cols}
		i = m.add(value{op: op.Reshape, dtype: w.dtype, shape: v, attrs: op.Fill{Shape: v}, in: []int32{i}, node: node})
	}
	return i, true
}
