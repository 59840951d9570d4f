package main

import (
	"fmt"
	"strings"

	lt "loris/tensorlib"
)

// replay computes a case lazily, values and gradients in one evaluation, and
// returns what differs from PyTorch's results: one line each.
func (s *Suite) replay(c *Case) (failures []string) {
	var stage string
	defer func() {
		if p := recover(); p != nil {
			failures = append(failures, fmt.Sprintf("%s: panic: %v", stage, p))
		}
	}()
	if c.Train != nil {
		stage = "training"
		return s.compareAll(c, c.train())
	}
	if c.Mode == "eager" {
		lt.Eager(func() { failures = s.replayLazily(c, &stage) })
		return failures
	}
	return s.replayLazily(c, &stage)
}

// replayLazily is replay of a call or graph; stage says how far it has come.
func (s *Suite) replayLazily(c *Case, stage *string) []string {
	*stage = "building"
	bases := make([]*lt.Tensor, len(c.In))
	for k := range c.In {
		bases[k] = c.In[k].base(c.Number, k)
		if c.Mode == "eager" {
			bases[k].Track() // what is computed at once keeps its recipe only so
		}
	}
	values := c.outputs(bases)
	*stage = "gradients"
	gradients := c.gradients(bases, values)
	results := make([]*lt.Tensor, len(c.Want))
	for i, w := range c.Want {
		switch w.Kind {
		case "value":
			results[i] = values[w.Of]
		case "grad":
			results[i] = gradients[w.Of]
		}
	}
	*stage = "evaluating"
	lt.Eval(results...)
	*stage = "comparing"
	return s.compareAll(c, results)
}

// outputs returns the values that are compared, by number.
func (c *Case) outputs(bases []*lt.Tensor) map[int]*lt.Tensor {
	program := func(x ...*lt.Tensor) []*lt.Tensor {
		values := c.values(x)
		var out []*lt.Tensor
		for _, i := range c.Out {
			out = append(out, values[i])
		}
		return out
	}
	var results []*lt.Tensor
	switch c.Mode {
	case "compile":
		f := lt.Compile(program)
		f.Call(bases...)
		results = f.Call(bases...)
	case "checkpoint":
		results = []*lt.Tensor{lt.Checkpoint(func(x ...*lt.Tensor) *lt.Tensor { return program(x...)[0] })(bases...)}
	default:
		results = program(bases...)
	}
	out := map[int]*lt.Tensor{}
	for place, i := range c.Out {
		out[i] = results[place]
	}
	return out
}

// values returns all values of the program.
func (c *Case) values(bases []*lt.Tensor) []*lt.Tensor {
	var values []*lt.Tensor
	for k := range c.In {
		values = append(values, c.In[k].view(bases[k]))
	}
	for i := range c.Code {
		step := &c.Code[i]
		in := make([]*lt.Tensor, len(step.In))
		for j, v := range step.In {
			in[j] = values[v]
		}
		o, ok := operations[step.Op]
		if !ok {
			panic(fmt.Sprintf("op %q of the fixture has no row", step.Op))
		}
		values = append(values, o.Run(in, step)...)
	}
	return values
}

// gradients returns those of the weighted sum of the outputs, by input.
func (c *Case) gradients(bases []*lt.Tensor, values map[int]*lt.Tensor) map[int]*lt.Tensor {
	var wrt []*lt.Tensor
	var which []int
	for k := range c.In {
		if c.In[k].Grad {
			wrt, which = append(wrt, bases[k]), append(which, k)
		}
	}
	if len(wrt) == 0 {
		return nil
	}
	var loss *lt.Tensor
	for place, v := range c.Out {
		y := values[v]
		if !y.DType().IsFloat() {
			continue
		}
		weights := Input{Gen: "uniform", Lo: -1, Hi: 1, Shape: y.Shape(), DType: y.DType().String()}
		w := weights.base(c.Number, weightsFrom+place)
		if y.DType() != lt.F64 {
			y, w = y.Cast(lt.F32), w.Cast(lt.F32)
		}
		part := y.Mul(w).Sum()
		if loss == nil {
			loss = part
		} else {
			loss = loss.Add(part)
		}
	}
	out := map[int]*lt.Tensor{}
	for i, g := range lt.Grads(loss, wrt...) {
		out[which[i]] = g
	}
	return out
}

// String describes a case: its inputs and steps.
func (c *Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "case %d (%s)", c.Number, strings.TrimSpace(c.Kind+" "+c.Mode))
	for k, in := range c.In {
		fmt.Fprintf(&b, " %d=%s%v", k, in.DType, in.Shape)
		if in.Layout != "" {
			b.WriteString(" " + in.Layout)
		}
		fmt.Fprintf(&b, " %s", in.Gen)
	}
	for _, s := range c.Code {
		fmt.Fprintf(&b, "; %s", s.describe())
	}
	if c.Train != nil {
		fmt.Fprintf(&b, "; %+v", *c.Train)
	}
	return b.String()
}
