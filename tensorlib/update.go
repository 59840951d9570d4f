package tensorlib

import (
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// AdamWOptions are the constants of AdamWUpdate.
type AdamWOptions struct{ Beta1, Beta2, Eps, Decay float64 }

// AdamWUpdate returns one AdamW update (Loshchilov and Hutter 2019) of a
// parameter p with gradient g and moments m and v, as one op; nn.AdamW is the
// optimiser made of it. h is f32 [3]: the learning rate, 1/(1-β1ᵗ) and
// 1/(1-β2ᵗ). The moments of half-precision parameters are f32.
//
//	m' = β1·m + (1-β1)·g      v' = β2·v + (1-β2)·g²
//	p' = p - lr·decay·p - lr·(m'·h[1])/(√(v'·h[2]) + eps)
func AdamWUpdate(p, g, m, v, h *Tensor, o AdamWOptions) (p2, m2, v2 *Tensor) {
	const name = "AdamWUpdate"
	u := &struct { // one allocation
		nodes [3]ir.Node
		in    [5]*ir.Node
		out   [3]Tensor
	}{in: [5]*ir.Node{p.n(name), g.n(name), m.n(name), v.n(name), h.n(name)}}
	op.ApplyAll(op.AdamW, op.AdamWStep{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, Decay: o.Decay}, u.nodes[:], u.in[:])
	for i := range u.out {
		u.out[i].node.Store(&u.nodes[i])
	}
	return &u.out[0], &u.out[1], &u.out[2]
}

// AdamWUpdateAll makes AdamW updates of parameters and their moments in one pass over
// memory, without a graph: params, m and v hold the new values afterwards, as Set
// would store them. Gradients that have no values yet are computed first. donate is
// Donate for the parameters; moments that nothing else looks at are updated in place
// anyway. No tensor may stand twice in params, m and v. It reports false, and nothing
// has changed, where AdamWUpdate is the way: for few parameters whose gradients are
// still to be computed, since one evaluation then does all; in eager mode; on other
// devices than the CPU; for other dtypes than f32.
func AdamWUpdateAll(params, grads, m, v []*Tensor, h [3]float64, o AdamWOptions, donate bool) bool {
	const (
		name = "AdamWUpdateAll"
		few  = 8 // below, nodes of updates cost less than an evaluation of their own
	)
	if len(grads) != len(params) || len(m) != len(params) || len(v) != len(params) {
		fail(name, ir.CodeValue, nil, "%d parameters, %d gradients, %d and %d moments", len(params), len(grads), len(m), len(v))
	}
	if ir.Built.Load() != nil {
		return false
	}
	if len(params) < few {
		for _, g := range grads {
			if g.n(name).Value() == nil {
				return false
			}
		}
	}
	sets := make([]eval.AdamWSet, len(params))
	roots := make([]*ir.Node, 0, len(params))
	for i, p := range params {
		s := &sets[i]
		*s = eval.AdamWSet{P: p.n(name), G: grads[i].n(name), M: m[i].n(name), V: v[i].n(name), InPlace: donate}
		for _, n := range [3]*ir.Node{s.G, s.M, s.V} {
			if n.DType != ir.F32 || s.P.DType != ir.F32 || !n.Shape.Equal(s.P.Shape) {
				return false
			}
		}
		if s.G.Value() == nil {
			roots = append(roots, s.G)
		}
	}
	if len(roots) > 0 {
		if err := eval.Eval(background, appendLosses(name, roots, grads)...); err != nil {
			panic(asError(name, err))
		}
	}
	done, err := eval.AdamW(sets, op.AdamWStep{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, Decay: o.Decay}, h)
	if err != nil {
		panic(asError(name, err))
	}
	if !done {
		return false
	}
	for i := range sets {
		params[i].become(sets[i].P)
		m[i].become(sets[i].M)
		v[i].become(sets[i].V)
	}
	return true
}
