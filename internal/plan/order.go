package plan

import "container/heap"

// order returns the current groups so that each comes after those it needs, in
// the one of two orders that holds less memory at its peak: depth first, which
// computes what one output needs before the next is begun, or greedy. Depth first
// is bad at gradients: on the way to the first weight's it passes all the others,
// whose activations and cotangents then wait for their turn.
func order(f *fusion) []int32 {
	out := depthFirst(f)
	s := newSchedule(f, out)
	if eager := s.greedy(); s.peak(eager) < s.peak(out) {
		return eager
	}
	return out
}

// depthFirst orders groups depth first from the outputs.
func depthFirst(f *fusion) []int32 {
	const (
		fresh = iota
		open
		done
	)
	state := make([]uint8, len(f.groups))
	var out []int32
	type frame struct {
		id   int32
		deps []int32
	}
	var stack []frame
	push := func(base int32) {
		if f.of[base-int32(f.g.vals[base].output)] < 0 {
			return
		}
		if id := f.groupOf(base); state[id] == fresh {
			state[id] = open
			stack = append(stack, frame{id, f.needs(id)})
		}
	}
	for _, x := range f.g.outs {
		push(f.g.views[x].base)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.deps) > 0 {
				d := top.deps[0]
				top.deps = top.deps[1:]
				push(d)
				continue
			}
			state[top.id] = done
			out = append(out, top.id)
			stack = stack[:len(stack)-1]
		}
	}
	return out
}

// needs lists the values that a group needs from others, in the order in which
// the graph computes them.
func (f *fusion) needs(id int32) []int32 {
	var out []int32
	for _, m := range f.groups[id].members {
		f.g.deps(m, func(base int32) {
			if f.of[base-int32(f.g.vals[base].output)] >= 0 && f.groupOf(base) != id {
				out = append(out, base)
			}
		})
	}
	return out
}

// schedule is what is known of groups in some order, by their places in it.
type schedule struct {
	f     *fusion
	ids   []int32 // groups
	at    []int32 // place of a group
	reads [][]int32
	makes [][]int32 // values that other groups read
	users [][]int32 // places of the groups that read a value
	bytes []int     // of a value in the arena; 0 for results, which are there from the beginning

	left  []int32 // readers of a value that are still to run
	wait  []int32 // values that a group still waits for
	done  []bool
	ready ready
	clock int
}

func newSchedule(f *fusion, ids []int32) *schedule {
	s := &schedule{f: f, ids: ids, at: make([]int32, len(f.groups)), reads: make([][]int32, len(ids)), makes: make([][]int32, len(ids)),
		users: make([][]int32, len(f.g.vals)), bytes: make([]int, len(f.g.vals))}
	for k, id := range ids {
		s.at[id] = int32(k)
	}
	for k, id := range ids {
		f.tick++
		for _, v := range f.needs(id) {
			if f.stamp[v] == f.tick {
				continue
			}
			f.stamp[v] = f.tick
			s.reads[k] = append(s.reads[k], v)
			if s.users[v] = append(s.users[v], int32(k)); len(s.users[v]) > 1 {
				continue
			}
			from := s.at[f.groupOf(v)]
			s.makes[from] = append(s.makes[from], v)
			if x := &f.g.vals[v]; !f.isOut[v] {
				s.bytes[v] = x.shape.Size() * x.dtype.Bytes()
			}
		}
	}
	return s
}

// reset makes everything still to run.
func (s *schedule) reset() {
	s.left = resized(s.left, len(s.users))
	for v := range s.users {
		s.left[v] = int32(len(s.users[v]))
	}
	s.wait = resized(s.wait, len(s.ids))
	for k := range s.ids {
		s.wait[k] = int32(len(s.reads[k]))
	}
	s.done = make([]bool, len(s.ids))
}

func resized(s []int32, n int) []int32 {
	if cap(s) < n {
		return make([]int32, n)
	}
	return s[:n]
}

// peak returns the most bytes that values hold at a time when groups run in an order.
func (s *schedule) peak(ids []int32) int {
	s.reset()
	live, most := 0, 0
	for _, id := range ids {
		k := s.at[id]
		for _, v := range s.makes[k] {
			live += s.bytes[v]
		}
		most = max(most, live)
		for _, v := range s.reads[k] {
			if s.left[v]--; s.left[v] == 0 {
				live -= s.bytes[v]
			}
		}
	}
	return most
}

// candidate is a group that can run next.
type candidate struct {
	group int32 // its place
	grow  int   // bytes that it adds, less those that it frees
	since int   // when it became possible
}

// ready is a heap of candidates. Some are out of date: their group has run, or
// frees more by now.
type ready []candidate

func (r ready) Len() int      { return len(r) }
func (r ready) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r ready) Less(i, j int) bool {
	if r[i].grow != r[j].grow {
		return r[i].grow < r[j].grow
	}
	if r[i].since != r[j].since {
		return r[i].since > r[j].since // what was made last is still in a cache
	}
	return r[i].group < r[j].group
}

// Push implements heap.Interface.
func (r *ready) Push(x any) { *r = append(*r, x.(candidate)) }

// Pop implements heap.Interface.
func (r *ready) Pop() any {
	last := len(*r) - 1
	c := (*r)[last]
	*r = (*r)[:last]
	return c
}

// greedy runs next what adds least to the memory in use.
func (s *schedule) greedy() []int32 {
	s.reset()
	s.ready, s.clock = s.ready[:0], 0
	out := make([]int32, 0, len(s.ids))
	for k := range s.ids {
		if s.wait[k] == 0 {
			s.offer(int32(k))
		}
	}
	for len(s.ready) > 0 {
		k := heap.Pop(&s.ready).(candidate).group
		if s.done[k] {
			continue
		}
		s.done[k] = true
		s.clock++
		out = append(out, s.ids[k])
		for _, v := range s.reads[k] {
			if s.left[v]--; s.left[v] != 1 {
				continue
			}
			for _, u := range s.users[v] { // the last reader frees it
				if !s.done[u] && s.wait[u] == 0 {
					s.offer(u)
				}
			}
		}
		for _, v := range s.makes[k] {
			for _, u := range s.users[v] {
				if s.wait[u]--; s.wait[u] == 0 {
					s.offer(u)
				}
			}
		}
	}
	return out
}

// offer makes a group a candidate.
func (s *schedule) offer(k int32) {
	grow := 0
	for _, v := range s.makes[k] {
		grow += s.bytes[v]
	}
	for _, v := range s.reads[k] {
		if s.left[v] == 1 {
			grow -= s.bytes[v]
		}
	}
	heap.Push(&s.ready, candidate{k, grow, s.clock})
}
