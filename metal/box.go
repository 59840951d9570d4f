package metal

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).dynamicSlice, op.DynamicSlice)
	register((*lowering).dynamicUpdate, op.DynamicUpdateSlice)
}

func (l *lowering) dynamicSlice() error {
	x, t, err := l.dense(&l.s.In[0])
	if err != nil {
		return err
	}
	b, starts, err := l.box(t, l.s.Out[0].Shape, l.s.In[0].Shape, &l.s.In[1])
	if err != nil {
		return err
	}
	l.add(b.Read(), x, starts, at(&l.s.Out[0]))
	return nil
}

func (l *lowering) dynamicUpdate() error {
	if err := l.copyOperand(&l.s.In[0], &l.s.Out[0]); err != nil {
		return err
	}
	update, t, err := l.dense(&l.s.In[1])
	if err != nil {
		return err
	}
	b, starts, err := l.box(t, l.s.In[1].Shape, l.s.Out[0].Shape, &l.s.In[2])
	if err != nil {
		return err
	}
	l.add(b.Write(), update, starts, at(&l.s.Out[0]))
	return nil
}

// box describes a box and returns where its start lies.
func (l *lowering) box(t kernels.Type, shape, full ir.Shape, starts *plan.Operand) (kernels.Box, place, error) {
	if len(shape) == 0 || len(shape) > 8 {
		return kernels.Box{}, place{}, errNoKernel
	}
	p, err := l.denseAs(starts, kernels.I64)
	return kernels.Box{Type: t, Shape: shape, Full: full}, p, err
}
