package plan

import (
	"fmt"

	"loris/internal/ir"
	"loris/internal/op"
)

// Segment is a range of steps that one device runs.
type Segment struct {
	Device   Device
	From, To int // steps From..To-1
}

// place gives each step to the plan's device, or to the fallback where the
// device lacks a kernel, and cuts the steps into segments. All devices share
// memory, so that nothing is copied in between.
func place(p *Plan, dev, fallback Device) error {
	p.Segments = nil
	for i := range p.Steps {
		s := &p.Steps[i]
		d := dev
		missing, dtype := unsupported(s, dev)
		chooser, chooses := dev.(stepChooser)
		if missing != op.Invalid || chooses && !chooser.SupportsStep(p, s) {
			if fallback == nil || fallback == dev {
				return &ir.Error{Code: ir.CodeDevice, Op: s.Name,
					Msg: fmt.Sprintf("device %s has no kernel for %s of %s", dev.Name(), op.NameOf(missing), dtype)}
			}
			d = fallback
		}
		s.Device = d.Name()
		if n := len(p.Segments); n > 0 && p.Segments[n-1].Device == d {
			p.Segments[n-1].To = i + 1
			continue
		}
		p.Segments = append(p.Segments, Segment{d, i, i + 1})
	}
	return nil
}

// stepChooser is a device that takes some steps of an op that it supports and
// not others: by their shapes, or by how many buffers they need.
type stepChooser interface {
	SupportsStep(p *Plan, s *Step) bool
}

// unsupported returns the first op of a step that the device lacks.
func unsupported(s *Step, d Device) (ir.Op, ir.DType) {
	dtype := ir.F32
	if len(s.In) > 0 {
		dtype = s.In[0].DType
	} else if len(s.Out) > 0 {
		dtype = s.Out[0].DType
	}
	switch s.Kind {
	case OpStep:
		if !d.Supports(s.Op, dtype) {
			return s.Op, dtype
		}
	case MatMulStep, LoRAStep:
		if !d.Supports(op.MatMul, dtype) {
			return op.MatMul, dtype
		}
	case CopyStep:
		if !d.Supports(op.Contiguous, dtype) {
			return op.Contiguous, dtype
		}
	}
	if s.Program != nil {
		for i := range s.Program.Instrs {
			if in := &s.Program.Instrs[i]; !d.Supports(in.Op, in.DType) {
				return in.Op, in.DType
			}
		}
		for _, x := range s.Program.Inputs {
			if !d.Supports(op.Cast, x.DType) {
				return op.Cast, x.DType
			}
		}
	}
	return op.Invalid, ir.Invalid
}

// fallback returns the device that runs what another lacks: the CPU.
func fallback() Device {
	for _, d := range Registered() {
		if d.Name() == "cpu" {
			return d
		}
	}
	return nil
}
