package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/op"
	"loris/internal/plan"
)

// normResidual is a program that one kernel of package vec covers: a weighted
// RMSNorm with a residual added to its result, or taken of a sum that may be
// stored too.
type normResidual struct {
	s          *plan.Step
	eps        float32
	x, y, gain int // operands: y is the residual or the other summand
	sumFirst   bool
	sum, dst   int // outputs; sum is -1 if it is not stored
	rows, cols int
	chunks     int
}

// compileNormResidual returns the kernel if the step is of that form.
func (r *run) compileNormResidual(s *plan.Step) (kernel, bool) {
	n := &normResidual{s: s, rows: s.Program.Rows, cols: s.Program.Cols, sum: -1}
	if !n.match(s.Program) {
		return nil, false
	}
	for _, i := range []int{n.x, n.y, n.gain} {
		if !s.In[i].IsDense() {
			return nil, false
		}
	}
	cost := rowCost(s.In[n.x].DType, n.rows*n.cols, normNanos)
	n.chunks = r.chunksFor(cost, n.rows)
	job := func(c int, _ *pool.Worker) { n.run(r, n.rows*c/n.chunks, n.rows*(c+1)/n.chunks) }
	return func() error { r.split(n.chunks, cost, job); return nil }, true
}

// match recognises norm(x)·g + y, or sum = x + y with norm(sum)·g.
func (n *normResidual) match(p *plan.Program) bool {
	if len(p.Instrs) != 2 || len(p.Stores) > 2 {
		return false
	}
	first, second := &p.Instrs[0], &p.Instrs[1]
	norm, sum := first, second
	if first.Op == op.Add {
		norm, sum, n.sumFirst = second, first, true
	}
	a, ok := norm.Attrs.(op.Norm)
	if !ok || norm.Op != op.RMSNorm || sum.Op != op.Add || !a.Weight || a.Bias || norm.Args[1].Kind != plan.InputRef {
		return false
	}
	n.eps, n.gain = float32(a.Eps), int(norm.Args[1].Index)
	input := func(r plan.Ref) int {
		if r.Kind == plan.InputRef && p.Inputs[r.Index].Kind == plan.EachInput {
			return int(r.Index)
		}
		return -1
	}
	result := plan.Ref{Kind: plan.InstrRef, Index: 0}
	if n.sumFirst {
		n.x, n.y = input(sum.Args[0]), input(sum.Args[1])
		if norm.Args[0] != result {
			return false
		}
	} else {
		n.x, n.y = input(norm.Args[0]), input(sum.Args[0])
		if sum.Args[0] == result {
			n.y = input(sum.Args[1])
		} else if sum.Args[1] != result {
			return false
		}
	}
	if n.x < 0 || n.y < 0 {
		return false
	}
	n.dst = -1
	for k, st := range p.Stores {
		switch {
		case st.Ref == plan.Ref{Kind: plan.InstrRef, Index: 1}:
			n.dst = k
		case st.Ref == result && n.sumFirst:
			n.sum = k
		default:
			return false
		}
	}
	return n.dst >= 0
}

func (n *normResidual) run(r *run, from, to int) {
	at := func(o *plan.Operand) vec.Rows {
		return vec.Rows{Data: unsafe.Add(r.at(o), 4*from*n.cols), Stride: n.cols}
	}
	in, out := n.s.In, n.s.Out
	gain := slice[float32](r.at(&in[n.gain]), n.cols)
	x, y, dst := at(&in[n.x]), at(&in[n.y]), at(&out[n.dst])
	switch {
	case !n.sumFirst:
		vec.RMSNorm(dst, x, gain, y, nil, n.eps, to-from, n.cols)
	case n.sum >= 0:
		vec.AddRMSNorm(dst, at(&out[n.sum]), x, y, gain, nil, n.eps, to-from, n.cols)
	default:
		vec.AddRMSNorm(dst, dst, x, y, gain, nil, n.eps, to-from, n.cols)
	}
}
