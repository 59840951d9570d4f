package metal

import (
	"encoding/binary"
	"math"
	"slices"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

// codes are the elementwise ops of programs and reductions of rows, in the
// words of generated kernels. Ops that need more than a word are in instr.
var codes = map[ir.Op]kernels.Code{
	op.Neg: "neg", op.Abs: "abs", op.Sign: "sign", op.Sqrt: "sqrt", op.Rsqrt: "rsqrt", op.Square: "square", op.Reciprocal: "reciprocal",
	op.Exp: "exp", op.Expm1: "expm1", op.Log: "log", op.Log1p: "log1p", op.Sin: "sin", op.Cos: "cos", op.Tanh: "tanh", op.Erf: "erf",
	op.Sigmoid: "sigmoid", op.Relu: "relu", op.Gelu: "gelu", op.GeluTanh: "gelu_tanh", op.Silu: "silu",
	op.Floor: "floor", op.Ceil: "ceil", op.Round: "round", op.IsNaN: "isnan", op.IsInf: "isinf",
	op.Add: "add", op.Sub: "sub", op.Mul: "mul", op.Div: "div", op.Pow: "pow", op.Mod: "mod", op.Maximum: "maximum", op.Minimum: "minimum",
	op.Eq: "eq", op.Ne: "ne", op.Lt: "lt", op.Le: "le", op.Gt: "gt", op.Ge: "ge", op.And: "and", op.Or: "or", op.Not: "not",
	op.Where: "where", op.Cast: "cast",
	op.Sum: "reduce_sum", op.Prod: "reduce_product", op.Max: "reduce_max", op.Min: "reduce_min", op.Any: "reduce_max", op.All: "reduce_min",
}

// reductionOf are the reductions as kernels of their own know them.
var reductionOf = map[ir.Op]kernels.Reduction{op.Sum: kernels.Sum, op.Prod: kernels.Product, op.Max: kernels.Max, op.Min: kernels.Min, op.Any: kernels.Max, op.All: kernels.Min}

func isRowOp(o ir.Op) bool {
	return o == op.Softmax || o == op.LogSoftmax || o == op.RMSNorm || o == op.LayerNorm
}

// runsInPrograms reports whether fused programs or products cover an op.
func runsInPrograms(o ir.Op) bool {
	if _, ok := codes[o]; ok {
		return true
	}
	switch o {
	case op.Leaf, op.Const, op.Contiguous, op.MatMul, op.Gemm, op.LoRALinear:
		return true
	}
	return isRowOp(o)
}

// made is a result of the program that lies in memory already.
type made struct {
	at  place
	row bool
}

// wanted is a result to be written.
type wanted struct {
	ref plan.Ref
	row bool
	at  place
	t   kernels.Type
}

// program runs the step's program; acc is where the product lies that it is the
// epilogue of, nil for a fused step. Reductions of integer rows have kernels of
// their own: what they need is computed first.
func (l *lowering) program(acc *place) error {
	p := l.s.Program
	done := map[int32]made{}
	for i := range p.Instrs {
		in := &p.Instrs[i]
		kind, reduces := reductionOf[in.Op]
		t, ok := elementTypes[in.DType]
		if !ok {
			return errNoKernel
		}
		if !reduces || t.Float() {
			continue
		}
		x := l.temp(t, p.Rows*p.Cols)
		if err := l.group([]wanted{{in.Args[0], false, x, t}}, done, acc); err != nil {
			return err
		}
		y := l.temp(t, p.Rows)
		l.addReduction(t, p.Rows, p.Cols, 1, kind, x, y)
		done[int32(i)] = made{y, true}
	}
	var outs []wanted
	for k, st := range p.Stores {
		o := &l.s.Out[k]
		t, err := typeOf(o)
		if err != nil {
			return err
		}
		if !o.IsDense() {
			return errNoKernel
		}
		outs = append(outs, wanted{st.Ref, st.Row, at(o), t})
	}
	return l.group(outs, done, acc)
}

// groupBuilder writes one kernels.Group that computes some results of a program.
type groupBuilder struct {
	l       *lowering
	p       *plan.Program
	cols    int // of a row; 1 where all results are one per row
	done    map[int32]made
	acc     *place
	views   []plan.View // of the inputs, over rows and columns
	types   []kernels.Type
	places  []place
	input   map[plan.Ref]int
	ops     []kernels.Op
	values  map[plan.Ref]int // of what has been computed, or read
	patches []patch          // at counts parameters
}

// group computes results of the program: in one launch, or in two where some are one per row and nothing reduces rows.
func (l *lowering) group(outs []wanted, done map[int32]made, acc *place) error {
	b := &groupBuilder{l: l, p: l.s.Program, cols: l.s.Program.Cols, done: done, acc: acc, input: map[plan.Ref]int{}, values: map[plan.Ref]int{}}
	needed := b.needed(outs)
	if !b.willReduce(needed) && slices.ContainsFunc(outs, func(o wanted) bool { return o.row }) {
		var each, perRow []wanted
		for _, o := range outs {
			if o.row {
				o.row = false
				perRow = append(perRow, o)
			} else {
				each = append(each, o)
			}
		}
		if len(each) > 0 {
			if err := l.group(each, done, acc); err != nil {
				return err
			}
		}
		outs, b.cols = perRow, 1
		needed = b.needed(outs)
	}
	return b.launch(outs, needed)
}

// launch computes the results, and the instructions that they need.
func (b *groupBuilder) launch(outs []wanted, needed []bool) error {
	l := b.l
	if err := b.inputs(needed, outs); err != nil {
		return err
	}
	for ref, i := range b.input {
		b.values[ref] = i
	}
	for i := range b.p.Instrs {
		if needed[i] {
			if err := b.instr(int32(i)); err != nil {
				return err
			}
		}
	}
	shape, strides, err := b.layOut()
	if err != nil {
		return err
	}
	g := &kernels.Group{Shape: shape, Ops: b.ops, Params: len(b.patches)}
	var args []place
	for i, v := range b.views {
		lo, hi := v.Span()
		g.Inputs = append(g.Inputs, kernels.Input{Type: b.types[i], Strides: strides[i], Offset: v.Offset - lo, Size: hi - lo + 1})
		args = append(args, b.places[i])
	}
	for _, o := range outs {
		v, err := b.value(o.ref)
		if err != nil {
			return err
		}
		g.Outputs = append(g.Outputs, kernels.Output{Value: v, Type: o.t, PerRow: o.row})
		args = append(args, o.at)
	}
	g.Ops, g.Params = b.ops, len(b.patches)
	k, err := g.Launch()
	if err != nil {
		return errNoKernel
	}
	c := l.add(k, args...)
	c.group = g
	for i, p := range b.patches {
		p.at = g.ParamOffset(i)
		c.patches = append(c.patches, p)
	}
	return nil
}

// willReduce reports whether one of the instructions reduces rows.
func (b *groupBuilder) willReduce(needed []bool) bool {
	for i, n := range needed {
		if _, reduces := reductionOf[b.p.Instrs[i].Op]; n && (reduces || isRowOp(b.p.Instrs[i].Op)) {
			return true
		}
	}
	return false
}

// needed marks the instructions that results depend on.
func (b *groupBuilder) needed(outs []wanted) []bool {
	marks := make([]bool, len(b.p.Instrs))
	mark := func(r plan.Ref) {
		if _, there := b.done[r.Index]; r.Kind == plan.InstrRef && !there {
			marks[r.Index] = true
		}
	}
	for _, o := range outs {
		mark(o.ref)
	}
	for i := len(marks) - 1; i >= 0; i-- {
		if marks[i] {
			for _, a := range b.p.Instrs[i].Args[:b.p.Instrs[i].NArgs] {
				mark(a)
			}
		}
	}
	return marks
}

// inputs lists what the group reads.
func (b *groupBuilder) inputs(needed []bool, outs []wanted) error {
	var err error
	if b.acc != nil { // value 0, see kernels.WithEpilogue
		b.read(plan.Ref{Kind: plan.AccRef}, plan.Dense(ir.Shape{b.p.Rows * b.cols}), kernels.F32, *b.acc)
	}
	read := func(r plan.Ref) {
		if _, there := b.input[r]; there || err != nil {
			return
		}
		switch r.Kind {
		case plan.InstrRef:
			if m, there := b.done[r.Index]; there {
				v := plan.Dense(ir.Shape{b.p.Rows * b.cols})
				if m.row {
					v = plan.View{Shape: ir.Shape{b.p.Rows, b.cols}, Strides: []int{1, 0}}
				}
				b.read(r, v, elementTypes[b.p.Instrs[r.Index].DType], m.at)
			}
		case plan.InputRef:
			err = b.operand(r)
		}
	}
	for i, n := range needed {
		if n {
			for _, a := range b.p.Instrs[i].Args[:b.p.Instrs[i].NArgs] {
				read(a)
			}
		}
	}
	for _, o := range outs {
		read(o.ref)
	}
	return err
}

func (b *groupBuilder) read(r plan.Ref, v plan.View, t kernels.Type, at place) {
	b.input[r] = len(b.views)
	b.views, b.types, b.places = append(b.views, v), append(b.types, t), append(b.places, at)
}

// operand reads an operand of the step, spread over rows or columns.
func (b *groupBuilder) operand(r plan.Ref) error {
	o := &b.l.s.In[b.l.s.Own+int(r.Index)]
	t, err := typeOf(o)
	if err != nil {
		return err
	}
	v := o.View
	want := b.p.Rows * b.cols
	switch b.p.Inputs[r.Index].Kind {
	case plan.RowInput:
		want = b.p.Rows
		v = plan.View{Shape: append(slices.Clone(v.Shape), b.cols), Strides: append(slices.Clone(v.Strides), 0), Offset: v.Offset}
	case plan.ColInput:
		want = b.cols
		v = plan.View{Shape: append(ir.Shape{b.p.Rows}, v.Shape...), Strides: append([]int{0}, v.Strides...), Offset: v.Offset}
	}
	if o.Shape.Size() != want {
		return errNoKernel
	}
	b.read(r, v, t, at(o))
	return nil
}

// layOut finds axes that all inputs can be walked over. Those that do not fit
// are copied first.
func (b *groupBuilder) layOut() (shape []int, strides [][]int, err error) {
	all := func() []plan.View {
		views := append([]plan.View{}, b.views...)
		frame := plan.View{Shape: ir.Shape{b.p.Rows * b.cols}, Strides: []int{1}}
		if b.reduces() { // rows must end where an axis ends
			frame = plan.View{Shape: ir.Shape{b.p.Rows, b.cols}, Strides: []int{b.cols + 1, 1}}
		}
		return append(views, frame)
	}
	for try := 0; try <= len(b.views); try++ {
		shape, strides, ok := together(all()...)
		if ok && b.reduces() {
			shape, strides, ok = wholeRows(shape, strides, b.cols)
		}
		if ok {
			return shape, strides[:len(b.views)], nil
		}
		worst, most := -1, 1
		for i, v := range b.views {
			if n := len(v.Collapse().Shape); n > most {
				worst, most = i, n
			}
		}
		if worst < 0 {
			break
		}
		v := b.views[worst]
		to := b.l.temp(b.types[worst], v.Shape.Size())
		dense := plan.Dense(ir.Shape{v.Shape.Size()})
		if err := b.l.copy(v, b.types[worst], b.places[worst], dense, b.types[worst], to); err != nil {
			return nil, nil, err
		}
		b.views[worst], b.places[worst] = dense, to
	}
	return nil, nil, errNoKernel
}

// wholeRows makes the columns the last axis, if they are one.
func wholeRows(shape []int, strides [][]int, cols int) ([]int, [][]int, bool) {
	if cols == 1 {
		shape = append(shape, 1)
		for i := range strides {
			strides[i] = append(strides[i], 0)
		}
		return shape, strides, len(shape) <= 8
	}
	if shape[len(shape)-1] != cols {
		return nil, nil, false
	}
	return shape, strides, true
}

// reduces reports whether the group has reductions of rows.
func (b *groupBuilder) reduces() bool {
	return slices.ContainsFunc(b.ops, func(o kernels.Op) bool { return kernels.Reduces(o.Code) })
}

// emit appends an operation and returns its value. Values are numbered after
// the inputs, all of which are known by now.
func (b *groupBuilder) emit(c kernels.Code, t kernels.Type, literal float64, args ...int) int {
	b.ops = append(b.ops, kernels.Op{Code: c, Type: t, Args: args, Literal: literal})
	return len(b.views) + len(b.ops) - 1
}

// value returns the number of a reference's value.
func (b *groupBuilder) value(r plan.Ref) (int, error) {
	if v, ok := b.values[r]; ok {
		return v, nil
	}
	if r.Kind != plan.ConstRef {
		return 0, errNoKernel
	}
	t, ok := elementTypes[b.l.p.Consts[r.Index]]
	if !ok {
		return 0, errNoKernel
	}
	v := b.emit("param", t, float64(len(b.patches)))
	b.patches = append(b.patches, patch{constant: r.Index, dtype: t})
	b.values[r] = v
	return v, nil
}

// typeOf is the type of a reference's value.
func (b *groupBuilder) typeOf(r plan.Ref) kernels.Type {
	switch r.Kind {
	case plan.InstrRef:
		return elementTypes[b.p.Instrs[r.Index].DType]
	case plan.InputRef:
		return elementTypes[b.p.Inputs[r.Index].DType]
	case plan.ConstRef:
		return elementTypes[b.l.p.Consts[r.Index]]
	}
	return kernels.F32
}

// instr computes one instruction.
func (b *groupBuilder) instr(i int32) error {
	in := &b.p.Instrs[i]
	args := make([]int, in.NArgs)
	for k := range args {
		var err error
		if args[k], err = b.value(in.Args[k]); err != nil {
			return err
		}
	}
	t := b.typeOf(in.Args[0])
	var v int
	switch {
	case isRowOp(in.Op):
		v = b.rowOp(in, args)
	case in.Op == op.Cast:
		v = b.emit("cast", elementTypes[in.DType], 0, args...)
	case in.Op == op.Where:
		v = b.emit("where", b.typeOf(in.Args[1]), 0, args...)
	case in.Op == op.Not && t != kernels.Bool:
		v = b.emit("eq", t, 0, args[0], b.emit("const", t, 0))
	case (in.Op == op.And || in.Op == op.Or) && t != kernels.Bool:
		v = b.emit(codes[in.Op], kernels.Bool, 0, b.emit("cast", kernels.Bool, 0, args[0]), b.emit("cast", kernels.Bool, 0, args[1]))
	case (in.Op == op.Maximum || in.Op == op.Minimum) && t == kernels.Bool:
		v = b.emit(map[ir.Op]kernels.Code{op.Maximum: "or", op.Minimum: "and"}[in.Op], t, 0, args...)
	case (in.Op == op.IsNaN || in.Op == op.IsInf) && !t.Float():
		v = b.emit("const", kernels.Bool, 0)
	default:
		c, ok := codes[in.Op]
		if !ok || !kernels.Supports(c, t) {
			return errNoKernel
		}
		v = b.emit(c, t, 0, args...)
	}
	b.values[plan.Ref{Kind: plan.InstrRef, Index: i}] = v
	return nil
}

// rowOp expands an op on whole rows into reductions and elementwise ops.
func (b *groupBuilder) rowOp(in *plan.Instr, args []int) int {
	f := func(c kernels.Code, args ...int) int { return b.emit(c, kernels.F32, 0, args...) }
	x := args[0]
	switch in.Op {
	case op.Softmax:
		e := f("exp", f("sub", x, f("reduce_max", x)))
		return f("div", e, f("reduce_sum", e))
	case op.LogSoftmax:
		s := f("sub", x, f("reduce_max", x))
		return f("sub", s, f("log", f("reduce_sum", f("exp", s))))
	}
	a := in.Attrs.(op.Norm)
	if in.Op == op.LayerNorm {
		x = f("sub", x, f("reduce_mean", x))
	}
	r := f("rsqrt", f("add", f("reduce_mean", f("square", x)), b.emit("const", kernels.F32, a.Eps)))
	y := f("mul", x, r)
	if a.Weight {
		y = f("mul", y, args[1])
	}
	if a.Bias {
		y = f("add", y, args[len(args)-1])
	}
	return y
}

// writeConstant writes a constant of the run into the words of a parameter.
func writeConstant(b []byte, t kernels.Type, v float64) {
	switch {
	case t.Float():
		binary.LittleEndian.PutUint32(b, math.Float32bits(float32(v)))
	case t == kernels.I64:
		binary.LittleEndian.PutUint64(b, uint64(int64(v)))
	case t == kernels.Bool:
		word := uint32(0)
		if v != 0 {
			word = 1
		}
		binary.LittleEndian.PutUint32(b, word)
	default:
		binary.LittleEndian.PutUint32(b, uint32(int64(v)))
	}
}
