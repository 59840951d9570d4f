package plan

import (
	"encoding/binary"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// terms are the attributes of a sum of products: the factor of the second one.
type terms struct{ alpha Ref }

// AppendKey implements ir.Attrs.
func (t terms) AppendKey(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(b, byte(t.alpha.Kind)), uint32(t.alpha.Index))
}

// products turns sums of two matrix products into one op, and those of the
// form x@W + s·(z@A)@B into a LoRA linear: the sum is made while the product is
// still in registers. The scale may stand on either side of B. The transpose of
// a tall product that nothing else uses is the wide product of the transposes:
// kernels like long rows.
func products(consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph { return sumProducts(g, consts) }
}

func sumProducts(g *graph, consts *constants) *graph {
	m := &matcher{uses: g.uses(), consts: consts}
	return rewrite(g, m.each(func(v value) value {
		if v.op == op.Add && v.dtype == ir.F32 {
			return m.best(v)
		}
		if v.op == op.Transpose && len(v.shape) == 2 {
			if p := &m.b.vals[v.in[0]]; p.op == op.MatMul && p.shape[0] > p.shape[1] && m.once(v.in[0]) && len(m.b.vals[p.in[0]].shape) == 2 && len(m.b.vals[p.in[1]].shape) == 2 {
				x, y, flops := p.in[0], p.in[1], p.flops
				w := v
				w.op, w.attrs, w.flops = op.MatMul, nil, flops
				w.in = []int32{m.transposed(y, v.node), m.transposed(x, v.node)}
				return w
			}
		}
		return v
	}))
}

// matcher looks at the values built so far, and adds to them.
type matcher struct {
	b      *graph
	uses   []int32 // of the values of the old graph, then of those added
	old    []int32 // place in uses of each value of b
	consts *constants
}

// each returns the function that rewrite calls: f says what stands for a value.
func (m *matcher) each(f func(v value) value) func(b *graph, v value) int32 {
	at := int32(-1)
	return func(b *graph, v value) int32 {
		m.b = b
		at++
		v = f(v)
		m.old = append(m.old, at)
		return b.add(v)
	}
}

// once reports whether value i has one use.
func (m *matcher) once(i int32) bool { return m.uses[m.old[i]] == 1 }

// add appends a value of which the old graph knows nothing.
func (m *matcher) add(v value) int32 {
	m.old, m.uses = append(m.old, int32(len(m.uses))), append(m.uses, 1)
	return m.b.add(v)
}

// transposed returns value i with its last two axes exchanged, for node.
func (m *matcher) transposed(i, node int32) int32 {
	x := &m.b.vals[i]
	s := slices.Clone(x.shape)
	perm := make([]int, len(s))
	for a := range perm {
		perm[a] = a
	}
	r := len(s)
	s[r-2], s[r-1], perm[r-2], perm[r-1] = s[r-1], s[r-2], r-1, r-2
	return m.add(value{op: op.Transpose, dtype: x.dtype, shape: s, attrs: op.Perm{Axes: perm}, in: []int32{i}, node: node})
}

// best returns v as a LoRA linear or a sum of products, v itself if it is neither.
func (m *matcher) best(v value) value {
	best := v
	for k := range 2 {
		if w, ok := m.sum(v, v.in[k], v.in[1-k]); ok && (best.op == op.Add || w.op == op.LoRALinear) {
			best = w
		}
	}
	return best
}

// sum matches v = x@W + s·c@B.
func (m *matcher) sum(v value, first, second int32) (value, bool) {
	p := &m.b.vals[first]
	if p.op != op.MatMul || !m.once(first) || !p.shape.Equal(v.shape) || !m.b.vals[second].shape.Equal(v.shape) {
		return v, false
	}
	second, alpha := m.scaled(second)
	q := &m.b.vals[second]
	if q.op != op.MatMul || !m.once(second) {
		return v, false
	}
	left, right := q.in[0], q.in[1]
	if alpha.Kind == NoRef {
		left, alpha = m.scaled(left)
	}
	v.attrs, v.flops = terms{alpha}, p.flops+q.flops+v.flops
	if h := &m.b.vals[left]; h.op == op.MatMul && m.once(left) && h.shape[len(h.shape)-1] <= 256 {
		v.op, v.flops = op.LoRALinear, v.flops+h.flops
		v.in = []int32{p.in[0], p.in[1], h.in[0], h.in[1], right}
		return v, true
	}
	v.op, v.in = op.Gemm, []int32{p.in[0], p.in[1], left, right}
	return v, true
}

// scaled looks through a product with a constant that is used once. A factor of
// 0 stays an op of its own: devices take it for none.
func (m *matcher) scaled(i int32) (int32, Ref) {
	v := &m.b.vals[i]
	if v.op == op.Mul && m.once(i) {
		for k := range 2 {
			c := &m.b.vals[v.in[k]]
			if k, ok := m.consts.baked(c); ok && k == 0 {
				continue
			}
			if c.op == op.Const && c.shape.Size() == 1 && m.b.vals[v.in[1-k]].shape.Equal(v.shape) {
				return v.in[1-k], Ref{ConstRef, c.leaf}
			}
		}
	}
	return i, Ref{}
}
