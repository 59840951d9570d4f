package plan

// order returns the current groups so that each comes after those it needs.
// Depth first from the outputs: what one output needs is done before the next
// is begun, which keeps few buffers alive at a time.
func order(f *fusion) []int32 {
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
