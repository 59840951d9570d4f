package eval

import (
	"runtime"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// FromHost returns a leaf with memory of the current device, which fill writes:
// row-major elements, or the packed form of a quantised dtype (see plan.QuantBytes).
// It panics with *ir.Error when memory has run out.
func FromHost(dtype ir.DType, shape ir.Shape, fill func(dst []byte)) *ir.Node {
	bytes := dtype.Bytes() * shape.Size()
	if dtype.Bytes() == 0 {
		bytes = plan.QuantBytes(dtype, shape)
	}
	var pos ir.Pos
	if h := ir.CurrentHost(); h != nil {
		pos = h.Pos()
	}
	opt, err := options()
	if err != nil {
		panic(err)
	}
	b, err := newBuffer(opt.Device, bytes, pos)
	if err != nil {
		panic(memoryError(err, "FromHost", pos))
	}
	fill(hostBytes(b, 0, bytes))
	n := LeafOf(&ir.Value{Buffer: b, DType: dtype, Shape: shape, Device: opt.Device.Name()})
	n.Pos = pos
	return n
}

// FromMapped returns a leaf whose memory is data, of which release is told when
// nothing reads it any more. ok is false if the device needs a copy, or if data is not
// aligned to its elements.
func FromMapped(dtype ir.DType, shape ir.Shape, data []byte, release func()) (n *ir.Node, ok bool) {
	opt, err := options()
	if err != nil {
		panic(err)
	}
	w, ok := opt.Device.(plan.Wrapper)
	if !ok || len(data) == 0 || uintptr(unsafe.Pointer(&data[0]))%uintptr(max(4, dtype.Bytes())) != 0 {
		return nil, false
	}
	var pos ir.Pos
	if h := ir.CurrentHost(); h != nil {
		pos = h.Pos()
	}
	b := enter(opt.Device, w.Wrap(data, release), pos)
	n = LeafOf(&ir.Value{Buffer: b, DType: dtype, Shape: shape, Device: opt.Device.Name()})
	n.Pos = pos
	return n, true
}

// LeafOf returns a leaf that holds v: an evaluated tensor without its recipe.
// The two share memory; releasing one releases both.
func LeafOf(v *ir.Value) *ir.Node {
	n := new(ir.Node)
	initLeaf(n, v)
	return n
}

// initLeaf makes n, which is all zero, a leaf that holds v.
func initLeaf(n *ir.Node, v *ir.Value) {
	n.Init(op.Leaf, v.DType, v.Shape, nil, nil)
	n.SetValue(v)
	if recycling.Load() != nil {
		v.Held = true
	}
}

// Wait waits until an evaluation that is to give n its value has ended, and
// returns the error it ended with. A node without a value returns nil at once.
func Wait(n *ir.Node) error {
	v := n.Value()
	if v == nil {
		return nil
	}
	if j, ok := v.Task.(*job); ok && !v.Ready() {
		j.help(true)
	}
	if v.Err != nil {
		return v.Err
	}
	return nil
}

// Bytes returns the elements of an evaluated node row-major. The slice is the
// device's memory where the elements lie like that, valid while n is reachable
// and not released, and is not to be written.
func Bytes(n *ir.Node) ([]byte, error) {
	if err := Wait(n); err != nil {
		return nil, err
	}
	v := n.Value()
	if v == nil {
		return nil, &ir.Error{Code: ir.CodeValue, Op: op.NameOf(n.Op), Msg: "not evaluated", Pos: n.Pos}
	}
	b := v.Buffer.(*Buffer)
	size := v.DType.Bytes()
	if size == 0 {
		return hostBytes(b, 0, b.Bytes()), nil
	}
	view := plan.View{Shape: v.Shape, Strides: v.Strides, Offset: v.Offset}
	if v.Strides == nil || view.IsDense() {
		return hostBytes(b, v.Offset*size, v.Shape.Size()*size), nil
	}
	out := make([]byte, v.Shape.Size()*size)
	copyStrided(out, unsafe.Add(b.mem.Host(), v.Offset*size), view.Collapse(), size)
	runtime.KeepAlive(b)
	return out, nil
}

// copyStrided writes the elements of a view row-major.
func copyStrided(dst []byte, src unsafe.Pointer, v plan.View, size int) {
	index := make([]int, len(v.Shape))
	off := 0
	for len(dst) > 0 {
		copy(dst[:size], unsafe.Slice((*byte)(unsafe.Add(src, off*size)), size))
		dst = dst[size:]
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			off += v.Strides[d]
			if index[d] < v.Shape[d] {
				break
			}
			off -= index[d] * v.Strides[d]
			index[d] = 0
		}
	}
}

// Release frees the memory of n's value at once instead of leaving it to the
// garbage collector. Reading n afterwards, or an op on it, is an error. Other
// values that look at the same memory stay valid.
func Release(n *ir.Node) {
	v := n.Value()
	if v == nil {
		return
	}
	if Wait(n) != nil {
		return // failed, or released before
	}
	releaseValue(v, op.NameOf(n.Op), n.Pos)
}

func releaseValue(v *ir.Value, name string, pos ir.Pos) {
	b, ok := v.Buffer.(*Buffer)
	if !ok {
		return
	}
	gone := &struct { // one allocation
		err   ir.Error
		shape [1]ir.Shape
		dtype [1]ir.DType
	}{ir.Error{Code: ir.CodeFreed, Op: name, Pos: pos, Msg: "this tensor was released", Hint: "build it again, or release it later"},
		[1]ir.Shape{v.Shape}, [1]ir.DType{v.DType}}
	gone.err.Shapes, gone.err.DTypes = gone.shape[:], gone.dtype[:]
	v.Err, v.Buffer = &gone.err, nil
	b.drop()
}
