package tensorlib

import (
	"fmt"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/op"
)

// Tensor is a lazy n-dimensional array. Its value never changes, but for the
// parameters of a model, which an optimiser replaces. Methods may be called
// from several goroutines.
type Tensor struct {
	node atomic.Pointer[ir.Node]

	// loss is what a gradient is the gradient of. The value of a loss is seldom
	// needed for its gradients, but nearly always wanted with them: it is
	// computed in the same evaluation.
	loss *Tensor
}

// DType is the element type of a tensor.
type DType = ir.DType

// The element types. F64 is computed on the CPU only. Q8 and Q4 are packed
// matrices of weights, see Quantize.
const (
	F32  = ir.F32
	F16  = ir.F16
	BF16 = ir.BF16
	F64  = ir.F64
	I32  = ir.I32
	I64  = ir.I64
	U8   = ir.U8
	Bool = ir.Bool
	Q8   = ir.Q8
	Q4   = ir.Q4
)

// Shape holds the size of each axis; a scalar has none.
type Shape = ir.Shape

// Error is the one error type of the library: what is wrong, where, with which
// operands and what to do about it.
type Error = ir.Error

// wrap returns a new handle of n.
func wrap(n *ir.Node) *Tensor {
	t := new(Tensor)
	t.node.Store(n)
	return t
}

func wrapAll(ns []*ir.Node) []*Tensor {
	ts := make([]*Tensor, len(ns))
	for i, n := range ns {
		ts[i] = wrap(n)
	}
	return ts
}

// via notes which call of the API made the tensor, for messages and views,
// when it is a node that this call added to in.
func via(id ir.Op, t *Tensor, in ...*Tensor) *Tensor {
	n := t.node.Load()
	for _, x := range in {
		if x.node.Load() == n {
			return t
		}
	}
	if n.Via == op.Invalid && n.Op != id {
		n.Via = id
	}
	return t
}

// n returns the node, or panics if x is nil.
func (x *Tensor) n(name string) *ir.Node {
	if x != nil {
		if n := x.node.Load(); n != nil {
			return n
		}
	}
	op.Raise(name, &ir.Error{Code: ir.CodeNil, Msg: "the tensor is nil", Hint: "was it declared in a cell whose assignment failed?"})
	return nil
}

// operand returns v as a node beside a tensor of dtype beside.
func operand(name string, v any, beside DType) *ir.Node {
	switch v := v.(type) {
	case *Tensor:
		if v == nil {
			op.Raise(name, &ir.Error{Code: ir.CodeNil, Msg: "the operand is nil", Hint: "was it declared in a cell whose assignment failed?"})
		}
		return v.n(name)
	case float64:
		return op.WeakScalar(v, true, beside)
	case int:
		if (v >= 1<<53 || v <= -1<<53) && !beside.IsFloat() {
			return fromSlice([]int64{int64(v)}, I64, Shape{}) // constants are kept as float64
		}
		return op.WeakScalar(float64(v), false, beside)
	case int64:
		return operand(name, int(v), beside)
	case bool:
		if v {
			return op.Filled(1, Bool, nil)
		}
		return op.Filled(0, Bool, nil)
	}
	if f, isFloat, ok := number(v); ok {
		return op.WeakScalar(f, isFloat, beside)
	}
	if h := ir.CurrentHost(); h != nil {
		if t, ok := h.Unwrap(v).(*Tensor); ok {
			return t.n(name)
		}
	}
	op.Raise(name, &ir.Error{Code: ir.CodeType, Msg: fmt.Sprintf("an operand of type %T; *Tensor, numbers and bool are possible", v),
		Hint: "lt.From makes a tensor of a slice"})
	return nil
}

// number returns the value of any Go number.
func number(v any) (f float64, isFloat, ok bool) {
	switch v := v.(type) {
	case float64:
		return v, true, true
	case float32:
		return float64(v), true, true
	case int:
		return float64(v), false, true
	case int8:
		return float64(v), false, true
	case int16:
		return float64(v), false, true
	case int32:
		return float64(v), false, true
	case int64:
		return float64(v), false, true
	case uint:
		return float64(v), false, true
	case uint8:
		return float64(v), false, true
	case uint16:
		return float64(v), false, true
	case uint32:
		return float64(v), false, true
	case uint64:
		return float64(v), false, true
	}
	return 0, false, false
}

// Shape returns the size of each axis.
func (x *Tensor) Shape() Shape { return append(Shape{}, x.n("Shape").Shape...) }

// Dim returns the size of one axis.
func (x *Tensor) Dim(axis int) int {
	n := x.n("Dim")
	return n.Shape[axisOf("Dim", axis, n)]
}

// Rank returns the number of axes.
func (x *Tensor) Rank() int { return len(x.n("Rank").Shape) }

// Size returns the number of elements.
func (x *Tensor) Size() int { return x.n("Size").Shape.Size() }

// DType returns the element type.
func (x *Tensor) DType() DType { return x.n("DType").DType }

// axisOf counts an axis from the front.
func axisOf(name string, axis int, n *ir.Node) int {
	rank := len(n.Shape)
	a := axis
	if a < 0 {
		a += rank
	}
	if a < 0 || a >= rank {
		e := &ir.Error{Code: ir.CodeAxis, Msg: fmt.Sprintf("axis %d is out of range for shape %v", axis, n.Shape)}
		if rank > 0 {
			e.Hint = fmt.Sprintf("axes go from %d to %d", -rank, rank-1)
		}
		op.Raise(name, e, n)
	}
	return a
}

// axesOf counts axes from the front, in ascending order; none means all.
func axesOf(name string, axes []int, n *ir.Node) []int {
	rank := len(n.Shape)
	if len(axes) == 0 {
		all := make([]int, rank)
		for i := range all {
			all[i] = i
		}
		return all
	}
	chosen := uint32(0)
	for _, a := range axes {
		a = axisOf(name, a, n)
		if chosen&(1<<a) != 0 {
			op.Raise(name, &ir.Error{Code: ir.CodeAxis, Msg: fmt.Sprintf("axis %d is given twice", a)}, n)
		}
		chosen |= 1 << a
	}
	out := make([]int, 0, len(axes))
	for a := range rank {
		if chosen&(1<<a) != 0 {
			out = append(out, a)
		}
	}
	return out
}

// lastAxis is the axis of calls that take one or none, which means the last.
func lastAxis(name string, axis []int, n *ir.Node) int {
	switch len(axis) {
	case 0:
		return axisOf(name, -1, n)
	case 1:
		return axisOf(name, axis[0], n)
	}
	op.Raise(name, &ir.Error{Code: ir.CodeAxis, Msg: fmt.Sprintf("%d axes given; one is possible", len(axis))}, n)
	return 0
}

// fail panics with an error about a parameter.
func fail(name string, code ir.Code, in *ir.Node, format string, args ...any) {
	e := &ir.Error{Code: code, Msg: fmt.Sprintf(format, args...)}
	if in == nil {
		op.Raise(name, e)
	}
	op.Raise(name, e, in)
}

// rootsOf returns the nodes of tensors, and of the losses of those that are
// gradients.
func rootsOf(name string, ts []*Tensor) []*ir.Node {
	return appendLosses(name, nodes(name, ts), ts)
}

// appendLosses appends the nodes of the losses that gradients know.
func appendLosses(name string, roots []*ir.Node, gradients []*Tensor) []*ir.Node {
	var last *Tensor
	for _, g := range gradients {
		g.n(name) // raises an error if it is nil
		if l := g.loss; l != nil && l != last {
			last = l
			roots = append(roots, l.n(name))
		}
	}
	return roots
}

// nodes returns the node of each tensor.
func nodes(name string, ts []*Tensor) []*ir.Node {
	out := make([]*ir.Node, len(ts))
	for i, t := range ts {
		out[i] = t.n(name)
	}
	return out
}
