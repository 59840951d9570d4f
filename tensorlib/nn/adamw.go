package nn

import (
	"iter"
	"math"
	"slices"

	lt "loris/tensorlib"
)

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

	progress
	joined joinedMoments
}

// joinedMoments are the moments of many parameters in one tensor.
type joinedMoments struct {
	params  []*lt.Tensor
	moments *lt.Tensor // as lt.AdamWUpdateAll takes them
	parted  int        // how often they were joined in vain
}

// fewestJoined is how many parameters are worth it: nodes of fewer updates cost less
// than an evaluation of their own.
const fewestJoined = 8

// largestJoined is how many elements parameters may have on average: from there on their
// arithmetic takes far longer than their nodes, and joining would need the memory of all
// moments once more.
const largestJoined = 128 << 10

// mostParted is how often moments are joined in vain before they stay apart: the
// parameters change from step to step, or the device cannot update them as one.
const mostParted = 3

// Step makes one update of the parameters.
func (o *AdamW) Step(ps *Params, grads []*lt.Tensor) {
	const name = "AdamW"
	params, clipped, norm := begin(name, ps, grads, o.ClipNorm)
	c := o.constants()
	if norm != nil {
		o.part()
	} else if o.onePass(params, clipped, c) {
		o.step++
		return
	}
	var names []string
	if o.Scale != nil {
		names = ps.Names()
	}
	o.commit(name, o.update(names, params, clipped, c, norm == nil), grads, norm)
}

// update returns the step of some parameters. A step that may still fail donates
// nothing: it must leave the moments as they are.
func (o *AdamW) update(names []string, params, grads []*lt.Tensor, c adamWConstants, donate bool) update {
	type kind struct {
		rate  float64
		dtype lt.DType
	}
	constants := map[kind]*lt.Tensor{} // mostly one
	u := update{slots: make([]*lt.Tensor, 0, 3*len(params)), values: make([]*lt.Tensor, 0, 3*len(params))}
	for i, p := range params {
		r := c.now[0]
		if o.Scale != nil {
			r *= o.Scale(names[i])
		}
		s := o.moments[p]
		if s == nil {
			s = o.of(p, o.layout(p))
		}
		key := kind{r, s[0].DType()}
		h := constants[key]
		if h == nil {
			h = lt.Of(r, c.now[1], c.now[2])
			if s[0].DType() == lt.F64 {
				h = lt.From([]float64{r, c.now[1], c.now[2]})
			}
			constants[key] = h
			u.temps = append(u.temps, h)
		}
		if donate {
			s[0].Donate()
			s[1].Donate()
			if o.Donate {
				p.Donate()
			}
		}
		p2, m2, v2 := lt.AdamWUpdate(p, grads[i], s[0], s[1], h, c.options)
		u.slots = append(u.slots, p, s[0], s[1])
		u.values = append(u.values, p2, m2, v2)
	}
	return u
}

// adamWConstants are those of all steps and, in now, of the step to come: the learning
// rate and the corrections of the moments' bias.
type adamWConstants struct {
	options lt.AdamWOptions
	now     [3]float64
}

func (o *AdamW) constants() (c adamWConstants) {
	c.options = lt.AdamWOptions{Beta1: or(o.Beta1, 0.9), Beta2: or(o.Beta2, 0.999), Eps: or(o.Eps, 1e-8), Decay: or(o.WeightDecay, 0.01)}
	t := float64(o.step + 1)
	c.now = [3]float64{o.rate("AdamW", or(o.LR, 1e-3), o.Schedule), 1 / (1 - math.Pow(c.options.Beta1, t)), 1 / (1 - math.Pow(c.options.Beta2, t))}
	return c
}

// onePass makes the updates without a graph, where that is possible and pays: once
// all parameters have moments.
func (o *AdamW) onePass(params, grads []*lt.Tensor, c adamWConstants) bool {
	j := &o.joined
	if j.params == nil || !slices.Equal(j.params, params) {
		o.part()
		if j.parted >= mostParted || o.Scale != nil || len(params) < fewestJoined || !o.join(params) {
			return false
		}
	}
	if o.Scale == nil && lt.AdamWUpdateAll(params, grads, j.moments, c.now, c.options, o.Donate) {
		return true
	}
	o.part()
	return false
}

// join moves the moments of the parameters into one tensor, and reports whether they
// can be.
func (o *AdamW) join(params []*lt.Tensor) bool {
	size, n := 0, len(params)
	rows := make([]*lt.Tensor, 2*n)
	for i, p := range params {
		s := o.moments[p]
		if s == nil || s[0].DType() != lt.F32 || s[1].DType() != lt.F32 {
			return false
		}
		rows[i], rows[n+i] = s[0].Reshape(p.Size()), s[1].Reshape(p.Size())
		size += p.Size()
	}
	if size > n*largestJoined {
		return false
	}
	moments := lt.Zeros(2, size)
	moments.Set(lt.Concat(0, rows...).Reshape(2, size))
	o.joined.params, o.joined.moments = slices.Clone(params), moments
	for _, p := range params {
		delete(o.moments, p)
	}
	return true
}

// part undoes join.
func (o *AdamW) part() {
	if o.joined.params == nil {
		return
	}
	for p, s := range o.joined.each() {
		o.moments[p] = s
	}
	o.joined = joinedMoments{parted: o.joined.parted + 1}
}

// each yields the parameters with their moments, which later updates leave alone.
func (j *joinedMoments) each() iter.Seq2[*lt.Tensor, []*lt.Tensor] {
	return func(yield func(*lt.Tensor, []*lt.Tensor) bool) {
		at := 0
		for _, p := range j.params {
			s := make([]*lt.Tensor, 2)
			for k := range s {
				s[k] = j.moments.At(k, lt.R(at, at+p.Size())).Reshape(p.Shape()...).Eval()
			}
			at += p.Size()
			if !yield(p, s) {
				return
			}
		}
	}
}

// State returns the number of steps ("step") and both moments of each parameter
// ("name.0" and "name.1"), for lt.Save; Restore continues from them. Later steps leave
// them alone.
func (o *AdamW) State(ps *Params) map[string]*lt.Tensor {
	out := o.progress.State(ps)
	names := map[*lt.Tensor]string{}
	for name, p := range ps.Map() {
		names[p] = name
	}
	for p, s := range o.joined.each() {
		if name, ok := names[p]; ok {
			out[name+".0"], out[name+".1"] = s[0], s[1]
		}
	}
	return out
}

// layout: the means of gradients and of their squares.
func (o *AdamW) layout(p *lt.Tensor) []lt.Shape { return []lt.Shape{p.Shape(), p.Shape()} }

// Restore sets what State returned.
func (o *AdamW) Restore(ps *Params, state map[string]*lt.Tensor) error {
	err := o.restore(ps, state, o.layout)
	if err == nil {
		o.joined = joinedMoments{}
	}
	return err
}
