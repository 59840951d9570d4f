package metal

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).iota, op.Iota)
	register((*lowering).random, op.Random)
	register((*lowering).adamW, op.AdamW)
	register((*lowering).custom, op.Custom)
}

// iota writes start + k·step, k counting along an axis.
func (l *lowering) iota() error {
	a, out := l.s.Attrs.(op.Range), &l.s.Out[0]
	t, err := typeOf(out)
	if err != nil {
		return err
	}
	size, inner := a.Shape[a.Axis], a.Shape[a.Axis+1:].Size()
	whole := a.Start == float64(int64(a.Start)) && a.Step == float64(int64(a.Step))
	if !t.Float() && !whole {
		return errNoKernel
	}
	long := func(c kernels.Code, literal float64, args ...int) kernels.Op {
		return kernels.Op{Code: c, Type: kernels.I64, Literal: literal, Args: args}
	}
	ops := []kernels.Op{long("position", 0), long("const", float64(inner)), long("div", 0, 0, 1), long("const", float64(size)), long("mod", 0, 2, 3)}
	if whole {
		ops = append(ops, long("const", a.Step), long("const", a.Start), long("fma", 0, 4, 5, 6), kernels.Op{Code: "cast", Type: t, Args: []int{7}})
	} else {
		f := kernels.F32
		ops = append(ops, kernels.Op{Code: "cast", Type: f, Args: []int{4}}, kernels.Op{Code: "const", Type: f, Literal: a.Step},
			kernels.Op{Code: "const", Type: f, Literal: a.Start}, kernels.Op{Code: "fma", Type: f, Args: []int{5, 6, 7}})
	}
	g := kernels.Group{Shape: []int{a.Shape.Size()}, Ops: ops, Outputs: []kernels.Output{{Value: len(ops) - 1, Type: t}}}
	k, err := g.Launch()
	if err != nil {
		return errNoKernel
	}
	l.add(k, at(out))
	return nil
}

// random draws; key and counter come with the run.
func (l *lowering) random() error {
	d, out := l.s.Attrs.(op.Draw), &l.s.Out[0]
	t, err := typeOf(out)
	if err != nil {
		return err
	}
	r := kernels.Random{Type: t, Size: out.Shape.Size()}
	var k *kernels.Launch
	switch {
	case d.Dist == op.RandintDist:
		r.Low, r.Span = d.Lo, d.Hi-d.Lo
		k = r.Integers()
	case !t.Float():
		return errNoKernel
	case d.Dist == op.UniformDist:
		k = r.Uniform()
	default:
		k = r.Normal()
	}
	l.add(k, at(out)).draw = l.s.Draw
	return nil
}

func setDraw(params []byte, a ir.Attrs) {
	d := a.(op.Draw)
	kernels.SetDraw(params, d.Key, d.Counter)
}

// adamW updates each parameter of the step's batch.
func (l *lowering) adamW() error {
	s, a := l.s, l.s.Attrs.(op.AdamWStep)
	h, err := l.denseAs(&s.In[4], kernels.F32)
	if err != nil {
		return err
	}
	sets := [][2]operands{{s.In, s.Out}}
	for _, b := range s.Batch {
		sets = append(sets, [2]operands{b.In, b.Out})
	}
	for _, set := range sets {
		in, out := set[0], set[1]
		if out[0].Shape.Size() == 0 {
			continue
		}
		var p [4]place
		var t kernels.Type
		for i := range p {
			u, err := typeOf(&in[i])
			if err != nil {
				return err
			}
			switch {
			case i == 0:
				t = u
				p[i], _, err = l.dense(&in[i])
			case i == 1:
				p[i], err = l.denseAs(&in[i], t)
			default:
				p[i], err = l.denseAs(&in[i], kernels.F32)
			}
			if err != nil {
				return err
			}
		}
		k := kernels.AdamW{Type: t, Size: out[0].Shape.Size(), Beta1: float32(a.Beta1), Beta2: float32(a.Beta2), Eps: float32(a.Eps), Decay: float32(a.Decay)}
		l.add(k.Launch(), p[0], p[1], p[2], p[3], h, at(&out[0]), at(&out[1]), at(&out[2]))
	}
	return nil
}
