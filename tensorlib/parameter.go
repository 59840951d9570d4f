package tensorlib

import (
	"fmt"
	"sync/atomic"

	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// Parameter returns x as a trainable parameter of a model: it is tracked, and
// Set may replace its value. Layers make their weights with it.
func Parameter(x *Tensor) *Tensor {
	n := x.n("Parameter")
	t := new(Tensor)
	p := op.Apply(op.Named, op.Name{Slot: &slot{of: t}}, n)
	p.Flags |= ir.Tracked
	t.node.Store(p)
	return t
}

// MakeParameter turns x itself into a parameter, if it is not one: its handle
// stays the same, so that whoever holds it sees the values that Set stores.
func (x *Tensor) MakeParameter() {
	n := x.n("MakeParameter")
	if slotOf(n) == x {
		return
	}
	p := op.Apply(op.Named, op.Name{Slot: &slot{of: x}}, n)
	p.Flags |= ir.Tracked
	x.node.Store(p)
}

// Set replaces the value of a parameter by that of x, computed now or, if x is
// being computed, soon. Shape and dtype stay the same. Tensors that were built
// from the old value keep it.
func (x *Tensor) Set(value *Tensor) { SetAll([]*Tensor{x}, []*Tensor{value}) }

// SetAll replaces parameters together: the values are computed in one
// evaluation. Gradients given after them have their loss computed along, so
// that reading it costs nothing.
func SetAll(parameters, values []*Tensor, gradients ...*Tensor) {
	const name = "Set"
	if len(parameters) != len(values) {
		fail(name, ir.CodeValue, nil, "%d parameters and %d values", len(parameters), len(values))
	}
	roots := make([]*ir.Node, len(values), len(values)+1)
	for i, v := range values {
		old, n := parameters[i].n(name), v.n(name)
		if !n.Shape.Equal(old.Shape) || n.DType != old.DType {
			op.Raise(name, &ir.Error{Code: ir.CodeShape,
				Msg: fmt.Sprintf("the parameter is %s%v, the new value %s%v", old.DType, old.Shape, n.DType, n.Shape)}, old, n)
		}
		roots[i] = n
	}
	if err := eval.Eval(background, appendLosses(name, roots, gradients)...); err != nil {
		panic(asError(name, err))
	}
	for i, n := range roots {
		// A leaf, not the evaluated node: a tracked node keeps its recipe, and
		// with it all steps that ever were.
		v := n.Value()
		v.Shared.Store(true)
		parameters[i].become(eval.LeafOf(v))
	}
}

// become gives a parameter a leaf with its new value.
func (x *Tensor) become(leaf *ir.Node) {
	old := x.node.Load()
	if leaf == old {
		return
	}
	leaf.Flags |= ir.Tracked
	if slotOf(old) == x {
		leaf.Attrs = old.Attrs // the name, and that it is this parameter
	} else {
		leaf.Attrs = op.Name{Slot: &slot{of: x}}
	}
	x.node.Store(leaf)
}

// Donate lets the next evaluation write its result over the memory of x: an
// AdamWUpdate then works in place. x must be data that nothing else reads any
// more; what does gets an error with code "donated". Memory that x shares with
// another tensor is left alone.
func (x *Tensor) Donate() {
	if n := x.n("Donate"); n.Op == op.Leaf && n.Value() != nil {
		n.Flags |= ir.Donated
	}
}

// slot is the place of a parameter, which its values share. Its name is here and
// not in the nodes, which are immutable.
type slot struct {
	of   *Tensor
	name atomic.Pointer[string]
}

func slotIn(n *ir.Node) *slot {
	if n.Op == op.Named || n.Op == op.Leaf {
		if a, ok := n.Attrs.(op.Name); ok {
			s, _ := a.Slot.(*slot)
			return s
		}
	}
	return nil
}

// slotOf returns the parameter that n is the value of, or nil.
func slotOf(n *ir.Node) *Tensor {
	if s := slotIn(n); s != nil {
		return s.of
	}
	return nil
}

// nameOf returns the name of a parameter or of Named, or "".
func nameOf(n *ir.Node) string {
	if s := slotIn(n); s != nil {
		if name := s.name.Load(); name != nil {
			return *name
		}
		return ""
	}
	if a, ok := n.Attrs.(op.Name); ok {
		return a.Name
	}
	return ""
}

// IsParameter reports whether x was made by Parameter.
func (x *Tensor) IsParameter() bool { return slotOf(x.n("IsParameter")) == x }

// Rename gives a parameter the name that graph views show, also in graphs that
// were built from it before.
func (x *Tensor) Rename(name string) {
	if n := x.n("Rename"); slotOf(n) == x {
		slotIn(n).name.Store(&name)
	}
}
