package display

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well-formed XML: %v", err)
		}
	}
}

func TestGraphAboveTheLimitIsFolded(t *testing.T) {
	for _, n := range []int{401, 1000, 5000} {
		scoped := layersGraph(n)
		flat := layersGraph(n)
		chain := &Graph{}
		for i := range n {
			chain.Nodes = append(chain.Nodes, GraphNode{ID: fmt.Sprint(i), Label: "Add"})
			if i > 0 {
				chain.Edges = append(chain.Edges, GraphEdge{From: fmt.Sprint(i - 1), To: fmt.Sprint(i)})
			}
		}
		for i := range flat.Nodes {
			flat.Nodes[i].Scope, flat.Nodes[i].Group = "", ""
		}
		for name, g := range map[string]*Graph{"scoped": scoped, "flat": flat, "chain": chain} {
			folded, what := collapse(g)
			if len(folded.Nodes) > 400 || len(folded.Nodes) < 15 || !strings.Contains(what, fmt.Sprint(n)) {
				t.Errorf("%s graph of %d nodes became %d: %s", name, n, len(folded.Nodes), what)
			}
			if len(folded.Edges) == 0 {
				t.Errorf("%s graph of %d nodes lost its edges", name, n)
			}
		}
	}
}

func TestGraphDrawsEveryNodeOnceInAnyTextForm(t *testing.T) {
	g := mlpGraph()
	svg := g.SVG()
	if n := strings.Count(svg, `<g class="n`); n != len(g.Nodes) {
		t.Errorf("%d of %d nodes drawn", n, len(g.Nodes))
	}
	if n := strings.Count(svg, `class="ed"`); n != len(g.Edges) {
		t.Errorf("%d of %d edges drawn", n, len(g.Edges))
	}
	if !strings.Contains(g.Text(), "add = Add(mean, eps)  [pending]  in rmsnorm_residual") {
		t.Error(g.Text())
	}
	wellFormed(t, g.MIME()[MIMESVG].(string))
}

func BenchmarkGraph80(b *testing.B) {
	g := layersGraph(80)
	for b.Loop() {
		g.SVG()
	}
}

func BenchmarkGraph400(b *testing.B) {
	g := layersGraph(400)
	for b.Loop() {
		g.SVG()
	}
}
