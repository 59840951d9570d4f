package plan

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// RowReducer is a device whose matrix products can reduce the rows of what their
// epilogue computes, while those are in a cache.
type RowReducer interface {
	ReducesProducts() bool
}

func reducesProducts(dev Device) bool {
	d, ok := dev.(RowReducer)
	return ok && d.ReducesProducts()
}

// mostSteps is how far from a product a value may be that is reduced with it.
const mostSteps = 8

// longestProductRow bounds the rows that a product's epilogue reduces.
const longestProductRow = 4096

// rowSums turns the sum of all elements of what follows from a matrix product, as in a
// loss, into the sum of the sums of its rows: the first of them can be part of the
// product's epilogue.
func rowSums(dev Device) func(g *graph) *graph {
	return func(g *graph) *graph {
		if !reducesProducts(dev) {
			return g
		}
		steps := g.stepsFromProduct()
		var sums []int32 // in order
		for i := range g.vals {
			if v := &g.vals[i]; v.op == op.Sum && v.dtype == ir.F32 && len(v.shape) == 0 && steps[v.in[0]] <= mostSteps {
				sums = append(sums, int32(i))
			}
		}
		if sums == nil {
			return g
		}
		at := int32(-1)
		return rewrite(g, func(b *graph, v value) int32 {
			if at++; len(sums) > 0 && sums[0] == at {
				sums = sums[1:]
				v = b.sumOfRows(v)
			}
			return b.add(v)
		})
	}
}

// sumOfRows adds the sums of the rows of what v sums and returns their sum.
func (g *graph) sumOfRows(v value) value {
	x := &g.vals[v.in[0]]
	last := len(x.shape) - 1
	rows := v
	rows.shape, rows.attrs = x.shape[:last], op.Reduce{Axes: []int{last}}
	axes := make([]int, last)
	for i := range axes {
		axes[i] = i
	}
	v.in, v.attrs, v.flops = []int32{g.add(rows)}, op.Reduce{Axes: axes}, int64(rows.shape.Size())
	return v
}

// stepsFromProduct returns for each value after how many ops of elements a matrix product
// of its shape, of several rows, becomes it; noProduct where none does.
func (g *graph) stepsFromProduct() []uint8 {
	steps := make([]uint8, len(g.vals))
	for i := range g.vals {
		v := &g.vals[i]
		steps[i] = noProduct
		if v.dtype != ir.F32 || len(v.shape) < 2 {
			continue
		}
		switch cols := v.shape[len(v.shape)-1]; {
		case isProduct(v.op):
			if cols >= 2 && cols <= longestProductRow && v.shape.Size() >= 2*cols {
				steps[i] = 0
			}
		case isElementwise(v.op):
			for _, x := range v.in {
				if n := steps[x]; n < mostSteps && g.vals[x].shape.Equal(v.shape) {
					steps[i] = min(steps[i], n+1)
				}
			}
		}
	}
	return steps
}

const noProduct = 255

// liftReductions merges groups that reduce rows of what follows from value i, made from a
// matrix product, with the group of the given level that i is to join, as a loss with its
// gradient: both can then be the product's epilogue.
func (f *fusion) liftReductions(i int32, edges []edge, level int32) {
	if len(edges) < 2 || f.productSteps == nil || f.productSteps[i] > mostSteps {
		return
	}
	to := int32(-1)
	for _, e := range edges {
		if id := f.groupOf(e.by); f.groups[id].level == level {
			to = id
		}
	}
	for _, e := range edges {
		if id := f.groupOf(e.by); id != to && f.canLift(id, to) {
			f.groups[to].cols = max(f.groups[to].cols, f.groups[id].cols)
			to = f.merge(to, id)
		}
	}
}

// canLift reports whether group id can be part of group to, on the same level or a
// higher one: one of them reduces rows, they have the same elements, and nothing that id
// needs comes from that level or below.
func (f *fusion) canLift(id, to int32) bool {
	x, y := &f.groups[to], &f.groups[id]
	if !x.program || !y.program || x.head >= 0 || y.head >= 0 || x.n != y.n ||
		len(x.members)+len(y.members) >= maxInstrs || len(x.members)+len(y.members) >= maxBuffers/2 {
		return false
	}
	if x.cols != y.cols && min(x.cols, y.cols) != 0 || max(x.cols, y.cols) == 0 {
		return false
	}
	for _, m := range y.members {
		for _, in := range f.g.vals[m].in {
			w := f.g.views[in]
			for _, b := range []int32{w.base, w.after} {
				if b < 0 || f.of[b-int32(f.g.vals[b].output)] < 0 {
					continue
				}
				if k := f.groupOf(b); k != id && f.groups[k].level <= x.level {
					return false
				}
			}
		}
	}
	return true
}

// reducesOnly reports whether results per row in a group are only stored, or used for
// others per row, and rows are short enough for a product with so many columns.
func (f *fusion) reducesOnly(gr *group, columns int) bool {
	if gr.cols != columns || columns > longestProductRow {
		return false
	}
	for _, m := range gr.members {
		v := &f.g.vals[m]
		if isRowOp(v.op) {
			return false
		}
		if f.row[m] {
			continue
		}
		for _, x := range v.in {
			if b := f.g.views[x].base; f.of[b] >= 0 && f.row[b] && f.find(f.of[b]) == f.find(f.of[m]) {
				return false
			}
		}
	}
	return true
}
