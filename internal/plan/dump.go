package plan

import (
	"fmt"
	"strings"

	"loris/internal/op"
)

// String describes the plan: what it binds, its steps with their programs, and
// its memory.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan for %s, precision %s: %d nodes, %d steps, arena %d bytes\n", p.Device, p.Precision, p.Nodes, len(p.Steps), p.Arena)
	for _, s := range p.Passes {
		fmt.Fprintf(&b, "  pass %-10s %6d values %8.1f µs\n", s.Name, s.Values, float64(s.Nanos)/1e3)
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(&b, "%3d %-6s %s", i, s.Kind, s.Name)
		if s.Device != p.Device {
			fmt.Fprintf(&b, " (on %s)", s.Device)
		}
		for k := range s.In {
			b.WriteString("\n      in  " + p.operand(&s.In[k]))
		}
		for k := range s.Out {
			b.WriteString("\n      out " + p.operand(&s.Out[k]))
		}
		if len(s.Batch) > 0 {
			fmt.Fprintf(&b, "\n      and %d more sets of the same shapes", len(s.Batch))
		}
		if s.Program != nil {
			b.WriteString(s.Program.dump())
		}
		fmt.Fprintf(&b, "\n      %d flop, %d bytes\n", s.Flops, s.Bytes)
	}
	for i := range p.Outputs {
		fmt.Fprintf(&b, "result %d: %s\n", i, p.operand(&p.Outputs[i]))
	}
	return b.String()
}

// operand describes where an operand lies.
func (p *Plan) operand(o *Operand) string {
	b := &p.Buffers[o.Buffer]
	s := fmt.Sprintf("%s%v", o.DType, o.Shape)
	if !o.IsDense() {
		s += fmt.Sprintf(" strides %v", o.Strides)
	}
	if o.Offset != 0 {
		s += fmt.Sprintf(" offset %d", o.Offset)
	}
	switch b.Kind {
	case LeafBuffer:
		return s + fmt.Sprintf(" of leaf %d", b.Index)
	case OutputBuffer:
		return s + fmt.Sprintf(" of output buffer %d", o.Buffer)
	}
	s += fmt.Sprintf(" of arena %d..%d", b.Offset, b.Offset+b.Bytes)
	if b.Alias >= 0 {
		s += fmt.Sprintf(" (over buffer %d)", b.Alias)
	}
	return s
}

func (p *Program) dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n      over %d x %d:", p.Rows, p.Cols)
	for i := range p.Instrs {
		in := &p.Instrs[i]
		kind := "each"
		if in.Row {
			kind = "row"
		}
		fmt.Fprintf(&b, "\n        %%%d = %s %s %s", i, strings.ToLower(op.NameOf(in.Op)), in.DType, kind)
		for _, a := range in.Args[:in.NArgs] {
			b.WriteString(" " + a.String())
		}
	}
	for i, s := range p.Stores {
		fmt.Fprintf(&b, "\n        out %d = %s", i, s.Ref)
	}
	return b.String()
}

// String returns the reference as dumps write it.
func (r Ref) String() string {
	switch r.Kind {
	case InputRef:
		return fmt.Sprintf("in%d", r.Index)
	case ConstRef:
		return fmt.Sprintf("const%d", r.Index)
	case InstrRef:
		return fmt.Sprintf("%%%d", r.Index)
	case AccRef:
		return "product"
	}
	return "-"
}
