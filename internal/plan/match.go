package plan

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// matcher looks at the values built so far, and adds to them.
type matcher struct {
	b      *graph
	uses   []int32 // of the values of the old graph, then of those added
	old    []int32 // place in uses of each value of b
	consts *constants
	terms  []int32 // of a sum, kept for the next one
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

// number returns the value of constant i that the key of the plan holds.
func (m *matcher) number(i int32) (float64, bool) {
	x := &m.b.vals[i]
	for x.op == op.Expand || x.op == op.Reshape {
		x = &m.b.vals[x.in[0]]
	}
	return m.consts.baked(x)
}

// perRow reports whether value i is broadcast along the last axis of shape s.
func (m *matcher) perRow(i int32, s ir.Shape) bool {
	x := &m.b.vals[i]
	if x.op == op.Expand && x.shape.Equal(s) {
		x = &m.b.vals[x.in[0]]
	}
	last := len(s) - 1
	return len(x.shape) == len(s) && x.shape[last] == 1 && x.shape[:last].Equal(s[:last])
}

// bare looks through the broadcast of a value per row and through reshapes that only
// keep or drop the axis that was reduced.
func (m *matcher) bare(i int32) int32 {
	for {
		x := &m.b.vals[i]
		if x.op != op.Expand && x.op != op.Reshape {
			return i
		}
		from, to := m.b.vals[x.in[0]].shape, x.shape
		switch n := len(from) - len(to); {
		case x.op == op.Expand && n == 0 && len(to) > 0 && from[len(to)-1] == 1 && from[:len(to)-1].Equal(to[:len(to)-1]):
		case x.op == op.Reshape && n == -1 && to[len(to)-1] == 1 && to[:len(from)].Equal(from):
		case x.op == op.Reshape && n == 1 && from[len(from)-1] == 1 && from[:len(to)].Equal(to):
		default:
			return i
		}
		i = x.in[0]
	}
}

// reduced returns what value i, one per row, is the reduction of over the last axis
// of shape s.
func (m *matcher) reduced(i int32, by ir.Op, s ir.Shape) (int32, bool) {
	r := &m.b.vals[m.bare(i)]
	a, ok := r.attrs.(op.Reduce)
	if !ok || r.op != by || len(a.Axes) != 1 || a.Axes[0] != len(s)-1 || !m.b.vals[r.in[0]].shape.Equal(s) {
		return 0, false
	}
	return r.in[0], true
}

// reshaped returns value i in another shape, for node.
func (m *matcher) reshaped(i int32, s ir.Shape, node int32) int32 {
	x := &m.b.vals[i]
	if x.shape.Equal(s) {
		return i
	}
	return m.add(value{op: op.Reshape, dtype: x.dtype, shape: s, attrs: op.Fill{Shape: s}, in: []int32{i}, node: node})
}
