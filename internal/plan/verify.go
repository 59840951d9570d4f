package plan

import (
	"fmt"

	"loris/internal/ir"
	"loris/internal/op"
)

// verifyGraph checks what every pass must keep: inputs come before their uses,
// outputs of one op lie together, and every value has the dtype and shape that its
// op gives for its inputs.
func verifyGraph(g *graph, pass string) error {
	bad := func(i int, format string, args ...any) error {
		return fmt.Errorf("plan: after pass %s, value %d (%s): %s", pass, i, op.NameOf(g.vals[i].op), fmt.Sprintf(format, args...))
	}
	for i := range g.vals {
		v := &g.vals[i]
		for _, x := range v.in {
			if x < 0 || int(x) >= i {
				return bad(i, "input %d is not before it", x)
			}
		}
		if k := int(v.output); k > 0 {
			if first := i - k; first < 0 || g.vals[first].output != 0 || g.vals[first].op != v.op {
				return bad(i, "is output %d but its siblings are elsewhere", k)
			}
		}
		if isElementwise(v.op) {
			for _, x := range v.in {
				s := g.vals[x].shape
				if len(s) > len(v.shape) {
					return bad(i, "input shape %v does not broadcast to %v", s, v.shape)
				}
				for d := range s {
					if e := v.shape[len(v.shape)-len(s)+d]; s[d] != e && s[d] != 1 {
						return bad(i, "input shape %v does not broadcast to %v", s, v.shape)
					}
				}
			}
		}
		if err := inferred(g, v); err != nil {
			return bad(i, "%v", err)
		}
		if g.views != nil {
			if w := g.views[i]; !w.view.Shape.Equal(v.shape) && g.vals[w.base].op != op.Const {
				return bad(i, "view %v of a value of shape %v", w.view.Shape, v.shape)
			}
		}
	}
	for _, x := range g.outs {
		if x < 0 || int(x) >= len(g.vals) {
			return fmt.Errorf("plan: after pass %s, output %d does not exist", pass, x)
		}
	}
	return nil
}

// inferred checks that a value has the dtype and shape that its op gives.
func inferred(g *graph, v *value) error {
	row := &op.Table[v.op]
	if v.op >= op.NumPrimitives || row.Infer == nil || row.Kind == op.Source {
		return nil
	}
	in := make([]*ir.Node, len(v.in))
	for k, x := range v.in {
		in[k] = ir.NewNode0(op.Leaf, g.vals[x].dtype, g.vals[x].shape, nil)
	}
	dtype, shape, err := row.Infer(in, v.attrs, int(v.output))
	if err != nil {
		return err
	}
	if dtype != v.dtype || !shape.Equal(v.shape) {
		return fmt.Errorf("%s%v, its inputs give %s%v", v.dtype, v.shape, dtype, shape)
	}
	return nil
}

// Verify checks a finished plan: steps read only what is written before them,
// operands stay inside their buffers, buffers that live at the same time do not
// overlap, and programs are well formed.
func (p *Plan) Verify() error {
	written := make([]bool, len(p.Buffers))
	for i := range p.Buffers {
		written[i] = p.Buffers[i].Kind == LeafBuffer
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		bad := func(format string, args ...any) error {
			return fmt.Errorf("plan: step %d (%s): %s", i, s.Name, fmt.Sprintf(format, args...))
		}
		var err error
		s.each(func(o *Operand, write bool) {
			b := &p.Buffers[o.Buffer]
			if lo, hi := o.Span(); b.Kind != LeafBuffer && o.DType.Bytes() > 0 && lo <= hi && (lo < 0 || (hi+1)*o.DType.Bytes() > b.Bytes) {
				err = bad("operand %v at %d leaves its buffer of %d bytes", o.Shape, o.Offset, b.Bytes)
			}
			switch {
			case !write && !written[o.Buffer]:
				err = bad("reads buffer %d before it is written", o.Buffer)
			case write && b.Kind == LeafBuffer:
				err = bad("writes leaf buffer %d", o.Buffer)
			}
			if write {
				written[o.Buffer] = true
			}
		})
		if err == nil && s.Program != nil {
			err = p.verifyProgram(s, bad)
		}
		if err != nil {
			return err
		}
	}
	for _, o := range p.Outputs {
		if !written[o.Buffer] {
			return fmt.Errorf("plan: output buffer %d is never written", o.Buffer)
		}
	}
	return p.verifyMemory()
}

func (p *Plan) verifyProgram(s *Step, bad func(string, ...any) error) error {
	g := s.Program
	if len(g.Inputs) != len(s.In)-s.Own {
		return bad("program has %d inputs, step %d", len(g.Inputs), len(s.In)-s.Own)
	}
	if len(g.Stores) != len(s.Out) {
		return bad("program has %d stores, step %d outputs", len(g.Stores), len(s.Out))
	}
	sizes := map[InputKind]int{EachInput: g.Rows * g.Cols, RowInput: g.Rows, ColInput: g.Cols}
	for k, in := range g.Inputs {
		if n := s.In[s.Own+k].Shape.Size(); n != sizes[in.Kind] {
			return bad("input %d has %d elements, not %d", k, n, sizes[in.Kind])
		}
	}
	row := func(r Ref) bool {
		return r.Kind == InstrRef && g.Instrs[r.Index].Row || r.Kind == InputRef && g.Inputs[r.Index].Kind == RowInput
	}
	for k := range g.Instrs {
		in := &g.Instrs[k]
		for _, a := range in.Args[:in.NArgs] {
			switch {
			case a.Kind == NoRef:
				return bad("instruction %d misses an argument", k)
			case a.Kind == InstrRef && int(a.Index) >= k:
				return bad("instruction %d uses a later one", k)
			case a.Kind == InputRef && int(a.Index) >= len(g.Inputs):
				return bad("instruction %d uses input %d of %d", k, a.Index, len(g.Inputs))
			case a.Kind == AccRef && s.Own == 0:
				return bad("instruction %d uses a product that is not there", k)
			case in.Row && !isReduction(in.Op) && a.Kind != ConstRef && !row(a):
				return bad("instruction %d is per row but argument %v is per element", k, a)
			case isReduction(in.Op) && row(a):
				return bad("instruction %d reduces something that is per row", k)
			}
		}
	}
	for k, st := range g.Stores {
		n := g.Rows * g.Cols
		if st.Row {
			n = g.Rows
		}
		if got := s.Out[k].Shape.Size(); got != n {
			return bad("output %d has %d elements, the program makes %d", k, got, n)
		}
		if !s.Out[k].IsDense() {
			return bad("output %d is not row-major", k)
		}
	}
	return nil
}

func (p *Plan) verifyMemory() error {
	type span struct{ i, off, end int }
	live := []span{}
	starts := make([][]int, len(p.Steps)+1)
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Kind == TempBuffer && b.First >= 0 {
			starts[b.First] = append(starts[b.First], i)
		}
	}
	for step := range p.Steps {
		keep := live[:0]
		for _, s := range live {
			if p.Buffers[s.i].Last >= step {
				keep = append(keep, s)
			}
		}
		live = keep
		for _, i := range starts[step] {
			b := &p.Buffers[i]
			n := span{i, b.Offset, b.Offset + b.Bytes}
			if n.end > p.Arena {
				return fmt.Errorf("plan: buffer %d ends at %d, past the arena of %d bytes", i, n.end, p.Arena)
			}
			for _, s := range live {
				if s.off < n.end && n.off < s.end && !(b.Alias == s.i && p.Buffers[s.i].Last == step) {
					return fmt.Errorf("plan: buffers %d and %d overlap at step %d (%s)", s.i, i, step, p.Steps[step].Name)
				}
			}
			live = append(live, n)
		}
	}
	return nil
}
