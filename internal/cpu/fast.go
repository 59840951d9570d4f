package cpu

import (
	"loris/internal/ir"
	"loris/internal/plan"
)

// fast returns the kernel of an instruction where there is a better one than the generic.
func fast(in *plan.Instr, from ir.DType) micro { return nil }
