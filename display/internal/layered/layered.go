// Package layered lays out directed graphs in layers, top to bottom: boxes and
// edges go in, positions and edge paths come out.
//
// It follows Sugiyama, Tagawa and Toda (1981): break cycles, assign ranks, add
// a waypoint in each layer that an edge crosses, reduce crossings by sweeps of
// barycentres and exchanges of neighbours, then place nodes. Placing is a
// weighted least-squares problem per layer under order and distance, solved
// exactly by pooling adjacent violators, swept up and down. A group is laid
// out by itself first and then stands in the outer graph as one box with
// ports, so that nothing foreign ever lies inside its frame. The result
// depends only on the input.
package layered

// Node is a box to be placed.
type Node struct {
	W, H float64
	// Right is the room kept free to the right of the centre below the box,
	// for the label of its outgoing edges.
	Right float64
	// Group is the index of the node's group, -1 for none.
	Group int
}

// Edge goes from one node to another, by index. Edges from a node to itself
// get an empty path.
type Edge struct{ From, To int }

// Graph is what to lay out.
type Graph struct {
	Nodes  []Node
	Edges  []Edge
	Groups int
	// GapX and GapY are the least distances between boxes of a layer and
	// between layers; Pad is the margin inside a group's frame, PadTop the
	// room for its title.
	GapX, GapY, Pad, PadTop float64
	// GroupMinW is the least width of each group's frame, for its title.
	GroupMinW []float64
}

// Point is a place; y grows downwards.
type Point struct{ X, Y float64 }

// Rect is a box by its top left corner.
type Rect struct{ X, Y, W, H float64 }

// Layout is where everything goes. Boxes of groups without members are empty.
type Layout struct {
	W, H   float64
	Nodes  []Rect
	Groups []Rect
	// Edges holds the points each edge passes. Between points with different
	// x it is drawn as a curve that is vertical at both ends.
	Edges [][]Point
}

// Compute lays g out. Time grows about linearly with the edges; a few hundred
// nodes take milliseconds.
func Compute(g Graph) Layout {
	c := newClusters(g)
	for k := range c.inner {
		c.layoutGroup(k)
	}
	c.layoutOuter()
	return c.assemble()
}

// clusters is a graph split into its groups and the graph around them.
type clusters struct {
	g      Graph
	inner  []*innerGraph
	outer  *flat
	vertex []int // node -> vertex of outer
	// outerEdge maps an edge to the outer edge it takes, -1 for edges inside
	// a group.
	outerEdge []int
	groupVert []int
}

// innerGraph is a group laid out by itself; ports stand for the world outside.
type innerGraph struct {
	f       *flat
	vertex  map[int]int // node -> vertex of f
	inPort  map[int]int // outside source node -> vertex
	outPort map[int]int // inside source node -> vertex
	edge    map[int]int // edge -> edge of f, for edges inside
	inEdge  map[int]int // edge -> edge of f from in-port to target
	outEdge map[int]int // inside source node -> edge of f to its out-port
}

func newClusters(g Graph) *clusters {
	c := &clusters{g: g, vertex: make([]int, len(g.Nodes)), outerEdge: make([]int, len(g.Edges)), groupVert: make([]int, g.Groups)}
	c.inner = make([]*innerGraph, g.Groups)
	for k := range c.inner {
		c.inner[k] = &innerGraph{f: &flat{gapX: g.GapX, gapY: g.GapY}, vertex: map[int]int{}, inPort: map[int]int{},
			outPort: map[int]int{}, edge: map[int]int{}, inEdge: map[int]int{}, outEdge: map[int]int{}}
	}
	for i, n := range g.Nodes {
		if n.Group >= 0 {
			in := c.inner[n.Group]
			in.vertex[i] = in.f.addVertex(vertex{w: n.W, h: n.H, right: max(n.W/2, n.Right)})
		}
	}
	return c
}

// layoutGroup lays out the inside of group k, with a port on the top side for
// each value that comes in and on the bottom side for each that goes out.
func (c *clusters) layoutGroup(k int) {
	in := c.inner[k]
	for e, edge := range c.g.Edges {
		from, to := c.g.Nodes[edge.From].Group == k, c.g.Nodes[edge.To].Group == k
		switch {
		case from && to:
			in.edge[e] = in.f.addEdge(flatEdge{from: in.vertex[edge.From], to: in.vertex[edge.To]})
		case to:
			p, ok := in.inPort[edge.From]
			if !ok {
				p = in.f.addVertex(vertex{pin: pinTop})
				in.inPort[edge.From] = p
			}
			in.inEdge[e] = in.f.addEdge(flatEdge{from: p, to: in.vertex[edge.To]})
		case from:
			if _, ok := in.outPort[edge.From]; !ok {
				p := in.f.addVertex(vertex{pin: pinBottom})
				in.outPort[edge.From] = p
				in.outEdge[edge.From] = in.f.addEdge(flatEdge{from: in.vertex[edge.From], to: p})
			}
		}
	}
	in.f.layout()
}

// layoutOuter lays out single nodes and whole groups.
func (c *clusters) layoutOuter() {
	c.outer = &flat{gapX: c.g.GapX, gapY: c.g.GapY}
	for k := range c.groupVert {
		c.groupVert[k] = -1
	}
	for i, n := range c.g.Nodes {
		if n.Group < 0 {
			c.vertex[i] = c.outer.addVertex(vertex{w: n.W, h: n.H, right: max(n.W/2, n.Right)})
			continue
		}
		if c.groupVert[n.Group] < 0 {
			w, h := c.groupSize(n.Group)
			c.groupVert[n.Group] = c.outer.addVertex(vertex{w: w, h: h, right: w / 2, fixedPorts: true})
		}
		c.vertex[i] = c.groupVert[n.Group]
	}
	type key struct{ from, to, toVertex int }
	seen := map[key]int{}
	for e, edge := range c.g.Edges {
		from, to := c.vertex[edge.From], c.vertex[edge.To]
		if from == to {
			c.outerEdge[e] = -1
			continue
		}
		fe := flatEdge{from: from, to: to}
		if k := c.g.Nodes[edge.From].Group; k >= 0 {
			fe.fromPort = c.portOffset(k, c.inner[k].outPort[edge.From])
		}
		if k := c.g.Nodes[edge.To].Group; k >= 0 {
			fe.toPort = c.portOffset(k, c.inner[k].inPort[edge.From])
			// Several uses of a value in one group share the way to it.
			if old, ok := seen[key{edge.From, -1, to}]; ok {
				c.outerEdge[e] = old
				continue
			}
			seen[key{edge.From, -1, to}] = len(c.outer.edges)
		}
		c.outerEdge[e] = c.outer.addEdge(fe)
	}
	c.outer.layout()
}

func (c *clusters) groupSize(k int) (w, h float64) {
	in := c.inner[k].f
	w = in.width + 2*c.g.Pad
	if k < len(c.g.GroupMinW) {
		w = max(w, c.g.GroupMinW[k])
	}
	return w, in.height + c.g.PadTop + c.g.Pad
}

// portOffset is the distance of a port from the centre of its group.
func (c *clusters) portOffset(k, port int) float64 {
	in := c.inner[k].f
	return in.vertices[port].x - in.width/2
}

func (c *clusters) assemble() Layout {
	l := Layout{W: c.outer.width, H: c.outer.height, Nodes: make([]Rect, len(c.g.Nodes)), Groups: make([]Rect, c.g.Groups), Edges: make([][]Point, len(c.g.Edges))}
	origin := make([]Point, c.g.Groups)
	for k, v := range c.groupVert {
		if v < 0 {
			continue
		}
		o, in := c.outer.vertices[v], c.inner[k].f
		l.Groups[k] = Rect{o.x - o.w/2, o.y - o.h/2, o.w, o.h}
		origin[k] = Point{o.x - in.width/2, o.y - o.h/2 + c.g.PadTop}
	}
	for i, n := range c.g.Nodes {
		v, o := c.outer.vertices[c.vertex[i]], Point{}
		if n.Group >= 0 {
			v, o = c.inner[n.Group].f.vertices[c.inner[n.Group].vertex[i]], origin[n.Group]
		}
		l.Nodes[i] = Rect{o.X + v.x - n.W/2, o.Y + v.y - n.H/2, n.W, n.H}
	}
	for e, edge := range c.g.Edges {
		from, to := c.g.Nodes[edge.From].Group, c.g.Nodes[edge.To].Group
		if c.outerEdge[e] < 0 {
			if from >= 0 && edge.From != edge.To {
				l.Edges[e] = c.inner[from].f.path(c.inner[from].edge[e], origin[from])
			}
			continue
		}
		var path []Point
		if from >= 0 {
			path = append(path, c.inner[from].f.path(c.inner[from].outEdge[edge.From], origin[from])...)
		}
		path = append(path, c.outer.path(c.outerEdge[e], Point{})...)
		if to >= 0 {
			path = append(path, c.inner[to].f.path(c.inner[to].inEdge[e], origin[to])...)
		}
		l.Edges[e] = simplify(path)
	}
	return l
}

// simplify drops points that add nothing: doubles, and the middle ones of a
// vertical run.
func simplify(path []Point) []Point {
	var out []Point
	for _, p := range path {
		n := len(out)
		if n > 0 && out[n-1] == p {
			continue
		}
		if n > 1 && out[n-1].X == p.X && out[n-2].X == p.X {
			out[n-1] = p
			continue
		}
		out = append(out, p)
	}
	return out
}
