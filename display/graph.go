package display

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"loris/display/internal/layered"
)

// Graph is a directed graph of operations, drawn top to bottom. It describes
// itself by strings only, so that any library can fill it.
type Graph struct {
	Title string
	Nodes []GraphNode
	Edges []GraphEdge
	// Groups are boxes around nodes, such as the operations fused into one
	// kernel.
	Groups []GraphGroup
	// MaxNodes is the number above which scopes and groups are drawn as one
	// node each; 0 means 400.
	MaxNodes int
}

// GraphNode is a box of a [Graph].
type GraphNode struct {
	ID    string
	Label string // the operation
	Sub   string // a second line in a fixed-width font, such as dtype and shape
	// Kind picks the colour and is named in the legend: leaf, ready, pending,
	// failed, constant, view, fused, or any other word.
	Kind string
	// Group is the ID of the group the node lies in, empty for none.
	Group string
	// Scope is a path such as "model/layer0/attn" by which a large graph
	// collapses.
	Scope   string
	Tooltip string
}

// GraphEdge leads from one node to another, by ID.
type GraphEdge struct {
	From, To string
	Label    string // what flows; written once per source if all its edges agree
}

// GraphGroup is a box around the nodes that name it.
type GraphGroup struct {
	ID, Label string
	Kind      string
	Tooltip   string
}

// graphKinds gives the usual kinds their colours; others take the remaining
// ones in the order they appear.
var graphKinds = map[string]int{"leaf": 0, "pending": 1, "ready": 2, "failed": 3, "fused": 4, "view": 5, "constant": -1, "collapsed": 7}

const (
	nodeFont, subFont  = 12.0, 10.5
	nodeHeight         = 24.0
	nodeHeightWithSub  = 39.0
	legendHeight       = 26.0
	graphMargin        = 10.0
	groupTitleHeight   = 22.0
	groupPadding       = 12.0
	defaultMaxNodes    = 400
	longestLabel       = 30
	longestEdgeLabel   = 24
	graphViewMaxHeight = "75vh"
	boldWider          = 1.14
)

const graphCSS = `.loris .l-graph text{font-size:12px}.loris .l-graph .s{font-size:10.5px;fill:var(--l-dim)}` +
	`.loris .l-graph .ed{fill:none;stroke:var(--l-dim);stroke-width:1.2;opacity:.75}.loris .l-graph .ah{fill:var(--l-dim);stroke:none}` +
	`.loris .l-graph .el{font-size:10px;fill:var(--l-dim);paint-order:stroke;stroke:var(--l-bg);stroke-width:3px;stroke-linejoin:round}` +
	`.loris .l-graph .n rect:first-of-type{fill:color-mix(in srgb,var(--k) var(--l-tint),var(--l-bg));stroke:var(--k);stroke-width:1.2}` +
	`.loris .l-graph .n:hover rect:first-of-type{stroke-width:2.4}.loris .l-graph .n.dash rect:first-of-type{stroke-dasharray:4 3}` +
	`.loris .l-graph .gr rect{fill:color-mix(in srgb,var(--k) 7%,transparent);stroke:var(--k);stroke-width:1.2;stroke-dasharray:6 4}.loris .l-graph .gr text{font-size:11px;font-weight:600;fill:var(--k);paint-order:stroke;stroke:var(--l-bg);stroke-width:3px}`

// SVG returns the picture as one inline <svg> element, which takes its colours
// from the page's style sheet; see [Page].
func (g *Graph) SVG() string {
	return newGraphView(g).draw()
}

// HTML implements [Part].
func (g *Graph) HTML() string {
	var w strings.Builder
	if g.Title != "" {
		w.WriteString(`<div class="l-h">` + html.EscapeString(g.Title) + `</div>`)
	}
	v := newGraphView(g)
	w.WriteString(`<div class="l-scroll" style="max-height:` + graphViewMaxHeight + `">` + v.draw() + `</div>`)
	if v.collapsed != "" {
		w.WriteString(note(v.collapsed).HTML())
	}
	return w.String()
}

// MIME implements [Rich]: HTML with the drawing inside, so that tooltips work
// and colours follow the page, the drawing as a picture, and text.
func (g *Graph) MIME() map[string]any {
	m := render(g)
	m[MIMESVG] = svgDocument(g.SVG())
	return m
}

func (g *Graph) String() string { return g.Text() }

// Text implements [Part]: one line per node with its inputs.
func (g *Graph) Text() string {
	inputs := map[string][]string{}
	for _, e := range g.Edges {
		inputs[e.To] = append(inputs[e.To], e.From)
	}
	var lines []string
	if g.Title != "" {
		lines = append(lines, g.Title)
	}
	groups := map[string]string{}
	for _, gr := range g.Groups {
		groups[gr.ID] = gr.Label
	}
	for i, n := range g.Nodes {
		if i == 100 {
			lines = append(lines, fmt.Sprintf("… %d more nodes", len(g.Nodes)-i))
			break
		}
		line := n.ID + " = " + n.Label
		if in := inputs[n.ID]; len(in) > 0 {
			line += "(" + strings.Join(in, ", ") + ")"
		}
		if n.Sub != "" {
			line += "  " + n.Sub
		}
		if n.Kind != "" {
			line += "  [" + n.Kind + "]"
		}
		if n.Group != "" {
			line += "  in " + cmpOr(groups[n.Group], n.Group)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// graphView is a graph being drawn.
type graphView struct {
	g         *Graph
	edges     []GraphEdge // those whose ends exist
	ends      [][2]int
	labels    []string // per node: the label of all its outgoing edges
	layout    layered.Layout
	kinds     []string // in order of appearance
	collapsed string   // what was left out, for a note
}

func newGraphView(g *Graph) *graphView {
	v := &graphView{g: g}
	v.g, v.collapsed = collapse(g)
	index := map[string]int{}
	for i, n := range v.g.Nodes {
		index[n.ID] = i
		if n.Kind != "" && !slices.Contains(v.kinds, n.Kind) {
			v.kinds = append(v.kinds, n.Kind)
		}
	}
	for _, e := range v.g.Edges {
		from, ok1 := index[e.From]
		to, ok2 := index[e.To]
		if ok1 && ok2 {
			v.edges = append(v.edges, e)
			v.ends = append(v.ends, [2]int{from, to})
		}
	}
	v.commonLabels()
	v.layOut()
	return v
}

// commonLabels finds the label to write once below each node.
func (v *graphView) commonLabels() {
	v.labels = make([]string, len(v.g.Nodes))
	mixed := make([]bool, len(v.g.Nodes))
	for i, e := range v.edges {
		from := v.ends[i][0]
		if v.labels[from] != "" && v.labels[from] != e.Label {
			mixed[from] = true
		}
		v.labels[from] = e.Label
	}
	for i := range v.labels {
		// What the node's own second line says need not be said again.
		if mixed[i] || v.labels[i] == v.g.Nodes[i].Sub {
			v.labels[i] = ""
		}
	}
}

func (v *graphView) layOut() {
	in := layered.Graph{GapX: 22, GapY: 30, Pad: groupPadding, PadTop: groupTitleHeight}
	groups := map[string]int{}
	for i, gr := range v.g.Groups {
		groups[gr.ID] = i
		in.GroupMinW = append(in.GroupMinW, textPixels(shorten(gr.Label, 48), 11, false)*boldWider+22)
	}
	in.Groups = len(v.g.Groups)
	for i, n := range v.g.Nodes {
		box := layered.Node{H: nodeHeight, Group: -1}
		box.W = textPixels(shorten(n.Label, longestLabel), nodeFont, false)*boldWider + 22
		if n.Sub != "" {
			box.H = nodeHeightWithSub
			box.W = max(box.W, textPixels(shorten(n.Sub, longestLabel), subFont, true)+18)
		}
		box.W = max(box.W, 44)
		if v.labels[i] != "" {
			box.Right = textPixels(shorten(v.labels[i], longestEdgeLabel), 10, true) + 8
		}
		if k, ok := groups[n.Group]; ok && n.Group != "" {
			box.Group = k
		}
		in.Nodes = append(in.Nodes, box)
	}
	for _, e := range v.ends {
		in.Edges = append(in.Edges, layered.Edge{From: e[0], To: e[1]})
	}
	v.layout = layered.Compute(in)
}

func (v *graphView) draw() string {
	top := graphMargin
	legendWidth := 0.0
	if len(v.kinds) > 0 {
		top += legendHeight
		legendWidth = v.legendWidth()
	}
	width := max(v.layout.W, legendWidth, 60) + 2*graphMargin
	w := &svgWriter{}
	w.open(" l-graph", width, top+v.layout.H+graphMargin, fmt.Sprintf("graph of %d nodes and %d edges", len(v.g.Nodes), len(v.edges)))
	v.drawLegend(w)
	w.WriteString(`<g transform="translate(` + num(graphMargin+max(0, (legendWidth-v.layout.W)/2)) + ` ` + num(top) + `)">`)
	for i, gr := range v.g.Groups {
		v.drawGroup(w, gr, v.layout.Groups[i])
	}
	for i := range v.edges {
		v.drawEdge(w, i)
	}
	for i, gr := range v.g.Groups {
		v.drawGroupTitle(w, gr, v.layout.Groups[i])
	}
	for i, n := range v.g.Nodes {
		v.drawNode(w, n, v.layout.Nodes[i])
	}
	for i, n := range v.labels {
		if n != "" {
			r := v.layout.Nodes[i]
			w.text(r.X+r.W/2+5, r.Y+r.H+11, "el m", shorten(n, longestEdgeLabel))
		}
	}
	v.drawMixedLabels(w)
	w.WriteString(`</g>`)
	w.close()
	return w.String()
}

// colour is the CSS variable of a kind.
func (v *graphView) colour(kind string) string {
	if c, ok := graphKinds[kind]; ok {
		if c < 0 {
			return "var(--l-n)"
		}
		return fmt.Sprintf("var(--l-%d)", c)
	}
	if kind == "" {
		return "var(--l-n)"
	}
	free := []int{6, 5, 7, 4, 0, 1, 2}
	n := 0
	for _, k := range v.kinds {
		if k == kind {
			break
		}
		if _, known := graphKinds[k]; !known {
			n++
		}
	}
	return fmt.Sprintf("var(--l-%d)", free[n%len(free)])
}

func (v *graphView) legendWidth() float64 {
	x := 0.0
	for _, k := range v.kinds {
		x += 16 + textPixels(k, 12, false) + 14
	}
	return x
}

func (v *graphView) drawLegend(w *svgWriter) {
	x := graphMargin
	for _, k := range v.kinds {
		w.rect(x, 8, 11, 11, `rx="3" style="fill:color-mix(in srgb,`+v.colour(k)+` 35%,transparent);stroke:`+v.colour(k)+`"`, "")
		w.text(x+16, 18, "d", k)
		x += 16 + textPixels(k, 12, false) + 14
	}
}

func (v *graphView) drawGroup(w *svgWriter, gr GraphGroup, r layered.Rect) {
	if r.W == 0 {
		return
	}
	w.WriteString(`<g class="gr" style="--k:` + v.colour(cmpOr(gr.Kind, "fused")) + `">` + tooltip(gr.Tooltip))
	w.rect(r.X, r.Y, r.W, r.H, `rx="8" fill="none" stroke="#888"`, "")
	w.WriteString(`</g>`)
}

// drawGroupTitle comes after the edges, which may pass below the title.
func (v *graphView) drawGroupTitle(w *svgWriter, gr GraphGroup, r layered.Rect) {
	if r.W == 0 || gr.Label == "" {
		return
	}
	w.WriteString(`<g class="gr" style="--k:` + v.colour(cmpOr(gr.Kind, "fused")) + `">`)
	w.text(r.X+9, r.Y+15, "", shorten(gr.Label, 48))
	w.WriteString(`</g>`)
}

func (v *graphView) drawNode(w *svgWriter, n GraphNode, r layered.Rect) {
	class := "n"
	if n.Kind == "view" || n.Kind == "constant" {
		class = "n dash"
	}
	tip := n.Tooltip
	if tip == "" {
		tip = strings.TrimSpace(n.Label + "\n" + n.Sub)
	}
	w.WriteString(`<g class="` + class + `" style="--k:` + v.colour(n.Kind) + `">` + tooltip(tip))
	// The attributes serve renderers that know no CSS variables.
	w.rect(r.X, r.Y, r.W, r.H, `rx="5" fill="#f4f6fa" stroke="#888"`, "")
	y := r.Y + r.H/2 + 4.2
	if n.Sub != "" {
		y = r.Y + 16.5
		w.text(r.X+r.W/2, y+14.5, "c s m", shorten(n.Sub, longestLabel))
	}
	w.text(r.X+r.W/2, y, "c b", shorten(n.Label, longestLabel))
	w.WriteString(`</g>`)
}

// drawEdge draws a smooth line, vertical at both ends, with an arrow head.
func (v *graphView) drawEdge(w *svgWriter, i int) {
	points := v.layout.Edges[i]
	if len(points) < 2 {
		return
	}
	const head = 6.0
	end := points[len(points)-1]
	before := points[len(points)-2]
	down := 1.0
	if before.Y > end.Y {
		down = -1
	}
	w.WriteString(`<path class="ed" fill="none" stroke="#888" d="M` + num(points[0].X) + ` ` + num(points[0].Y))
	for j := 1; j < len(points); j++ {
		p, q := points[j-1], points[j]
		if j == len(points)-1 {
			q.Y -= head * down
		}
		if p.X == q.X {
			w.WriteString(`L` + num(q.X) + ` ` + num(q.Y))
			continue
		}
		mid := (p.Y + q.Y) / 2
		w.WriteString(`C` + num(p.X) + ` ` + num(mid) + ` ` + num(q.X) + ` ` + num(mid) + ` ` + num(q.X) + ` ` + num(q.Y))
	}
	w.WriteString(`">` + tooltip(v.edgeTip(i)) + `</path>`)
	w.WriteString(`<path class="ah" d="M` + num(end.X) + ` ` + num(end.Y) + `l-3.5 ` + num(-head*down) + `h7z"/>`)
}

func (v *graphView) edgeTip(i int) string {
	e := v.edges[i]
	tip := v.g.Nodes[v.ends[i][0]].Label + " → " + v.g.Nodes[v.ends[i][1]].Label
	if e.Label != "" {
		tip += "\n" + e.Label
	}
	return tip
}

// drawMixedLabels writes the labels of edges whose source has several, each
// near the end of its edge.
func (v *graphView) drawMixedLabels(w *svgWriter) {
	for i, e := range v.edges {
		from := v.ends[i][0]
		points := v.layout.Edges[i]
		if e.Label == "" || v.labels[from] != "" || e.Label == v.g.Nodes[from].Sub || len(points) < 2 {
			continue
		}
		end := points[len(points)-1]
		w.text(end.X+5, end.Y-9, "el m", shorten(e.Label, longestEdgeLabel))
	}
}
