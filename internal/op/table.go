// Package op is the op table: operands and parameters come in, checked nodes
// go out. It has one row per op with everything the rest of the system derives
// from: shape and dtype inference, derivative, expansion into simpler ops,
// cost and documentation.
package op

import (
	"strconv"

	"loris/internal/ir"
)

// Kind groups ops by how they are run.
type Kind uint8

// The kinds of ops.
const (
	Source Kind = iota
	View
	Copy
	Elementwise
	Reduction
	Scanning
	Contract
	Index
	Rowwise // softmax, norms, losses: one row of the last axis at a time
	Linalg
	Multi // many outputs of one fused update
	Fused
	Identity // the result is input 0: Detach, Named, Barrier, Region, CustomVJP
	UserKernel
	Composition
)

var kindNames = [...]string{"source", "view", "copy", "elementwise", "reduction", "scan", "contraction",
	"index", "rowwise", "linalg", "multi", "fused", "identity", "kernel", "composition"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Row is all there is to know about one op, but for how devices run it.
type Row struct {
	Op   ir.Op
	Name string // "MatMul"
	API  string // name in the public API, "" if cells cannot call it
	Kind Kind

	NumOutputs int

	// Infer checks inputs and attributes and returns the dtype and shape of
	// one output. Every node satisfies it; compositions have none.
	Infer func(in []*ir.Node, attrs ir.Attrs, output int) (ir.DType, ir.Shape, *ir.Error)

	// VJP returns the gradient of input i given the gradient g of n: a graph
	// made of rows of this table. nil means that it is zero almost everywhere.
	VJP func(n, g *ir.Node, i int) *ir.Node

	// VJPs is VJP for all inputs at once, for ops whose inputs share the work of
	// finding it; a row has one of the two. nil means zero.
	VJPs func(n, g *ir.Node) []*ir.Node

	// NoGrad says why there is no derivative ("the result is an index"),
	// in which case gradients stop; it is never set where one exists.
	NoGrad string

	// Expand returns an equal graph of simpler ops, for devices that have no
	// kernel and for derivatives where VJP is nil.
	Expand func(n *ir.Node) *ir.Node

	// Cost returns the arithmetic and the least memory traffic of n.
	Cost func(n *ir.Node) (flops, bytes float64)

	Function bool   // called as lt.Name(…), not as a method
	Doc      string // what it computes, with shapes
	Example  string // an expression that compiles in a cell
}

// Differentiable reports whether gradients flow through the op.
func (r *Row) Differentiable() bool { return r.VJP != nil || r.VJPs != nil || r.Expand != nil }

// Table has the row of every op.
var Table [NumOps]Row

// Name returns the name of an op for messages.
func NameOf(id ir.Op) string {
	if id < NumOps && Table[id].Name != "" {
		return Table[id].Name
	}
	return "op(" + strconv.Itoa(int(id)) + ")"
}

// addRows enters rows into the table, with the defaults of a kind.
func addRows(kind Kind, rows ...Row) {
	for _, r := range rows {
		r.Kind = kind
		if r.NumOutputs == 0 {
			r.NumOutputs = 1
		}
		if r.Cost == nil && kind != Composition {
			r.Cost = elementCost(1)
		}
		if Table[r.Op].Name != "" {
			panic("op: two rows for " + r.Name)
		}
		Table[r.Op] = r
	}
}

// elementCost is the cost of an op that does some flops per output element and
// reads each input once.
func elementCost(flopsPerElement float64) func(n *ir.Node) (flops, bytes float64) {
	return func(n *ir.Node) (float64, float64) {
		return flopsPerElement * float64(n.Shape.Size()), Traffic(n)
	}
}

// Traffic is the number of bytes of all inputs and the output of n.
func Traffic(n *ir.Node) float64 {
	b := SizeBytes(n)
	for _, in := range n.Inputs() {
		b += SizeBytes(in)
	}
	return b
}

// SizeBytes is the number of bytes of n's result in row-major form.
func SizeBytes(n *ir.Node) float64 {
	size := float64(n.Shape.Size())
	switch n.DType {
	case ir.Q8:
		return size * (1 + 8.0/64)
	case ir.Q4:
		return size * (0.5 + 8.0/64)
	}
	return size * float64(n.DType.Bytes())
}
