package nn

import (
	"fmt"
	"math"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Optimizer changes parameters by their gradients. Step computes everything in
// one evaluation: gradients, new parameters and state, and the loss that Grads
// was given. State returns what Restore needs to go on from there.
type Optimizer interface {
	Step(ps *Params, grads []*lt.Tensor)
	Steps() int
	State(ps *Params) map[string]*lt.Tensor
	Restore(ps *Params, state map[string]*lt.Tensor) error
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

// progress is what an optimiser knows beside its settings: the steps it has made
// and tensors of its own for each parameter.
type progress struct {
	step    int
	norm    float64
	moments map[*lt.Tensor][]*lt.Tensor
}

// Steps returns the number of steps made.
func (s *progress) Steps() int { return s.step }

// Norm returns the norm of the gradients at the last step, if ClipNorm is set.
func (s *progress) Norm() float64 { return s.norm }

// rate returns the learning rate of the step to come.
func (s *progress) rate(name string, constant float64, schedule *Schedule) float64 {
	rate := constant
	if schedule != nil {
		rate = schedule.At(s.step + 1)
	}
	if !(rate >= 0) || math.IsInf(rate, 0) {
		panic(&lt.Error{Code: ir.CodeValue, Op: name, Msg: fmt.Sprintf("the learning rate is %v", rate)})
	}
	return rate
}

// begin checks the gradients and clips them. The norm is nil if limit is not positive.
func begin(name string, ps *Params, grads []*lt.Tensor, limit float64) (params, clipped []*lt.Tensor, norm *lt.Tensor) {
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
	if limit > 0 {
		grads, norm = ClipNorm(grads, limit)
	}
	return params, grads, norm
}

// update collects the new values of one step, and what only they are computed from.
type update struct{ slots, values, temps []*lt.Tensor }

// set makes value, in slot's dtype, the slot's next.
func (u *update) set(slot, value *lt.Tensor) {
	u.slots, u.values = append(u.slots, slot), append(u.values, value.Cast(slot.DType()))
}

// commit computes the new values (and the loss of the gradients as Grads gave
// them), checks the norm, and stores the values.
func (s *progress) commit(name string, u update, grads []*lt.Tensor, norm *lt.Tensor) {
	if norm != nil {
		roots := append([]*lt.Tensor{norm}, u.values...)
		if loss := grads[0].Loss(); loss != nil {
			roots = append(roots, loss)
		}
		lt.Eval(roots...)
		if s.norm = norm.Item(); math.IsNaN(s.norm) || math.IsInf(s.norm, 0) {
			panic(&lt.Error{Code: ir.CodeNumber, Op: name, Msg: fmt.Sprintf("the gradients' norm is %v at step %d; nothing was changed", s.norm, s.step+1),
				Hint: "look for the first bad value in the loss, or lower the learning rate"})
		}
	}
	lt.SetAll(u.slots, u.values, grads...)
	for _, t := range u.temps {
		t.Release() // its memory serves the next step
	}
	s.step++
}

// of returns the tensors of p, zeros at first. Those of halves are f32.
func (s *progress) of(p *lt.Tensor, shapes []lt.Shape) []*lt.Tensor {
	if m, ok := s.moments[p]; ok {
		return m
	}
	m := make([]*lt.Tensor, len(shapes))
	for i, shape := range shapes {
		m[i] = lt.Zeros(shape...)
		if p.DType() == lt.F64 {
			m[i] = m[i].Cast(lt.F64)
		}
	}
	if s.moments == nil {
		s.moments = map[*lt.Tensor][]*lt.Tensor{}
	}
	s.moments[p] = m
	return m
}

// State returns the number of steps ("step") and the optimiser's tensors for each
// parameter ("name.0", …), for lt.Save; Restore continues from them. Later steps
// leave them alone.
func (s *progress) State(ps *Params) map[string]*lt.Tensor {
	out := map[string]*lt.Tensor{"step": lt.Ints(s.step)}
	for name, p := range ps.Map() {
		for i, t := range s.moments[p] {
			out[fmt.Sprintf("%s.%d", name, i)] = t.Detach().Eval()
		}
	}
	return out
}

// restore is the inverse of State, for an optimiser whose tensors have the shapes
// that layout tells. A parameter without any begins anew.
func (s *progress) restore(ps *Params, state map[string]*lt.Tensor, layout func(p *lt.Tensor) []lt.Shape) error {
	bad := func(format string, args ...any) error {
		return &lt.Error{Code: ir.CodeFormat, Op: "Restore", Msg: fmt.Sprintf(format, args...)}
	}
	step := state["step"]
	if step == nil || step.Size() != 1 {
		return bad("the state has no step")
	}
	restored := map[*lt.Tensor][]*lt.Tensor{}
	for name, p := range ps.Map() {
		shapes := layout(p)
		m := make([]*lt.Tensor, 0, len(shapes))
		for i, shape := range shapes {
			t := state[fmt.Sprintf("%s.%d", name, i)]
			if t == nil {
				continue
			}
			if !t.Shape().Equal(shape) || !t.DType().IsFloat() {
				return bad("the state of %s is %s%v, not %v: it is of another model or optimiser", name, t.DType(), t.Shape(), shape)
			}
			m = append(m, t.Detach().Eval())
		}
		if extra := fmt.Sprintf("%s.%d", name, len(shapes)); state[extra] != nil {
			return bad("the state has %s: it is of another optimiser", extra)
		}
		if len(m) == len(shapes) {
			restored[p] = m
		} else if len(m) > 0 {
			return bad("the state of %s is incomplete", name)
		}
	}
	s.step, s.moments = step.Ints()[0], restored
	return nil
}
