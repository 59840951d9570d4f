package kernels

import (
	"fmt"
	"strings"
)

// WithEpilogue returns the launch of a product (lora_forward, or gemm that does not split K) that runs a group on each
// element of the result while it is still in registers, and writes the group's outputs instead of the result. Input 0
// of the group stands for the result and is no buffer. The arguments of the other inputs and of the outputs follow
// those of the product. ok is false where the group cannot be one.
func WithEpilogue(l *Launch, g *Group) (with *Launch, ok bool) {
	if g.check() != nil || len(l.Arguments)+len(g.Inputs)-1+len(g.Outputs) > 30 {
		return nil, false
	}
	p := g.plan()
	if p.rows || !strings.Contains(l.Source, "  // epilogue: store\n") {
		return nil, false
	}
	own := p.params(0, 0)[8:] // without size and columns
	if len(l.Params)+len(own) > 4096 {
		return nil, false
	}
	size := 1
	for _, n := range g.Shape {
		size *= n
	}
	out := *l
	out.Variant += fmt.Sprintf(", then %d ops", len(g.Ops))
	out.Source = p.inject(l)
	out.Params = append(append([]byte(nil), l.Params...), own...)
	out.Arguments = append([]Argument(nil), l.Arguments...)
	for i, a := range out.Arguments {
		if a.Writes && (a.Name == "y" || a.Name == "C") { // the result itself is not written
			out.Arguments[i] = Argument{Name: a.Name, Type: a.Type, Unused: true, Writes: true}
		}
	}
	for i, in := range g.Inputs[1:] {
		out.Arguments = append(out.Arguments, Argument{Name: fmt.Sprintf("in%d", i+1), Type: in.Type, Size: in.Size})
	}
	for i, o := range g.Outputs {
		out.Arguments = append(out.Arguments, Argument{Name: fmt.Sprintf("out%d", i), Type: o.Type, Size: size, Writes: true})
	}
	out.Flops += int64(size) * int64(len(g.Ops))
	out.Bytes = 0
	return out.account(), true
}

// EpilogueParam is where in the Params of a launch WithEpilogue number n of the group lies, see ParamOffset.
func (g *Group) EpilogueParam(l *Launch, n int) int { return len(l.Params) - 8*g.Params + 8*n }

// inject writes the group's code into the places that the product's source marks.
func (p *plan) inject(l *Launch) string {
	kind := "LoraParams"
	position, value := "(row0 + r) * p.N + column0 + c", "v"
	if l.Kernel == "gemm" {
		kind, position, value = "GemmParams", "batch * p.c_batch + r * p.c_row + c", "p.alpha * mine[e] + (has_addend ? float(addend[batch * p.c_batch + r * p.c_row + c]) : 0.0f)"
	}
	var fields, buffers, formal, actual strings.Builder
	p.writeFields(&fields)
	index := len(l.Arguments)
	argument := func(declared, name string) {
		fmt.Fprintf(&buffers, "  %s %s [[buffer(%d)]],\n", declared, name, index)
		fmt.Fprintf(&formal, "%s %s, ", declared, name)
		fmt.Fprintf(&actual, "%s, ", name)
		index++
	}
	for i, in := range p.Inputs[1:] {
		argument("device const "+in.Type.MSL()+"*", fmt.Sprintf("in%d", i+1))
	}
	for i, o := range p.Outputs {
		argument("device "+o.Type.MSL()+"*", fmt.Sprintf("out%d", i))
	}
	marks := make([]bool, len(p.perRow))
	for i := range marks {
		marks[i] = i > 0
	}
	var body strings.Builder
	fmt.Fprintf(&body, "inline void epilogue(uint i, float v0, %sconstant %s& p) {\n", formal.String(), kind)
	p.writeValues(&body, marks, "  ")
	for n, o := range p.Outputs {
		fmt.Fprintf(&body, "  out%d[i] = %s;\n", n, store(o.Type, o.Value))
	}
	body.WriteString("}\n")
	call := fmt.Sprintf("epilogue(%s, %s, %sp);\n        continue;\n", position, value, actual.String())
	if l.Kernel == "gemm" {
		call = "if (r >= p.M || c >= p.N) continue;\n        " + call
	}
	place := func(what string) string { return "// epilogue: " + what + "\n" }
	return strings.NewReplacer(
		place("parameters"), fields.String(),
		place("function"), body.String(),
		place("buffers"), buffers.String(),
		place("store"), call,
		fmt.Sprintf("constant %s& p [[buffer(%d)]]", kind, len(l.Arguments)), fmt.Sprintf("constant %s& p [[buffer(%d)]]", kind, index),
	).Replace(l.Source)
}
