package devicetest

import (
	"slices"
	"testing"

	"loris/internal/ir"
	"loris/internal/op"
)

// A case for every dtype that an op takes.
func TestCasesCoverEveryDTypeThatOpsTake(t *testing.T) {
	tested := map[ir.Op]map[ir.DType]bool{}
	taken := map[ir.Op]map[ir.DType]bool{}
	for _, c := range Cases() {
		if tested[c.Op] == nil {
			tested[c.Op], taken[c.Op] = map[ir.DType]bool{}, map[ir.DType]bool{}
		}
		for _, d := range anything {
			if slices.Contains(c.DTypes, d) {
				tested[c.Op][d] = true
			} else if builds(c, d) {
				taken[c.Op][d] = true
			}
		}
	}
	for id := op.Const; id < op.NumPrimitives; id++ {
		for _, d := range anything {
			if taken[id][d] && !tested[id][d] {
				t.Errorf("%s takes %s; no case tests it", op.NameOf(id), d)
			}
		}
	}
}

// builds reports whether the op takes inputs of a dtype; not for those whose dtype is fixed.
func builds(c Case, d ir.DType) (ok bool) {
	if !slices.ContainsFunc(c.Inputs, func(in Input) bool { return in.DType == ir.Invalid }) {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			ok = false
		}
	}()
	var in []*ir.Node
	for _, x := range c.Inputs {
		dtype := x.DType
		if dtype == ir.Invalid {
			dtype = d
		}
		in = append(in, leaf(dtype, x.Shape))
	}
	c.Build(in, 0)
	return true
}
