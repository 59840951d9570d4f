package plan

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// attention turns softmax(c·q@kᵀ + mask)@v, written out, into the op, which does
// not store the scores. Gradients written out use the weights twice and are left
// alone, and so is a small product with a mask: guarding it would take longer.
func attention(dev Device, consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph {
		m := &matcher{uses: g.uses(), consts: consts}
		return rewrite(g, m.each(func(v value) value {
			if v.op != op.MatMul || len(v.shape) < 2 || len(v.shape) > 5 || !dev.Supports(op.Attention, v.dtype) {
				return v
			}
			switch v.dtype {
			case ir.F32, ir.F16, ir.BF16:
			default:
				return v
			}
			i := m.rebatched(v.in[0])
			if s, ok := m.scores(i); ok {
				s.shape = m.b.vals[i].shape
				return m.attention(v, s)
			}
			return v
		}))
	}
}

// scores are softmax(q@kt·factor + mask) over the last axis.
type scores struct {
	q, kt        int32
	factor, mask int32 // -1 where there is none
	divide       bool  // by the factor
	causal       bool  // hides from query i of t all keys after i + s - t
	node         int32 // of that op
	shape        ir.Shape
}

// maskedScores is how many scores are worth the guard of a mask: what leaves the
// cache on its way to the softmax and back.
const maskedScores = 1 << 18

// widestHead bounds the width of queries and values: GPUs keep them in registers, and
// have no kernel for wider ones, which then are products of matrices anyway.
const widestHead = 128

// scores matches value i.
func (m *matcher) scores(i int32) (s scores, ok bool) {
	p := &m.b.vals[i]
	last := len(p.shape) - 1
	if a, isAxis := p.attrs.(op.Axis); p.op != op.Softmax || !isAxis || a.Axis != last || !m.once(i) || p.shape.Size() == 0 {
		return s, false
	}
	x := p.in[0]
	if s, ok = m.scaledScores(x); ok || !m.once(x) {
		return s, ok
	}
	if inner, ok := m.causal(x); ok {
		s, ok = m.scaledScores(inner)
		s.causal = true
		return s, ok
	}
	if sum := &m.b.vals[x]; sum.op == op.Add && p.shape.Size() >= maskedScores {
		for k := range 2 {
			mask := &m.b.vals[sum.in[1-k]]
			if !m.b.vals[sum.in[k]].shape.Equal(sum.shape) || len(mask.shape) == 0 || mask.shape[len(mask.shape)-1] != p.shape[last] {
				continue
			}
			if s, ok = m.scaledScores(sum.in[k]); ok {
				s.mask = sum.in[1-k]
				return s, true
			}
		}
	}
	return s, false
}

// rebatched looks through reshapes of the axes before the last two, which nothing else
// uses.
func (m *matcher) rebatched(i int32) int32 {
	for x := &m.b.vals[i]; x.op == op.Reshape && m.once(i); x = &m.b.vals[i] {
		from, to := m.b.vals[x.in[0]].shape, x.shape
		if len(from) < 2 || len(to) < 2 || !from[len(from)-2:].Equal(to[len(to)-2:]) {
			break
		}
		i = x.in[0]
	}
	return i
}

// scaledScores matches a product that is multiplied with or divided by a number, or not.
func (m *matcher) scaledScores(i int32) (s scores, ok bool) {
	s = scores{factor: -1, mask: -1}
	i = m.rebatched(i)
	x := &m.b.vals[i]
	if (x.op == op.Mul || x.op == op.Div) && m.once(i) {
		for k := range 2 {
			if f := &m.b.vals[x.in[1-k]]; f.shape.Size() == 1 && m.b.vals[x.in[k]].shape.Equal(x.shape) && (x.op == op.Mul || k == 0) {
				s.factor, s.divide, s.node, i = x.in[1-k], x.op == op.Div, x.node, x.in[k]
				break
			}
		}
	}
	i = m.rebatched(i)
	x = &m.b.vals[i]
	if x.op != op.MatMul || !m.once(i) {
		return s, false
	}
	s.q, s.kt = x.in[0], x.in[1]
	return s, true
}

// attention returns the op for v = scores@w, or v if the shapes are not those of heads.
func (m *matcher) attention(v value, s scores) value {
	if m.b.vals[s.q].dtype != v.dtype || s.mask >= 0 && (m.b.vals[s.mask].dtype != v.dtype || len(m.b.vals[s.mask].shape) > 4) {
		return v
	}
	k, w := m.keys(s.kt, v.node), v.in[1]
	q := m.b.vals[s.q].shape
	b, h, hk, ok := heads(s.shape, q, m.b.vals[k].shape, m.b.vals[w].shape)
	if k0, is := m.repeated(k); ok && is && len(s.shape) == 4 {
		if w0, is := m.repeated(w); is && m.b.vals[k0].shape[1] == m.b.vals[w0].shape[1] {
			k, w, hk = k0, w0, m.b.vals[k0].shape[1]
		}
	}
	keys, values := m.b.vals[k].shape, m.b.vals[w].shape
	if !ok || s.mask >= 0 && len(s.shape) > 4 {
		return v
	}
	t, d, n, dv := q[len(q)-2], q[len(q)-1], keys[len(keys)-2], values[len(values)-1]
	if d > widestHead || dv > widestHead || s.causal && t > n {
		return v
	}
	if s.factor >= 0 {
		id := op.Mul
		if s.divide {
			id = op.Div
		}
		s.q = m.add(value{op: id, dtype: v.dtype, shape: q, in: []int32{s.q, s.factor}, node: s.node, flops: int64(q.Size())})
	}
	a := op.Attend{Scale: 1, Causal: s.causal}
	in := []int32{m.reshaped(s.q, ir.Shape{b, h, t, d}, v.node), m.reshaped(k, ir.Shape{b, hk, n, d}, v.node), m.reshaped(w, ir.Shape{b, hk, n, dv}, v.node)}
	if s.mask >= 0 {
		in, a.Mask = append(in, s.mask), 3
	}
	out := v
	out.op, out.attrs, out.in = op.Attention, a, in
	out.shape = ir.Shape{b, h, t, dv}
	out.flops = 2 * int64(b*h*t) * int64(n) * int64(d+dv)
	if s.causal {
		out.flops /= 2
	}
	if s.mask >= 0 {
		out = m.guarded(out, s.mask)
	}
	if out.shape.Equal(v.shape) {
		return out
	}
	v.op, v.attrs, v.in, v.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{m.add(out)}, 0
	return v
}

// heads returns how the op sees the axes before the last two: b batches of h heads,
// which hk heads of keys and values serve in turn. The shapes are those of scores,
// queries, keys and values. Keys and values may lack the last of these axes.
func heads(s, q, k, v ir.Shape) (b, h, hk int, ok bool) {
	batch := s[:len(s)-2]
	full := batch.Size()
	size := func(x ir.Shape) int {
		if len(x) < 2 || x.Size() == 0 {
			return 0
		}
		return x[:len(x)-2].Size()
	}
	if size(q) != full || full == 0 {
		return 0, 0, 0, false
	}
	b, h = 1, full
	if len(batch) > 1 {
		b, h = batch[0], full/batch[0]
	}
	if size(k) == full && size(v) == full {
		return b, h, h, true
	}
	shared := 0 // axes that keys and values lack
	for at := len(batch) - 1; at > 0 && len(k) == len(s) && k[at] == 1 && batch[at] > 1; at-- {
		shared++
	}
	own := len(batch) - shared
	if shared == 0 || len(v) != len(s) || !k[:len(batch)].Equal(v[:len(batch)]) || !k[:own].Equal(batch[:own]) {
		return 0, 0, 0, false
	}
	return b, h, h / batch[own:].Size(), true
}

// repeated returns x if value i is x [b hk s d] with each head repeated.
func (m *matcher) repeated(i int32) (int32, bool) {
	r := &m.b.vals[i]
	if r.op != op.Reshape || len(r.shape) != 4 {
		return 0, false
	}
	e := &m.b.vals[r.in[0]]
	if e.op != op.Expand || len(e.shape) != 5 {
		return 0, false
	}
	one := m.b.vals[e.in[0]]
	if one.op != op.Reshape || len(one.shape) != 5 || one.shape[2] != 1 {
		return 0, false
	}
	x := m.b.vals[one.in[0]].shape
	if len(x) != 4 || one.shape[0] != x[0] || one.shape[1] != x[1] || one.shape[3] != x[2] || one.shape[4] != x[3] {
		return 0, false
	}
	if e.shape[0] != x[0] || e.shape[1] != x[1] || e.shape[3] != x[2] || r.shape[0] != x[0] || r.shape[2] != x[2] || r.shape[3] != x[3] {
		return 0, false
	}
	return one.in[0], true
}

// guarded adds NaN to the rows that a mask hides all keys from: written out they
// are 0/0, where the op gives zeros. The largest element of such a row is -Inf, and
// -Inf - -Inf is NaN; for all others the difference is 0.
func (m *matcher) guarded(out value, mask int32) value {
	s := slices.Clone(m.b.vals[mask].shape)
	last := len(s) - 1
	size := int64(s.Size())
	s[last] = 1
	most := m.add(value{op: op.Max, dtype: out.dtype, shape: s, attrs: op.Reduce{Axes: []int{last}, Keep: true}, in: []int32{mask}, node: out.node, flops: size})
	zero := m.add(value{op: op.Sub, dtype: out.dtype, shape: s, in: []int32{most, most}, node: out.node, flops: int64(s.Size())})
	m.uses[m.old[most]] = 2
	sum := out
	sum.op, sum.attrs, sum.in, sum.flops = op.Add, nil, []int32{m.add(out), zero}, int64(out.shape.Size())
	return sum
}

// keys returns what value i is the transpose of.
func (m *matcher) keys(i, node int32) int32 {
	x := &m.b.vals[i]
	if x.op == op.Transpose {
		perm := x.attrs.(op.Perm).Axes
		r := len(perm)
		swapped := perm[r-2] == r-1 && perm[r-1] == r-2
		for a := range r - 2 {
			swapped = swapped && perm[a] == a
		}
		if swapped {
			return x.in[0]
		}
	}
	return m.transposed(i, node)
}
