package layered

import (
	"math"
	"slices"
)

type pin int

const (
	pinNone pin = iota
	pinTop
	pinBottom
)

// vertex is a box of a graph without groups, or a waypoint of a long edge.
type vertex struct {
	w, h, right float64
	pin         pin
	fixedPorts  bool // edges meet it at their own ports, not spread evenly
	waypoint    bool
	rank, order int
	x, y        float64 // centre
}

type flatEdge struct {
	from, to         int
	fromPort, toPort float64 // from the centre of the box
	reversed         bool    // laid out upside down to break a cycle
	way              []int   // vertices passed, ends included, in rank order
}

// segment is the part of an edge between two neighbouring layers.
type segment struct {
	up, down         int // vertices
	upPort, downPort float64
	weight           float64
}

// flat is a graph without groups.
type flat struct {
	gapX, gapY    float64
	vertices      []vertex
	edges         []flatEdge
	layers        [][]int
	segments      []segment
	above, below  [][]int // vertex -> its segments
	layerTop      []float64
	layerBottom   []float64
	width, height float64
}

func (f *flat) addVertex(v vertex) int {
	f.vertices = append(f.vertices, v)
	return len(f.vertices) - 1
}

func (f *flat) addEdge(e flatEdge) int {
	f.edges = append(f.edges, e)
	return len(f.edges) - 1
}

func (f *flat) layout() {
	if len(f.vertices) == 0 {
		return
	}
	f.breakCycles()
	f.rank()
	f.addWaypoints()
	f.reduceCrossings()
	f.spreadPorts()
	f.place()
	f.stackLayers()
}

// breakCycles marks the edges that close a cycle in a depth-first walk.
func (f *flat) breakCycles() {
	out := make([][]int, len(f.vertices))
	for i, e := range f.edges {
		out[e.from] = append(out[e.from], i)
	}
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(f.vertices))
	next := make([]int, len(f.vertices))
	for root := range f.vertices {
		if state[root] != unseen {
			continue
		}
		stack := []int{root}
		state[root] = open
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			if next[v] == len(out[v]) {
				state[v] = done
				stack = stack[:len(stack)-1]
				continue
			}
			e := &f.edges[out[v][next[v]]]
			next[v]++
			switch state[e.to] {
			case open:
				e.reversed = true
			case unseen:
				state[e.to] = open
				stack = append(stack, e.to)
			}
		}
	}
}

// upper and lower are an edge's ends as laid out.
func (e *flatEdge) upper() int {
	if e.reversed {
		return e.to
	}
	return e.from
}

func (e *flatEdge) lower() int {
	if e.reversed {
		return e.from
	}
	return e.to
}

// rank gives each vertex its layer: as high as its inputs allow, then sources
// and vertices with more outputs than inputs down to where they are used,
// which shortens edges.
func (f *flat) rank() {
	n := len(f.vertices)
	preds, succs := make([][]int, n), make([][]int, n)
	degree := make([]int, n)
	for i := range f.edges {
		e := &f.edges[i]
		if u, l := e.upper(), e.lower(); u != l {
			preds[l] = append(preds[l], u)
			succs[u] = append(succs[u], l)
			degree[l]++
		}
	}
	var order []int
	for v := range f.vertices {
		if degree[v] == 0 {
			order = append(order, v)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, s := range succs[order[i]] {
			if degree[s]--; degree[s] == 0 {
				order = append(order, s)
			}
		}
	}
	hasTop := slices.ContainsFunc(f.vertices, func(v vertex) bool { return v.pin == pinTop })
	last := 0
	for _, v := range order {
		r := 0
		if hasTop && f.vertices[v].pin != pinTop {
			r = 1
		}
		for _, p := range preds[v] {
			r = max(r, f.vertices[p].rank+1)
		}
		f.vertices[v].rank = r
		last = max(last, r)
	}
	for _, v := range slices.Backward(order) {
		if f.vertices[v].pin != pinNone || len(succs[v]) == 0 || len(preds[v]) > 0 && len(succs[v]) <= len(preds[v]) {
			continue
		}
		low := last
		for _, s := range succs[v] {
			low = min(low, f.vertices[s].rank-1)
		}
		f.vertices[v].rank = low
	}
	for v := range f.vertices {
		switch f.vertices[v].pin {
		case pinTop:
			f.vertices[v].rank = 0
		case pinBottom:
			f.vertices[v].rank = last
		}
	}
}

// addWaypoints splits long edges so that each segment spans one layer.
func (f *flat) addWaypoints() {
	depth := 0
	for _, v := range f.vertices {
		depth = max(depth, v.rank+1)
	}
	for i := range f.edges {
		e := &f.edges[i]
		u, l := e.upper(), e.lower()
		if u == l {
			continue
		}
		upPort, downPort := e.fromPort, e.toPort
		if e.reversed {
			upPort, downPort = downPort, upPort
		}
		e.way = []int{u}
		for r := f.vertices[u].rank + 1; r < f.vertices[l].rank; r++ {
			e.way = append(e.way, f.addVertex(vertex{w: 2, right: 1, waypoint: true, rank: r}))
		}
		e.way = append(e.way, l)
		for j := range len(e.way) - 1 {
			s := segment{up: e.way[j], down: e.way[j+1], weight: 1}
			if f.vertices[s.up].waypoint {
				s.weight *= 3
			} else {
				s.upPort = upPort
			}
			if f.vertices[s.down].waypoint {
				s.weight *= 3
			} else {
				s.downPort = downPort
			}
			f.segments = append(f.segments, s)
		}
	}
	f.layers = make([][]int, depth)
	f.above, f.below = make([][]int, len(f.vertices)), make([][]int, len(f.vertices))
	for i, s := range f.segments {
		f.below[s.up] = append(f.below[s.up], i)
		f.above[s.down] = append(f.above[s.down], i)
	}
}

// spreadPorts lets the edges that enter a plain box meet it side by side, in
// the order of their other ends.
func (f *flat) spreadPorts() {
	for v := range f.vertices {
		box := &f.vertices[v]
		if box.waypoint || box.fixedPorts || len(f.above[v]) < 2 {
			continue
		}
		in := slices.Clone(f.above[v])
		slices.SortStableFunc(in, func(a, b int) int {
			return f.vertices[f.segments[a].up].order - f.vertices[f.segments[b].up].order
		})
		step := min(16, 0.75*box.w/float64(len(in)))
		for i, s := range in {
			f.segments[s].downPort = (float64(i) - float64(len(in)-1)/2) * step
		}
	}
}

// stackLayers gives each layer its height and each vertex its y, with more
// room between layers where edges run far sideways.
func (f *flat) stackLayers() {
	f.layerTop, f.layerBottom = make([]float64, len(f.layers)), make([]float64, len(f.layers))
	shift := make([]float64, len(f.layers)) // farthest sideways run below a layer
	thin := make([]bool, len(f.layers))
	for _, s := range f.segments {
		u, d := f.vertices[s.up], f.vertices[s.down]
		dx := u.x + s.upPort - d.x - s.downPort
		shift[u.rank] = max(shift[u.rank], max(dx, -dx))
	}
	y := 0.0
	for r, layer := range f.layers {
		h := 0.0
		for _, v := range layer {
			h = max(h, f.vertices[v].h)
		}
		thin[r] = h == 0
		if r > 0 {
			gap := f.gapY + min(0.10*shift[r-1], 1.5*f.gapY)
			if thin[r] || thin[r-1] {
				gap = f.gapY*0.5 + min(0.10*shift[r-1], 1.5*f.gapY)
			}
			y += gap
		}
		f.layerTop[r], f.layerBottom[r] = y, y+h
		for _, v := range layer {
			f.vertices[v].y = y + h/2
		}
		y += h
	}
	f.height = y
}

// path is the way of edge e, moved by origin.
func (f *flat) path(e int, origin Point) []Point {
	edge := &f.edges[e]
	var points []Point
	add := func(x, y float64) { points = append(points, Point{origin.X + x, origin.Y + y}) }
	for i, v := range edge.way {
		box := f.vertices[v]
		switch {
		case box.waypoint:
			add(box.x, f.layerTop[box.rank])
			add(box.x, f.layerBottom[box.rank])
		case i == 0:
			s := f.segmentOf(v, edge.way[1], e)
			x := box.x + s.upPort
			// A step of a few pixels looks like a mistake: leave the box
			// where the way goes on.
			if next := f.vertices[s.down].x + s.downPort; !box.fixedPorts && math.Abs(next-x) <= min(16, box.w/2-6) {
				x = next
			}
			add(x, box.y+box.h/2)
			add(x, f.layerBottom[box.rank])
		default:
			x := box.x + f.segmentOf(edge.way[i-1], v, e).downPort
			add(x, f.layerTop[box.rank])
			add(x, box.y-box.h/2)
		}
	}
	if edge.reversed {
		slices.Reverse(points)
	}
	return simplify(points)
}

// segmentOf finds the segment between two vertices of edge e. Parallel edges
// have several between the same two; the n-th edge takes the n-th segment.
func (f *flat) segmentOf(up, down, e int) segment {
	nth := 0
	for i := range e {
		other := &f.edges[i]
		if len(other.way) == 2 && other.way[0] == up && other.way[1] == down {
			nth++
		}
	}
	var found segment
	for _, s := range f.below[up] {
		if f.segments[s].down == down {
			found = f.segments[s]
			if nth == 0 {
				break
			}
			nth--
		}
	}
	return found
}
