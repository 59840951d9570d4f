package plan

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// graph is the form that passes work on: values in topological order, referring
// to their inputs by index. Passes make a new one or replace values in place.
type graph struct {
	vals []value
	outs []int32 // requested roots, then kept values

	// Set by the views pass.
	views []viewOf
}

// value is one value of the graph.
type value struct {
	op     ir.Op
	dtype  ir.DType
	output uint8 // which output of a many-output op
	shape  ir.Shape
	attrs  ir.Attrs
	in     []int32
	leaf   int32 // of a Leaf: which one; of a Const: its slot; of a Random: its draw
	node   int32 // position of the node it comes from
	flops  int64
}

// viewOf says where a value's elements are: as a view of another value, or of
// itself when a step computes it.
type viewOf struct {
	base  int32
	view  View
	after int32 // a value that must be computed before this one is used, or -1
}

const (
	maxInstrs  = 64 // micro-operations of one program
	maxBuffers = 24 // operands of one program; Metal binds at most 31
)

// isElementwise reports whether op computes each element from the same element
// of its inputs.
func isElementwise(o ir.Op) bool { return o == op.Cast || op.Table[o].Kind == op.Elementwise }

// isReduction reports whether programs may hold the reduction.
func isReduction(o ir.Op) bool {
	switch o {
	case op.Sum, op.Prod, op.Max, op.Min, op.Any, op.All:
		return true
	}
	return false
}

// isRowOp reports whether op maps rows to rows inside a program.
func isRowOp(o ir.Op) bool {
	switch o {
	case op.Softmax, op.LogSoftmax, op.RMSNorm, op.LayerNorm:
		return true
	}
	return false
}

// rewrite builds a new graph value by value. f sees each value with its inputs
// already renumbered, and returns the number of what stands for it in b.
func rewrite(g *graph, f func(b *graph, v value) int32) *graph {
	b := &graph{vals: make([]value, 0, len(g.vals)), outs: make([]int32, len(g.outs))}
	to := make([]int32, len(g.vals))
	for i := range g.vals {
		v := g.vals[i]
		for j, x := range v.in {
			v.in[j] = to[x]
		}
		to[i] = f(b, v)
	}
	for i, x := range g.outs {
		b.outs[i] = to[x]
	}
	return b
}

// add appends v and returns its number.
func (g *graph) add(v value) int32 {
	g.vals = append(g.vals, v)
	return int32(len(g.vals) - 1)
}

// uses counts how often each value is an input or an output.
func (g *graph) uses() []int32 {
	n := make([]int32, len(g.vals))
	for i := range g.vals {
		for _, x := range g.vals[i].in {
			n[x]++
		}
	}
	for _, x := range g.outs {
		n[x]++
	}
	return n
}
