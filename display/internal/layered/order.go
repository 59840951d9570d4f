package layered

import (
	"cmp"
	"slices"
)

// reduceCrossings orders each layer. It tries two starting orders, sweeps
// barycentres down and up, exchanges neighbours where that helps, and keeps
// the order with the fewest crossings seen.
func (f *flat) reduceCrossings() {
	best, bestCrossings := [][]int(nil), -1
	for _, fromBelow := range []bool{false, true} {
		f.initialOrder(fromBelow)
		for sweep, idle := 0, 0; sweep < 24 && idle < 6; sweep++ {
			f.sweep(sweep%2 == 0)
			f.exchange()
			n := f.crossings()
			if bestCrossings < 0 || n < bestCrossings {
				best, bestCrossings = cloneLayers(f.layers), n
				idle = 0
			} else {
				idle++
			}
			if bestCrossings == 0 {
				break
			}
		}
		if bestCrossings == 0 {
			break
		}
	}
	f.layers = best
	f.number()
}

func cloneLayers(layers [][]int) [][]int {
	out := make([][]int, len(layers))
	for i, l := range layers {
		out[i] = slices.Clone(l)
	}
	return out
}

func (f *flat) number() {
	for _, layer := range f.layers {
		for i, v := range layer {
			f.vertices[v].order = i
		}
	}
}

// initialOrder fills the layers by a depth-first walk from the sources, or
// against the edges from the sinks, which keeps chains together.
func (f *flat) initialOrder(fromBelow bool) {
	for r := range f.layers {
		f.layers[r] = f.layers[r][:0]
	}
	seen := make([]bool, len(f.vertices))
	roots := make([]int, len(f.vertices))
	for i := range roots {
		roots[i] = i
	}
	slices.SortStableFunc(roots, func(a, b int) int {
		if fromBelow {
			a, b = b, a
		}
		return f.vertices[a].rank - f.vertices[b].rank
	})
	for _, root := range roots {
		stack := []int{root}
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[v] {
				continue
			}
			seen[v] = true
			f.layers[f.vertices[v].rank] = append(f.layers[f.vertices[v].rank], v)
			next, end := f.below[v], func(s int) int { return f.segments[s].down }
			if fromBelow {
				next, end = f.above[v], func(s int) int { return f.segments[s].up }
			}
			for _, s := range slices.Backward(next) {
				stack = append(stack, end(s))
			}
		}
	}
	f.number()
}

// at is where a segment's end lies along its layer, in units of vertices.
func (f *flat) at(v int, port float64) float64 {
	box := &f.vertices[v]
	if box.w > 0 {
		return float64(box.order) + 0.8*port/box.w
	}
	return float64(box.order)
}

func (f *flat) sweep(down bool) {
	for i := range f.layers {
		r, near := i, f.above
		if !down {
			r, near = len(f.layers)-1-i, f.below
		}
		layer := f.layers[r]
		centre := make(map[int]float64, len(layer))
		for _, v := range layer {
			centre[v] = float64(f.vertices[v].order)
			if len(near[v]) == 0 {
				continue
			}
			sum := 0.0
			for _, s := range near[v] {
				if g := &f.segments[s]; down {
					sum += f.at(g.up, g.upPort) - f.portShift(g.down, g.downPort)
				} else {
					sum += f.at(g.down, g.downPort) - f.portShift(g.up, g.upPort)
				}
			}
			centre[v] = sum / float64(len(near[v]))
		}
		slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(centre[a], centre[b]) })
		for i, v := range layer {
			f.vertices[v].order = i
		}
	}
}

func (f *flat) portShift(v int, port float64) float64 {
	if w := f.vertices[v].w; w > 0 {
		return 0.8 * port / w
	}
	return 0
}

// exchange swaps neighbours in a layer while that removes crossings.
func (f *flat) exchange() {
	for range 4 {
		better := false
		for _, layer := range f.layers {
			for i := range len(layer) - 1 {
				a, b := layer[i], layer[i+1]
				if f.pairCrossings(b, a) < f.pairCrossings(a, b) {
					layer[i], layer[i+1] = b, a
					f.vertices[b].order, f.vertices[a].order = i, i+1
					better = true
				}
			}
		}
		if !better {
			return
		}
	}
}

// pairCrossings counts the crossings between the edges of two neighbours when
// left stands left of right.
func (f *flat) pairCrossings(left, right int) int {
	n := 0
	for _, a := range f.above[left] {
		for _, b := range f.above[right] {
			if f.at(f.segments[a].up, f.segments[a].upPort) > f.at(f.segments[b].up, f.segments[b].upPort) {
				n++
			}
		}
	}
	for _, a := range f.below[left] {
		for _, b := range f.below[right] {
			if f.at(f.segments[a].down, f.segments[a].downPort) > f.at(f.segments[b].down, f.segments[b].downPort) {
				n++
			}
		}
	}
	return n
}

// crossings counts all crossings, by counting inversions layer by layer.
func (f *flat) crossings() int {
	total := 0
	for _, layer := range f.layers {
		var ends []struct{ up, down float64 }
		for _, v := range layer {
			for _, s := range f.below[v] {
				g := &f.segments[s]
				ends = append(ends, struct{ up, down float64 }{f.at(v, g.upPort), f.at(g.down, g.downPort)})
			}
		}
		slices.SortFunc(ends, func(a, b struct{ up, down float64 }) int {
			return cmp.Or(cmp.Compare(a.up, b.up), cmp.Compare(a.down, b.down))
		})
		downs := make([]float64, len(ends))
		for i, e := range ends {
			downs[i] = e.down
		}
		total += inversions(downs)
	}
	return total
}

// inversions counts the pairs out of order, by merging.
func inversions(a []float64) int {
	if len(a) < 2 {
		return 0
	}
	mid := len(a) / 2
	left, right := slices.Clone(a[:mid]), slices.Clone(a[mid:])
	n := inversions(left) + inversions(right)
	for i, l, r := 0, 0, 0; i < len(a); i++ {
		if r == len(right) || l < len(left) && left[l] <= right[r] {
			a[i] = left[l]
			l++
		} else {
			a[i] = right[r]
			r++
			n += len(left) - l
		}
	}
	return n
}
