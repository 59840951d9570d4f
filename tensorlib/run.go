package tensorlib

import (
	"context"
	"fmt"
	"runtime"

	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// background is the context of calls that are given none: an interrupt of the
// cell still ends them (package eval sees to that).
var background = context.Background()

// Eval computes x and returns it. It panics with *Error if that fails.
func (x *Tensor) Eval() *Tensor {
	x.evaluated("Eval")
	return x
}

// evaluated returns the node, computed.
func (x *Tensor) evaluated(name string) *ir.Node {
	n := x.n(name)
	if err := eval.Eval(background, n); err != nil {
		panic(asError(name, err))
	}
	return n
}

// Eval computes tensors together: what they share is computed once. It panics
// with *Error if that fails.
func Eval(tensors ...*Tensor) {
	if err := eval.Eval(background, rootsOf("Eval", tensors)...); err != nil {
		panic(asError("Eval", err))
	}
}

func asError(name string, err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Code: ir.CodeDevice, Op: name, Msg: "evaluation failed", Err: err}
}

// Pending is an evaluation under way.
type Pending struct{ job *eval.Pending }

// EvalAsync begins to compute tensors and returns at once. Reading one of them
// waits for it. When too much is under way already it waits for some of that.
func EvalAsync(tensors ...*Tensor) *Pending {
	return &Pending{eval.Async(background, rootsOf("EvalAsync", tensors)...)}
}

// Wait waits for the end and returns the error, if any. When ctx ends first,
// the evaluation is cancelled, and ctx's error returned once it has stopped;
// its tensors can be evaluated again.
func (p *Pending) Wait(ctx context.Context) error { return p.job.Wait(ctx) }

// Done is closed when the evaluation has ended.
func (p *Pending) Done() <-chan struct{} { return p.job.Done() }

// Cancel stops the evaluation at the next tile, without waiting for that.
// Evaluating its tensors again starts anew.
func (p *Pending) Cancel() { p.job.Cancel() }

// read calls f with the row-major elements of x, computed.
func (x *Tensor) read(name string, f func(b []byte, n *ir.Node)) {
	n := x.evaluated(name)
	if n.DType.Bytes() == 0 {
		op.Raise(name, &ir.Error{Code: ir.CodeDType, Msg: fmt.Sprintf("the elements of a %s matrix are packed", n.DType), Hint: "call Dequantize first"}, n)
	}
	x.readBytes(name, f)
}

// readBytes is read that takes quantised matrices too.
func (x *Tensor) readBytes(name string, f func(b []byte, n *ir.Node)) {
	n := x.evaluated(name)
	b, err := eval.Bytes(n)
	if err != nil {
		panic(asError(name, err))
	}
	if err := eval.Guarded(func() { f(b, n) }); err != nil {
		panic(asError(name, err))
	}
	runtime.KeepAlive(n) // b is memory that n's value owns
}

// Item returns the value of a tensor with one element, computing it if needed.
func (x *Tensor) Item() (v float64) {
	const name = "Item"
	if n := x.n(name); n.Shape.Size() != 1 {
		op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: fmt.Sprintf("shape %v has %d elements; one is needed", n.Shape, n.Shape.Size()),
			Hint: "reduce it, as x.Mean() does, or read all by x.Floats()"}, n)
	}
	x.read(name, func(b []byte, n *ir.Node) { v = decodeFloats(b, n.DType)[0] })
	return v
}

// Floats returns the elements in row-major order, computing them if needed.
// Integers beyond 2⁵³ are rounded; Ints is exact.
func (x *Tensor) Floats() (v []float64) {
	x.read("Floats", func(b []byte, n *ir.Node) { v = decodeFloats(b, n.DType) })
	return v
}

// Float32s returns the elements as float32 in row-major order.
func (x *Tensor) Float32s() []float32 {
	out := make([]float32, x.n("Float32s").Shape.Size())
	x.read("Float32s", func(b []byte, n *ir.Node) {
		if n.DType == F32 {
			copy(rawBytes(out), b)
			return
		}
		for i, v := range decodeFloats(b, n.DType) {
			out[i] = float32(v)
		}
	})
	return out
}

// Ints returns the elements as integers in row-major order. Floats are
// truncated, as by Cast(I64).
func (x *Tensor) Ints() []int {
	if d := x.n("Ints").DType; d != I64 && d.Bytes() > 0 {
		x = x.Cast(I64)
	}
	wide := make([]int64, x.n("Ints").Shape.Size())
	x.read("Ints", func(b []byte, n *ir.Node) { copy(rawBytes(wide), b) })
	out := make([]int, len(wide))
	for i, v := range wide {
		out[i] = int(v)
	}
	return out
}

// Bools returns for each element in row-major order whether it is not 0.
func (x *Tensor) Bools() []bool {
	if x.n("Bools").DType.Bytes() > 0 {
		x = x.Cast(Bool)
	}
	out := make([]bool, x.n("Bools").Shape.Size())
	x.read("Bools", func(b []byte, n *ir.Node) {
		for i, v := range b {
			out[i] = v != 0
		}
	})
	return out
}

// Track keeps the recipe of x and of all that is computed from it after this
// call, so that Grads works even when they have been evaluated or shown in
// between. Parameters of models are tracked by themselves. It returns x.
func (x *Tensor) Track() *Tensor {
	x.n("Track").Flags |= ir.Tracked
	return x
}

// Keep asks for the value of x to be stored when it is computed on the way to
// something else, so that reading it later costs nothing. It returns x.
func (x *Tensor) Keep() *Tensor {
	x.n("Keep").Flags |= ir.Kept
	return x
}

// Release gives the memory of x back at once, instead of when the garbage
// collector finds that nothing uses it. x must not be used any more.
func (x *Tensor) Release() { eval.Release(x.n("Release")) }

// Err returns the error of x's evaluation if it has failed, without waiting.
func (x *Tensor) Err() error {
	n := x.n("Err")
	if v := n.Value(); v != nil && v.Ready() && v.Err != nil {
		return v.Err
	}
	return nil
}

// Device returns the name of the device that holds x's value, or "" if it has
// not been computed.
func (x *Tensor) Device() string {
	if v := x.n("Device").Value(); v != nil {
		return v.Device
	}
	return ""
}

// Try calls f and returns the *Error it panics with, or nil. Other panics pass.
func Try(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			err = e
		default:
			panic(e)
		}
	}()
	f()
	return nil
}
