package eval

import (
	"runtime"
	"sync"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// AdamWSet is a parameter with its gradient: float32 nodes with values, of one shape.
type AdamWSet struct {
	P, G    *ir.Node
	At      int  // where its moments begin in each row of the moments
	InPlace bool // the old value of the parameter may go
}

// AdamWUpdate is an update of many parameters. It is reused by later ones, and looks at
// all operands in one loop for each step of the way to their memory, since little of
// what it reads is in a near cache.
type AdamWUpdate struct {
	Sets    []AdamWSet
	Moments *ir.Node // f32 [2 n]: the first and the second moments of all parameters

	dev    plan.Device
	bound  []plan.AdamWSet
	values []adamWValues
	gone   *ir.Value // of parameters updated in place, of the shape they had last
}

// adamWValues are the values of a set and their buffers.
type adamWValues struct {
	p, g   *ir.Value
	pb, gb *Buffer
	next   *ir.Value // the parameter's new value, p itself if it stays in its memory
}

var adamWUpdates = sync.Pool{New: func() any { return new(AdamWUpdate) }}

// NewAdamWUpdate returns an update with n empty sets.
func NewAdamWUpdate(n int) *AdamWUpdate {
	u := adamWUpdates.Get().(*AdamWUpdate)
	u.Sets, u.bound, u.values = resize(u.Sets, n), resize(u.bound, n), resize(u.values, n)
	return u
}

// Free gives the update back for reuse.
func (u *AdamWUpdate) Free() {
	clear(u.Sets)
	clear(u.bound)
	clear(u.values)
	u.Moments, u.dev, u.gone = nil, nil, nil
	adamWUpdates.Put(u)
}

// Run updates parameters and moments in one pass without building a graph, and puts
// leaves of the new values into the sets and in place of the moments. The old moments
// are gone unless somebody else looks at them. It reports false, and nothing is changed,
// if the device cannot do it or an operand does not lie row by row in its memory.
func (u *AdamWUpdate) Run(k op.AdamWStep, h [3]float64) (done bool, err error) {
	opt, err := options()
	if err != nil {
		return false, err
	}
	dev, ok := opt.Device.(plan.Updater)
	if !ok {
		return false, nil
	}
	u.dev = opt.Device
	if ok, err := u.find(); !ok || err != nil {
		return false, err
	}
	if err := u.bind(); err != nil {
		return false, memoryError(err, "AdamW", u.Sets[0].P.Pos)
	}
	if err := dev.AdamW(u.bound, k, h); err != nil {
		return false, asError(err)
	}
	runtime.KeepAlive(u)
	u.finish()
	counters.evals.Add(1)
	return true, nil
}

// find looks the values up, once they are there, and reports whether the device can
// update them.
func (u *AdamWUpdate) find() (ok bool, err error) {
	for i := range u.Sets {
		s := &u.Sets[i]
		u.values[i] = adamWValues{p: s.P.Value(), g: s.G.Value()}
	}
	if ok, err := u.usable(u.Moments, u.Moments.Value()); !ok || err != nil {
		return false, err
	}
	for i := range u.Sets {
		s, v := &u.Sets[i], &u.values[i]
		if ok, err := u.usable(s.P, v.p); !ok || err != nil {
			return false, err
		}
		if ok, err := u.usable(s.G, v.g); !ok || err != nil {
			return false, err
		}
		v.pb, v.gb = v.p.Buffer.(*Buffer), v.g.Buffer.(*Buffer)
	}
	for i := range u.values {
		if v := &u.values[i]; v.pb.rec.dev != u.dev || v.gb.rec.dev != u.dev {
			return false, nil
		}
	}
	return u.Moments.Value().Buffer.(*Buffer).rec.dev == u.dev, nil
}

func (u *AdamWUpdate) usable(n *ir.Node, v *ir.Value) (bool, error) {
	if v == nil || v.DType != ir.F32 || v.Strides != nil {
		return false, nil
	}
	if v.Task != nil || v.Err != nil {
		return true, Wait(n)
	}
	return true, nil
}

// bind finds where the operands lie and makes memory for results that cannot take over
// that of their operands.
func (u *AdamWUpdate) bind() (err error) {
	moments, err := u.ownMoments()
	if err != nil {
		return err
	}
	second := moments.Shape[1] * moments.DType.Bytes()
	first := pointerOf(moments, moments.Buffer.(*Buffer))
	u.shared((*Buffer).hold)
	defer u.shared((*Buffer).drop)
	for i := range u.Sets {
		s, v := &u.Sets[i], &u.values[i]
		refs := int32(1)
		if v.p.Shared.Load() {
			refs++
		}
		if v.next = v.p; !s.InPlace || !ownsMemory(v.p, v.pb, refs) {
			if v.next, err = u.result(v.p); err != nil {
				return err
			}
		}
	}
	for i := range u.Sets {
		v, m := &u.values[i], unsafe.Add(first, u.Sets[i].At*moments.DType.Bytes())
		d := plan.AdamWSet{P: pointerOf(v.p, v.pb), G: pointerOf(v.g, v.gb), M: m, V: unsafe.Add(m, second), N: v.p.Shape.Size()}
		if d.W = d.P; v.next != v.p {
			d.W = pointerOf(v.next, v.next.Buffer.(*Buffer))
		}
		u.bound[i] = d
	}
	return nil
}

// shared calls f with the buffers of values that sets may share: a parameter may have
// been given the value of a tensor, and so may another one or a gradient, and a gradient
// may be a parameter. Counted once for each set, such a buffer is not updated in place.
func (u *AdamWUpdate) shared(f func(*Buffer)) {
	for i := range u.values {
		v := &u.values[i]
		if v.p.Shared.Load() {
			f(v.pb)
		}
		if (u.Sets[i].G.Op == op.Leaf || v.g.Shared.Load()) && v.g != v.p {
			f(v.gb)
		}
	}
}

// ownMoments returns the moments, copied first if anything else looks at their memory.
func (u *AdamWUpdate) ownMoments() (*ir.Value, error) {
	old := u.Moments.Value()
	if ownsMemory(old, old.Buffer.(*Buffer), 1) {
		return old, nil
	}
	v, err := u.result(old)
	if err != nil {
		return nil, err
	}
	n := old.Shape.Size()
	copy(unsafe.Slice((*float32)(pointerOf(v, v.Buffer.(*Buffer))), n), unsafe.Slice((*float32)(pointerOf(old, old.Buffer.(*Buffer))), n))
	u.Moments = LeafOf(v)
	return v, nil
}

func pointerOf(v *ir.Value, b *Buffer) unsafe.Pointer {
	return unsafe.Add(b.mem.Host(), v.Offset*v.DType.Bytes())
}

// ownsMemory reports whether nothing but v uses its buffer b, which then is held refs
// times, and v all of it.
func ownsMemory(v *ir.Value, b *Buffer, refs int32) bool {
	return b.refs.Load() == refs && v.Offset == 0 && b.Bytes() == v.DType.Bytes()*v.Shape.Size()
}

// result returns a value, in memory of its own, for what replaces old.
func (u *AdamWUpdate) result(old *ir.Value) (*ir.Value, error) {
	b, err := newBuffer(u.dev, old.DType.Bytes()*old.Shape.Size(), ir.Pos{})
	if err != nil {
		return nil, err
	}
	return &ir.Value{Buffer: b, DType: old.DType, Shape: old.Shape, Device: old.Device}, nil
}

// finish puts leaves of the new values into the sets. A parameter updated in place
// takes its value along, and its old node is left one that is gone, unless other nodes
// have the value, too: then it is gone itself.
func (u *AdamWUpdate) finish() {
	var leaves leafMaker
	for i := range u.Sets {
		s, v := &u.Sets[i], &u.values[i]
		switch {
		case v.next != v.p:
		case v.p.Shared.Load():
			v.next = succeed(v.p, u.goneLike(v.p).Err)
		default:
			changed(v.pb)
			s.P.SetValue(u.goneLike(v.p))
		}
		s.P = leaves.of(v.next)
	}
	if m := u.Moments.Value(); m.Shared.Load() {
		u.Moments = LeafOf(succeed(m, goneInPlace()))
	}
}

// succeed returns a value in the memory of v, which was written over, and makes v
// unreadable.
func succeed(v *ir.Value, gone *ir.Error) *ir.Value {
	next := &ir.Value{Buffer: v.Buffer, DType: v.DType, Shape: v.Shape, Device: v.Device}
	retireValue(v, gone)
	return next
}

// leafMaker makes leaves of small values several at a time. While one of them is in
// use none of the others' memory can be collected, so it is for small values only.
type leafMaker []ir.Node

const (
	leavesAtOnce = 8
	smallLeaf    = 64 << 10 // bytes
)

func (l *leafMaker) of(v *ir.Value) *ir.Node {
	if v.Buffer.Bytes() > smallLeaf {
		return LeafOf(v)
	}
	if len(*l) == 0 {
		*l = make([]ir.Node, leavesAtOnce)
	}
	n := &(*l)[0]
	*l = (*l)[1:]
	initLeaf(n, v)
	return n
}

// goneLike returns a value of v's shape that is gone.
func (u *AdamWUpdate) goneLike(v *ir.Value) *ir.Value {
	switch {
	case u.gone == nil:
		u.gone = &ir.Value{DType: v.DType, Shape: v.Shape, Device: v.Device, Err: goneInPlace()}
	case !u.gone.Shape.Equal(v.Shape):
		u.gone = &ir.Value{DType: v.DType, Shape: v.Shape, Device: v.Device, Err: u.gone.Err}
	}
	return u.gone
}
