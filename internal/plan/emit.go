package plan

import (
	"slices"
	"strings"

	"loris/internal/ir"
	"loris/internal/op"
)

// emitter writes the steps of the groups in order.
type emitter struct {
	p    *Plan
	f    *fusion
	g    *graph
	buf  []int32         // buffer of each materialised value, -1 if none
	fill map[int32]int32 // one-element buffer of a constant that a step reads from memory
}

// emit turns groups into steps over numbered buffers.
func emit(p *Plan, f *fusion, groups []int32) {
	e := &emitter{p: p, f: f, g: f.g, buf: make([]int32, len(f.g.vals)), fill: map[int32]int32{}}
	for i := range e.buf {
		e.buf[i] = -1
	}
	for i := range p.Leaves {
		l := &p.Leaves[i]
		p.Buffers = append(p.Buffers, Buffer{Kind: LeafBuffer, Index: i, Alias: -1, Bytes: leafBytes(l)})
	}
	for i := range e.g.vals {
		if v := &e.g.vals[i]; v.op == op.Leaf {
			e.buf[i] = v.leaf
		}
	}
	for _, id := range groups {
		e.group(&f.groups[id], id)
	}
	for _, x := range e.g.outs {
		p.Outputs = append(p.Outputs, e.output(x))
	}
	for k := len(p.Outputs) - 1; k >= 0; k-- {
		if b := &p.Buffers[p.Outputs[k].Buffer]; b.Kind == OutputBuffer {
			b.Index = k
		}
	}
}

// sizeBytes returns the bytes of n elements; quantised matrices know their own size.
func sizeBytes(d ir.DType, n int) int { return d.Bytes() * n }

func leafBytes(l *Leaf) int { return sizeBytes(l.DType, l.Shape.Size()) }

// newBuffer returns a temporary for value i.
func (e *emitter) newBuffer(i int32) int32 {
	if e.buf[i] < 0 {
		v := &e.g.vals[i]
		bytes := sizeBytes(v.dtype, v.shape.Size())
		if v.dtype.Bytes() == 0 {
			bytes = QuantBytes(v.dtype, v.shape)
		}
		e.buf[i] = e.addBuffer(bytes)
	}
	return e.buf[i]
}

func (e *emitter) addBuffer(bytes int) int32 {
	e.p.Buffers = append(e.p.Buffers, Buffer{Kind: TempBuffer, Bytes: bytes, Alias: -1})
	return int32(len(e.p.Buffers) - 1)
}

// operand returns value x as a step reads it from memory, expanded to shape
// unless that is nil.
func (e *emitter) operand(x int32, shape ir.Shape) Operand {
	w := e.g.views[x]
	v := w.view
	b := &e.g.vals[w.base]
	o := Operand{DType: b.dtype}
	if b.op == op.Const {
		o.Buffer = int(e.constant(w.base))
		v = View{v.Shape, make([]int, len(v.Shape)), 0}
	} else {
		o.Buffer = int(e.buf[w.base])
	}
	if shape != nil && !shape.Equal(v.Shape) {
		v = v.Expand(shape)
	}
	o.View = v
	return o
}

// constant returns a one-element buffer that holds constant i, written by a step.
func (e *emitter) constant(i int32) int32 {
	v := &e.g.vals[i]
	if b, ok := e.fill[v.leaf]; ok {
		return b
	}
	b := e.addBuffer(v.dtype.Bytes())
	e.fill[v.leaf] = b
	e.fillStep(i, Operand{int(b), v.dtype, Dense(ir.Shape{1})})
	return b
}

// fillStep writes constant i to every element of out.
func (e *emitter) fillStep(i int32, out Operand) {
	v := &e.g.vals[i]
	n := out.Shape.Size()
	e.step(Step{Kind: FusedStep, Out: []Operand{out}, Draw: -1, Name: "fill", Origin: []int32{v.node},
		Program: &Program{Rows: 1, Cols: n, Stores: []Store{{Ref: Ref{ConstRef, v.leaf}}}}})
}

// step appends a step and counts its traffic.
func (e *emitter) step(s Step) {
	for _, o := range s.In {
		s.Bytes += int64(e.touched(o))
	}
	for _, o := range s.Out {
		s.Bytes += int64(sizeBytes(o.DType, o.Shape.Size()))
	}
	e.p.Steps = append(e.p.Steps, s)
}

// touched returns the bytes an operand reads, broadcasts counted once.
func (e *emitter) touched(o Operand) int {
	n := 1
	for i, d := range o.Shape {
		if o.Strides[i] != 0 {
			n *= d
		}
	}
	if o.DType.Bytes() == 0 {
		return e.p.Buffers[o.Buffer].Bytes
	}
	return sizeBytes(o.DType, n)
}

// group emits the step of one group.
func (e *emitter) group(gr *group, id int32) {
	slices.Sort(gr.members)
	if gr.program && !(len(gr.members) == 1 && isRowOp(e.g.vals[gr.members[0]].op)) {
		e.program(gr, id)
		return
	}
	e.opStep(gr.members[0])
}

// opStep emits an op of the table as it is.
func (e *emitter) opStep(i int32) {
	v := &e.g.vals[i]
	s := Step{Kind: OpStep, Op: v.op, Attrs: v.attrs, Draw: -1, Name: v.name(), Flops: v.flops}
	switch v.op {
	case op.MatMul, op.MixedMatMul, op.Gemm, op.LoRALinear:
		e.product(&s, i)
	case op.Contiguous, op.Reshape, op.Expand, op.Transpose, op.Slice:
		s.Kind = CopyStep
		x := e.operand(v.in[0], nil)
		s.In = []Operand{x}
	default:
		if v.op == op.Random {
			s.Draw = int(v.leaf)
		}
		for _, x := range v.in {
			s.In = append(s.In, e.operand(x, nil))
		}
	}
	s.Own = len(s.In)
	for k := range outputsOf(v) {
		o := &e.g.vals[i+k]
		s.Out = append(s.Out, Operand{int(e.newBuffer(i + k)), o.dtype, Dense(o.shape)})
		s.Origin = append(s.Origin, o.node)
	}
	if s.Kind == CopyStep { // same order of elements, maybe another shape
		s.Out[0].View = Dense(s.In[0].Shape)
	}
	e.step(s)
}

// product sets the operands of a matrix product, batch dimensions broadcast.
func (e *emitter) product(s *Step, i int32) {
	v := &e.g.vals[i]
	s.Kind, s.Op, s.Attrs = MatMulStep, v.op, nil
	if v.op == op.LoRALinear {
		s.Kind = LoRAStep
	}
	if t, ok := v.attrs.(terms); ok {
		s.Alpha = t.alpha
	}
	batch := v.shape[:len(v.shape)-2]
	for _, x := range v.in {
		sh := e.g.views[x].view.Shape
		full := append(slices.Clone(batch), sh[len(sh)-2:]...)
		s.In = append(s.In, e.operand(x, full))
	}
	s.Own = len(s.In)
}

// program emits a fused program, as the epilogue of a product if there is one.
func (e *emitter) program(gr *group, id int32) {
	s := Step{Kind: FusedStep, Draw: -1}
	b := &programBuilder{e: e, gr: gr, id: id, s: &s, p: &Program{Cols: gr.n, Rows: 1}, at: map[int32]int32{}, inputs: map[inputKey]int32{}}
	if gr.cols > 0 {
		b.p.Rows, b.p.Cols = gr.n/gr.cols, gr.cols
	}
	s.Program = b.p
	if gr.head >= 0 {
		h := &e.g.vals[gr.head]
		e.product(&s, gr.head)
		b.p.Rows, b.p.Cols = gr.n/h.shape[len(h.shape)-1], h.shape[len(h.shape)-1]
	}
	for _, m := range gr.members {
		if m != gr.head {
			b.instr(m)
		}
		s.Flops += e.g.vals[m].flops
		s.Origin = append(s.Origin, e.g.vals[m].node)
	}
	for _, m := range gr.members {
		if m != gr.head && b.stored(m) {
			v := &e.g.vals[m]
			s.Out = append(s.Out, Operand{int(e.newBuffer(m)), v.dtype, Dense(v.shape)})
			b.p.Stores = append(b.p.Stores, Store{Ref{InstrRef, b.at[m]}, e.f.row[m]})
		}
	}
	s.Name = b.name()
	e.step(s)
}

// inputKey tells operands of a program apart.
type inputKey struct {
	base int32
	kind InputKind
	view string
}

// programBuilder writes the instructions of one group.
type programBuilder struct {
	e      *emitter
	gr     *group
	id     int32
	s      *Step
	p      *Program
	at     map[int32]int32 // instruction of each member
	inputs map[inputKey]int32
}

// stored reports whether member m is needed outside of the group.
func (b *programBuilder) stored(m int32) bool {
	f := b.e.f
	if f.isOut[m] {
		return true
	}
	for _, ed := range f.edges[f.first[m]:f.first[m+1]] {
		if f.groupOf(ed.by) != b.id {
			return true
		}
	}
	return false
}

func (b *programBuilder) instr(m int32) {
	v := &b.e.g.vals[m]
	in := Instr{Op: v.op, DType: v.dtype, Row: b.e.f.row[m], Attrs: v.attrs, NArgs: int8(len(v.in))}
	for k, x := range v.in {
		in.Args[k] = b.arg(m, k, x)
	}
	b.at[m] = int32(len(b.p.Instrs))
	b.p.Instrs = append(b.p.Instrs, in)
}

// arg returns argument k of member m.
func (b *programBuilder) arg(m int32, k int, x int32) Ref {
	e := b.e
	base := e.g.views[x].base
	if i, ok := b.at[base]; ok {
		return Ref{InstrRef, i}
	}
	if base == b.gr.head {
		return Ref{AccRef, 0}
	}
	if e.g.vals[base].op == op.Const {
		return Ref{ConstRef, e.g.vals[base].leaf}
	}
	view, _ := e.f.operandView(m, k)
	kind := EachInput
	switch o := e.g.vals[m].op; {
	case isRowOp(o) && k > 0:
		kind = ColInput
	case e.f.row[m] && !isReduction(o):
		kind = RowInput
	}
	key := inputKey{base, kind, viewKey(view.Collapse())}
	if i, ok := b.inputs[key]; ok {
		return Ref{InputRef, i}
	}
	i := int32(len(b.p.Inputs))
	b.inputs[key] = i
	o := e.operand(x, nil)
	o.View = view
	b.s.In = append(b.s.In, o)
	b.p.Inputs = append(b.p.Inputs, Input{DType: o.DType, Kind: kind})
	return Ref{InputRef, i}
}

func viewKey(v View) string {
	var s strings.Builder
	s.WriteString(v.Shape.String())
	s.WriteString(ir.Shape(v.Strides).String())
	s.WriteString(ir.Shape{v.Offset}.String())
	return s.String()
}

// name lists the ops of a program: "add mul tanh".
func (b *programBuilder) name() string {
	var parts []string
	for _, m := range b.gr.members {
		parts = append(parts, b.e.g.vals[m].name())
	}
	if len(parts) > 8 {
		parts = append(append(parts[:5:5], "…"), parts[len(parts)-2:]...)
	}
	return strings.Join(parts, " ")
}

// name is what timings and errors call a value's step.
func (v *value) name() string {
	switch v.op {
	case op.MixedMatMul:
		return "matmul"
	case op.LoRALinear:
		return "lora"
	case op.Gemm:
		return "matmul+matmul"
	}
	return strings.ToLower(op.NameOf(v.op))
}

// output returns the place of an output, after materialising it if it is a
// constant, or a small part of a large temporary.
func (e *emitter) output(x int32) Operand {
	w := e.g.views[x]
	v := &e.g.vals[w.base]
	n := w.view.Shape.Size()
	if v.op == op.Const {
		b := e.addBuffer(sizeBytes(v.dtype, n))
		o := Operand{int(b), v.dtype, Dense(w.view.Shape)}
		e.fillStep(w.base, o)
		e.p.Buffers[b].Kind = OutputBuffer
		return o
	}
	o := Operand{int(e.buf[w.base]), v.dtype, w.view}
	if v.op == op.Leaf {
		return o
	}
	if 2*n < v.shape.Size() && e.p.Buffers[o.Buffer].Kind != OutputBuffer {
		b := e.addBuffer(sizeBytes(v.dtype, n))
		to := Operand{int(b), v.dtype, Dense(w.view.Shape)}
		e.step(Step{Kind: CopyStep, In: []Operand{o}, Own: 1, Out: []Operand{to}, Draw: -1, Name: "copy", Origin: []int32{e.g.vals[x].node}})
		o = to
	}
	e.p.Buffers[o.Buffer].Kind = OutputBuffer
	return o
}

// QuantGroup is the number of quantised values that share a step and a low in
// memory; larger groups repeat theirs.
const QuantGroup = 32

// QuantBytes returns the storage of a quantised matrix: the values row by row,
// each row padded to whole groups, then the f32 steps of all groups, then their
// f32 lows. A value is low + step·q. Eight-bit values are stored as q as int8
// (−128…127), four-bit ones as q + 8 in halves of bytes: in a block of 32, byte i
// of 16 has value i in its low and value 16+i in its high half.
func QuantBytes(d ir.DType, shape ir.Shape) int {
	cols := 1
	if len(shape) > 0 {
		cols = shape[len(shape)-1]
	}
	if cols == 0 {
		return 0
	}
	groups := shape.Size() / cols * ((cols + QuantGroup - 1) / QuantGroup)
	if d == ir.Q4 {
		return groups * (QuantGroup/2 + 8)
	}
	return groups * (QuantGroup + 8)
}
