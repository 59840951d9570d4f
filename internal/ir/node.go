// Package ir is the graph: nodes with checked shapes and dtypes go in from
// package op, and package plan reads them out. It also holds the few types all
// others share: DType, Shape, Error and Host.
package ir

import (
	"math"
	"sync/atomic"
)

// Op identifies a row of the op table (package op).
type Op uint16

// Attrs are the fixed parameters of one op application (axes, eps, slices …).
// They are immutable once on a node.
type Attrs interface {
	// AppendKey appends bytes that are equal exactly if the attributes are.
	AppendKey(b []byte) []byte
}

// Node is one op applied to its inputs, or a leaf that holds a value. Shape and
// dtype were checked when it was built. A node is immutable but for its value,
// and for Inputs being dropped once the value is known and no gradient needs them.
type Node struct {
	Op     Op
	DType  DType
	Output uint8 // which output of a many-output op this node is
	Flags  Flags
	Via    Op // the call of the API that built it, if that is not Op itself
	Shape  Shape
	Attrs  Attrs   // nil if the op has none
	Const  float64 // value of an op.Const node
	Pos    Pos     // where the op was called, zero without a host

	inputs  [2]*Node // the usual case without a further allocation
	more    []*Node  // all inputs when there are more than two
	ninputs uint8

	value atomic.Pointer[Value]

	// Scratch of the planner, valid while its lock is held.
	Mark  uint64
	Index int32

	// Pending is a lower bound of the unevaluated nodes that this one needs,
	// itself included: the longest chain of them when it was built.
	Pending int32
}

// Flags are small facts about a node.
type Flags uint8

const (
	Tracked  Flags = 1 << iota // a gradient may be asked for: keep the recipe
	Kept                       // store the value when a plan computes it on its way
	Detached                   // gradients stop here
	Donated                    // of a leaf: the next evaluation may write its result over the value
)

// NewNode returns a node.
func NewNode(op Op, dtype DType, shape Shape, attrs Attrs, in ...*Node) *Node {
	n := &Node{Op: op, DType: dtype, Shape: shape, Attrs: attrs}
	switch len(in) {
	case 0:
	case 1:
		n.inputs[0], n.ninputs, n.Flags = in[0], 1, in[0].Flags&Tracked
	case 2:
		n.inputs[0], n.inputs[1], n.ninputs, n.Flags = in[0], in[1], 2, (in[0].Flags|in[1].Flags)&Tracked
	default:
		n.setInputs(append([]*Node(nil), in...))
	}
	return n
}

// Init makes n, which is all zero, a node. in is retained.
func (n *Node) Init(op Op, dtype DType, shape Shape, attrs Attrs, in []*Node) {
	n.Op, n.DType, n.Shape, n.Attrs = op, dtype, shape, attrs
	n.setInputs(in)
}

// InitLike makes n, which is all zero, the node like on other inputs of the same
// shapes and dtypes. in is retained.
func (n *Node) InitLike(like *Node, in []*Node) {
	n.Op, n.DType, n.Output, n.Via = like.Op, like.DType, like.Output, like.Via
	n.Shape, n.Attrs, n.Const, n.Pos = like.Shape, like.Attrs, like.Const, like.Pos
	n.Flags = like.Flags
	n.setInputs(in)
}

// NewNode0, NewNode1 and NewNode2 are NewNode for none, one and two inputs:
// they allocate the node and nothing else.
func NewNode0(op Op, dtype DType, shape Shape, attrs Attrs) *Node {
	return &Node{Op: op, DType: dtype, Shape: shape, Attrs: attrs}
}

// NewNode1 is NewNode for one input.
func NewNode1(op Op, dtype DType, shape Shape, attrs Attrs, a *Node) *Node {
	return &Node{Op: op, DType: dtype, Shape: shape, Attrs: attrs, inputs: [2]*Node{a}, ninputs: 1, Flags: a.Flags & Tracked}
}

// NewNode2 is NewNode for two inputs.
func NewNode2(op Op, dtype DType, shape Shape, attrs Attrs, a, b *Node) *Node {
	return &Node{Op: op, DType: dtype, Shape: shape, Attrs: attrs, inputs: [2]*Node{a, b}, ninputs: 2, Flags: (a.Flags | b.Flags) & Tracked}
}

func (n *Node) setInputs(in []*Node) {
	n.more = in
	for _, x := range in {
		n.Flags |= x.Flags & Tracked
	}
}

// Inputs returns the nodes this one is computed from; the slice must not be written.
func (n *Node) Inputs() []*Node {
	if n.more != nil {
		return n.more
	}
	return n.inputs[:n.ninputs]
}

// DropInputs forgets the recipe, so that the graph below can be collected.
func (n *Node) DropInputs() {
	n.inputs = [2]*Node{}
	n.more = nil
	n.ninputs = 0
}

// Value returns the stored value, or nil if the node has not been evaluated.
func (n *Node) Value() *Value { return n.value.Load() }

// SetValue stores the value.
func (n *Node) SetValue(v *Value) { n.value.Store(v) }

// Buffer is memory on a device; package plan and the devices know what is behind it.
type Buffer interface {
	Bytes() int
}

// Value is an evaluated (or pending) tensor: a strided view of a buffer. It fills
// two cache lines.
type Value struct {
	Buffer Buffer
	DType  DType
	// Held tells that a leaf was made of the value while a benchmark recycles results,
	// as of a parameter's: this one stays.
	Held bool
	// Shared tells that a leaf was made of the value of a node that others may refer to.
	Shared  atomic.Bool
	Shape   Shape
	Strides []int // in elements; nil means row-major
	Offset  int   // in elements
	Device  string

	// Done is closed when the value is there or has failed; nil means it is there.
	Done <-chan struct{}
	// Err is set before Done is closed when the computation failed.
	Err *Error
	// Task is what computes the value (package eval knows it); nil when the
	// value was there from the start.
	Task any
}

// Ready reports whether the value is there (or has failed), without waiting.
func (v *Value) Ready() bool {
	if v.Done == nil {
		return true
	}
	select {
	case <-v.Done:
		return true
	default:
		return false
	}
}

// Built, when set, is called with each finished node: eager evaluation and the
// note about graphs that only grow hang here.
var Built atomic.Pointer[func(*Node)]

// GrowthLimit is the length of a chain of unevaluated nodes at which Finish
// calls Grown: such a chain nearly always means a loop without Eval.
const GrowthLimit = 20000

// Grown, when set, is called with a node whose Pending just reached a multiple
// of GrowthLimit.
var Grown atomic.Pointer[func(*Node)]

// Finish completes a node once its builder has set all fields: it counts the
// unevaluated nodes and calls the hooks. It returns n.
func Finish(n *Node) *Node {
	longest := int32(0)
	for _, in := range n.Inputs() {
		if in.value.Load() == nil && in.Pending > longest {
			longest = in.Pending
		}
	}
	if longest < math.MaxInt32 {
		longest++
	}
	n.Pending = longest
	if longest%GrowthLimit == 0 {
		if f := Grown.Load(); f != nil {
			(*f)(n)
		}
	}
	if f := Built.Load(); f != nil {
		(*f)(n)
	}
	return n
}
