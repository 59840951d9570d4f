package plan

import (
	"math"

	"loris/internal/ir"
	"loris/internal/op"
)

// constants are the constants of a graph: slot i is bound at run time unless
// its value is one of a few that rules depend on, which the cache key holds.
type constants struct {
	plan   *Plan
	values []float64 // value of baked slots
	isBake []bool
}

// bakedConst reports whether a constant's value is part of the cache key: what rules
// look for, and the usual epsilons of norms. All others are data: a learning rate
// that changes each step replans nothing.
func bakedConst(c float64) bool {
	switch c {
	case 0, 1, -1, 2, 0.5, -0.5, 3, 1e-5, 1e-6, 1e-8, 1e-12, eps5, eps6, eps8, eps12:
		return true
	}
	return math.IsInf(c, 0)
}

// The usual epsilons as float32 has them.
const (
	eps5  = float64(float32(1e-5))
	eps6  = float64(float32(1e-6))
	eps8  = float64(float32(1e-8))
	eps12 = float64(float32(1e-12))
)

// isCount reports whether c, used right after node n, is the number of elements that n
// sums up, or one over it: part of a mean.
func isCount(c float64, n *ir.Node) bool {
	if n.Op == op.Reshape && len(n.Inputs()) == 1 {
		n = n.Inputs()[0]
	}
	if n.Op != op.Sum || len(n.Inputs()) != 1 || n.Shape.Size() == 0 {
		return false
	}
	count := float64(n.Inputs()[0].Shape.Size() / n.Shape.Size())
	return c == count || float32(c) == float32(1/count)
}

func (c *constants) baked(v *value) (float64, bool) {
	if v.op != op.Const || !c.isBake[v.leaf] {
		return 0, false
	}
	return c.values[v.leaf], true
}

// A Fold is a constant that is computed from others. Since these may change from
// run to run, it is computed when they are bound, and not when it is planned.
type Fold struct {
	Op    ir.Op
	DType ir.DType
	Args  [2]int32 // slots of constants
}

// value computes the fold as a device would. In float64 these ops are exact enough
// for the result, rounded once more, to be float32's own.
func (f Fold) value(consts []float64) float64 {
	a, b := consts[f.Args[0]], consts[f.Args[1]]
	r := a
	switch f.Op {
	case op.Add:
		r = a + b
	case op.Sub:
		r = a - b
	case op.Mul:
		r = a * b
	case op.Div:
		r = a / b
	case op.Neg:
		r = -a
	case op.Abs:
		r = math.Abs(a)
	case op.Square:
		r = a * a
	case op.Sqrt:
		r = math.Sqrt(a)
	case op.Reciprocal:
		r = 1 / a
	}
	return f.DType.Round(r)
}

// folded returns v as a constant, if it is an op of constants that Fold computes.
func (c *constants) folded(b *graph, v value) (value, bool) {
	switch v.op {
	case op.Add, op.Sub, op.Mul, op.Div, op.Neg, op.Abs, op.Square, op.Sqrt, op.Reciprocal:
	default:
		return v, false
	}
	if v.dtype != ir.F32 && v.dtype != ir.F64 {
		return v, false
	}
	f := Fold{Op: v.op, DType: v.dtype}
	known := true
	for i, x := range v.in {
		in := &b.vals[x]
		if in.op != op.Const || in.dtype != v.dtype {
			return v, false
		}
		f.Args[i] = in.leaf
		known = known && c.isBake[in.leaf]
	}
	slot := int32(len(c.isBake))
	c.values, c.isBake = append(c.values, 0), append(c.isBake, known)
	if known {
		c.values[slot] = f.value(c.values)
	}
	c.plan.Consts = append(c.plan.Consts, v.dtype)
	c.plan.Folds = append(c.plan.Folds, f)
	return value{op: op.Const, dtype: v.dtype, shape: v.shape, attrs: op.Fill{Shape: v.shape}, leaf: slot, node: v.node}, true
}

// opposite reports whether one of two constants is computed as minus the other.
func (c *constants) opposite(a, b int32) bool {
	first := int32(len(c.isBake) - len(c.plan.Folds))
	for range 2 {
		if a >= first {
			if f := c.plan.Folds[a-first]; f.Op == op.Neg && f.Args[0] == b {
				return true
			}
		}
		a, b = b, a
	}
	return false
}
