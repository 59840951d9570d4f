package kernels

import (
	"fmt"
	"slices"
	"strings"
)

// access says how an input is indexed.
type access uint8

const (
	dense   access = iota // by the element's number
	single                // one element for all
	strided               // by strides over the shape
)

// plan is what the source of a group depends on; shapes and strides are parameters, so one source serves many sizes.
type plan struct {
	*Group
	axes    []int // of the shape, after merging those that lie together in every input
	strides [][]int
	access  []access
	rows    bool // the last axis is reduced
	perRow  []bool
}

func (g *Group) plan() *plan {
	p := &plan{Group: g, perRow: make([]bool, len(g.Inputs)+len(g.Ops))}
	for _, op := range g.Ops {
		if _, ok := reductions[op.Code]; ok {
			p.rows = true
		}
	}
	p.merge()
	for i := range g.Inputs {
		p.access = append(p.access, p.classify(i))
	}
	if p.rows {
		p.levels()
	}
	return p
}

// merge joins neighbouring axes wherever every input steps through them as through one. The reduced axis stays.
func (p *plan) merge() {
	p.axes = append([]int(nil), p.Shape...)
	for _, in := range p.Inputs {
		p.strides = append(p.strides, append([]int(nil), in.Strides...))
	}
	if len(p.axes) == 0 {
		p.axes = []int{1}
		for i := range p.strides {
			p.strides[i] = []int{0}
		}
	}
	last := len(p.axes) - 1
	if p.rows {
		last--
	}
	for a := last - 1; a >= 0; a-- {
		joins := true
		for _, s := range p.strides {
			joins = joins && (s[a] == s[a+1]*p.axes[a+1])
		}
		if !joins {
			continue
		}
		p.axes[a] *= p.axes[a+1]
		p.axes = append(p.axes[:a+1], p.axes[a+2:]...)
		for i, s := range p.strides {
			s[a] = s[a+1]
			p.strides[i] = append(s[:a+1], s[a+2:]...)
		}
	}
}

func (p *plan) classify(i int) access {
	denseSoFar, zero, step := true, true, 1
	for a := len(p.axes) - 1; a >= 0; a-- {
		if p.axes[a] == 1 {
			continue
		}
		denseSoFar = denseSoFar && p.strides[i][a] == step
		zero = zero && p.strides[i][a] == 0
		step *= p.axes[a]
	}
	switch {
	case zero:
		return single
	case denseSoFar:
		return dense
	}
	return strided
}

// levels finds the values that are one per row: inputs that do not step along it, reductions, and what is computed
// from nothing else.
func (p *plan) levels() {
	last := len(p.axes) - 1
	for i, s := range p.strides {
		p.perRow[i] = s[last] == 0 || p.axes[last] == 1
	}
	for n, op := range p.Ops {
		_, reduces := reductions[op.Code]
		per := op.Code != "position"
		for _, a := range op.Args {
			per = per && p.perRow[a]
		}
		p.perRow[len(p.Inputs)+n] = reduces || per
	}
}

// ParamOffset is where in the launch's Params the two words of number n lie, low word first: a float, a 32-bit integer
// or a bool in the first, a 64-bit integer in both.
func (g *Group) ParamOffset(n int) int {
	return len(g.plan().params(0, 0)) - 8*g.Params + 8*n
}

// Reduces reports whether a code reduces rows.
func Reduces(c Code) bool { _, ok := reductions[c]; return ok }

// Launch returns the group's dispatch. Arguments are the inputs, then the outputs.
func (g *Group) Launch() (*Launch, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	p := g.plan()
	for i, o := range g.Outputs {
		if o.PerRow && !(p.rows && p.perRow[o.Value]) {
			return nil, fmt.Errorf("kernels: output %d is to be one per row, its value is not", i)
		}
	}
	size, columns := 1, 1
	for _, n := range g.Shape {
		size *= n
	}
	l := &Launch{Kernel: "elementwise", Flops: int64(size) * int64(len(g.Ops))}
	if p.rows {
		l.Kernel = "row_group"
		columns = g.Shape[len(g.Shape)-1]
	}
	var names []string
	for i, in := range g.Inputs {
		l.Arguments = append(l.Arguments, Argument{Name: fmt.Sprintf("in%d", i), Type: in.Type, Size: in.Size})
		names = append(names, in.Type.String())
	}
	for i, o := range g.Outputs {
		n := size
		if o.PerRow {
			n /= columns
		}
		l.Arguments = append(l.Arguments, Argument{Name: fmt.Sprintf("out%d", i), Type: o.Type, Size: n, Writes: true})
	}
	l.Variant = fmt.Sprintf("%d ops of %s", len(g.Ops), strings.Join(names, ","))
	l.Params = p.params(size, columns)
	bound := flatThreads
	if p.rows {
		if l.perRow(size/columns, columns); l.Threads[0] > bound {
			bound = maxRowThreads // another source: registers for so many threads are few
		}
	} else {
		// Up to four elements per thread: fewer threads to start, more loads in flight.
		l.flat(ceil(size, min(4, max(1, size/4096))))
	}
	l.Source = p.source(bound)
	return l.account(), nil
}

func (p *plan) params(size, columns int) []byte {
	fields := []any{size, columns}
	for _, n := range p.axes {
		fields = append(fields, n)
	}
	for i := range p.Inputs {
		fields = append(fields, p.Inputs[i].Offset)
	}
	if len(p.Inputs) == 0 {
		fields = append(fields, 0) // offsets has at least one place
	}
	for i, a := range p.access {
		if a == strided {
			for _, s := range p.strides[i] {
				fields = append(fields, int32(s))
			}
		}
	}
	for range 2 * p.Params {
		fields = append(fields, uint32(0))
	}
	return params(fields...)
}

// source is a kernel for threadgroups of up to `threads`.
func (p *plan) source(threads int) string {
	var b strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	b.WriteString(Prelude())
	w("#line 1 \"generated.metal\"")
	w("struct GroupParams {\n  uint size, columns;")
	p.writeFields(&b)
	w("};")
	kernel := "elementwise"
	if p.rows {
		kernel = "row_group"
	}
	b.WriteString(threadBound(threads) + "kernel void " + kernel + "(")
	for i, in := range p.Inputs {
		w("device const %s* in%d [[buffer(%d)]],", in.Type.MSL(), i, i)
	}
	for i, o := range p.Outputs {
		w("  device %s* out%d [[buffer(%d)]],", o.Type.MSL(), i, len(p.Inputs)+i)
	}
	w("  constant GroupParams& p [[buffer(%d)]],", len(p.Inputs)+len(p.Outputs))
	if p.rows {
		p.writeRows(&b)
	} else {
		p.writeElements(&b)
	}
	return b.String()
}

// writeFields declares the parameters that params lays out, without size and columns.
func (p *plan) writeFields(b *strings.Builder) {
	w := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	w("  uint shape[%d], offsets[%d];", len(p.axes), max(1, len(p.Inputs)))
	for i, a := range p.access {
		if a == strided {
			w("  int strides%d[%d];", i, len(p.axes))
		}
	}
	if p.Params > 0 {
		w("  uint numbers[%d];", 2*p.Params)
	}
}

// writeElements is the body for a group without reductions.
func (p *plan) writeElements(b *strings.Builder) {
	b.WriteString("  uint first [[thread_position_in_grid]],\n  uint threads [[threads_per_grid]]) {\n  for (uint i = first; i < p.size; i += threads) {\n")
	needed := make([]bool, len(p.perRow))
	for i := range needed {
		needed[i] = true
	}
	p.writeValues(b, needed, "    ")
	for n, o := range p.Outputs {
		fmt.Fprintf(b, "    out%d[i] = %s;\n", n, store(o.Type, o.Value))
	}
	b.WriteString("  }\n}\n")
}

// writeRows is the body for a group with reductions: for each a pass over the row, then one that writes.
func (p *plan) writeRows(b *strings.Builder) {
	w := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	w("  uint row [[threadgroup_position_in_grid]],\n  uint thread_index [[thread_index_in_threadgroup]],\n  uint threads [[threads_per_threadgroup]],")
	w("  uint lane [[thread_index_in_simdgroup]],\n  uint simd [[simdgroup_index_in_threadgroup]],\n  uint simds [[simdgroups_per_threadgroup]]) {")
	w("  threadgroup float scratch[32];")
	inputs := make([]bool, len(p.perRow))
	copy(inputs, p.perRow[:len(p.Inputs)])
	if slices.Contains(inputs, true) {
		w("  uint i = row * p.columns;")
		p.writeValues(b, inputs, "  ")
	}
	for n, op := range p.Ops {
		v := len(p.Inputs) + n
		kind, reduces := reductions[op.Code]
		switch {
		case reduces:
			p.writeReduction(b, v, op.Args[0], kind)
		case p.perRow[v]:
			w("  %s v%d = %s;", p.valueType(v), v, p.expression(op))
		}
	}
	var perElement []Output
	for _, o := range p.Outputs {
		if !o.PerRow {
			perElement = append(perElement, o)
		}
	}
	if len(perElement) > 0 {
		w("  for (uint column = thread_index; column < p.columns; column += threads) {\n    uint i = row * p.columns + column;")
		var values []int
		for _, o := range perElement {
			values = append(values, o.Value)
		}
		p.writeValues(b, p.needed(values...), "    ")
		for n, o := range p.Outputs {
			if !o.PerRow {
				w("    out%d[i] = %s;", n, store(o.Type, o.Value))
			}
		}
		w("  }")
	}
	for n, o := range p.Outputs {
		if o.PerRow {
			w("  if (thread_index == 0) out%d[row] = %s;", n, store(o.Type, o.Value))
		}
	}
	w("}")
}

var combining = map[Reduction]struct{ initial, combine string }{
	Sum: {"0.0f", "%[1]s + %[2]s"}, Mean: {"0.0f", "%[1]s + %[2]s"}, Product: {"1.0f", "%[1]s * %[2]s"},
	Max: {"-INFINITY", "isnan(%[1]s) || %[1]s > %[2]s ? %[1]s : %[2]s"}, Min: {"INFINITY", "isnan(%[1]s) || %[1]s < %[2]s ? %[1]s : %[2]s"},
}

func (p *plan) writeReduction(b *strings.Builder, value, of int, kind Reduction) {
	w := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	c := combining[kind]
	join := func(a, b string) string { return fmt.Sprintf(c.combine, a, b) }
	w("  float r%d = %s;\n  for (uint column = thread_index; column < p.columns; column += threads) {\n    uint i = row * p.columns + column;", value, c.initial)
	p.writeValues(b, p.needed(of), "    ")
	r := fmt.Sprintf("r%d", value)
	w("    %s = %s;\n  }", r, join(r, fmt.Sprintf("float(v%d)", of)))
	w("  for (ushort s = 16; s > 0; s /= 2) {\n    float other = simd_shuffle_xor(%s, s);\n    %s = %s;\n  }", r, r, join(r, "other"))
	w("  threadgroup_barrier(mem_flags::mem_threadgroup);\n  if (lane == 0) scratch[simd] = %s;\n  threadgroup_barrier(mem_flags::mem_threadgroup);", r)
	w("  %s = scratch[0];\n  for (uint s = 1; s < simds; s++) %s = %s;", r, r, join(r, "scratch[s]"))
	if kind == Mean {
		w("  float v%d = %s / float(p.columns);", value, r)
	} else {
		w("  float v%d = %s;", value, r)
	}
}

// needed marks the per-element values that some values depend on, themselves included.
func (p *plan) needed(values ...int) []bool {
	marks := make([]bool, len(p.perRow))
	for _, v := range values {
		marks[v] = !p.perRow[v]
	}
	for n := len(p.Ops) - 1; n >= 0; n-- {
		if !marks[len(p.Inputs)+n] {
			continue
		}
		for _, a := range p.Ops[n].Args {
			marks[a] = marks[a] || !p.perRow[a]
		}
	}
	return marks
}

// writeValues computes the marked values for element i.
func (p *plan) writeValues(b *strings.Builder, marks []bool, indent string) {
	w := func(format string, args ...any) { fmt.Fprintf(b, indent+format+"\n", args...) }
	walks := false
	for i, a := range p.access {
		if a == strided && marks[i] {
			w("int at%d = int(p.offsets[%d]);", i, i)
			walks = true
		}
	}
	if walks {
		w("uint rest = i, at;")
		for axis := len(p.axes) - 1; axis >= 0; axis-- {
			w("at = rest %% p.shape[%d];", axis)
			w("rest /= p.shape[%d];", axis)
			for i, a := range p.access {
				if a == strided && marks[i] {
					w("at%d += int(at) * p.strides%d[%d];", i, i, axis)
				}
			}
		}
	}
	for i, in := range p.Inputs {
		if marks[i] {
			where := map[access]string{dense: fmt.Sprintf("p.offsets[%d] + i", i), single: fmt.Sprintf("p.offsets[%d]", i), strided: fmt.Sprintf("at%d", i)}[p.access[i]]
			w("%s v%d = %s(in%d[%s]);", computed(in.Type), i, computed(in.Type), i, where)
		}
	}
	for n, op := range p.Ops {
		if v := len(p.Inputs) + n; marks[v] {
			w("%s v%d = %s;", p.valueType(v), v, p.expression(op))
		}
	}
}

func store(t Type, value int) string { return fmt.Sprintf("%s(v%d)", t.MSL(), value) }
