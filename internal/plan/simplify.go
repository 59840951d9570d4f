package plan

import (
	"slices"

	"loris/internal/op"
)

// simplify applies identities that hold for every bit pattern: x*1, x/1, x-0,
// double negation and transposition, reshapes of reshapes, casts to the same
// dtype, arithmetic of constants, and the identity ops, which exist for gradients
// and views only.
// x+0 stays (it turns -0 into +0), and so does x*0 (NaN).
func simplify(consts *constants) func(g *graph) *graph {
	return func(g *graph) *graph {
		return rewrite(g, func(b *graph, v value) int32 { return simplifyValue(b, v, consts) })
	}
}

func simplifyValue(b *graph, v value, consts *constants) int32 {
	in := func(i int) *value { return &b.vals[v.in[i]] }
	same := func(i int) bool { return in(i).dtype == v.dtype && in(i).shape.Equal(v.shape) }
	isConst := func(i int, c float64) bool {
		x := in(i)
		for x.op == op.Expand || x.op == op.Reshape || x.op == op.Cast && x.dtype == v.dtype {
			x = &b.vals[x.in[0]]
		}
		k, ok := consts.baked(x)
		return ok && k == c
	}
	switch v.op {
	case op.Detach, op.Named, op.Region, op.CustomVJP:
		return v.in[0]
	case op.Barrier:
		if len(v.in) == 1 {
			return v.in[0]
		}
	case op.Mul:
		for i := range 2 {
			if isConst(1-i, 1) && same(i) {
				return v.in[i]
			}
		}
	case op.Div:
		if isConst(1, 1) && same(0) {
			return v.in[0]
		}
	case op.Sub:
		if isConst(1, 0) && same(0) {
			return v.in[0]
		}
	case op.Pow:
		if isConst(1, 2) && same(0) {
			v.op, v.in = op.Square, v.in[:1]
		} else if isConst(1, 1) && same(0) {
			return v.in[0]
		}
	case op.Neg:
		if in(0).op == op.Neg {
			return in(0).in[0]
		}
	case op.Not:
		if in(0).op == op.Not && in(0).dtype == v.dtype {
			if y := in(0).in[0]; b.vals[y].dtype == v.dtype {
				return y
			}
		}
	case op.Cast:
		if in(0).dtype == v.dtype {
			return v.in[0]
		}
	case op.Expand:
		if same(0) {
			return v.in[0]
		}
		if in(0).op == op.Const {
			return b.add(constOf(*in(0), v))
		}
	case op.Reshape:
		if in(0).op == op.Reshape {
			v.in = slices.Clone(in(0).in)
		}
		if same(0) {
			return v.in[0]
		}
		if in(0).op == op.Const {
			return b.add(constOf(*in(0), v))
		}
	case op.Transpose:
		return simplifyTranspose(b, v)
	case op.Contiguous:
		if x := in(0); x.op == op.Contiguous || isElementwise(x.op) {
			return v.in[0]
		}
	case op.Sum, op.Prod, op.Max, op.Min:
		// A reduction over axes of size 1 only moves elements.
		if in(0).shape.Size() == v.shape.Size() && v.shape.Size() > 0 && in(0).dtype == v.dtype {
			if same(0) {
				return v.in[0]
			}
			v.op, v.attrs = op.Reshape, op.Fill{Shape: v.shape}
		}
	}
	if c, ok := consts.folded(b, v); ok {
		return b.add(c)
	}
	return b.add(v)
}

// constOf returns constant c with the shape of v.
func constOf(c, v value) value {
	c.shape, c.node = v.shape, v.node
	c.attrs = op.Fill{Shape: v.shape}
	return c
}

func simplifyTranspose(b *graph, v value) int32 {
	perm := v.attrs.(op.Perm).Axes
	x := &b.vals[v.in[0]]
	if x.op == op.Transpose {
		inner := x.attrs.(op.Perm).Axes
		both := make([]int, len(perm))
		for i, p := range perm {
			both[i] = inner[p]
		}
		perm, v.in = both, slices.Clone(x.in)
		v.attrs = op.Perm{Axes: both}
		x = &b.vals[v.in[0]]
	}
	if slices.IsSorted(perm) {
		return v.in[0]
	}
	if x.op == op.Const {
		return b.add(constOf(*x, v))
	}
	return b.add(v)
}
