package tensorlib

import (
	"fmt"
	"math"
	"reflect"

	"loris/internal/ir"
	"loris/internal/op"
)

// Of returns a tensor [n] of f32.
func Of(values ...float64) *Tensor {
	v := make([]float32, len(values))
	for i, x := range values {
		v[i] = float32(x)
	}
	return via(op.Of, wrap(fromSlice(v, F32, Shape{len(v)})))
}

// Ints returns a tensor [n] of i64.
func Ints(values ...int) *Tensor {
	v := make([]int64, len(values))
	for i, x := range values {
		v[i] = int64(x)
	}
	return via(op.Ints, wrap(fromSlice(v, I64, Shape{len(v)})))
}

// From returns a tensor with the elements of a number, a bool or a slice or
// array of them, nested to any depth: [][]float32 gives f32[n m]. The dtype is
// that of the elements (int gives i64), or the one given. The data is copied.
// It panics if inner slices differ in length.
func From(data any, dtype ...DType) *Tensor {
	const name = "From"
	if t, ok := data.(*Tensor); ok {
		if len(dtype) > 0 {
			return t.Cast(dtype[0])
		}
		return t
	}
	v := reflect.ValueOf(data)
	var shape Shape
	inner := v
	for inner.IsValid() && (inner.Kind() == reflect.Slice || inner.Kind() == reflect.Array) {
		shape = append(shape, inner.Len())
		if inner.Len() == 0 {
			inner = reflect.Zero(inner.Type().Elem())
		} else {
			inner = inner.Index(0)
		}
		if inner.Kind() == reflect.Interface {
			inner = inner.Elem()
		}
	}
	d := ir.Invalid
	if inner.IsValid() {
		d = dtypeOfKind(inner.Kind())
	}
	if d == ir.Invalid {
		fail(name, ir.CodeType, nil, "cannot make a tensor of %T; numbers, bools and (nested) slices of them are possible", data)
	}
	if e := op.CheckShape(shape); e != nil {
		op.Raise(name, e)
	}
	var n *ir.Node
	switch s := data.(type) {
	case []float32:
		n = fromSlice(s, F32, shape)
	case []float64:
		n = fromSlice(s, F64, shape)
	default:
		w := &hostWriter{dtype: d}
		w.buf = make([]byte, 0, shape.Size()*d.Bytes())
		w.walk(name, v, shape)
		n = fromBytes(w.buf, d, shape)
	}
	t := via(op.From, wrap(n))
	if len(dtype) > 0 {
		return t.Cast(dtype[0])
	}
	return t
}

func dtypeOfKind(k reflect.Kind) DType {
	switch k {
	case reflect.Float32:
		return F32
	case reflect.Float64:
		return F64
	case reflect.Int32:
		return I32
	case reflect.Int, reflect.Int64, reflect.Int8, reflect.Int16, reflect.Uint16, reflect.Uint32, reflect.Uint, reflect.Uint64:
		return I64
	case reflect.Uint8:
		return U8
	case reflect.Bool:
		return Bool
	}
	return ir.Invalid
}

// hostWriter collects the elements of nested slices.
type hostWriter struct {
	dtype DType
	buf   []byte
}

func (w *hostWriter) walk(name string, v reflect.Value, shape Shape) {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if len(shape) == 0 {
		w.element(name, v)
		return
	}
	if k := v.Kind(); k != reflect.Slice && k != reflect.Array || v.Len() != shape[0] {
		have := "a single number"
		if k == reflect.Slice || k == reflect.Array {
			have = fmt.Sprintf("%d elements", v.Len())
		}
		fail(name, ir.CodeShape, nil, "the slices differ in length: %s stand where the first of their level has %d", have, shape[0])
	}
	for i := range v.Len() {
		w.walk(name, v.Index(i), shape[1:])
	}
}

func (w *hostWriter) element(name string, v reflect.Value) {
	k := v.Kind()
	if dtypeOfKind(k) != w.dtype {
		fail(name, ir.CodeType, nil, "the elements differ in type: %s and %v", w.dtype, k)
	}
	switch {
	case k == reflect.Bool:
		b := byte(0)
		if v.Bool() {
			b = 1
		}
		w.buf = append(w.buf, b)
	case v.CanFloat() && w.dtype == F32:
		w.buf = appendElement(w.buf, float32(v.Float()))
	case v.CanFloat():
		w.buf = appendElement(w.buf, v.Float())
	case v.CanUint() && w.dtype == U8:
		w.buf = append(w.buf, byte(v.Uint()))
	case v.CanUint():
		w.buf = appendElement(w.buf, int64(v.Uint()))
	case w.dtype == I32:
		w.buf = appendElement(w.buf, int32(v.Int()))
	default:
		w.buf = appendElement(w.buf, v.Int())
	}
}

// shapeOf checks a shape that a user gave.
func shapeOf(name string, shape []int) Shape {
	s := append(Shape(nil), shape...)
	if e := op.CheckShape(s); e != nil {
		op.Raise(name, e)
	}
	return s
}

// Full returns a tensor filled with a number or bool: f32 for a float, i64 for
// an integer, bool for a bool.
func Full(value any, shape ...int) *Tensor {
	const name = "Full"
	s := shapeOf(name, shape)
	if b, ok := value.(bool); ok {
		v := 0.0
		if b {
			v = 1
		}
		return via(op.Full, filled(v, Bool, s))
	}
	f, isFloat, ok := number(value)
	if !ok {
		fail(name, ir.CodeType, nil, "cannot fill with a %T; numbers and bools are possible", value)
	}
	if isFloat {
		return via(op.Full, filled(f, F32, s))
	}
	if math.Abs(f) >= 1<<53 {
		return via(op.Full, Ints(int(reflect.ValueOf(value).Convert(reflect.TypeFor[int64]()).Int())).Reshape().Expand(s...))
	}
	return via(op.Full, filled(f, I64, s))
}

// filled returns a constant with a node of its own, so that flags set on it
// touch nothing else.
func filled(v float64, dtype DType, s Shape) *Tensor {
	if len(s) == 0 {
		n := ir.NewNode0(op.Const, dtype, s, nil)
		n.Const = v
		if dtype.IsFloat() {
			n.Const = dtype.Round(v)
		}
		return wrap(ir.Finish(n))
	}
	return wrap(op.Filled(v, dtype, s))
}

// Zeros returns f32 zeros.
func Zeros(shape ...int) *Tensor { return via(op.Zeros, filled(0, F32, shapeOf("Zeros", shape))) }

// Ones returns f32 ones.
func Ones(shape ...int) *Tensor { return via(op.Ones, filled(1, F32, shapeOf("Ones", shape))) }

// Eye returns the f32 matrix [n m] (m = n if not given) with ones on the diagonal.
func Eye(n int, m ...int) *Tensor {
	s := []int{n, n}
	if len(m) > 0 {
		s[1] = m[0]
	}
	shape := shapeOf("Eye", s)
	i, j := counter(shape, 0, I64), counter(shape, 1, I64)
	return via(op.Eye, wrap(op.CastTo(op.Binary(op.Eq, i, j), F32)))
}

// counter counts 0, 1, 2, … along one axis of shape.
func counter(shape Shape, axis int, dtype DType) *ir.Node {
	return op.Apply(op.Iota, op.Range{Shape: shape, DType: dtype, Axis: axis, Step: 1})
}

// Arange returns the integers 0 … stop-1, start … stop-1 or start, start+step, …
// below (above, for a negative step) stop, as i64.
func Arange(args ...int) *Tensor {
	const name = "Arange"
	start, stop, step := 0, 0, 1
	switch len(args) {
	case 1:
		stop = args[0]
	case 2:
		start, stop = args[0], args[1]
	case 3:
		start, stop, step = args[0], args[1], args[2]
	default:
		fail(name, ir.CodeValue, nil, "%d arguments; (stop), (start, stop) and (start, stop, step) are possible", len(args))
	}
	for _, a := range args {
		if a > 1<<53 || a < -1<<53 {
			fail(name, ir.CodeValue, nil, "%d is beyond ±2^53", a)
		}
	}
	if step == 0 {
		fail(name, ir.CodeValue, nil, "the step is 0")
	}
	size := 0
	if step > 0 && stop > start {
		size = (stop - start + step - 1) / step
	} else if step < 0 && stop < start {
		size = (start - stop - step - 1) / -step
	}
	shape := shapeOf(name, []int{size})
	return via(op.Arange, wrap(op.Apply(op.Iota, op.Range{Shape: shape, DType: I64, Start: float64(start), Step: float64(step)})))
}

// Linspace returns n evenly spaced f32 numbers from start to stop, both included.
func Linspace(start, stop float64, n int) *Tensor {
	shape := shapeOf("Linspace", []int{n})
	step := 0.0
	if n > 1 {
		step = (stop - start) / float64(n-1)
	}
	return via(op.Linspace, wrap(op.Apply(op.Iota, op.Range{Shape: shape, DType: F32, Start: start, Step: step})))
}

// Concat joins tensors along an axis; dtypes are promoted.
func Concat(axis int, tensors ...*Tensor) *Tensor {
	const name = "Concat"
	if len(tensors) == 0 {
		fail(name, ir.CodeValue, nil, "no tensors")
	}
	in := promoteAll(nodes(name, tensors))
	a := axisOf(name, axis, in[0])
	if len(in) == 1 {
		return tensors[0]
	}
	return wrap(op.Apply(op.Concat, op.Axis{Axis: a}, in...))
}

func promoteAll(in []*ir.Node) []*ir.Node {
	d := in[0].DType
	for _, x := range in[1:] {
		d = ir.Promote(d, x.DType)
	}
	for i, x := range in {
		if x.DType.Bytes() > 0 && d.Bytes() > 0 {
			in[i] = op.CastTo(x, d)
		}
	}
	return in
}

// Stack joins tensors of one shape along a new axis.
func Stack(axis int, tensors ...*Tensor) *Tensor {
	const name = "Stack"
	if len(tensors) == 0 {
		fail(name, ir.CodeValue, nil, "no tensors")
	}
	first := tensors[0].n(name)
	parts := make([]*Tensor, len(tensors))
	for i, t := range tensors {
		if n := t.n(name); !n.Shape.Equal(first.Shape) {
			op.Raise(name, &ir.Error{Code: ir.CodeShape, Msg: fmt.Sprintf("tensor %d has shape %v, the first has %v", i, n.Shape, first.Shape)}, first, n)
		}
		parts[i] = t.unsqueeze(name, axis)
	}
	return via(op.Stack, Concat(axis, parts...), parts...)
}
