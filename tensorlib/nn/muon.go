package nn

import (
	"math"
	"strings"

	lt "loris/tensorlib"
)

// Muon (Jordan et al. 2024) orthogonalises the momentum of matrices by
// Newton-Schulz iterations; other parameters are updated by AdamW.
type Muon struct {
	LR          float64 // 0.02
	Momentum    float64 // 0.95, Nesterov
	Iterations  int     // 5
	WeightDecay float64
	Schedule    *Schedule
	ClipNorm    float64 // of all gradients, see AdamW
	AdamW       AdamW   // for parameters that are no matrices; its ClipNorm is not used

	progress
}

// Step makes one update of the parameters.
func (o *Muon) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Muon"
	params, clipped, norm := begin(name, ps, grads, o.ClipNorm)
	momentum := or(o.Momentum, 0.95)
	lr := &constant{value: o.rate(name, or(o.LR, 0.02), o.Schedule)}
	names := ps.Names()
	var u update
	var restNames []string
	var rest, restGrads []*lt.Tensor
	for i, p := range params {
		shape := p.Shape()
		if len(shape) != 2 {
			restNames, rest, restGrads = append(restNames, names[i]), append(rest, p), append(restGrads, clipped[i])
			continue
		}
		m := o.of(p, o.layout(p))[0]
		g := clipped[i].Cast(m.DType())
		v := m.Mul(momentum).Add(g)
		step := orthogonal(g.Add(v.Mul(momentum)), o.Iterations)
		step = step.Mul(math.Sqrt(math.Max(1, float64(shape[0])/float64(shape[1]))))
		next := p.Sub(step.Mul(lr.of(p)))
		if o.WeightDecay != 0 {
			next = next.Sub(p.Mul(o.WeightDecay).Mul(lr.of(p)))
		}
		u.set(p, next)
		u.set(m, v)
	}
	others := o.AdamW.update(restNames, rest, restGrads, o.AdamW.constants(), norm == nil)
	u.slots, u.values = append(u.slots, others.slots...), append(u.values, others.values...)
	o.commit(name, u, grads, norm)
	o.AdamW.step++
}

// layout: the momentum of matrices.
func (o *Muon) layout(p *lt.Tensor) []lt.Shape {
	if p.Rank() != 2 {
		return nil
	}
	return []lt.Shape{p.Shape()}
}

// adamWKey begins the names of AdamW's tensors in the state.
const adamWKey = "adamw."

// State returns the state of both optimisers.
func (o *Muon) State(ps *Params) map[string]*lt.Tensor {
	out := o.progress.State(ps)
	for name, t := range o.AdamW.State(ps) {
		out[adamWKey+name] = t
	}
	return out
}

// Restore sets what State returned.
func (o *Muon) Restore(ps *Params, state map[string]*lt.Tensor) error {
	own, others := map[string]*lt.Tensor{}, map[string]*lt.Tensor{}
	for name, t := range state {
		if rest, ok := strings.CutPrefix(name, adamWKey); ok {
			others[rest] = t
		} else {
			own[name] = t
		}
	}
	restored := o.progress
	if err := restored.restore(ps, own, o.layout); err != nil {
		return err
	}
	if err := o.AdamW.Restore(ps, others); err != nil {
		return err
	}
	o.progress = restored
	return nil
}

// orthogonal brings all singular values of x close to 1, by the quintic
// iteration of Jordan et al.
func orthogonal(x *lt.Tensor, iterations int) *lt.Tensor {
	if iterations == 0 {
		iterations = 5
	}
	const a, b, c = 3.4445, -4.7750, 2.0315
	tall := x.Dim(0) > x.Dim(1)
	if tall {
		x = x.T()
	}
	x = x.Div(x.Norm().Add(1e-7))
	for range iterations {
		g := x.MatMul(x.T())
		x = x.Mul(a).Add(g.Mul(b).Add(g.MatMul(g).Mul(c)).MatMul(x))
	}
	if tall {
		x = x.T()
	}
	return x
}
