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

// adamSet are the places of one parameter's update.
type adamSet struct {
	t       kernels.Type
	size    int
	columns int      // if the gradient lies transposed
	in      [4]place // p, g, m, v
	out     [3]place
}

// adamW updates the parameters of the step's batch, several in one launch.
func (l *lowering) adamW() error {
	s, a := l.s, l.s.Attrs.(op.AdamWStep)
	h, err := l.denseAs(&s.In[4], kernels.F32)
	if err != nil {
		return err
	}
	sets := []*adamSet{}
	for i := range len(s.Batch) + 1 {
		in, out := s.In, s.Out
		if i > 0 {
			in, out = s.Batch[i-1].In, s.Batch[i-1].Out
		}
		set, err := l.adamSet(in, out)
		if err != nil {
			return err
		}
		if set.size > 0 {
			sets = append(sets, set)
		}
	}
	for len(sets) > 0 {
		n := 1
		for n < min(len(sets), kernels.MaxAdamWSets) && sets[n].t == sets[0].t {
			n++
		}
		var parts []kernels.Set
		args := []place{h}
		for _, x := range sets[:n] {
			parts = append(parts, kernels.Set{Size: x.size, Columns: x.columns})
			args = append(append(args, x.in[:]...), x.out[:]...)
		}
		k := kernels.AdamW{Type: sets[0].t, Beta1: float32(a.Beta1), Beta2: float32(a.Beta2), Eps: float32(a.Eps), Decay: float32(a.Decay)}
		l.add(k.LaunchSets(parts), args...)
		sets = sets[n:]
	}
	return nil
}

func (l *lowering) adamSet(in, out operands) (*adamSet, error) {
	t, err := typeOf(&in[0])
	if err != nil {
		return nil, err
	}
	x := &adamSet{t: t, size: out[0].Shape.Size(), out: [3]place{at(&out[0]), at(&out[1]), at(&out[2])}}
	for i, want := range [4]kernels.Type{t, t, kernels.F32, kernels.F32} {
		if g := &in[1]; i == 1 && t == kernels.F32 && g.DType == ir.F32 && len(g.Shape) == 2 && !g.IsDense() && g.Permute([]int{1, 0}).IsDense() {
			x.in[1], x.columns = at(g), g.Shape[1]
			continue
		}
		if x.in[i], err = l.denseAs(&in[i], want); err != nil {
			return nil, err
		}
	}
	return x, nil
}
