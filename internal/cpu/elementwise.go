package cpu

import (
	"math"
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
	p := s.Program
	if p.HasRows() || !narrowOnlyAtEnds(p) {
		return nil, false, nil
	}
	shape, strides, ok := commonShape(s)
	if !ok {
		return nil, false, nil
	}
	b := &vecBuilder{r: r, s: s, prog: &vec.Program{}, consts: map[int32]vec.Value{}}
	for i := range p.Inputs {
		if p.Inputs[i].Kind != plan.EachInput {
			return nil, false, nil
		}
		b.inputs = append(b.inputs, b.prog.Input(vecTypes[p.Inputs[i].DType]))
	}
	if !b.constInputs(&strides, len(shape)) {
		return nil, false, nil
	}
	for i := range p.Instrs {
		if !b.instr(&p.Instrs[i]) {
			return nil, false, nil
		}
	}
	for i, st := range p.Stores {
		b.prog.Output(b.value(st.Ref), vecTypes[s.Out[i].DType])
	}
	if err := b.prog.Compile(); err != nil {
		return nil, false, err
	}
	bound, err := b.prog.Bind(shape, strides)
	if err != nil {
		return nil, false, err
	}
	return b.kernel(bound), true, nil
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

// commonShape finds a shape over which strides can express every input; inputs
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

// vecBuilder writes the program. Constants are inputs that repeat one element,
// since their values change from run to run.
type vecBuilder struct {
	r      *run
	s      *plan.Step
	prog   *vec.Program
	inputs []vec.Value
	instrs []vec.Value
	consts map[int32]vec.Value
	slots  []constSlot
}

// constSlot is a constant in memory, set before each run.
type constSlot struct {
	index int32
	dtype ir.DType
	value *[8]byte
}

func (b *vecBuilder) constInputs(strides *[][]int, dims int) bool {
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
		b.consts[r.Index] = b.prog.Input(vecTypes[d])
		b.slots = append(b.slots, constSlot{r.Index, d, new([8]byte)})
		*strides = append(*strides, make([]int, dims))
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

func (b *vecBuilder) value(r plan.Ref) vec.Value {
	switch r.Kind {
	case plan.InputRef:
		return b.inputs[r.Index]
	case plan.ConstRef:
		return b.consts[r.Index]
	}
	return b.instrs[r.Index]
}

func (b *vecBuilder) instr(in *plan.Instr) bool {
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

// kernel returns the step's kernel.
func (b *vecBuilder) kernel(k *vec.Kernel) kernel {
	r, s := b.r, b.s
	in := make([]unsafe.Pointer, len(s.In)+len(b.slots))
	out := make([]unsafe.Pointer, len(s.Out))
	for i := range b.slots {
		in[len(s.In)+i] = unsafe.Pointer(b.slots[i].value)
	}
	return func() error {
		for i := range s.In {
			in[i] = r.at(&s.In[i])
		}
		for i := range s.Out {
			out[i] = r.at(&s.Out[i])
		}
		for i := range b.slots {
			c := &b.slots[i]
			fillConst(unsafe.Pointer(c.value), c.dtype, r.b.Consts[c.index], 1)
		}
		k.Run(r.pool, r.b.Stop.Flag(), in, out)
		return nil
	}
}
