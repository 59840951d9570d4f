package tensorlib

import (
	"fmt"

	"loris/internal/grad"
	"loris/internal/ir"
	"loris/internal/op"
)

// Grads returns the gradient of a scalar loss for each of the tensors, as
// lazy tensors. The loss is kept: reading it after an evaluation that needed it
// costs nothing. It panics if the loss does not depend on one of them, or if an
// op on the way has no derivative.
func Grads(loss *Tensor, wrt ...*Tensor) []*Tensor {
	const name = "Grads"
	y := scalarLoss(name, loss)
	y.Flags |= ir.Kept
	in := nodes(name, wrt)
	gs, freed := differentiate(name, y, in)
	out := make([]*Tensor, len(gs))
	for i, g := range gs {
		if g == nil {
			op.Raise(name, independent(y, in[i], i, freed), y, in[i])
		}
		out[i] = wrap(g)
		out[i].loss = loss
	}
	return out
}

// Loss returns the loss that x, as returned by Grads, is the gradient of; nil
// for other tensors.
func (x *Tensor) Loss() *Tensor {
	x.n("Loss")
	return x.loss
}

func scalarLoss(name string, loss *Tensor) *ir.Node {
	y := loss.n(name)
	if y.Shape.Size() != 1 || len(y.Shape) != 0 {
		op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: fmt.Sprintf("the loss has shape %v; a scalar is needed", y.Shape), Hint: "reduce it: loss.Mean()"}, y)
	}
	if !y.DType.IsFloat() {
		fail(name, ir.CodeDType, y, "the loss is %s; a floating-point dtype is needed", y.DType)
	}
	return y
}

func differentiate(name string, y *ir.Node, wrt []*ir.Node) (gs []*ir.Node, freed *ir.Node) {
	for _, x := range wrt {
		if !x.DType.IsFloat() {
			fail(name, ir.CodeDType, x, "there is no gradient for %s; a floating-point dtype is needed", x.DType)
		}
	}
	return grad.VJP([]*ir.Node{y}, []*ir.Node{op.Filled(1, y.DType, y.Shape)}, wrt)
}

// independent explains why there is no gradient for x.
func independent(y, x *ir.Node, i int, freed *ir.Node) *ir.Error {
	if freed != nil {
		return &ir.Error{Code: ir.CodeFreed,
			Msg:   fmt.Sprintf("%s was evaluated and its recipe is gone, so that no gradient reaches tensor %d", op.Origin(freed), i),
			Notes: []ir.Note{{Pos: freed.Pos, Msg: fmt.Sprintf("%s%s  %s", freed.DType, freed.Shape, op.Origin(freed))}},
			Hint:  "call Grads before the loss is evaluated or shown, or x.Track() before it is built"}
	}
	e := &ir.Error{Code: ir.CodeGradient, Msg: fmt.Sprintf("the loss does not depend on tensor %d, %s%v", i, x.DType, x.Shape),
		Hint: "leave it out, or look at lt.Graph(loss)"}
	if stop := gradientStop(y, x); stop != nil {
		e.Msg = fmt.Sprintf("the loss depends on tensor %d, %s%v, only through %s, where gradients stop", i, x.DType, x.Shape, op.Origin(stop))
		e.Notes = []ir.Note{{Pos: stop.Pos, Msg: fmt.Sprintf("%s%s  %s", stop.DType, stop.Shape, op.Origin(stop))}}
	}
	return e
}

// gradientStop returns the first node on a way from x to y that a gradient cannot
// pass: an index or bool, Detach. It is nil if there is no way.
func gradientStop(y, x *ir.Node) *ir.Node {
	user := map[*ir.Node]*ir.Node{y: nil}
	for stack := []*ir.Node{y}; len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n == x {
			for n = user[n]; n != nil && n.DType.IsFloat() && n.Op != op.Detach && n.Op != op.CustomVJP; {
				n = user[n]
			}
			return n
		}
		for _, in := range n.Inputs() {
			if _, seen := user[in]; !seen {
				user[in] = n
				stack = append(stack, in)
			}
		}
	}
	return nil
}

// zeroIfNone returns g, or zeros like x: a function's derivative for an
// argument that it does not use.
func zeroIfNone(g, x *ir.Node) *Tensor {
	if g == nil {
		g = op.Filled(0, x.DType, x.Shape)
	}
	return wrap(g)
}

// Grad returns the function that computes the gradient of f's scalar result
// for each argument.
func Grad(f func(x ...*Tensor) *Tensor) func(x ...*Tensor) []*Tensor {
	vg := ValueAndGrad(f)
	return func(x ...*Tensor) []*Tensor {
		_, gs := vg(x...)
		return gs
	}
}

// ValueAndGrad returns the function that computes f's scalar result and its
// gradient for each argument.
func ValueAndGrad(f func(x ...*Tensor) *Tensor) func(x ...*Tensor) (*Tensor, []*Tensor) {
	return func(x ...*Tensor) (*Tensor, []*Tensor) {
		const name = "Grad"
		args := fresh(name, x)
		loss := f(args...)
		y := scalarLoss(name, loss)
		in := nodes(name, args)
		gs, _ := differentiate(name, y, in)
		out := make([]*Tensor, len(gs))
		for i, g := range gs {
			out[i] = zeroIfNone(g, in[i])
		}
		return loss, out
	}
}

// fresh gives each argument a node of its own, so that a tensor given twice
// counts as two arguments.
func fresh(name string, x []*Tensor) []*Tensor {
	out := make([]*Tensor, len(x))
	for i, t := range x {
		n := t.n(name)
		if !n.DType.IsFloat() {
			fail(name, ir.CodeDType, n, "argument %d is %s; a floating-point dtype is needed", i, n.DType)
		}
		out[i] = wrap(op.Apply(op.Named, op.Name{Name: fmt.Sprintf("x%d", i)}, n))
	}
	return out
}

// VJP returns f(x) and the function that multiplies a vector v, of the shape of
// the result, with f's Jacobian from the left: the gradient of Σ f(x)·v for
// each argument.
func VJP(f func(x ...*Tensor) *Tensor, x ...*Tensor) (y *Tensor, pull func(v *Tensor) []*Tensor) {
	const name = "VJP"
	args := fresh(name, x)
	y = f(args...)
	in, out := nodes(name, args), y.n(name)
	return y, func(v *Tensor) []*Tensor {
		seed := op.CastTo(v.n(name), out.DType)
		if !seed.Shape.Equal(out.Shape) {
			fail(name, ir.CodeShape, seed, "the vector has shape %v, the result %v", seed.Shape, out.Shape)
		}
		gs, _ := grad.VJP([]*ir.Node{out}, []*ir.Node{seed}, in)
		ts := make([]*Tensor, len(gs))
		for i, g := range gs {
			ts[i] = zeroIfNone(g, in[i])
		}
		return ts
	}
}

// JVP returns f(x) and its derivative in the direction of tangents, one for
// each argument: f's Jacobian times the tangents.
func JVP(f func(x ...*Tensor) *Tensor, x, tangents []*Tensor) (y, dy *Tensor) {
	const name = "JVP"
	if len(x) != len(tangents) {
		fail(name, ir.CodeValue, nil, "%d arguments and %d tangents", len(x), len(tangents))
	}
	args := fresh(name, x)
	y = f(args...)
	in, ts, out := nodes(name, args), nodes(name, tangents), y.n(name)
	for i, t := range ts {
		if !t.Shape.Equal(in[i].Shape) {
			fail(name, ir.CodeShape, t, "tangent %d has shape %v, the argument %v", i, t.Shape, in[i].Shape)
		}
		ts[i] = op.CastTo(t, in[i].DType)
	}
	return y, zeroIfNone(grad.JVP([]*ir.Node{out}, in, ts)[0], out)
}

// CustomVJP returns a function equal to f whose gradient is vjp's: for the arguments
// x, the result y = f(x) and the gradient g of y it returns the gradient of each
// argument, nil for zero. It serves where the derivative of what f computes is not
// wanted (a straight-through estimator), costs too much or is not finite. What f uses
// beside its arguments is a constant. vjp's result is differentiated as written where
// second derivatives are asked for.
func CustomVJP(f func(x ...*Tensor) *Tensor, vjp func(x []*Tensor, y, g *Tensor) []*Tensor) func(x ...*Tensor) *Tensor {
	const name = "CustomVJP"
	d := &op.Derivative{VJP: func(in []*ir.Node, out, g *ir.Node) []*ir.Node {
		gradients := vjp(wrapAll(in), wrap(out), wrap(g))
		ns := make([]*ir.Node, len(gradients))
		for i, t := range gradients {
			if t != nil {
				ns[i] = t.n(name)
			}
		}
		return ns
	}}
	return func(x ...*Tensor) *Tensor {
		y := f(x...)
		in := append([]*ir.Node{y.n(name)}, nodes(name, x)...)
		return wrap(op.Apply(op.CustomVJP, d, in...))
	}
}

// Checkpoint returns a function equal to f whose intermediate results are not
// kept for the backward pass but computed again there: less memory for more
// work (Chen et al. 2016).
func Checkpoint(f func(x ...*Tensor) *Tensor) func(x ...*Tensor) *Tensor {
	return func(x ...*Tensor) *Tensor {
		const name = "Checkpoint"
		// The region begins at nodes of its own, so that the same tensor used
		// around it stays outside.
		args := make([]*Tensor, len(x))
		for i, t := range x {
			args[i] = wrap(op.Apply(op.Named, op.Name{Name: "checkpoint"}, t.n(name)))
		}
		y := f(args...)
		in := append([]*ir.Node{y.n(name)}, nodes(name, args)...)
		return wrap(op.Apply(op.Region, nil, in...))
	}
}
