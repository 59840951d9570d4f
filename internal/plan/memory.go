package plan

import "slices"

// arenaAlign is the alignment of every temporary, in bytes.
const arenaAlign = 64

// planMemory places all temporaries in one arena. A buffer lives from the step
// that writes it to the last that reads it; an elementwise step writes over an
// input that dies there, and everything else takes the smallest gap that fits.
func planMemory(p *Plan) {
	lifetimes(p)
	shareInPlace(p)
	placeAll(p)
}

func lifetimes(p *Plan) {
	for i := range p.Buffers {
		b := &p.Buffers[i]
		b.First, b.Last = -1, -1
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		s.each(func(o *Operand, write bool) {
			b := &p.Buffers[o.Buffer]
			if write && b.First < 0 && b.Kind != LeafBuffer {
				b.First = i
			}
			b.Last = i
		})
	}
	for _, o := range p.Outputs {
		p.Buffers[o.Buffer].Last = len(p.Steps)
	}
}

// each calls f with all operands of a step, inputs first.
func (s *Step) each(f func(o *Operand, write bool)) {
	for i := range s.In {
		f(&s.In[i], false)
	}
	for k := range s.Batch {
		for i := range s.Batch[k].In {
			f(&s.Batch[k].In[i], false)
		}
	}
	for i := range s.Out {
		f(&s.Out[i], true)
	}
	for k := range s.Batch {
		for i := range s.Batch[k].Out {
			f(&s.Batch[k].Out[i], true)
		}
	}
}

// shareInPlace lets outputs of fused steps take over the memory of inputs that
// die in the step and are read element by element in the same order.
func shareInPlace(p *Plan) {
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Kind != FusedStep {
			continue
		}
		for k := range s.Out {
			out := &p.Buffers[s.Out[k].Buffer]
			if out.Kind != TempBuffer || out.First != i || out.Alias >= 0 || s.Program.Stores[k].Row {
				continue
			}
			for j := range s.In {
				if b := s.In[j].Buffer; overwritable(p, s, i, j) && p.Buffers[b].Bytes == out.Bytes && !taken(s, p, b) {
					out.Alias = b
					break
				}
			}
		}
	}
}

// overwritable reports whether input j of step i is read for the last time, once,
// and in the order in which outputs are written.
func overwritable(p *Plan, s *Step, i, j int) bool {
	b := &p.Buffers[s.In[j].Buffer]
	if b.Kind != TempBuffer || b.Last != i || b.First == i || s.Program.Inputs[j].Kind != EachInput || !s.In[j].IsDense() || s.In[j].Offset != 0 {
		return false
	}
	for k := range s.In {
		if k != j && s.In[k].Buffer == s.In[j].Buffer {
			return false
		}
	}
	return true
}

func taken(s *Step, p *Plan, b int) bool {
	for k := range s.Out {
		if p.Buffers[s.Out[k].Buffer].Alias == b {
			return true
		}
	}
	return false
}

// gap is free space in the arena.
type gap struct{ off, size int }

// placeAll gives offsets to the temporaries, best fit over their lifetimes.
func placeAll(p *Plan) {
	// The memory of an alias chain lives as long as its last member.
	last := make([]int, len(p.Buffers))
	root := make([]int, len(p.Buffers))
	for i := range p.Buffers {
		last[i], root[i] = p.Buffers[i].Last, i
	}
	var temps []int
	for i := range p.Buffers {
		if p.Buffers[i].Kind == TempBuffer {
			temps = append(temps, i)
		}
	}
	slices.SortStableFunc(temps, func(a, b int) int { return p.Buffers[a].First - p.Buffers[b].First })
	for _, i := range temps {
		if a := p.Buffers[i].Alias; a >= 0 {
			root[i] = root[a]
			last[root[i]] = max(last[root[i]], p.Buffers[i].Last)
		}
	}
	ends := make([][]int, len(p.Steps)+1) // roots whose memory is free after a step
	for _, i := range temps {
		if root[i] == i {
			ends[last[i]] = append(ends[last[i]], i)
		}
	}
	var free gaps
	step := 0
	for _, i := range temps {
		if root[i] != i {
			p.Buffers[i].Offset = p.Buffers[root[i]].Offset
			continue
		}
		for ; step < p.Buffers[i].First; step++ {
			for _, e := range ends[step] {
				free.give(p.Buffers[e].Offset, arenaSize(p.Buffers[e].Bytes))
			}
		}
		size := arenaSize(p.Buffers[i].Bytes)
		p.Buffers[i].Offset = free.take(size, &p.Arena)
	}
}

func arenaSize(bytes int) int { return (max(bytes, 1) + arenaAlign - 1) &^ (arenaAlign - 1) }

// gaps are the free spaces, in order of offset and never adjacent.
type gaps []gap

// take returns the smallest gap that holds size, or grows the arena.
func (g *gaps) take(size int, arena *int) int {
	best := -1
	for i, x := range *g {
		if x.size >= size && (best < 0 || x.size < (*g)[best].size) {
			best = i
		}
	}
	if best >= 0 {
		x := &(*g)[best]
		off := x.off
		x.off += size
		x.size -= size
		if x.size == 0 {
			*g = slices.Delete(*g, best, best+1)
		}
		return off
	}
	if n := len(*g); n > 0 && (*g)[n-1].off+(*g)[n-1].size == *arena { // the last gap grows
		off := (*g)[n-1].off
		*g = (*g)[:n-1]
		*arena = off + size
		return off
	}
	off := *arena
	*arena += size
	return off
}

// give returns space, merged with its neighbours.
func (g *gaps) give(off, size int) {
	i, _ := slices.BinarySearchFunc(*g, off, func(x gap, o int) int { return x.off - o })
	if i > 0 && (*g)[i-1].off+(*g)[i-1].size == off {
		(*g)[i-1].size += size
		i--
	} else {
		*g = slices.Insert(*g, i, gap{off, size})
	}
	if i+1 < len(*g) && (*g)[i].off+(*g)[i].size == (*g)[i+1].off {
		(*g)[i].size += (*g)[i+1].size
		*g = slices.Delete(*g, i+1, i+2)
	}
}

// Live returns, for each step, the bytes of all buffers that hold something
// needed while it runs, leaves included.
func (p *Plan) Live() []int64 {
	change := make([]int64, len(p.Steps)+1)
	for i := range p.Buffers {
		b := &p.Buffers[i]
		if b.Last < 0 || b.Alias >= 0 {
			continue
		}
		change[max(b.First, 0)] += int64(b.Bytes)
		if b.Kind != LeafBuffer && b.Last+1 < len(change) {
			change[b.Last+1] -= int64(b.Bytes)
		}
	}
	live := make([]int64, len(p.Steps))
	sum := int64(0)
	for i := range live {
		sum += change[i]
		live[i] = sum
	}
	return live
}
