package cpu

import (
	"math"
	"slices"
	"unsafe"

	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// vecTypes are the memory types of package vec.
var vecTypes = map[ir.DType]vec.Type{
	ir.F32: vec.F32, ir.F64: vec.F64, ir.I32: vec.I32, ir.I64: vec.I64,
	ir.Bool: vec.Bool, ir.F16: vec.F16, ir.BF16: vec.BF16, ir.U8: vec.U8,
}

// compileElementwise turns a program without rows into one of package vec, which
// joins multiplications with additions and keeps narrow types in memory only.
// ok is false where the two differ: unsigned results, and casts to a half
// whose rounding another instruction must see.
func (r *run) compileElementwise(s *plan.Step) (k kernel, ok bool, err error) {
	shape, strides, ok := commonShape(s)
	if !ok {
		return nil, false, nil
	}
	b, ok := r.newVecProgram(s, strides, len(shape))
	if !ok {
		return nil, false, nil
	}
	v, err := b.bind(shape)
	if err != nil {
		return nil, false, err
	}
	return func() error {
		v.run(r, 0, nil)
		return nil
	}, true, nil
}

// newVecProgram builds the program of a step over a shape for which the strides
// of its inputs are given.
func (r *run) newVecProgram(s *plan.Step, strides [][]int, dims int) (b *vecProgram, ok bool) {
	p := s.Program
	if p.HasRows() && (s.Own == 0 || !sumsRowsOnly(p)) || !narrowOnlyAtEnds(p) {
		return nil, false
	}
	b = &vecProgram{r: r, s: s, prog: &vec.Program{}, consts: map[int32]vec.Value{}, strides: strides}
	for i := range p.Inputs {
		if p.Inputs[i].Kind != plan.EachInput {
			return nil, false
		}
		b.inputs = append(b.inputs, b.prog.Input(vecTypes[p.Inputs[i].DType]))
	}
	if s.Own > 0 {
		b.acc = b.prog.Input(vec.F32)
		b.strides = append(b.strides, nil)
	}
	if !b.constInputs(dims) {
		return nil, false
	}
	for i := range p.Instrs {
		if !b.instr(&p.Instrs[i]) {
			return nil, false
		}
	}
	for i, st := range p.Stores {
		if st.Row {
			b.prog.RowSum(b.value(p.Instrs[st.Ref.Index].Args[0]))
		} else {
			b.prog.Output(b.value(st.Ref), vecTypes[s.Out[i].DType])
		}
	}
	return b, b.prog.Compile() == nil
}

// sumsRowsOnly reports whether all that a program computes for rows are float32 sums of
// what it computes for their elements, stored as they are.
func sumsRowsOnly(p *plan.Program) bool {
	isSum := func(r plan.Ref) bool { return r.Kind == plan.InstrRef && p.Instrs[r.Index].Row }
	for i := range p.Instrs {
		in := &p.Instrs[i]
		if isRowOp(in.Op) || in.Row && (in.Op != op.Sum || in.DType != ir.F32 || in.Args[0].Kind == plan.ConstRef) ||
			slices.ContainsFunc(in.Args[:in.NArgs], isSum) {
			return false
		}
	}
	for _, st := range p.Stores {
		if st.Row != isSum(st.Ref) {
			return false
		}
	}
	return true
}

// narrowOnlyAtEnds reports whether half results are only stored, there are no
// unsigned results, and unsigned inputs are only cast.
func narrowOnlyAtEnds(p *plan.Program) bool {
	for i := range p.Instrs {
		in := &p.Instrs[i]
		if in.DType == ir.U8 {
			return false
		}
		for _, a := range in.Args[:in.NArgs] {
			switch a.Kind {
			case plan.InstrRef:
				if x := &p.Instrs[a.Index]; x.Op == op.Cast && computed(x.DType) != x.DType {
					return false
				}
			case plan.InputRef:
				if p.Inputs[a.Index].DType == ir.U8 && in.Op != op.Cast {
					return false
				}
			}
		}
	}
	return true
}

// commonShape finds, for a step without operands of its own, a shape over which strides can express every input; inputs
// in order get nil strides.
func commonShape(s *plan.Step) (shape ir.Shape, strides [][]int, ok bool) {
	n := s.Program.Rows * s.Program.Cols
	shape = ir.Shape{n}
	for i := range s.In {
		if o := &s.In[i]; !o.IsDense() && !o.IsScalar() && len(o.Shape) > len(shape) {
			shape = o.Shape
		}
	}
	for i := range s.In {
		o := &s.In[i]
		switch {
		case o.IsDense():
			strides = append(strides, nil)
		case o.IsScalar():
			strides = append(strides, make([]int, len(shape)))
		default:
			v, ok := o.View.Reshape(shape)
			if !ok {
				return nil, nil, false
			}
			strides = append(strides, v.Strides)
		}
	}
	return shape, strides, true
}

// vecProgram is a program of package vec for a step. Constants are inputs that
// repeat one element, since their values change from run to run.
type vecProgram struct {
	r       *run
	s       *plan.Step
	prog    *vec.Program
	inputs  []vec.Value
	acc     vec.Value // the product before an epilogue
	instrs  []vec.Value
	consts  map[int32]vec.Value
	slots   []constSlot
	strides [][]int // of all inputs: the step's, the product, constants
}

// constSlot is a constant in memory, set before each run.
type constSlot struct {
	index int32
	dtype ir.DType
	value *[8]byte
}

func (b *vecProgram) constInputs(dims int) bool {
	add := func(r plan.Ref) bool {
		if r.Kind != plan.ConstRef {
			return true
		}
		if _, ok := b.consts[r.Index]; ok {
			return true
		}
		d := computed(b.r.plan.Consts[r.Index])
		if d == ir.U8 {
			return false
		}
		b.consts[r.Index] = b.prog.Element(vecTypes[d])
		b.slots = append(b.slots, constSlot{r.Index, d, new([8]byte)})
		b.strides = append(b.strides, make([]int, dims))
		return true
	}
	for i := range b.s.Program.Instrs {
		in := &b.s.Program.Instrs[i]
		for _, a := range in.Args[:in.NArgs] {
			if !add(a) {
				return false
			}
		}
	}
	for _, st := range b.s.Program.Stores {
		if !add(st.Ref) {
			return false
		}
	}
	return true
}

func (b *vecProgram) value(r plan.Ref) vec.Value {
	switch r.Kind {
	case plan.InputRef:
		return b.inputs[r.Index]
	case plan.ConstRef:
		return b.consts[r.Index]
	case plan.AccRef:
		return b.acc
	}
	return b.instrs[r.Index]
}

func (b *vecProgram) instr(in *plan.Instr) bool {
	if in.Row { // an output, see newVecProgram
		b.instrs = append(b.instrs, -1)
		return true
	}
	var args [3]vec.Value
	for i := range in.NArgs {
		args[i] = b.value(in.Args[i])
	}
	var v vec.Value
	t := b.prog.Type(args[0])
	switch in.Op {
	case op.Cast:
		v = b.prog.Cast(args[0], vecTypes[in.DType])
	case op.IsNaN:
		if t != vec.F32 && t != vec.F64 {
			return false
		}
		v = b.prog.Apply(vec.Ne, args[0], args[0])
	case op.IsInf:
		if t != vec.F32 && t != vec.F64 {
			return false
		}
		v = b.prog.Apply(vec.Eq, b.prog.Apply(vec.Abs, args[0]), b.prog.Const(math.Inf(1), t))
	default:
		o, ok := vecOps[in.Op]
		if in.Op == op.Where {
			t = b.prog.Type(args[1])
		}
		if !ok || !o.Supports(t) || b.prog.Type(args[0]) == vec.Bool && in.DType != ir.Bool && in.Op != op.Where {
			return false
		}
		v = b.prog.Apply(o, args[:in.NArgs:in.NArgs]...)
	}
	b.instrs = append(b.instrs, v)
	return true
}

// vecKernel is a program bound to a shape.
type vecKernel struct {
	b       *vecProgram
	k       *vec.Kernel
	in, out []unsafe.Pointer
	inRow   []int // bytes from row to row of a block, for epilogues
	outRow  []int
}

func (b *vecProgram) bind(shape ir.Shape) (*vecKernel, error) {
	k, err := b.prog.Bind(shape, b.strides)
	if err != nil {
		return nil, err
	}
	v := &vecKernel{b: b, k: k, in: make([]unsafe.Pointer, len(b.strides)), out: make([]unsafe.Pointer, len(b.s.Out))}
	first := len(b.strides) - len(b.slots)
	for i := range b.slots {
		v.in[first+i] = unsafe.Pointer(b.slots[i].value)
	}
	return v, nil
}

// run runs the kernel from a row on; acc is the product of an epilogue.
func (v *vecKernel) run(r *run, row int, acc unsafe.Pointer) {
	s := v.b.s
	n := len(s.In) - s.Own
	for i := range n {
		v.in[i] = r.at(&s.In[s.Own+i])
		if v.inRow != nil {
			v.in[i] = unsafe.Add(v.in[i], row*v.inRow[i])
		}
	}
	if s.Own > 0 {
		v.in[n] = acc
	}
	for i := range s.Out {
		v.out[i] = r.at(&s.Out[i])
		if v.outRow != nil {
			v.out[i] = unsafe.Add(v.out[i], row*v.outRow[i])
		}
	}
	for i := range v.b.slots {
		c := &v.b.slots[i]
		fillConst(unsafe.Pointer(c.value), c.dtype, r.b.Consts[c.index], 1)
	}
	v.k.Run(r.pool, r.b.Stop.Flag(), v.in, v.out)
}
