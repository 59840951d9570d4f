package cpu

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// compileFunc makes the kernel of an OpStep.
type compileFunc func(r *run, s *plan.Step) (kernel, error)

// kernels has the kernel of each op that stands on its own as a step. Elementwise
// ops, views, copies and matrix products are covered by the other step kinds.
var kernels [op.NumOps]compileFunc

// register enters kernels of ops into the table.
func register(f compileFunc, ops ...ir.Op) {
	for _, o := range ops {
		kernels[o] = f
	}
}
