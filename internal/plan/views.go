package plan

import (
	"loris/internal/op"
)

// views finds, for each value, where its elements are. Reshapes, transposes,
// broadcasts, slices and barriers become strides over the value they look at; a
// reshape that no strides can express becomes a copy.
func views(g *graph, leaves []Leaf) *graph {
	g.views = make([]viewOf, len(g.vals))
	for i := range g.vals {
		g.views[i] = g.viewOf(int32(i), leaves)
	}
	return g
}

// viewOf returns the place of value i; those of its inputs are known.
func (g *graph) viewOf(i int32, leaves []Leaf) viewOf {
	v := &g.vals[i]
	self := viewOf{base: i, view: Dense(v.shape), after: -1}
	if v.op == op.Leaf {
		if st := leaves[v.leaf].Strides; st != nil {
			self.view.Strides = st
		}
		return self
	}
	if v.op == op.Barrier {
		x := g.views[v.in[0]]
		x.after = g.views[v.in[1]].base
		return x
	}
	if op.Table[v.op].Kind != op.View || v.dtype.Bytes() == 0 {
		return self
	}
	x := g.views[v.in[0]]
	if g.vals[x.base].op == op.Const { // every view of a constant is that constant
		return viewOf{x.base, View{v.shape, make([]int, len(v.shape)), 0}, -1}
	}
	switch v.op {
	case op.Transpose:
		x.view = x.view.Permute(v.attrs.(op.Perm).Axes)
	case op.Expand:
		x.view = x.view.Expand(v.shape)
	case op.Slice:
		w := v.attrs.(op.Window)
		x.view = x.view.Slice(w.Start, w.Step, v.shape)
	case op.Reshape:
		w, ok := x.view.Reshape(v.shape)
		if !ok {
			return self
		}
		x.view = w
	default:
		return self
	}
	return x
}

// isStep reports whether value i is computed by a step, rather than bound, a
// constant or a view.
func (g *graph) isStep(i int32) bool {
	return g.views[i].base == i && g.vals[i].op != op.Leaf && g.vals[i].op != op.Const
}

// deps calls f with each value that must exist before value i is computed.
func (g *graph) deps(i int32, f func(base int32)) {
	for _, x := range g.vals[i].in {
		w := g.views[x]
		f(w.base)
		if w.after >= 0 {
			f(w.after)
		}
	}
}

// use says how an elementwise program that runs over rows x cols elements can
// read an operand.
type use uint8

const (
	useView use = iota // only through a materialised buffer and strides
	useFlat            // element by element
	useRow             // one value for each row
)

// useOf classifies the view of a computed (hence row-major) value of size
// elements as an operand of a consumer of n elements. For useRow, cols is the
// length of a row.
func useOf(v View, size, n int) (u use, cols int) {
	if v.Offset != 0 || v.Shape.Size() != n {
		return useView, 0
	}
	if size == n && v.IsDense() {
		return useFlat, 0
	}
	if size == 0 || n%size != 0 || size == n {
		return useView, 0
	}
	c := v.Collapse()
	switch {
	case size == 1:
		return useRow, n
	case len(c.Shape) == 2 && c.Strides[1] == 0 && c.Strides[0] == 1 && c.Shape[0] == size:
		return useRow, c.Shape[1]
	}
	return useView, 0
}
