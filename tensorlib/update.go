package tensorlib

import "loris/internal/op"

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
	out := op.ApplyAll(op.AdamW, op.AdamWStep{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, Decay: o.Decay}, 3,
		p.n(name), g.n(name), m.n(name), v.n(name), h.n(name))
	return wrap(out[0]), wrap(out[1]), wrap(out[2])
}
