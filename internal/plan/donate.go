package plan

import "loris/internal/op"

// donate lets the results of optimiser updates take over the memory of donated
// leaves: a parameter and its moments are updated in place. Nothing else may
// read the leaf in the same step or later. From the first such step on, a run
// cannot be undone.
func donate(p *Plan) {
	p.Commit = len(p.Steps)
	reads := make([]int, len(p.Buffers)) // operands of updates that read a buffer
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Op == op.AdamW {
			s.each(func(o *Operand, write bool) {
				if !write {
					reads[o.Buffer]++
				}
			})
		}
	}
	for _, o := range p.Outputs {
		reads[o.Buffer] += 2
	}
	for i := len(p.Steps) - 1; i >= 0 && p.Steps[i].Op == op.AdamW; i-- {
		s := &p.Steps[i]
		given := donateSet(p, Operands{s.In, s.Out}, reads)
		for _, b := range s.Batch {
			given = donateSet(p, b, reads) || given
		}
		if given {
			p.Commit = i
		}
	}
}

// donateSet hands the parameter and the moments of one update to its results.
func donateSet(p *Plan, s Operands, reads []int) (given bool) {
	for k, in := range [3]int{0, 2, 3} {
		x, y := &s.In[in], &s.Out[k]
		from, to := &p.Buffers[x.Buffer], &p.Buffers[y.Buffer]
		if from.Kind == LeafBuffer && p.Leaves[from.Index].Donated && to.Kind == OutputBuffer && to.Alias < 0 &&
			x.IsDense() && x.Offset == 0 && x.DType == y.DType && reads[x.Buffer] == 1 {
			to.Alias = x.Buffer
			given = true
		}
	}
	return given
}
