package layered

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func random(seed uint64, n int, cyclic bool) Graph {
	r := rand.New(rand.NewPCG(seed, 9))
	g := Graph{GapX: 20, GapY: 30, Pad: 10, PadTop: 20, Groups: n / 8}
	for i := range n {
		node := Node{W: 40 + 60*r.Float64(), H: 24 + 15*float64(r.IntN(2)), Group: -1}
		if g.Groups > 0 && i%8 < 3 && i/8 < g.Groups {
			node.Group = i / 8
		}
		node.Right = node.W/2 + 40*float64(r.IntN(2))
		g.Nodes = append(g.Nodes, node)
		for range r.IntN(3) {
			e := Edge{r.IntN(i + 1), i}
			if cyclic && r.IntN(3) == 0 {
				e.From, e.To = e.To, e.From
			}
			g.Edges = append(g.Edges, e)
		}
	}
	return g
}

func overlap(a, b Rect) bool {
	return a.X < b.X+b.W-0.6 && b.X < a.X+a.W-0.6 && a.Y < b.Y+b.H-0.6 && b.Y < a.Y+a.H-0.6
}

func TestNothingOverlapsAndGroupsHoldOnlyTheirOwn(t *testing.T) {
	for seed := range uint64(60) {
		g := random(seed, 1+int(seed)*2, seed%3 == 0)
		l := Compute(g)
		for i, a := range l.Nodes {
			if a.X < -1 || a.Y < -1 || a.X+a.W > l.W+1 || a.Y+a.H > l.H+1 {
				t.Fatalf("seed %d: node %d lies outside: %v of %gx%g", seed, i, a, l.W, l.H)
			}
			for j, b := range l.Nodes[:i] {
				if overlap(a, b) {
					t.Fatalf("seed %d: nodes %d and %d overlap: %v %v", seed, i, j, a, b)
				}
			}
			for k, frame := range l.Groups {
				inside := a.X >= frame.X && a.Y >= frame.Y && a.X+a.W <= frame.X+frame.W+0.6 && a.Y+a.H <= frame.Y+frame.H+0.6
				if own := g.Nodes[i].Group == k; own && !inside || !own && overlap(a, frame) {
					t.Fatalf("seed %d: node %d (group %d) at %v, group %d at %v", seed, i, g.Nodes[i].Group, a, k, frame)
				}
			}
		}
		for i, e := range g.Edges {
			if e.From != e.To && len(l.Edges[i]) < 2 {
				t.Fatalf("seed %d: edge %d has no path", seed, i)
			}
			if e.From == e.To {
				continue
			}
			first, last := l.Edges[i][0], l.Edges[i][len(l.Edges[i])-1]
			if !touches(first, l.Nodes[e.From]) || !touches(last, l.Nodes[e.To]) {
				t.Fatalf("seed %d: edge %d does not meet its nodes: %v, %v, %v", seed, i, l.Edges[i], l.Nodes[e.From], l.Nodes[e.To])
			}
		}
	}
}

func touches(p Point, r Rect) bool {
	onSide := p.Y >= r.Y-0.6 && p.Y <= r.Y+0.6 || p.Y >= r.Y+r.H-0.6 && p.Y <= r.Y+r.H+0.6
	return onSide && p.X >= r.X-0.6 && p.X <= r.X+r.W+0.6
}

func TestEdgesOfAnAcyclicGraphPointDown(t *testing.T) {
	g := random(5, 70, false)
	g.Groups = 0
	for i := range g.Nodes {
		g.Nodes[i].Group = -1
	}
	l := Compute(g)
	for i, e := range g.Edges {
		if e.From != e.To && l.Nodes[e.From].Y+l.Nodes[e.From].H >= l.Nodes[e.To].Y {
			t.Fatalf("edge %d points up", i)
		}
	}
}

func TestLayoutDependsOnlyOnItsInput(t *testing.T) {
	for seed := range uint64(10) {
		if a, b := Compute(random(seed, 50, true)), Compute(random(seed, 50, true)); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two layouts differ", seed)
		}
	}
}

func TestCrossingsAreCountedRight(t *testing.T) {
	if n := inversions([]float64{3, 1, 2, 2, 0}); n != 7 {
		t.Errorf("got %d, want 7", n)
	}
}

func TestATreeIsDrawnWithoutCrossings(t *testing.T) {
	g := Graph{GapX: 20, GapY: 30}
	for i := range 31 {
		g.Nodes = append(g.Nodes, Node{W: 40, H: 24, Group: -1})
		if i > 0 {
			g.Edges = append(g.Edges, Edge{(i - 1) / 2, i})
		}
	}
	c := newClusters(g)
	c.layoutOuter()
	if n := c.outer.crossings(); n != 0 {
		t.Errorf("%d crossings", n)
	}
}

func TestEmptyGraph(t *testing.T) {
	if l := Compute(Graph{Groups: 2}); len(l.Nodes) != 0 || len(l.Groups) != 2 {
		t.Error(l)
	}
}
