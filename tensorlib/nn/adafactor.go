package nn

import (
	"math"

	lt "loris/tensorlib"
)

// Adafactor (Shazeer and Stern 2018) keeps second moments of matrices as one
// row and one column; without first moment, relative step or parameter scaling.
type Adafactor struct {
	LR          float64 // 1e-3
	Decay       float64 // 0.8: β2 of step t is 1-t^-decay
	Eps         float64 // 1e-30, added to squared gradients
	Threshold   float64 // 1: the update's root mean square is clipped to it
	WeightDecay float64
	Schedule    *Schedule
	ClipNorm    float64 // see AdamW

	progress
}

// Step makes one update of the parameters.
func (o *Adafactor) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Adafactor"
	params, clipped, norm := begin(name, ps, grads, o.ClipNorm)
	eps, threshold := or(o.Eps, 1e-30), or(o.Threshold, 1)
	beta := &constant{value: 1 - math.Pow(float64(o.step+1), -or(o.Decay, 0.8))}
	mix := func(old, now *lt.Tensor) *lt.Tensor {
		b := beta.of(old)
		return old.Mul(b).Add(now.Mul(b.Neg().Add(1)))
	}
	lr := &constant{value: o.rate(name, or(o.LR, 1e-3), o.Schedule)}
	var u update
	for i, p := range params {
		s := o.of(p, o.layout(p))
		g := clipped[i].Cast(s[0].DType()) // squares of halves overflow
		square := g.Square().Add(eps)
		var step *lt.Tensor
		if len(s) == 2 {
			rows, cols := mix(s[0], square.Mean(-1)), mix(s[1], square.Mean(-2))
			// Divided and rooted before they are multiplied: rows·cols would underflow.
			step = g.Mul(rows.Div(rows.Mean(-1).Unsqueeze(-1)).Rsqrt().Unsqueeze(-1)).Mul(cols.Rsqrt().Unsqueeze(-2))
			u.set(s[0], rows)
			u.set(s[1], cols)
		} else {
			v := mix(s[0], square)
			step = g.Mul(v.Rsqrt())
			u.set(s[0], v)
		}
		step = step.Div(step.Square().Mean().Sqrt().Div(threshold).Maximum(1))
		next := p.Sub(step.Mul(lr.of(p)))
		if o.WeightDecay != 0 {
			next = next.Sub(p.Mul(o.WeightDecay).Mul(lr.of(p)))
		}
		u.set(p, next)
	}
	o.commit(name, u, grads, norm)
}

// layout: means of squares over the last axis and over the last but one, or of
// vectors the squares themselves.
func (o *Adafactor) layout(p *lt.Tensor) []lt.Shape {
	s := p.Shape()
	n := len(s)
	if n < 2 {
		return []lt.Shape{s}
	}
	return []lt.Shape{s[: n-1 : n-1], append(append(lt.Shape{}, s[:n-2]...), s[n-1])}
}

// Restore sets what State returned.
func (o *Adafactor) Restore(ps *Params, state map[string]*lt.Tensor) error {
	return o.restore(ps, state, o.layout)
}
