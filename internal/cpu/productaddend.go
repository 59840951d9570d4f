package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// addend is an operand that the step's program adds to the product first, or subtracts:
// a bias, a residual, a target. The sum of the product starts from it instead.
type addend struct {
	o   *plan.Operand // nil: there is none
	row int           // elements from row to row; 0: the same for all, a bias
}

// leastAddend is the fewest rows of a product that starts from an addend: thin products
// have kernels of their own, which begin with zeros.
const leastAddend = 16

// addend takes the step's addend out of its program, which may leave none.
func (p *product) addend(c *gemm.Call) {
	s := p.s
	if s.Program == nil || c.M < leastAddend || c.N <= leastAddend || c.UsesLibrary() {
		return
	}
	at, input, minus, ok := addedFirst(s.Program)
	if !ok {
		return
	}
	o := &s.In[s.Own+input]
	v, ok := o.View.Reshape(ir.Shape{p.rows * p.batch, c.N})
	if !ok || o.DType != ir.F32 || v.Strides[1] != 1 || v.Strides[0] == 0 && minus {
		return
	}
	short := *s
	if short.Program = withoutInstr(s.Program, at); short.Program == nil {
		short.In = s.In[:s.Own]
	}
	p.s, c.Minus = &short, minus
	p.added = addend{o, v.Strides[0]}
}

// bind sets the addend of a call for rows from row on.
func (a *addend) bind(r *run, c *gemm.Call, row int) {
	switch {
	case a.o == nil:
	case a.row == 0:
		c.Bias = r.at(a.o)
	default:
		c.Residual = gemm.Matrix{Data: unsafe.Add(r.at(a.o), 4*row*a.row), RowStride: a.row, ColStride: 1}
	}
}

// addedFirst finds the instruction that alone uses the product, if it adds an input to it
// or subtracts one from it, and is not stored beside others.
func addedFirst(p *plan.Program) (at, input int, minus, ok bool) {
	at = -1
	for i := range p.Instrs {
		in := &p.Instrs[i]
		for k, a := range in.Args[:in.NArgs] {
			if a.Kind != plan.AccRef {
				continue
			}
			if at >= 0 || in.DType != ir.F32 || in.NArgs != 2 {
				return 0, 0, false, false
			}
			b := in.Args[1-k]
			if b.Kind != plan.InputRef || p.Inputs[b.Index].Kind != plan.EachInput {
				return 0, 0, false, false
			}
			at, input, minus = i, int(b.Index), in.Op == op.Sub
			if in.Op != op.Add && !(minus && k == 0) {
				return 0, 0, false, false
			}
		}
	}
	if at < 0 {
		return 0, 0, false, false
	}
	for _, st := range p.Stores {
		if st.Ref.Kind == plan.AccRef || st.Ref == (plan.Ref{Kind: plan.InstrRef, Index: int32(at)}) && len(p.Instrs) > 1 {
			return 0, 0, false, false
		}
	}
	return at, input, minus, true
}

// withoutInstr returns the program with the product in the place of an instruction's
// result; nil if that is all there was.
func withoutInstr(p *plan.Program, at int) *plan.Program {
	if len(p.Instrs) == 1 {
		return nil
	}
	ref := func(r plan.Ref) plan.Ref {
		switch {
		case r.Kind != plan.InstrRef || int(r.Index) < at:
		case int(r.Index) == at:
			return plan.Ref{Kind: plan.AccRef}
		default:
			r.Index--
		}
		return r
	}
	q := *p
	q.Instrs = nil
	for i, in := range p.Instrs {
		if i == at {
			continue
		}
		for k := range in.NArgs {
			in.Args[k] = ref(in.Args[k])
		}
		q.Instrs = append(q.Instrs, in)
	}
	q.Stores = nil
	for _, st := range p.Stores {
		st.Ref = ref(st.Ref)
		q.Stores = append(q.Stores, st)
	}
	return &q
}
