package nn

import lt "loris/tensorlib"

// Lion is the optimiser of Chen et al. 2023: the sign of an interpolated
// momentum. Its rate is 3 to 10 times smaller than AdamW's.
type Lion struct {
	LR          float64 // 1e-4
	Beta1       float64 // 0.9
	Beta2       float64 // 0.99
	WeightDecay float64 // 0 if 0
	Schedule    *Schedule
	ClipNorm    float64 // see AdamW

	progress
}

// Step makes one update of the parameters.
func (o *Lion) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Lion"
	params, clipped, norm := begin(name, ps, grads, o.ClipNorm)
	b1, b2 := or(o.Beta1, 0.9), or(o.Beta2, 0.99)
	lr := &constant{value: o.rate(name, or(o.LR, 1e-4), o.Schedule)}
	var u update
	for i, p := range params {
		g := clipped[i]
		m := o.of(p, o.layout(p))[0]
		step := m.Mul(b1).Add(g.Mul(1 - b1)).Sign()
		if o.WeightDecay != 0 {
			step = step.Add(p.Mul(o.WeightDecay))
		}
		u.set(p, p.Sub(step.Mul(lr.of(p))))
		u.set(m, m.Mul(b2).Add(g.Mul(1-b2)))
	}
	o.commit(name, u, grads, norm)
}

// layout: the momentum.
func (o *Lion) layout(p *lt.Tensor) []lt.Shape { return []lt.Shape{p.Shape()} }

// Restore sets what State returned.
func (o *Lion) Restore(ps *Params, state map[string]*lt.Tensor) error {
	return o.restore(ps, state, o.layout)
}
