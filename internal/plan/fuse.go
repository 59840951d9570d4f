package plan

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// maxRow is the longest row that a program may hold while it computes a result
// per row and then uses it on the row's elements.
const maxRow = 16384

// group is a set of values that one step computes.
type group struct {
	parent  int32 // union-find; itself when current
	level   int32 // longest way to an output, in groups
	members []int32
	program bool  // a Program can compute it
	n       int   // elements the program runs over
	cols    int   // length of a row, 0 while the program has none
	each    bool  // has members per element
	head    int32 // matrix product whose epilogue the program is, or -1
}

// fusion is the result of the fuse pass: which group computes each value, and
// whether per row or per element.
type fusion struct {
	g      *graph
	of     []int32 // group of each value, -1 for leaves, constants, views
	row    []bool  // the value is one per row of its group
	isOut  []bool
	groups []group

	productSteps []uint8 // see stepsFromProduct; nil unless the device is a RowReducer

	first []int32 // consumers of value i: edges[first[i]:first[i+1]]
	edges []edge
	stamp []int32
	tick  int32
}

// edge is a use of a value: input pos of value by, or -1 where by only waits.
type edge struct {
	by  int32
	pos int32
}

// fuse groups values into steps, from the outputs backwards: a value joins the
// step of its consumers when that step can compute it on the way. A value with
// consumers in several steps joins the one furthest from the outputs and is
// stored for the others; steps equally far depend on each other in no way and
// are merged. So no cycle can arise: a step's level never changes, and every
// value that leaves a step goes to steps of lower levels.
func fuse(g *graph, reduceProducts bool) *fusion {
	f := &fusion{g: g, of: make([]int32, len(g.vals)), row: make([]bool, len(g.vals)),
		isOut: make([]bool, len(g.vals)), stamp: make([]int32, len(g.vals))}
	for i := range f.of {
		f.of[i] = -1
	}
	if reduceProducts {
		f.productSteps = g.stepsFromProduct()
	}
	for _, x := range g.outs {
		f.isOut[g.views[x].base] = true
	}
	f.link()
	for i := int32(len(g.vals)) - 1; i >= 0; i-- {
		if g.isStep(i) && g.vals[i].output == 0 && f.needed(i) {
			f.place(i)
		}
	}
	return f
}

// needed reports whether a step must compute value i or one of its siblings.
func (f *fusion) needed(i int32) bool {
	for k := range outputsOf(&f.g.vals[i]) {
		if f.isOut[i+k] || f.first[i+k] < f.first[i+k+1] {
			return true
		}
	}
	return false
}

// isProduct reports whether op is a matrix product that takes an epilogue.
func isProduct(o ir.Op) bool { return o == op.MatMul || o == op.Gemm || o == op.LoRALinear }

func outputsOf(v *value) int32 { return int32(op.OutputsOf(v.op, v.attrs)) }

// link lists the consumers of each computed value.
func (f *fusion) link() {
	g := f.g
	f.first = make([]int32, len(g.vals)+1)
	each := func(do func(base int32, e edge)) {
		for i := range g.vals {
			if !g.isStep(int32(i)) {
				continue
			}
			for p, x := range g.vals[i].in {
				w := g.views[x]
				do(w.base, edge{int32(i), int32(p)})
				if w.after >= 0 {
					do(w.after, edge{int32(i), -1})
				}
			}
		}
	}
	each(func(b int32, _ edge) { f.first[b+1]++ })
	for i := range g.vals {
		f.first[i+1] += f.first[i]
	}
	f.edges = make([]edge, f.first[len(g.vals)])
	at := append([]int32(nil), f.first...)
	each(func(b int32, e edge) { f.edges[at[b]] = e; at[b]++ })
}

// find returns the current group that id has been merged into.
func (f *fusion) find(id int32) int32 {
	for f.groups[id].parent != id {
		f.groups[id].parent = f.groups[f.groups[id].parent].parent
		id = f.groups[id].parent
	}
	return id
}

// groupOf returns the group of a value's step.
func (f *fusion) groupOf(i int32) int32 { return f.find(f.of[i-int32(f.g.vals[i].output)]) }

// place puts value i (and its sibling outputs) into a group.
func (f *fusion) place(i int32) {
	n := outputsOf(&f.g.vals[i])
	level := int32(-1)
	edges := f.edges[f.first[i]:f.first[i+n]]
	for _, e := range edges {
		if f.of[e.by-int32(f.g.vals[e.by].output)] >= 0 {
			level = max(level, f.groups[f.groupOf(e.by)].level)
		}
	}
	if n == 1 && level >= 0 {
		f.liftReductions(i, edges, level)
		if id, ok := f.join(i, edges, level); ok {
			f.of[i] = id
			f.groups[id].members = append(f.groups[id].members, i)
			return
		}
	}
	id := int32(len(f.groups))
	f.groups = append(f.groups, f.newGroup(id, i, level+1))
	f.of[i] = id
}

func (f *fusion) newGroup(id, i, level int32) group {
	v := &f.g.vals[i]
	gr := group{parent: id, level: level, members: []int32{i}, head: -1, n: v.shape.Size()}
	switch {
	case isElementwise(v.op):
		gr.program, gr.each = true, true
	case isReduction(v.op):
		if rows, cols, ok := f.reducedRows(i); ok {
			gr.program, gr.n, gr.cols = true, rows*cols, cols
			f.row[i] = true
		}
	case isRowOp(v.op):
		if cols, ok := f.rowOpCols(i); ok {
			gr.program, gr.each, gr.cols = true, true, cols
		}
	}
	return gr
}

// reducedRows returns the shape of the rows that reduction i works on, if it
// reduces the last axes.
func (f *fusion) reducedRows(i int32) (rows, cols int, ok bool) {
	v := &f.g.vals[i]
	x := f.g.vals[v.in[0]].shape
	a, isReduce := v.attrs.(op.Reduce)
	if !isReduce {
		return 0, 0, false
	}
	cols = 1
	k := len(a.Axes) - 1
	for d := len(x) - 1; d >= 0 && k >= 0; d-- {
		switch {
		case a.Axes[k] == d:
			cols *= x[d]
			k--
		case x[d] != 1:
			d = -1
		}
	}
	for ; k >= 0; k-- {
		if x[a.Axes[k]] != 1 {
			return 0, 0, false
		}
	}
	size := x.Size()
	if cols < 2 || size == 0 {
		return 0, 0, false
	}
	return size / cols, cols, true
}

// rowOpCols returns the length of the rows of a row op over the last axis.
func (f *fusion) rowOpCols(i int32) (int, bool) {
	v := &f.g.vals[i]
	last := len(v.shape) - 1
	if last < 0 || v.shape.Size() == 0 || v.dtype != ir.F32 {
		return 0, false
	}
	if a, ok := v.attrs.(op.Axis); ok && a.Axis != last {
		return 0, false
	}
	cols := v.shape[last]
	return cols, cols >= 2 && cols <= maxRow
}

// fit is how a value enters a group.
type fit struct {
	row     bool // one per row
	cols    int  // row length the group takes on, 0 if it keeps its own
	demote  bool // all members become one per row: the value reduces longer rows
	n       int
	product bool // the value becomes the group's head
}

// join finds the group that value i can enter: the only one on the highest
// level among its consumers, or several there that can be merged.
func (f *fusion) join(i int32, edges []edge, level int32) (int32, bool) {
	target := int32(-1)
	for _, e := range edges {
		id := f.groupOf(e.by)
		if f.groups[id].level != level {
			continue
		}
		if e.pos < 0 || !f.groups[id].program {
			return 0, false
		}
		if target < 0 {
			target = id
		} else if id != target && !f.mergeable(target, id) {
			return 0, false
		}
	}
	ft, ok := f.fits(i, edges, level)
	if !ok {
		return 0, false
	}
	for _, e := range edges {
		if id := f.groupOf(e.by); id != target && f.groups[id].level == level {
			if !f.mergeable(target, id) {
				return 0, false
			}
			target = f.merge(target, id)
		}
	}
	gr := &f.groups[target]
	if len(gr.members) >= maxInstrs || len(gr.members) > 6 && f.operands(target, i) > maxBuffers {
		return 0, false
	}
	if ft.demote {
		for _, m := range gr.members {
			f.row[m] = true
		}
		gr.each = false
		gr.n = ft.n
	}
	if ft.cols > 0 {
		gr.cols = ft.cols
	}
	if ft.product {
		gr.head = i
	} else if f.row[i] = ft.row; !ft.row {
		gr.each = true
	}
	return target, true
}

func (f *fusion) mergeable(a, b int32) bool {
	x, y := &f.groups[a], &f.groups[b]
	return x.program && y.program && x.n == y.n && x.cols == y.cols && x.head < 0 && y.head < 0 &&
		len(x.members)+len(y.members) < maxInstrs && len(x.members)+len(y.members) < maxBuffers/2
}

func (f *fusion) merge(a, b int32) int32 {
	if a == b {
		return a
	}
	x, y := &f.groups[a], &f.groups[b]
	x.members = append(x.members, y.members...)
	x.each = x.each || y.each
	y.parent, y.members = a, nil
	return a
}

// fits tells how value i enters the groups of its consumers on a level; all
// uses there must agree.
func (f *fusion) fits(i int32, edges []edge, level int32) (out fit, ok bool) {
	v := &f.g.vals[i]
	size := v.shape.Size()
	seen := false
	for _, e := range edges {
		gr := &f.groups[f.groupOf(e.by)]
		if gr.level != level {
			continue
		}
		if e.by == gr.head {
			return fit{}, false // factors of a product are there before it
		}
		view, n := f.operandView(e.by, int(e.pos))
		if isRowOp(f.g.vals[e.by].op) && e.pos > 0 {
			return fit{}, false // weights of a norm are read from memory
		}
		u, cols := useOf(view, size, n)
		var ft fit
		switch {
		case u == useView:
			return fit{}, false
		case u == useRow && (f.row[e.by] || gr.head >= 0 || gr.cols != 0 && gr.cols != cols):
			return fit{}, false
		case u == useRow:
			if cols == 0 || cols > maxRow || n/cols < 2 && n > maxRow {
				return fit{}, false
			}
			ft = fit{row: true, cols: cols}
		default:
			ft = fit{row: f.row[e.by] && !isReduction(f.g.vals[e.by].op)}
		}
		if seen && out.row && ft.row {
			ft.cols = max(ft.cols, out.cols) // one of them reads it per row, not per element
		} else if seen && ft != out {
			return fit{}, false
		}
		out, seen = ft, true
	}
	if !seen || size == 0 {
		return fit{}, false
	}
	return f.fitsOp(i, out, level, edges)
}

// operandView returns the view that value i has of input pos, and how many
// elements it reads through it.
func (f *fusion) operandView(i int32, pos int) (View, int) {
	v := &f.g.vals[i]
	w := f.g.views[v.in[pos]].view
	if isElementwise(v.op) {
		return w.Expand(v.shape), v.shape.Size()
	}
	return w, w.Shape.Size()
}

// fitsOp checks the value's own op against the way its consumers read it.
func (f *fusion) fitsOp(i int32, ft fit, level int32, edges []edge) (fit, bool) {
	v := &f.g.vals[i]
	var gr *group
	for _, e := range edges {
		if id := f.groupOf(e.by); f.groups[id].level == level {
			gr = &f.groups[id]
		}
	}
	switch {
	case isElementwise(v.op):
		return ft, true
	case isReduction(v.op):
		rows, cols, ok := f.reducedRows(i)
		if !ok || gr.head >= 0 {
			return fit{}, false
		}
		if ft.row { // its result is already used per row
			c := max(ft.cols, gr.cols)
			return ft, c == cols && (!gr.each || cols <= maxRow)
		}
		if gr.cols == 0 && gr.n == rows {
			return fit{row: true, cols: cols, demote: true, n: rows * cols}, true
		}
		return fit{}, false
	case isRowOp(v.op):
		cols, ok := f.rowOpCols(i)
		if !ok || ft.row || gr.head >= 0 || gr.cols != 0 && gr.cols != cols {
			return fit{}, false
		}
		ft.cols = cols
		return ft, true
	case isProduct(v.op) && v.dtype == ir.F32:
		// The product alone feeds the group, element by element.
		if ft.row || gr.head >= 0 || f.isOut[i] {
			return fit{}, false
		}
		if gr.cols != 0 && !(f.productSteps != nil && f.reducesOnly(gr, v.shape[len(v.shape)-1])) {
			return fit{}, false
		}
		for _, e := range edges {
			if f.groups[f.groupOf(e.by)].level != level {
				return fit{}, false
			}
		}
		ft.product = true
		return ft, true
	}
	return fit{}, false
}

// operands counts the buffers a program over group id and value extra needs.
func (f *fusion) operands(id, extra int32) int {
	f.tick++
	n := 0
	count := func(i int32) {
		for _, x := range f.g.vals[i].in {
			b := f.g.views[x].base
			if f.g.vals[b].op == op.Const || b == extra || f.of[b] >= 0 && f.find(f.of[b]) == id || f.stamp[b] == f.tick {
				continue
			}
			f.stamp[b] = f.tick
			n++
		}
	}
	stored := func(i int32) {
		if f.isOut[i] {
			n++
			return
		}
		for _, e := range f.edges[f.first[i]:f.first[i+1]] {
			if f.groupOf(e.by) != id {
				n++
				return
			}
		}
	}
	for _, m := range f.groups[id].members {
		count(m)
		stored(m)
	}
	count(extra)
	stored(extra)
	return n
}
