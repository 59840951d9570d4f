package nn

import lt "loris/tensorlib"

// SGD is stochastic gradient descent with momentum, as torch.optim.SGD:
// v = momentum·v + g; p -= lr·v (with Nesterov, p -= lr·(g + momentum·v)).
type SGD struct {
	LR          float64 // 1e-2 if 0
	Momentum    float64
	Nesterov    bool
	WeightDecay float64 // added to the gradient: g + decay·p
	Schedule    *Schedule
	ClipNorm    float64 // see AdamW

	progress
}

// Step makes one update of the parameters.
func (o *SGD) Step(ps *Params, grads []*lt.Tensor) {
	const name = "SGD"
	params, clipped, norm := begin(name, ps, grads, o.ClipNorm)
	lr := &constant{value: o.rate(name, or(o.LR, 1e-2), o.Schedule)}
	var u update
	for i, p := range params {
		g := clipped[i]
		if o.WeightDecay != 0 {
			g = g.Add(p.Mul(o.WeightDecay))
		}
		if o.Momentum != 0 {
			s := o.of(p, o.layout(p))[0]
			v := s.Mul(o.Momentum).Add(g)
			u.set(s, v)
			if o.Nesterov {
				g = g.Add(v.Mul(o.Momentum))
			} else {
				g = v
			}
		}
		u.set(p, p.Sub(g.Mul(lr.of(p))))
	}
	o.commit(name, u, grads, norm)
}

// layout: the velocity, with momentum only.
func (o *SGD) layout(p *lt.Tensor) []lt.Shape {
	if o.Momentum == 0 {
		return nil
	}
	return []lt.Shape{p.Shape()}
}

// Restore sets what State returned.
func (o *SGD) Restore(ps *Params, state map[string]*lt.Tensor) error {
	return o.restore(ps, state, o.layout)
}
