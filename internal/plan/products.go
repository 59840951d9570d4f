package plan

import (
	"encoding/binary"
	"math"
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
func products(dev Device, consts *constants) func(g *graph) *graph {
	mixes, ok := dev.(Mixer)
	mixed := ok && mixes.MixesProducts()
	return func(g *graph) *graph { return sumProducts(g, consts, mixed) }
}

// Mixer is a device that multiplies float32 with a matrix of halves as it is.
type Mixer interface {
	MixesProducts() bool
}

func sumProducts(g *graph, consts *constants, mixed bool) *graph {
	m := &matcher{uses: g.uses(), consts: consts}
	return rewrite(g, m.each(func(v value) value {
		if mixed && v.op == op.MatMul && v.dtype == ir.F32 {
			return m.mixed(v)
		}
		if v.op == op.Add {
			if w, ok := m.scattered(v); ok {
				return w
			}
			if v.dtype == ir.F32 {
				return m.best(v)
			}
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

// mixed returns the product v with a right factor that is widened from halves as one
// that reads these, where there are fewer rows than would pay for the wide matrix to be
// written and read.
func (m *matcher) mixed(v value) value {
	x, w := &m.b.vals[v.in[0]], &m.b.vals[v.in[1]]
	var turned *value
	if w.op == op.Transpose {
		turned, w = w, &m.b.vals[w.in[0]]
	}
	if w.op != op.Cast || len(w.shape) != 2 || x.shape.Size() > w.shape.Size() {
		return v
	}
	half := &m.b.vals[w.in[0]]
	if half.dtype != ir.F16 && half.dtype != ir.BF16 {
		return v
	}
	right := w.in[0]
	if turned != nil {
		t := *turned
		t.dtype, t.in = half.dtype, []int32{right}
		right = m.add(t)
	}
	v.op, v.in = op.MixedMatMul, []int32{v.in[0], right}
	return v
}

// scattered matches the sum of x and of what is scattered into zeros, as the gradient of
// an embedding that is an output layer too: it is scattered into x.
func (m *matcher) scattered(v value) (value, bool) {
	for k := range 2 {
		s := &m.b.vals[v.in[k]]
		if s.op != op.Scatter || s.attrs.(op.Scattering).Mode != op.ScatterAdd || !m.once(v.in[k]) || !m.b.vals[v.in[1-k]].shape.Equal(s.shape) {
			continue
		}
		if zero, ok := m.number(s.in[0]); ok && zero == 0 {
			v.op, v.attrs, v.flops = op.Scatter, s.attrs, s.flops
			v.in = []int32{v.in[1-k], s.in[1], s.in[2]}
			return v, true
		}
	}
	return v, false
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

// best returns the sum v as a LoRA linear or a sum of two products, with whatever
// else is added put behind it; v itself if no two products are in it.
func (m *matcher) best(v value) value {
	addends := m.addends(v, m.terms[:0], 0)
	m.terms = addends
	best, scale, p, q := v, factor{}, -1, -1
	for i := range addends {
		for j := range addends {
			if i == j || best.op == op.LoRALinear {
				continue
			}
			if w, f, ok := m.sum(v, addends[i], addends[j]); ok && (best.op == op.Add || w.op == op.LoRALinear) {
				best, scale, p, q = w, f, i, j
			}
		}
	}
	if p < 0 {
		return v
	}
	best.attrs = terms{m.alpha(scale)}
	if !best.shape.Equal(v.shape) { // of a vector
		row := v
		row.op, row.attrs, row.in, row.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{m.add(best)}, 0
		best = row
	}
	for i, x := range addends {
		if i != p && i != q {
			sum := v
			sum.in = []int32{m.add(best), x}
			best = sum
		}
	}
	return best
}

// deepestSum bounds how many sums of sums are looked into. A linear layer with a
// residual, a bias and an adapter has three.
const deepestSum = 3

// addends appends what v, a sum, is the sum of, in the order in which it is written:
// sums that nothing else uses are looked into.
func (m *matcher) addends(v value, to []int32, depth int) []int32 {
	for _, x := range v.in {
		w := &m.b.vals[x]
		if depth+1 < deepestSum && w.op == op.Add && w.dtype == v.dtype && w.shape.Equal(v.shape) && m.once(x) {
			to = m.addends(*w, to, depth+1)
			continue
		}
		to = append(to, x)
	}
	return to
}

// factor is a constant that a product is multiplied with, or divided by.
type factor struct {
	at     int32 // the constant, -1 for none
	divide bool
}

// sum matches v = x@W + s·c@B.
func (m *matcher) sum(v value, first, second int32) (value, factor, bool) {
	if !m.b.vals[first].shape.Equal(v.shape) || !m.b.vals[second].shape.Equal(v.shape) {
		return v, factor{}, false
	}
	first = m.ofVector(first)
	p := &m.b.vals[first]
	if p.op != op.MatMul || !m.once(first) {
		return v, factor{}, false
	}
	second, f := m.scaled(second)
	second = m.ofVector(second)
	q := &m.b.vals[second]
	if q.op != op.MatMul || !m.once(second) {
		return v, factor{}, false
	}
	left, right := q.in[0], q.in[1]
	if f.at < 0 {
		left, f = m.scaled(left)
	}
	v.flops, v.shape = p.flops+q.flops+v.flops, p.shape
	if h := &m.b.vals[left]; h.op == op.MatMul && m.once(left) && h.shape[len(h.shape)-1] <= 256 {
		v.op, v.flops = op.LoRALinear, v.flops+h.flops
		v.in = []int32{p.in[0], p.in[1], h.in[0], h.in[1], right}
		return v, f, true
	}
	v.op, v.in = op.Gemm, []int32{p.in[0], p.in[1], left, right}
	return v, f, true
}

// ofVector returns the product of one row that vector i is.
func (m *matcher) ofVector(i int32) int32 {
	x := &m.b.vals[i]
	if x.op == op.Reshape && len(x.shape) == 1 && m.once(i) {
		if p := &m.b.vals[x.in[0]]; p.op == op.MatMul && len(p.shape) == 2 && p.shape[0] == 1 {
			return x.in[0]
		}
	}
	return i
}

// alpha returns a factor as devices take it.
func (m *matcher) alpha(f factor) Ref {
	if f.at < 0 {
		return Ref{}
	}
	c := m.b.vals[f.at]
	if f.divide {
		c, _ = m.consts.folded(m.b, value{op: op.Reciprocal, dtype: c.dtype, shape: c.shape, in: []int32{f.at}, node: c.node})
	}
	return Ref{ConstRef, c.leaf}
}

// scaled looks through a product with, or a division by, a constant that is used
// once. A factor of 0, or its like, stays an op of its own: devices take it for none.
func (m *matcher) scaled(i int32) (int32, factor) {
	v := &m.b.vals[i]
	if (v.op == op.Mul || v.op == op.Div) && m.once(i) {
		for k := range 2 {
			c := &m.b.vals[v.in[k]]
			if k == 0 && v.op == op.Div {
				continue
			}
			if c, ok := m.consts.baked(c); ok && (c == 0 || math.IsInf(c, 0)) {
				continue
			}
			if c.op == op.Const && c.shape.Size() == 1 && m.b.vals[v.in[1-k]].shape.Equal(v.shape) {
				return v.in[1-k], factor{v.in[k], v.op == op.Div}
			}
		}
	}
	return i, factor{at: -1}
}
