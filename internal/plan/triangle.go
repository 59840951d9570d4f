package plan

import (
	"math"

	"loris/internal/ir"
	"loris/internal/op"
)

// causal matches scores that are hidden, by -Inf, from each query i of t to all keys j
// of s after i + s - t, whether by a sum with a mask or by a choice, and returns what
// they hide. So a mask that the graph itself makes is never made, and half of the work
// is not done. What is hidden is not looked at: a NaN there shows neither in the choice
// nor here.
func (m *matcher) causal(i int32) (inner int32, ok bool) {
	x := &m.b.vals[i]
	infinite := func(i int32) bool {
		c, ok := m.number(i)
		return ok && math.IsInf(c, -1)
	}
	switch x.op {
	case op.Where:
		for k := range 2 {
			if inner := x.in[1+k]; infinite(x.in[2-k]) && m.b.vals[inner].shape.Equal(x.shape) {
				return inner, m.isLower(x.in[0], k == 1, x.shape)
			}
		}
	case op.Add:
		for k := range 2 {
			w := &m.b.vals[m.square(x.in[1-k])]
			if w.op != op.Where || !m.b.vals[x.in[k]].shape.Equal(x.shape) {
				continue
			}
			for side := range 2 {
				if zero, ok := m.number(w.in[1+side]); ok && zero == 0 && infinite(w.in[2-side]) {
					return x.in[k], m.isLower(w.in[0], side == 1, x.shape)
				}
			}
		}
	}
	return 0, false
}

// isLower reports whether value i, or its opposite, is true for the keys that a causal
// softmax of shape s may look at.
func (m *matcher) isLower(i int32, opposite bool, s ir.Shape) bool {
	t, n := s[len(s)-2], s[len(s)-1]
	if c := m.b.vals[i].shape; len(c) < 2 || c[len(c)-2] != t || c[len(c)-1] != n {
		return false
	}
	tri, ok := m.triangle(i, 0)
	return ok && tri.above == opposite && tri.diagonal == float64(n-t) && n >= t
}

// triangle is true where column - row ≤ diagonal, or, if above, where it is not.
type triangle struct {
	diagonal float64
	above    bool
}

// square looks through what adds or repeats axes before the last two.
func (m *matcher) square(i int32) int32 {
	for {
		x := &m.b.vals[i]
		if x.op != op.Reshape && x.op != op.Expand {
			return i
		}
		from, to := m.b.vals[x.in[0]].shape, x.shape
		if len(from) < 2 || len(to) < 2 || !from[len(from)-2:].Equal(to[len(to)-2:]) || x.op == op.Reshape && from.Size() != from[len(from)-2:].Size() {
			return i
		}
		i = x.in[0]
	}
}

// triangle matches the lower and the upper triangle of a matrix: a comparison of its
// rows with its columns, or of what Tril and Triu make with a number.
func (m *matcher) triangle(i int32, depth int) (tri triangle, ok bool) {
	if depth > deepestMask {
		return tri, false
	}
	x := &m.b.vals[m.square(i)]
	switch x.op {
	case op.Not:
		tri, ok = m.triangle(x.in[0], depth+1)
		tri.above = !tri.above
		return tri, ok
	case op.Cast:
		if x.dtype == ir.Bool {
			return m.chosen(x.in[0], func(c float64) bool { return c != 0 }, depth)
		}
		return tri, false
	case op.Eq, op.Ne, op.Lt, op.Le, op.Gt, op.Ge:
	default:
		return tri, false
	}
	if c, ok := m.number(x.in[1]); ok {
		if tri, ok := m.chosen(x.in[0], func(v float64) bool { return compare(x.op, v, c) }, depth); ok {
			return tri, true
		}
	}
	p, ok1 := m.plane(x.in[0], 0)
	q, ok2 := m.plane(x.in[1], 0)
	d := plane{p.row - q.row, p.column - q.column, p.rest - q.rest}
	if !ok1 || !ok2 || d.row != -d.column || d.row != 1 && d.row != -1 || x.op == op.Eq || x.op == op.Ne {
		return tri, false
	}
	// With e = column - row: ±e + rest < 0, ≤ 0, > 0 or ≥ 0, all of them integers.
	if x.op == op.Lt || x.op == op.Ge {
		d.rest++
	}
	tri.above = x.op == op.Gt || x.op == op.Ge // now the opposite of ±e + rest ≤ 0
	if d.column > 0 {
		tri.diagonal = -d.rest
	} else { // e ≥ rest
		tri.diagonal, tri.above = d.rest-1, !tri.above
	}
	return tri, true
}

// chosen matches a test of numbers that were chosen by a triangle.
func (m *matcher) chosen(i int32, test func(float64) bool, depth int) (tri triangle, ok bool) {
	x := &m.b.vals[m.square(i)]
	inside, outside := 1.0, 0.0
	switch {
	case x.op == op.Cast && m.b.vals[x.in[0]].dtype == ir.Bool:
	case x.op == op.Where:
		var ok1, ok2 bool
		inside, ok1 = m.number(x.in[1])
		outside, ok2 = m.number(x.in[2])
		if !ok1 || !ok2 {
			return tri, false
		}
	default:
		return tri, false
	}
	if test(inside) == test(outside) {
		return tri, false
	}
	tri, ok = m.triangle(x.in[0], depth+1)
	tri.above = tri.above != test(outside)
	return tri, ok
}

func compare(id ir.Op, a, b float64) bool {
	switch id {
	case op.Eq:
		return a == b
	case op.Ne:
		return a != b
	case op.Lt:
		return a < b
	case op.Le:
		return a <= b
	case op.Gt:
		return a > b
	}
	return a >= b
}

// plane is a matrix whose elements are row·i + column·j + rest.
type plane struct{ row, column, rest float64 }

// deepestMask bounds how far triangle and plane look.
const deepestMask = 4

// plane matches counters along the last two axes, and sums and differences of them.
func (m *matcher) plane(i int32, depth int) (p plane, ok bool) {
	if c, ok := m.number(i); ok {
		return plane{rest: c}, c == float64(int(c))
	}
	x := &m.b.vals[i]
	switch x.dtype {
	case ir.F32, ir.F64, ir.I32, ir.I64:
	default:
		return p, false
	}
	if depth > deepestMask {
		return p, false
	}
	switch x.op {
	case op.Cast:
		return m.plane(x.in[0], depth+1)
	case op.Add, op.Sub:
		a, ok1 := m.plane(x.in[0], depth+1)
		b, ok2 := m.plane(x.in[1], depth+1)
		sign := 1.0
		if x.op == op.Sub {
			sign = -1
		}
		return plane{a.row + sign*b.row, a.column + sign*b.column, a.rest + sign*b.rest}, ok1 && ok2
	}
	for x.op == op.Expand {
		x = &m.b.vals[x.in[0]]
	}
	axis := -1 // the axis that counts, from the end
	for _, d := range x.shape {
		switch {
		case axis >= 0:
			axis++
		case d != 1:
			axis = 0
		}
	}
	size := x.shape.Size()
	for x.op == op.Reshape {
		x = &m.b.vals[x.in[0]]
	}
	r, isRange := x.attrs.(op.Range)
	if x.op != op.Iota || !isRange || x.shape[r.Axis] != size || x.shape.Size() != size || size >= 1<<24 || r.Step != float64(int(r.Step)) || r.Start != float64(int(r.Start)) {
		return p, false
	}
	switch axis {
	case 0:
		return plane{column: r.Step, rest: r.Start}, true
	case 1:
		return plane{row: r.Step, rest: r.Start}, true
	}
	return p, false
}
