package metal

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

// This file joins steps that one launch can do: what a LoRA layer's training
// step computes beside its forward pass. A step that is done with another has no
// launches of its own.

// joiner joins the steps that one executable runs.
type joiner struct {
	p        *plan.Plan
	from, to int
	chip     kernels.Chip
	// homes are temporaries that lie in memory of the executable's own instead of the arena, where others may take over
	// their place before a joined step has read them: bytes before each.
	homes map[int]int
	size  int
}

// join looks through the steps for pairs to join.
func (g *joiner) join(steps []*lowered) {
	p, from, to := g.p, g.from, g.to
	done := make([]bool, len(p.Steps))
	for i := from; i < to; i++ {
		for j := i + 1; j < to && j <= i+joinReach && !done[i]; j++ {
			if done[j] {
				continue
			}
			l := &lowering{p: p, s: &p.Steps[j], chip: g.chip}
			at, gone := j, i
			switch {
			case g.unpacked(l, i, j):
			case g.readByKernel(l, i, j):
			case g.forwardWithInner(l, i, j):
			case g.bothGradients(l, i, j):
				if !g.movesDown(i, j) {
					at, gone = i, j
				}
			default:
				continue
			}
			steps[at-from], steps[gone-from] = &l.lowered, &lowered{}
			done[at], done[gone] = true, true
		}
	}
}

// onlyReader reports whether step j alone reads what step i makes, and step i may
// run when step j does.
func (g *joiner) onlyReader(i, j int) bool {
	y := &g.p.Steps[i].Out[0]
	b := &g.p.Buffers[y.Buffer]
	if b.Kind != plan.TempBuffer || b.Alias >= 0 || b.First != i || b.Last != j || !g.movesDown(i, j) {
		return false
	}
	for k := i + 1; k < j; k++ {
		if g.touches(g.p.Steps[k].In, g.p.Steps[i].Out) {
			return false
		}
	}
	return true
}

// joinReach is how far apart joined steps may be: looking further costs time in long plans.
const joinReach = 16

// plainProduct reports whether a step is one float32 matrix product and nothing else.
func plainProduct(s *plan.Step) bool {
	return s.Kind == plan.MatMulStep && s.Own == 2 && s.Program == nil && s.In[0].DType == ir.F32 && len(s.In[0].Shape) == 2 && s.Out[0].IsDense() && s.Out[0].Shape.Size() > 0
}

// forwardWithInner joins step i, h = x@A, with step j, x@W + alpha·h@B and its
// program: lora_forward computes h on the way and keeps it.
func (g *joiner) forwardWithInner(l *lowering, i, j int) bool {
	first, s := &l.p.Steps[i], &l.p.Steps[j]
	if !plainProduct(first) || s.Kind != plan.MatMulStep || s.Own != 4 || len(s.In[0].Shape) != 2 || s.In[0].DType != ir.F32 {
		return false
	}
	h := &first.Out[0]
	if s.In[2].Buffer != h.Buffer || !s.In[2].IsDense() || s.In[2].Offset != h.Offset || !sameView(&first.In[0], &s.In[0]) || h.Shape[1] > kernels.MaxFusedRank || !g.movesDown(i, j) {
		return false
	}
	joined := *s
	joined.Kind, joined.Own = plan.LoRAStep, 5
	joined.In = append([]plan.Operand{s.In[0], s.In[1], s.In[0], first.In[1], s.In[3]}, s.In[4:]...)
	l.s, l.keep = &joined, h
	if l.product() != nil || l.verify() != nil {
		return false
	}
	return true
}

// bothGradients joins two products leftᵀ@right of as many rows and columns of
// left, the gradients of A and B: lora_weight_gradients makes them side by side.
func (g *joiner) bothGradients(l *lowering, i, j int) bool {
	a, b := &l.p.Steps[i], &l.p.Steps[j]
	if !isGradient(a) || !isGradient(b) || !a.In[0].Shape.Equal(b.In[0].Shape) {
		return false
	}
	if g.touches(a.Out, b.In) || g.touches(a.Out, b.Out) { // the second needs the first: they cannot run side by side
		return false
	}
	if !g.movesDown(i, j) && !g.movesUp(i, j) && !(g.rehome(a.In[0].Buffer) && g.movesDown(i, j)) {
		return false
	}
	rank, rows := a.In[0].Shape[0], a.In[0].Shape[1]
	k := kernels.LoRA{Type: kernels.F32, M: rows, K: a.In[1].Shape[1], N: b.In[1].Shape[1], R: rank, Scale: 1, TransposeA: true}
	l.add(k.WeightGradients(), at(&a.In[1]), at(&b.In[1]), at(&b.In[0]), at(&a.In[0]), at(&a.Out[0]), at(&b.Out[0]))
	return l.verify() == nil
}

// isGradient reports whether a step is leftᵀ@right, both row-major, with few columns of left.
func isGradient(s *plan.Step) bool {
	if !plainProduct(s) {
		return false
	}
	left, right := &s.In[0], &s.In[1]
	return left.Shape[0] <= kernels.MaxFusedRank && left.Permute([]int{1, 0}).IsDense() && right.IsDense()
}

// movesDown reports whether step i may run when step j does instead of before.
func (g *joiner) movesDown(i, j int) bool {
	p := g.p
	s := &p.Steps[i]
	for k := i + 1; k <= j; k++ {
		t := &p.Steps[k]
		if t.Op == op.AdamW || k < j && g.touches(t.In, s.Out) {
			return false
		}
		if g.touches(t.Out, s.In) {
			return false
		}
	}
	return true
}

// movesUp reports whether step j may run when step i does.
func (g *joiner) movesUp(i, j int) bool {
	p := g.p
	s := &p.Steps[j]
	for k := i; k < j; k++ {
		t := &p.Steps[k]
		if t.Op == op.AdamW || g.touches(t.Out, s.In) || g.touches(t.In, s.Out) || g.touches(t.Out, s.Out) {
			return false
		}
	}
	return true
}

// touches reports whether operands of two lists share memory.
func (g *joiner) touches(a, b []plan.Operand) bool {
	for i := range a {
		for j := range b {
			if g.overlap(&a[i], &b[j]) {
				return true
			}
		}
	}
	return false
}

func (g *joiner) overlap(a, b *plan.Operand) bool {
	_, aHome := g.homes[a.Buffer]
	_, bHome := g.homes[b.Buffer]
	if aHome || bHome {
		return a.Buffer == b.Buffer
	}
	p := g.p
	x, y := &p.Buffers[a.Buffer], &p.Buffers[b.Buffer]
	if x.Kind == plan.TempBuffer && y.Kind == plan.TempBuffer {
		return x.Offset < y.Offset+y.Bytes && y.Offset < x.Offset+x.Bytes
	}
	return a.Buffer == b.Buffer
}

// rehome takes a temporary out of the arena, if all its uses are in this executable.
func (g *joiner) rehome(buffer int) bool {
	if _, there := g.homes[buffer]; there {
		return true
	}
	b := &g.p.Buffers[buffer]
	if b.Kind != plan.TempBuffer || b.Alias >= 0 || b.First < g.from || b.Last >= g.to || b.Bytes > mostRehomed {
		return false
	}
	for i := range g.p.Buffers {
		if g.p.Buffers[i].Alias == buffer {
			return false
		}
	}
	if g.homes == nil {
		g.homes = map[int]int{}
	}
	g.homes[buffer] = g.size
	g.size += (b.Bytes + 255) &^ 255
	return true
}

// mostRehomed bounds the memory that executables keep for themselves, in bytes per temporary.
const mostRehomed = 1 << 20

// settle points the launches at the homes, which begin at base of the executable's own memory.
func (g *joiner) settle(steps []*lowered, base int) {
	for _, l := range steps {
		for k := range l.commands {
			for i, a := range l.commands[k].args {
				if home, ok := g.homes[a.index]; ok && a.space == planSpace {
					l.commands[k].args[i] = place{space: scratch, offset: base + home + a.offset}
				}
			}
		}
	}
}
