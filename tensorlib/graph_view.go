package tensorlib

import (
	"fmt"
	"strconv"
	"strings"

	"loris/display"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// GraphView shows the graph of tensors as it was when Graph was called:
// before any pass, and with the steps that a plan makes of it.
type GraphView struct {
	before, after *display.Graph
	plan          *plan.Plan
	planError     error
	fused         bool // what is shown first, and as text
	device        string
	dot           string
}

// Graph returns a view of all that the tensors are computed from. It never
// computes anything.
func Graph(tensors ...*Tensor) *GraphView {
	roots := nodes("Graph", tensors)
	g := &GraphView{}
	d := newDrawing(roots)
	g.before = d.graph("graph as built", nil)
	p, err := eval.Plan(roots...)
	switch {
	case err != nil:
		g.planError = err
		g.after = g.before
	case p == nil: // all is computed
		g.after = g.before
	default:
		g.plan, g.device = p, p.Device
		g.after = d.graph(stepsOn(p), d.steps(p, eval.Order(roots...)))
	}
	g.dot = d.dot()
	return g
}

// stepsOn says how many steps there are and where they run, by name those that
// the plan's device lacks.
func stepsOn(p *plan.Plan) string {
	var elsewhere []string
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Device != p.Device {
			elsewhere = append(elsewhere, s.Name+" on "+s.Device)
		}
	}
	text := fmt.Sprintf("%d steps on %s", len(p.Steps)-len(elsewhere), p.Device)
	if len(p.Steps)-len(elsewhere) == 1 {
		text = "1 step on " + p.Device
	}
	if len(elsewhere) > 0 {
		text += "; " + strings.Join(elsewhere, ", ")
	}
	return text
}

// Fused returns the view that opens with the graph after planning: nodes that
// one step computes stand in one box.
func (g *GraphView) Fused() *GraphView {
	c := *g
	c.fused = true
	return &c
}

// Plan returns the steps, passes and memory of the plan.
func (g *GraphView) Plan() *PlanView { return &PlanView{g.plan, g.planError} }

// DOT returns the graph before planning in the language of Graphviz.
func (g *GraphView) DOT() string { return g.dot }

// SVG returns the graph as an inline SVG element: after planning if Fused was
// called, else before.
func (g *GraphView) SVG() string { return g.shown().SVG() }

func (g *GraphView) shown() *display.Graph {
	if g.fused {
		return g.after
	}
	return g.before
}

func (g *GraphView) part() display.Part {
	if g.before == g.after {
		return g.after
	}
	const built, fused = "as built", "after fusion"
	toggle := display.Toggle(built, g.before, fused, g.after)
	if g.fused {
		return toggle
	}
	return toggle.FirstShown()
}

// String lists the nodes of the graph as built, or after Fused those after
// planning.
func (g *GraphView) String() string {
	text := g.shown().Text()
	if !g.fused && g.plan != nil {
		text += "\n" + stepsOn(g.plan) + ": .Fused() shows them"
	}
	return text
}

// MIME shows the graph as SVG, with a switch between before and after.
func (g *GraphView) MIME() map[string]any {
	measured := map[string]any{"device": g.device}
	if g.plan != nil {
		measured["steps"] = len(g.plan.Steps)
	}
	m := display.Output{Part: g.part(), Result: display.Result{Values: map[string]any{"nodes": len(g.shown().Nodes)}, Measured: measured}}.MIME()
	m[display.MIMEText] = g.String()
	return m
}

// drawing collects the nodes of a graph for display.
type drawing struct {
	order  []*ir.Node // inputs before users
	id     map[*ir.Node]string
	scope  map[*ir.Node]string
	inline map[*ir.Node]bool // scalar constants, written into their users' labels
}

func newDrawing(roots []*ir.Node) *drawing {
	d := &drawing{id: map[*ir.Node]string{}, scope: map[*ir.Node]string{}, inline: map[*ir.Node]bool{}}
	type frame struct {
		node *ir.Node
		next int
	}
	seen := map[*ir.Node]bool{}
	for _, r := range roots {
		if seen[r] {
			continue
		}
		seen[r] = true
		stack := []frame{{r, 0}}
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if in := f.node.Inputs(); f.next < len(in) && f.node.Value() == nil {
				x := in[f.next]
				f.next++
				if !seen[x] {
					seen[x] = true
					stack = append(stack, frame{x, 0})
				}
				continue
			}
			d.order = append(d.order, f.node)
			stack = stack[:len(stack)-1]
		}
	}
	for i, n := range d.order {
		d.id[n] = "n" + strconv.Itoa(i)
		d.inline[n] = n.Op == op.Const && len(n.Shape) == 0 && len(d.order) > 1
	}
	// A name covers what leads to it, up to other names. What several need
	// belongs to the first, so that names that follow each other form no circle.
	for i := len(d.order) - 1; i >= 0; i-- {
		n := d.order[i]
		if n.Op == op.Named {
			d.scope[n] = nameOf(n)
		}
		for _, x := range n.Inputs() {
			if d.scope[n] != "" {
				d.scope[x] = d.scope[n]
			}
		}
	}
	return d
}

// label is the op with the scalar operands it has: "Mul 0.5".
func (d *drawing) label(n *ir.Node) string {
	id := n.Op
	if n.Via != op.Invalid {
		id = n.Via
	}
	label := op.NameOf(id)
	switch n.Op {
	case op.Leaf:
		label = "data"
		if name := nameOf(n); name != "" {
			label = name
		} else if n.Flags&ir.Tracked != 0 {
			label = "parameter"
		}
	case op.Named:
		if name := nameOf(n); name != "" {
			label = name
		} else if slotOf(n) != nil {
			label = "parameter"
		}
	case op.Const:
		label = strconv.FormatFloat(n.Const, 'g', 5, 64)
	}
	for _, x := range n.Inputs() {
		// The constants of a composition, such as Mean's n, are not what was
		// written.
		if d.inline[x] && id == n.Op {
			label += " " + strconv.FormatFloat(x.Const, 'g', 5, 64)
		}
	}
	return label
}

func kindOf(n *ir.Node) string {
	v := n.Value()
	switch {
	case v != nil && v.Ready() && v.Err != nil:
		return "failed"
	case n.Op == op.Leaf:
		return "leaf"
	case n.Op == op.Const || n.Op == op.Iota:
		return "constant"
	case v != nil:
		return "ready"
	case op.Table[n.Op].Kind == op.View || op.Table[n.Op].Kind == op.Identity:
		return "view"
	}
	return "pending"
}

// work prints "139 kFLOP, 256 KiB moved".
func work[T int64 | float64](flops float64, bytes T) string {
	prefix := 0
	prefixes := []string{"", "k", "M", "G", "T", "P"}
	for flops >= 999.5 && prefix < len(prefixes)-1 {
		flops /= 1000
		prefix++
	}
	return fmt.Sprintf("%s %sFLOP, %v moved", display.Number(flops, 3), prefixes[prefix], display.Bytes(bytes))
}

func tooltip(n *ir.Node) string {
	flops, bytes := 0.0, 0.0
	if n.Value() == nil { // an evaluated node has dropped what it was made from
		flops, bytes = op.Table[n.Op].Cost(n)
	}
	t := fmt.Sprintf("%s  %s%v\n%v", op.NameOf(n.Op), n.DType, n.Shape, display.Bytes(op.SizeBytes(n)))
	if flops > 0 {
		t += "\n" + work(flops, bytes)
	}
	if n.Pos.Line > 0 {
		t += "\n" + placeOf(n.Pos)
	}
	return t
}

// graph makes the picture; group names the box of a node.
func (d *drawing) graph(title string, groups *grouping) *display.Graph {
	g := &display.Graph{Title: title}
	for _, n := range d.order {
		if d.inline[n] {
			continue
		}
		node := display.GraphNode{ID: d.id[n], Label: d.label(n), Sub: n.DType.String() + n.Shape.String(), Kind: kindOf(n),
			Scope: d.scope[n], Tooltip: tooltip(n)}
		if groups != nil {
			node.Group = groups.of[n]
		}
		g.Nodes = append(g.Nodes, node)
		for _, x := range n.Inputs() {
			if !d.inline[x] && n.Value() == nil {
				g.Edges = append(g.Edges, display.GraphEdge{From: d.id[x], To: d.id[n]})
			}
		}
	}
	if groups != nil {
		g.Groups = groups.boxes
	}
	return g
}

type grouping struct {
	of    map[*ir.Node]string
	boxes []display.GraphGroup
}

// steps puts the nodes that one step computes into a box: those that the plan
// names, and those that it made disappear into their users (views, factors).
func (d *drawing) steps(p *plan.Plan, order []*ir.Node) *grouping {
	step := map[*ir.Node]int{}
	for i := range p.Steps {
		for _, o := range p.Steps[i].Origin {
			if int(o) < len(order) && d.id[order[o]] != "" && step[order[o]] == 0 {
				step[order[o]] = i + 1 // the first, should others finish what it is
			}
		}
	}
	d.absorb(step)
	members := make([]int, len(p.Steps)+1)
	for n, i := range step {
		if !d.inline[n] {
			members[i]++
		}
	}
	g := &grouping{of: map[*ir.Node]string{}}
	for i := range p.Steps {
		if members[i+1] < 2 {
			continue
		}
		s := &p.Steps[i]
		g.boxes = append(g.boxes, display.GraphGroup{ID: "s" + strconv.Itoa(i), Label: fmt.Sprintf("%d: %s", i+1, s.Name), Kind: "fused",
			Tooltip: fmt.Sprintf("step %d on %s: %s\n%s", i+1, s.Device, s.Name, work(float64(s.Flops), s.Bytes))})
	}
	for n, i := range step {
		if members[i] >= 2 && !d.inline[n] {
			g.of[n] = "s" + strconv.Itoa(i-1)
		}
	}
	return g
}

// absorb gives a node that no step names the step that all its users are in.
func (d *drawing) absorb(step map[*ir.Node]int) {
	users := map[*ir.Node]int{} // the common step of all users seen, -1 if they differ
	for i := len(d.order) - 1; i >= 0; i-- {
		n := d.order[i]
		if u := users[n]; step[n] == 0 && u > 0 && n.Value() == nil && len(n.Inputs()) > 0 && slotOf(n) == nil {
			step[n] = u
		}
		if n.Value() != nil {
			continue
		}
		at := step[n]
		if at == 0 {
			at = -1
		}
		for _, x := range n.Inputs() {
			if u := users[x]; u == 0 {
				users[x] = at
			} else if u != at {
				users[x] = -1
			}
		}
	}
}

func (d *drawing) dot() string {
	var b strings.Builder
	b.WriteString("digraph {\n\trankdir=TB; node [shape=box];\n")
	for _, n := range d.order {
		fmt.Fprintf(&b, "\t%s [label=%q];\n", d.id[n], d.label(n)+"\n"+n.DType.String()+n.Shape.String())
		if n.Value() != nil {
			continue
		}
		for _, x := range n.Inputs() {
			fmt.Fprintf(&b, "\t%s -> %s;\n", d.id[x], d.id[n])
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// PlanView shows how a graph will be computed.
type PlanView struct {
	plan *plan.Plan
	err  error
}

func (v *PlanView) part() display.Part {
	if v.err != nil {
		return display.Note(v.err.Error())
	}
	if v.plan == nil {
		return display.Note("everything is computed: there is nothing to plan")
	}
	p := v.plan
	live := p.Live()
	steps := &display.Table{Title: stepsOn(p), Columns: []display.Column{
		{Name: "#"}, {Name: "kind"}, {Name: "step"}, {Name: "result"}, {Name: "MFLOP", Align: display.AlignRight},
		{Name: "moved", Align: display.AlignRight}, {Name: "live", Align: display.AlignRight}}}
	for i := range p.Steps {
		s := &p.Steps[i]
		var out []string
		for _, o := range s.Out {
			out = append(out, o.DType.String()+ir.Shape(o.Shape).String())
		}
		steps.Add(i+1, s.Kind.String(), s.Name, strings.Join(out, " "), float64(s.Flops)/1e6, display.Bytes(s.Bytes), display.Bytes(live[i]))
	}
	passes := &display.Table{Title: "passes", Columns: display.Columns("pass", "left")}
	for _, pass := range p.Passes {
		passes.Add(pass.Name, pass.Values)
	}
	outputs := int64(0)
	for _, b := range p.Buffers {
		if b.Kind == plan.OutputBuffer {
			outputs += int64(b.Bytes)
		}
	}
	facts := display.Facts{
		{"nodes", fmt.Sprint(p.Nodes)}, {"precision", p.Precision.String()},
		{"working memory", display.Bytes(p.Arena).String()}, {"results", display.Bytes(outputs).String()},
	}
	return display.Stack("", facts, steps, passes)
}

// String lists the steps.
func (v *PlanView) String() string { return v.part().Text() }

// MIME shows the steps as tables.
func (v *PlanView) MIME() map[string]any { return display.Output{Part: v.part()}.MIME() }
