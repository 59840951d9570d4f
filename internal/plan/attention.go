package plan

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
)

// attention turns softmax(c·q@kᵀ + mask)@v, written out, into the op, which does
// not store the scores. Gradients written out use the weights twice and are left
// alone, and so is a small product with a mask: guarding it would take longer.
func attention(dev Device) func(g *graph) *graph {
	return func(g *graph) *graph {
		if !dev.Supports(op.Attention, ir.F32) {
			return g
		}
		m := &matcher{uses: g.uses()}
		return rewrite(g, m.each(func(v value) value {
			if v.op != op.MatMul || v.dtype != ir.F32 || len(v.shape) < 2 || len(v.shape) > 4 {
				return v
			}
			if s, ok := m.scores(v.in[0]); ok {
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
	node         int32 // of that op
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
	if s, ok = m.scaledScores(x); ok {
		return s, true
	}
	if sum := &m.b.vals[x]; sum.op == op.Add && m.once(x) && p.shape.Size() >= maskedScores {
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

// scaledScores matches a product that is multiplied with or divided by a number, or not.
func (m *matcher) scaledScores(i int32) (s scores, ok bool) {
	s = scores{factor: -1, mask: -1}
	x := &m.b.vals[i]
	if (x.op == op.Mul || x.op == op.Div) && m.once(i) {
		for k := range 2 {
			if f := &m.b.vals[x.in[1-k]]; f.shape.Size() == 1 && m.b.vals[x.in[k]].shape.Equal(x.shape) && (x.op == op.Mul || k == 0) {
				s.factor, s.divide, s.node, i = x.in[1-k], x.op == op.Div, x.node, x.in[k]
				x = &m.b.vals[i]
				break
			}
		}
	}
	if x.op != op.MatMul || !m.once(i) {
		return s, false
	}
	s.q, s.kt = x.in[0], x.in[1]
	return s, true
}

// attention returns the op for v = scores@w, or v if the shapes are not those of heads.
func (m *matcher) attention(v value, s scores) value {
	rank := len(v.shape)
	q, kt, w := m.b.vals[s.q], m.b.vals[s.kt], m.b.vals[v.in[1]]
	batch := v.shape[:rank-2]
	for _, x := range []value{q, kt, w} {
		if x.dtype != ir.F32 || len(x.shape) != rank || !x.shape[:rank-2].Equal(batch) || x.shape.Size() == 0 {
			return v
		}
	}
	if q.shape[rank-1] > widestHead || w.shape[rank-1] > widestHead {
		return v
	}
	if s.mask >= 0 && (m.b.vals[s.mask].dtype != ir.F32 || len(m.b.vals[s.mask].shape) > rank) {
		return v
	}
	if s.factor >= 0 {
		id := op.Mul
		if s.divide {
			id = op.Div
		}
		s.q = m.add(value{op: id, dtype: ir.F32, shape: q.shape, in: []int32{s.q, s.factor}, node: s.node, flops: int64(q.shape.Size())})
	}
	a := op.Attend{Scale: 1}
	in := []int32{m.heads(s.q, v.node), m.heads(m.keys(s.kt, v.node), v.node), m.heads(v.in[1], v.node)}
	if s.mask >= 0 {
		in, a.Mask = append(in, s.mask), 3
	}
	out := v
	out.op, out.attrs, out.in = op.Attention, a, in
	out.shape = fourAxes(v.shape)
	out.flops = 2 * int64(q.shape.Size()/q.shape[rank-1]) * int64(kt.shape[rank-1]) * int64(q.shape[rank-1]+w.shape[rank-1])
	if s.mask >= 0 {
		out = m.guarded(out, s.mask)
	}
	if rank == 4 {
		return out
	}
	v.op, v.attrs, v.in, v.flops = op.Reshape, op.Fill{Shape: v.shape}, []int32{m.add(out)}, 0
	return v
}

// guarded adds NaN to the rows that a mask hides all keys from: written out they
// are 0/0, where the op gives zeros. The largest element of such a row is -Inf, and
// -Inf - -Inf is NaN; for all others the difference is 0.
func (m *matcher) guarded(out value, mask int32) value {
	s := slices.Clone(m.b.vals[mask].shape)
	last := len(s) - 1
	size := int64(s.Size())
	s[last] = 1
	most := m.add(value{op: op.Max, dtype: ir.F32, shape: s, attrs: op.Reduce{Axes: []int{last}, Keep: true}, in: []int32{mask}, node: out.node, flops: size})
	zero := m.add(value{op: op.Sub, dtype: ir.F32, shape: s, in: []int32{most, most}, node: out.node, flops: int64(s.Size())})
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

// heads returns value i with four axes.
func (m *matcher) heads(i, node int32) int32 {
	x := &m.b.vals[i]
	if len(x.shape) == 4 {
		return i
	}
	s := fourAxes(x.shape)
	return m.add(value{op: op.Reshape, dtype: x.dtype, shape: s, attrs: op.Fill{Shape: s}, in: []int32{i}, node: node})
}

func fourAxes(s ir.Shape) ir.Shape {
	return append(append(make(ir.Shape, 0, 4), 1, 1, 1, 1)[:4-len(s)], s...)
}
