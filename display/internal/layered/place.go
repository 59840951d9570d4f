package layered

import "math"

// place gives each vertex its x: as near as possible to the ends of its edges,
// in order and at the least distance. Sweeps look up, then down, then both
// ways.
func (f *flat) place() {
	for _, layer := range f.layers {
		x := 0.0
		for i, v := range layer {
			if i > 0 {
				x += f.distance(layer[i-1], v)
			}
			f.vertices[v].x = x
		}
		for _, v := range layer {
			f.vertices[v].x -= x / 2
		}
	}
	for range 10 {
		for r := 1; r < len(f.layers); r++ {
			f.placeLayer(r, true, false)
		}
		for r := len(f.layers) - 2; r >= 0; r-- {
			f.placeLayer(r, false, true)
		}
	}
	for range 20 {
		for r := range f.layers {
			f.placeLayer(r, true, true)
		}
		for r := len(f.layers) - 1; r >= 0; r-- {
			f.placeLayer(r, true, true)
		}
	}
	f.straighten()
	f.moveToOrigin()
}

// straighten gives runs of waypoints of one edge a common x where their
// neighbours leave room: least squares spreads a bend over many layers, which
// looks like a wiggle.
func (f *flat) straighten() {
	for i := range f.edges {
		way := f.edges[i].way
		for j := 1; j < len(way)-1; {
			low, high := math.Inf(-1), math.Inf(1)
			sum, n := 0.0, 0
			for j+n < len(way)-1 {
				l, h := f.room(way[j+n])
				if max(low, l) > min(high, h) {
					break
				}
				low, high = max(low, l), min(high, h)
				sum += f.vertices[way[j+n]].x
				n++
			}
			if n == 0 { // rounding left no room at all
				j++
				continue
			}
			x := min(max(sum/float64(n), low), high)
			for _, v := range way[j : j+n] {
				f.vertices[v].x = x
			}
			j += n
		}
	}
}

// room is the interval in which a vertex can move.
func (f *flat) room(v int) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	box := f.vertices[v]
	layer := f.layers[box.rank]
	if box.order > 0 {
		left := layer[box.order-1]
		low = f.vertices[left].x + f.distance(left, v)
	}
	if box.order < len(layer)-1 {
		right := layer[box.order+1]
		high = f.vertices[right].x - f.distance(v, right)
	}
	return low, high
}

// distance is the least distance of the centres of two neighbours.
func (f *flat) distance(left, right int) float64 {
	l, r := f.vertices[left], f.vertices[right]
	gap := f.gapX
	if l.waypoint && r.waypoint {
		gap *= 0.6
	}
	return l.right + gap + r.w/2
}

// placeLayer minimises sum of w (x-target)² over the vertices of a layer,
// subject to x[i+1] - x[i] >= distance: with the distances subtracted this is
// isotonic regression, solved exactly by pooling adjacent violators.
func (f *flat) placeLayer(r int, lookUp, lookDown bool) {
	type pool struct {
		sum, weight float64
		n           int
	}
	layer := f.layers[r]
	offset := make([]float64, len(layer))
	var pools []pool
	for i, v := range layer {
		if i > 0 {
			offset[i] = offset[i-1] + f.distance(layer[i-1], v)
		}
		target, weight := f.target(v, lookUp, lookDown)
		pools = append(pools, pool{(target - offset[i]) * weight, weight, 1})
		for n := len(pools); n > 1 && pools[n-2].sum/pools[n-2].weight > pools[n-1].sum/pools[n-1].weight; n = len(pools) {
			a, b := pools[n-2], pools[n-1]
			pools = append(pools[:n-2], pool{a.sum + b.sum, a.weight + b.weight, a.n + b.n})
		}
	}
	i := 0
	for _, p := range pools {
		for range p.n {
			f.vertices[layer[i]].x = p.sum/p.weight + offset[i]
			i++
		}
	}
}

// target is where a vertex would like to be and how strongly. Without edges
// on the side looked at, it would rather stay.
func (f *flat) target(v int, lookUp, lookDown bool) (x, weight float64) {
	sum := 0.0
	if lookUp {
		for _, s := range f.above[v] {
			g := &f.segments[s]
			sum += g.weight * (f.vertices[g.up].x + g.upPort - g.downPort)
			weight += g.weight
		}
	}
	if lookDown {
		for _, s := range f.below[v] {
			g := &f.segments[s]
			sum += g.weight * (f.vertices[g.down].x + g.downPort - g.upPort)
			weight += g.weight
		}
	}
	if weight == 0 {
		return f.vertices[v].x, 0.05
	}
	return sum / weight, weight
}

// moveToOrigin shifts all to start at x = 0, on whole pixels.
func (f *flat) moveToOrigin() {
	left, right := math.Inf(1), math.Inf(-1)
	for _, v := range f.vertices {
		left, right = min(left, v.x-v.w/2), max(right, v.x+v.right)
	}
	for i := range f.vertices {
		f.vertices[i].x = math.Round(f.vertices[i].x - left)
	}
	f.width = math.Ceil(right - left)
}
