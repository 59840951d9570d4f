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

// AdamWUpdateAll makes AdamW updates of many parameters in one pass over memory, without
// a graph: params hold the new values afterwards, as Set would store them. moments is
// f32 [2 n], the first and then the second moments of all parameters, flat and one
// after the other. It is updated in place, unless something else looks at it. Gradients
// that have no values yet are computed first. donate is Donate for the parameters. No
// tensor may stand twice in params. It reports false, and nothing has changed, where
// AdamWUpdate is the way: in eager mode, on other devices than the CPU, and for other
// dtypes than f32.
func AdamWUpdateAll(params, grads []*Tensor, moments *Tensor, h [3]float64, o AdamWOptions, donate bool) bool {
	const name = "AdamWUpdateAll"
	n := len(params)
	m := moments.n(name)
	if len(grads) != n || len(m.Shape) != 2 || m.Shape[0] != 2 {
		fail(name, ir.CodeValue, nil, "%d parameters, %d gradients, moments %v", n, len(grads), m.Shape)
	}
	if ir.Built.Load() != nil || m.DType != ir.F32 {
		return false
	}
	u := eval.NewAdamWUpdate(n)
	defer u.Free()
	u.Moments = m
	for i, p := range params {
		u.Sets[i] = eval.AdamWSet{P: p.n(name), G: grads[i].n(name), InPlace: donate}
	}
	var roots []*ir.Node
	at := 0
	for i := range u.Sets {
		s := &u.Sets[i]
		if s.P.DType != ir.F32 || s.G.DType != ir.F32 || !s.G.Shape.Equal(s.P.Shape) {
			return false
		}
		s.At = at
		at += s.P.Shape.Size()
		if s.G.Value() == nil {
			roots = append(roots, s.G)
		}
	}
	if at != m.Shape[1] {
		fail(name, ir.CodeShape, nil, "moments %v of %d elements of parameters", m.Shape, at)
	}
	if len(roots) > 0 {
		if err := eval.Eval(background, appendLosses(name, roots, grads)...); err != nil {
			panic(asError(name, err))
		}
	}
	done, err := u.Run(op.AdamWStep{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, Decay: o.Decay}, h)
	if err != nil {
		panic(asError(name, err))
	}
	if !done {
		return false
	}
	for i := range u.Sets {
		params[i].become(u.Sets[i].P)
	}
	if u.Moments != m {
		moments.node.Store(u.Moments)
	}
	return true
}
