package eval

import (
	"runtime"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// AdamWSet is a parameter with its gradient and moments: float32 nodes with values,
// of one shape.
type AdamWSet struct {
	P, G, M, V *ir.Node
	InPlace    bool // the old value of the parameter may go
}

// AdamW updates parameters and moments in one pass without building a graph, and
// puts leaves of the new values into the sets. The old values of moments that nobody
// else looks at are gone. It reports false, and nothing is changed, if the device
// cannot do it or an operand does not lie row by row in its memory.
func AdamW(sets []AdamWSet, k op.AdamWStep, h [3]float64) (done bool, err error) {
	opt, err := options()
	if err != nil {
		return false, err
	}
	dev, ok := opt.Device.(plan.Updater)
	if !ok {
		return false, nil
	}
	for i := range sets {
		s := &sets[i]
		for _, n := range [4]*ir.Node{s.P, s.G, s.M, s.V} {
			if err := Wait(n); err != nil {
				return false, err
			}
			v := n.Value()
			if v == nil || n.DType != ir.F32 || v.Strides != nil || v.Buffer.(*Buffer).rec.dev != opt.Device {
				return false, nil
			}
		}
	}
	u := &updating{dev: opt.Device, sets: make([]plan.AdamWSet, len(sets)), values: make([][3]*ir.Value, len(sets))}
	for i := range sets {
		if err := u.bind(i, &sets[i]); err != nil {
			return false, memoryError(err, "AdamW", sets[i].P.Pos)
		}
	}
	if err := dev.AdamW(u.sets, k, h); err != nil {
		return false, asError(err)
	}
	runtime.KeepAlive(sets)
	for i := range sets {
		u.finish(i, &sets[i])
	}
	counters.evals.Add(1)
	return true, nil
}

// updating is one call of AdamW in progress.
type updating struct {
	dev    plan.Device
	sets   []plan.AdamWSet
	values [][3]*ir.Value // new values of parameter and moments; those of moments in place are the old ones
	gone   *ir.Error
}

// bind finds where a set's operands lie and makes memory for results that cannot
// take over that of their operands.
func (u *updating) bind(i int, s *AdamWSet) (err error) {
	d, values := &u.sets[i], &u.values[i]
	d.N = s.P.Shape.Size()
	d.P, d.G = pointerOf(s.P.Value()), pointerOf(s.G.Value())
	if values[0], err = u.result(s.P.Value(), s.InPlace); err != nil {
		return err
	}
	d.W = pointerOf(values[0])
	for j, m := range [2]*ir.Node{s.M, s.V} {
		old := m.Value()
		values[1+j] = old
		if !ownsMemory(old) {
			if values[1+j], err = u.result(old, false); err != nil {
				return err
			}
			copy(unsafe.Slice((*float32)(pointerOf(values[1+j])), d.N), unsafe.Slice((*float32)(pointerOf(old)), d.N))
		}
	}
	d.M, d.V = pointerOf(values[1]), pointerOf(values[2])
	return nil
}

func pointerOf(v *ir.Value) unsafe.Pointer {
	return unsafe.Add(v.Buffer.(*Buffer).mem.Host(), v.Offset*v.DType.Bytes())
}

// ownsMemory reports whether nothing but v uses its buffer, and v all of it.
func ownsMemory(v *ir.Value) bool {
	b := v.Buffer.(*Buffer)
	return b.refs.Load() == 1 && v.Offset == 0 && b.Bytes() == v.DType.Bytes()*v.Shape.Size()
}

// result returns a value for what replaces old.
func (u *updating) result(old *ir.Value, inPlace bool) (*ir.Value, error) {
	b := old.Buffer.(*Buffer)
	if !inPlace || !ownsMemory(old) {
		var err error
		if b, err = newBuffer(u.dev, old.DType.Bytes()*old.Shape.Size(), ir.Pos{}); err != nil {
			return nil, err
		}
	}
	return &ir.Value{Buffer: b, DType: old.DType, Shape: old.Shape, Device: old.Device}, nil
}

// finish puts leaves of the new values into the set and retires the old value of a
// parameter that was updated in place.
func (u *updating) finish(i int, s *AdamWSet) {
	old, values := s.P.Value(), &u.values[i]
	if b := old.Buffer.(*Buffer); b == values[0].Buffer {
		if u.gone == nil {
			u.gone = goneInPlace()
		}
		retireValue(old, u.gone)
	}
	s.P = LeafOf(values[0])
	for j, m := range [2]**ir.Node{&s.M, &s.V} {
		if values[1+j] != (*m).Value() {
			*m = LeafOf(values[1+j])
		}
	}
}
