package eval_test

import (
	"slices"
	"testing"

	"loris/internal/cpu"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// picky is a device that lacks some kernels.
type picky struct {
	*cpu.Device
	lacks []ir.Op
	steps int
}

func (d *picky) Name() string { return "picky" }

func (d *picky) Supports(o ir.Op, dtype ir.DType) bool {
	return !slices.Contains(d.lacks, o) && dtype != ir.F64 && d.Device.Supports(o, dtype)
}

func (d *picky) Compile(p *plan.Plan, from, to int) (plan.Executable, error) {
	d.steps += to - from
	return d.Device.Compile(p, from, to)
}

func TestStepsThatADeviceLacksRunOnTheCPU(t *testing.T) {
	d := &picky{Device: cpu.New(), lacks: []ir.Op{op.Sort, op.Tanh}}
	plan.Register(d)
	x, w := wave(6, 8), wave(8, 8)
	build := func() *ir.Node {
		y := op.ApplyOutput(op.Sort, op.Order{Axis: 1}, 0, matmul(x, w))
		return op.Unary(op.Tanh, matmul(op.Unary(op.Exp, y), w))
	}
	want := floats(t, build())
	if err := eval.Use("picky"); err != nil {
		t.Fatal(err)
	}
	defer eval.Use("cpu")
	p, err := eval.Plan(build())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range p.Steps {
		got = append(got, p.Steps[i].Name+":"+p.Steps[i].Device)
	}
	if !slices.Equal(got, []string{"matmul:picky", "sort:cpu", "exp:picky", "matmul tanh:cpu"}) {
		t.Errorf("%v", got)
	}
	near(t, floats(t, build()), want, 1e-6)
	if d.steps != 2 {
		t.Errorf("%d steps were compiled for the device", d.steps)
	}
	if err := eval.Use("none"); err == nil {
		t.Error("an unknown device can be used")
	}
}
