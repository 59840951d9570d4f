package main

import (
	"fmt"

	lt "loris/tensorlib"
	"loris/tensorlib/nn"
)

// Training describes a few steps of an optimiser. Parameter k is input k; its
// gradient at step t (from 0) is input Count·(t+1) + k.
type Training struct {
	Name         string
	Count, Steps int
	LR           float64
	Beta1, Beta2 float64
	Eps          float64
	Decay        float64
	Momentum     float64
	Nesterov     bool
	Clip         float64
	Schedule     *struct {
		Kind          string
		LR, Min       float64
		Warmup, Steps int
	}
}

// optimizer returns the library's optimiser with the options of t.
func (t *Training) optimizer() nn.Optimizer {
	var schedule *nn.Schedule
	if s := t.Schedule; s != nil {
		schedule = &nn.Schedule{Kind: s.Kind, LR: s.LR, Min: s.Min, Warmup: s.Warmup, Steps: s.Steps}
	}
	decay := t.Decay
	if decay == 0 {
		decay = -1 // AdamW takes 0 for its default
	}
	switch t.Name {
	case "adamw", "adam":
		return &nn.AdamW{LR: t.LR, Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps, WeightDecay: decay, ClipNorm: t.Clip, Schedule: schedule}
	case "sgd":
		return &nn.SGD{LR: t.LR, Momentum: t.Momentum, Nesterov: t.Nesterov, WeightDecay: t.Decay, ClipNorm: t.Clip, Schedule: schedule}
	case "lion":
		return &nn.Lion{LR: t.LR, Beta1: t.Beta1, Beta2: t.Beta2, WeightDecay: t.Decay}
	case "adafactor":
		return &nn.Adafactor{LR: t.LR, WeightDecay: t.Decay}
	case "muon":
		return &nn.Muon{LR: t.LR, WeightDecay: t.Decay}
	}
	panic(fmt.Sprintf("unknown optimiser %q", t.Name))
}

// train makes the steps and returns the parameters.
func (c *Case) train() []*lt.Tensor {
	t := c.Train
	model := struct{ P []*lt.Tensor }{}
	for k := range t.Count {
		model.P = append(model.P, c.In[k].base(c.Number, k))
	}
	ps := nn.Collect(&model)
	opt := t.optimizer()
	for step := range t.Steps {
		grads := make([]*lt.Tensor, t.Count)
		for k := range grads {
			i := t.Count*(step+1) + k
			grads[k] = c.In[i].base(c.Number, i)
		}
		opt.Step(ps, grads)
	}
	return model.P
}
