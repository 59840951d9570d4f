package nn

import (
	"fmt"
	"math"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Optimizer changes parameters by their gradients. Step computes everything in
// one evaluation: gradients, new parameters and state, and the loss that Grads
// was given.
type Optimizer interface {
	Step(ps *Params, grads []*lt.Tensor)
}

// ClipNorm scales gradients down so that the norm of all of them together is at
// most limit. It returns the scaled gradients and the norm before.
func ClipNorm(grads []*lt.Tensor, limit float64) (clipped []*lt.Tensor, norm *lt.Tensor) {
	norm = globalNorm(grads)
	scale := norm.Add(1e-6).Reciprocal().Mul(limit).Minimum(1)
	clipped = make([]*lt.Tensor, len(grads))
	for i, g := range grads {
		clipped[i] = g.Mul(scale.Cast(g.DType()))
	}
	return clipped, norm
}

func globalNorm(grads []*lt.Tensor) *lt.Tensor {
	if len(grads) == 0 {
		return lt.Full(0.0)
	}
	dtype := lt.F32
	for _, g := range grads {
		if g.DType() == lt.F64 {
			dtype = lt.F64
		}
	}
	parts := make([]*lt.Tensor, len(grads))
	for i, g := range grads {
		parts[i] = g.Cast(dtype).Square().Sum()
	}
	return lt.Stack(0, parts...).Sum().Sqrt()
}

// constant is a number that changes from step to step, such as the learning
// rate: a tensor, so that the plan stays the same. Parameters of f64 get it in
// f64, others in f32.
type constant struct {
	value        float64
	single, wide *lt.Tensor
}

func (c *constant) of(p *lt.Tensor) *lt.Tensor {
	if p.DType() == lt.F64 {
		if c.wide == nil {
			c.wide = lt.From(c.value)
		}
		return c.wide
	}
	if c.single == nil {
		c.single = lt.Of(c.value).Reshape()
	}
	return c.single
}

// base is what all optimisers have.
type base struct {
	LR       float64   // learning rate
	Schedule *Schedule // overrides LR
	// ClipNorm limits the norm of all gradients together, if positive. It also
	// makes a gradient with NaN or Inf an error, before anything is changed.
	ClipNorm float64

	step int
	norm float64
}

// begin counts the step, checks and clips the gradients and returns the rate.
func (c *base) begin(name string, ps *Params, grads []*lt.Tensor) (rate float64, params, clipped []*lt.Tensor, norm *lt.Tensor) {
	params = ps.Tensors()
	if len(grads) != len(params) {
		panic(&lt.Error{Code: ir.CodeValue, Op: name, Msg: fmt.Sprintf("%d gradients for %d parameters", len(grads), len(params)),
			Hint: "lt.Grads(loss, ps.Tensors()...)"})
	}
	for i, g := range grads {
		if g == nil {
			panic(&lt.Error{Code: ir.CodeNil, Op: name, Msg: fmt.Sprintf("the gradient of %s is nil", ps.Names()[i])})
		}
	}
	rate = c.LR
	if c.Schedule != nil {
		rate = c.Schedule.At(c.step + 1)
	}
	if !(rate >= 0) || math.IsInf(rate, 0) {
		panic(&lt.Error{Code: ir.CodeValue, Op: name, Msg: fmt.Sprintf("the learning rate is %v", rate)})
	}
	if c.ClipNorm > 0 {
		grads, norm = ClipNorm(grads, c.ClipNorm)
	}
	return rate, params, grads, norm
}

// commit computes the new values (and the loss of the gradients as Grads gave
// them), checks the norm, and stores the values.
func (c *base) commit(name string, slots, values, grads []*lt.Tensor, norm *lt.Tensor) {
	if norm != nil {
		roots := append([]*lt.Tensor{norm}, values...)
		if loss := grads[0].Loss(); loss != nil {
			roots = append(roots, loss)
		}
		lt.Eval(roots...)
		if c.norm = norm.Item(); math.IsNaN(c.norm) || math.IsInf(c.norm, 0) {
			panic(&lt.Error{Code: ir.CodeNumber, Op: name, Msg: fmt.Sprintf("the gradients' norm is %v at step %d; nothing was changed", c.norm, c.step+1),
				Hint: "look for the first bad value in the loss, or lower the learning rate"})
		}
	}
	lt.SetAll(slots, values, grads...)
	c.step++
}

// moments are named tensors of state for each parameter.
type moments map[*lt.Tensor][]*lt.Tensor

// of returns the state of p, zeros at first.
func (m *moments) of(p *lt.Tensor, shapes ...lt.Shape) []*lt.Tensor {
	if *m == nil {
		*m = moments{}
	}
	if s, ok := (*m)[p]; ok {
		return s
	}
	s := make([]*lt.Tensor, len(shapes))
	for i, shape := range shapes {
		s[i] = lt.Zeros(shape...)
		if p.DType() == lt.F64 {
			s[i] = s[i].Cast(lt.F64)
		}
	}
	(*m)[p] = s
	return s
}

// state returns the moments by "name.i", for saving: tensors of their own, which
// later steps leave alone.
func (m moments) state(ps *Params, step int) map[string]*lt.Tensor {
	out := map[string]*lt.Tensor{"step": lt.Ints(step)}
	for name, p := range ps.Map() {
		for i, t := range m[p] {
			out[fmt.Sprintf("%s.%d", name, i)] = t.Detach().Eval()
		}
	}
	return out
}

// restore is the inverse of state.
func (m *moments) restore(ps *Params, state map[string]*lt.Tensor, count int) (step int, err error) {
	restored := moments{}
	for name, p := range ps.Map() {
		var s []*lt.Tensor
		for i := range count {
			if t := state[fmt.Sprintf("%s.%d", name, i)]; t != nil {
				s = append(s, t.Detach().Eval())
			}
		}
		if len(s) == count {
			restored[p] = s
		} else if len(s) > 0 {
			return 0, &lt.Error{Code: ir.CodeFormat, Op: "Restore", Msg: fmt.Sprintf("the state of %s is incomplete", name)}
		}
	}
	t := state["step"]
	if t == nil || t.Size() != 1 {
		return 0, &lt.Error{Code: ir.CodeFormat, Op: "Restore", Msg: "the state has no step"}
	}
	*m = restored
	return t.Ints()[0], nil
}

// AdamW is Adam with decoupled weight decay (Loshchilov and Hutter 2019):
// PyTorch's torch.optim.AdamW. The zero value of each field is its default; a
// negative one means 0.
type AdamW struct {
	LR          float64   // 1e-3
	Beta1       float64   // 0.9
	Beta2       float64   // 0.999
	Eps         float64   // 1e-8
	WeightDecay float64   // 0.01
	Schedule    *Schedule // overrides LR
	// ClipNorm limits the norm of all gradients together, if positive. It also
	// makes a gradient with NaN or Inf an error, before anything is changed.
	ClipNorm float64
	// Scale multiplies the rate of a parameter by name (LoRA+: a higher rate
	// for the B matrices); nil means 1 for all.
	Scale func(name string) float64
	// Donate updates the parameters in place, as the moments always are: no
	// memory but theirs is written. What was computed from a parameter and is not
	// evaluated by then cannot be any more, and says so. Without effect beside
	// ClipNorm.
	Donate bool

	common  base
	moments moments
}

// or returns v, the default where v is 0, and 0 where it is negative.
func or(v, standard float64) float64 {
	switch {
	case v == 0:
		return standard
	case v < 0:
		return 0
	}
	return v
}

// Step makes one update of the parameters.
func (o *AdamW) Step(ps *Params, grads []*lt.Tensor) {
	const name = "AdamW"
	c := &o.common
	c.LR, c.Schedule, c.ClipNorm = or(o.LR, 1e-3), o.Schedule, o.ClipNorm
	given := grads
	rate, params, grads, norm := c.begin(name, ps, grads)
	a := lt.AdamWOptions{Beta1: or(o.Beta1, 0.9), Beta2: or(o.Beta2, 0.999), Eps: or(o.Eps, 1e-8), Decay: or(o.WeightDecay, 0.01)}
	t := float64(c.step + 1)
	h1, h2 := 1/(1-math.Pow(a.Beta1, t)), 1/(1-math.Pow(a.Beta2, t))
	constants := map[[2]any]*lt.Tensor{} // by rate and dtype: mostly one
	slots := make([]*lt.Tensor, 0, 3*len(params))
	values := make([]*lt.Tensor, 0, 3*len(params))
	var names []string
	if o.Scale != nil {
		names = ps.Names()
	}
	for i, p := range params {
		r := rate
		if o.Scale != nil {
			r *= o.Scale(names[i])
		}
		s := o.moments.of(p, p.Shape(), p.Shape())
		key := [2]any{r, s[0].DType()}
		h := constants[key]
		if h == nil {
			h = lt.Of(r, h1, h2)
			if s[0].DType() == lt.F64 {
				h = lt.From([]float64{r, h1, h2})
			}
			constants[key] = h
		}
		if norm == nil { // a bad norm must leave the moments as they are
			s[0].Donate()
			s[1].Donate()
			if o.Donate {
				p.Donate()
			}
		}
		p2, m2, v2 := lt.AdamWUpdate(p, grads[i], s[0], s[1], h, a)
		slots = append(slots, p, s[0], s[1])
		values = append(values, p2, m2, v2)
	}
	c.commit(name, slots, values, given, norm)
}

// Steps returns the number of steps made.
func (o *AdamW) Steps() int { return o.common.step }

// Norm returns the norm of the gradients at the last step, if ClipNorm is set.
func (o *AdamW) Norm() float64 { return o.common.norm }

// State returns moments and step for lt.Save; Restore continues from them.
func (o *AdamW) State(ps *Params) map[string]*lt.Tensor { return o.moments.state(ps, o.common.step) }

// Restore sets what State returned.
func (o *AdamW) Restore(ps *Params, state map[string]*lt.Tensor) (err error) {
	o.common.step, err = o.moments.restore(ps, state, 2)
	return err
}

// SGD is stochastic gradient descent with momentum, as torch.optim.SGD:
// v = momentum·v + g; p -= lr·v (with Nesterov, p -= lr·(g + momentum·v)).
type SGD struct {
	LR          float64 // 1e-2 if 0
	Momentum    float64
	Nesterov    bool
	WeightDecay float64 // added to the gradient: g + decay·p
	Schedule    *Schedule
	ClipNorm    float64

	common  base
	moments moments
}

// Step makes one update of the parameters.
func (o *SGD) Step(ps *Params, grads []*lt.Tensor) {
	const name = "SGD"
	c := &o.common
	c.LR, c.Schedule, c.ClipNorm = or(o.LR, 1e-2), o.Schedule, o.ClipNorm
	given := grads
	rate, params, grads, norm := c.begin(name, ps, grads)
	var slots, values []*lt.Tensor
	lr := &constant{value: rate}
	for i, p := range params {
		g := grads[i]
		if o.WeightDecay != 0 {
			g = g.Add(p.Mul(o.WeightDecay))
		}
		if o.Momentum != 0 {
			s := o.moments.of(p, p.Shape())
			v := s[0].Mul(o.Momentum).Add(g)
			slots, values = append(slots, s[0]), append(values, v)
			if o.Nesterov {
				g = g.Add(v.Mul(o.Momentum))
			} else {
				g = v
			}
		}
		slots, values = append(slots, p), append(values, p.Sub(g.Mul(lr.of(p))).Cast(p.DType()))
	}
	c.commit(name, slots, values, given, norm)
}

// Steps returns the number of steps made.
func (o *SGD) Steps() int { return o.common.step }

// Lion is the optimiser of Chen et al. 2023: the sign of an interpolated
// momentum. Its rate is 3 to 10 times smaller than AdamW's.
type Lion struct {
	LR          float64 // 1e-4
	Beta1       float64 // 0.9
	Beta2       float64 // 0.99
	WeightDecay float64 // 0 if 0
	Schedule    *Schedule
	ClipNorm    float64

	common  base
	moments moments
}

// Step makes one update of the parameters.
func (o *Lion) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Lion"
	c := &o.common
	c.LR, c.Schedule, c.ClipNorm = or(o.LR, 1e-4), o.Schedule, o.ClipNorm
	b1, b2 := or(o.Beta1, 0.9), or(o.Beta2, 0.99)
	given := grads
	rate, params, grads, norm := c.begin(name, ps, grads)
	var slots, values []*lt.Tensor
	lr := &constant{value: rate}
	for i, p := range params {
		g := grads[i]
		m := o.moments.of(p, p.Shape())[0]
		u := m.Mul(b1).Add(g.Mul(1 - b1)).Sign()
		if o.WeightDecay != 0 {
			u = u.Add(p.Mul(o.WeightDecay))
		}
		slots = append(slots, p, m)
		values = append(values, p.Sub(u.Mul(lr.of(p))).Cast(p.DType()), m.Mul(b2).Add(g.Mul(1-b2)).Cast(m.DType()))
	}
	c.commit(name, slots, values, given, norm)
}

// Steps returns the number of steps made.
func (o *Lion) Steps() int { return o.common.step }

// Adafactor (Shazeer and Stern 2018) keeps second moments of matrices as one
// row and one column; without first moment, relative step or parameter scaling.
type Adafactor struct {
	LR          float64 // 1e-3
	Decay       float64 // 0.8: β2 of step t is 1-t^-decay
	Eps         float64 // 1e-30, added to squared gradients
	Threshold   float64 // 1: the update's root mean square is clipped to it
	WeightDecay float64
	Schedule    *Schedule
	ClipNorm    float64

	common  base
	moments moments
}

// Step makes one update of the parameters.
func (o *Adafactor) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Adafactor"
	c := &o.common
	c.LR, c.Schedule, c.ClipNorm = or(o.LR, 1e-3), o.Schedule, o.ClipNorm
	eps, threshold := or(o.Eps, 1e-30), or(o.Threshold, 1)
	given := grads
	rate, params, grads, norm := c.begin(name, ps, grads)
	beta := &constant{value: 1 - math.Pow(float64(c.step+1), -or(o.Decay, 0.8))}
	mix := func(old, now *lt.Tensor) *lt.Tensor {
		b := beta.of(old)
		return old.Mul(b).Add(now.Mul(b.Neg().Add(1))).Cast(old.DType())
	}
	lr := &constant{value: rate}
	var slots, values []*lt.Tensor
	for i, p := range params {
		g := grads[i]
		shape := p.Shape()
		square := g.Square().Add(eps)
		var u *lt.Tensor
		if n := len(shape); n >= 2 {
			rows, cols := shape[:n-1], append(append(lt.Shape{}, shape[:n-2]...), shape[n-1])
			s := o.moments.of(p, rows, cols)
			r, col := mix(s[0], square.Mean(-1)), mix(s[1], square.Mean(-2))
			factor := r.Div(r.Mean(-1).Unsqueeze(-1)).Rsqrt().Unsqueeze(-1).Mul(col.Rsqrt().Unsqueeze(-2))
			u = g.Mul(factor)
			slots, values = append(slots, s...), append(values, r, col)
		} else {
			s := o.moments.of(p, shape)
			v := mix(s[0], square)
			u = g.Mul(v.Rsqrt())
			slots, values = append(slots, s...), append(values, v)
		}
		u = u.Div(u.Square().Mean().Sqrt().Div(threshold).Maximum(1))
		next := p.Sub(u.Mul(lr.of(p)))
		if o.WeightDecay != 0 {
			next = next.Sub(p.Mul(o.WeightDecay).Mul(lr.of(p)))
		}
		slots, values = append(slots, p), append(values, next.Cast(p.DType()))
	}
	c.commit(name, slots, values, given, norm)
}

// Steps returns the number of steps made.
func (o *Adafactor) Steps() int { return o.common.step }

// Muon (Jordan et al. 2024) orthogonalises the momentum of matrices by
// Newton-Schulz iterations; other parameters are updated by AdamW.
type Muon struct {
	LR          float64 // 0.02
	Momentum    float64 // 0.95, Nesterov
	Iterations  int     // 5
	WeightDecay float64
	Schedule    *Schedule
	ClipNorm    float64
	AdamW       AdamW // for parameters that are no matrices

	common  base
	moments moments
}

// Step makes one update of the parameters.
func (o *Muon) Step(ps *Params, grads []*lt.Tensor) {
	const name = "Muon"
	c := &o.common
	c.LR, c.Schedule, c.ClipNorm = or(o.LR, 0.02), o.Schedule, o.ClipNorm
	momentum := or(o.Momentum, 0.95)
	given := grads
	rate, params, grads, norm := c.begin(name, ps, grads)
	lr := &constant{value: rate}
	var slots, values, rest []*lt.Tensor
	others := &Params{byName: map[string]*lt.Tensor{}, frozen: map[string]bool{}}
	for i, p := range params {
		shape := p.Shape()
		if len(shape) != 2 {
			n := ps.Names()[i]
			others.names, rest = append(others.names, n), append(rest, grads[i])
			others.byName[n] = p
			continue
		}
		m := o.moments.of(p, shape)[0]
		v := m.Mul(momentum).Add(grads[i])
		u := orthogonal(grads[i].Add(v.Mul(momentum)), o.Iterations)
		u = u.Mul(math.Sqrt(math.Max(1, float64(shape[0])/float64(shape[1]))))
		next := p.Sub(u.Mul(lr.of(p)))
		if o.WeightDecay != 0 {
			next = next.Sub(p.Mul(o.WeightDecay).Mul(lr.of(p)))
		}
		slots, values = append(slots, p, m), append(values, next.Cast(p.DType()), v.Cast(m.DType()))
	}
	if len(rest) > 0 {
		// Both updates read the same gradients: they must be there before the
		// parameters change.
		lt.Eval(append(append([]*lt.Tensor{}, rest...), values...)...)
		o.AdamW.Step(others, rest)
	}
	c.commit(name, slots, values, given, norm)
}

// Steps returns the number of steps made.
func (o *Muon) Steps() int { return o.common.step }

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
