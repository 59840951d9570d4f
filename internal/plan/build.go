package plan

import (
	"os"
	"sync/atomic"
	"time"

	"loris/internal/ir"
	"loris/internal/op"
)

// checked makes every build verify the graph after each pass.
var checked atomic.Bool

func init() { checked.Store(os.Getenv("LORIS_CHECK") == "1") }

// CheckPasses makes every build verify the graph after each pass, as LORIS_CHECK=1
// does; tests switch it on.
func CheckPasses(on bool) { checked.Store(on) }

// Options are what a plan depends on beside the graph.
type Options struct {
	Device    Device
	Precision Precision
}

// build makes the plan of the graph that w has walked.
func build(w *walker, roots []*ir.Node, opt Options) (*Plan, error) {
	p := &Plan{Device: opt.Device.Name(), Precision: opt.Precision, Draws: len(w.draws), Nodes: len(w.nodes)}
	g, err := flatten(w, p, roots)
	if err != nil {
		return nil, err
	}
	consts := &constants{plan: p, values: append([]float64(nil), w.consts...)}
	for _, s := range w.slots {
		consts.isBake = append(consts.isBake, s.baked)
		p.Consts = append(p.Consts, s.dtype)
	}
	passes := []struct {
		name string
		run  func(*graph) *graph
	}{
		{"cse", cse},
		{"simplify", simplify(consts)},
		{"cse again", cse},
		{"dead", dead},
		{"rows", rowOps(consts)},
		{"dead rows", dead},
		{"loss", crossEntropy(opt.Device, consts)},
		{"attention", attention(opt.Device, consts)},
		{"products", products(opt.Device, consts)},
		{"row sums", rowSums(opt.Device)},
		{"dead again", dead},
		{"views", func(g *graph) *graph { return views(g, p.Leaves) }},
	}
	for _, pass := range passes {
		start := time.Now()
		g = pass.run(g)
		p.Passes = append(p.Passes, PassInfo{pass.name, len(g.vals), time.Since(start).Nanoseconds()})
		if checked.Load() {
			if err := verifyGraph(g, pass.name); err != nil {
				return nil, err
			}
		}
	}
	start := time.Now()
	f := fuse(g, reducesProducts(opt.Device))
	p.Passes = append(p.Passes, PassInfo{"fuse", len(f.groups), time.Since(start).Nanoseconds()})
	start = time.Now()
	steps := order(f)
	p.Passes = append(p.Passes, PassInfo{"order", len(steps), time.Since(start).Nanoseconds()})
	start = time.Now()
	emit(p, f, steps)
	p.Passes = append(p.Passes, PassInfo{"emit", len(p.Steps), time.Since(start).Nanoseconds()})
	start = time.Now()
	batch(p)
	donate(p)
	p.Passes = append(p.Passes, PassInfo{"batch", len(p.Steps), time.Since(start).Nanoseconds()})
	start = time.Now()
	planMemory(p)
	if err := place(p, opt.Device, fallback()); err != nil {
		return nil, err
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		p.Nanos += 300 + max(float64(s.Flops)/50, float64(s.Bytes)/20)
	}
	p.Passes = append(p.Passes, PassInfo{"memory", len(p.Buffers), time.Since(start).Nanoseconds()})
	if checked.Load() {
		if err := p.Verify(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// flatten copies the walked nodes into a graph. Outputs of one op lie next to
// each other, whether or not all of them are nodes.
func flatten(w *walker, p *Plan, roots []*ir.Node) (*graph, error) {
	g := &graph{vals: make([]value, 0, len(w.nodes))}
	at := make([]int32, len(w.nodes)) // value of each node
	multi := map[string]int32{}
	var key []byte
	draw := int32(0)
	for i, n := range w.nodes {
		v := value{op: n.Op, dtype: n.DType, output: n.Output, shape: n.Shape, attrs: n.Attrs, node: int32(i)}
		if l := w.leafOf[i]; l >= 0 {
			v.op, v.attrs, v.leaf, v.output = op.Leaf, nil, l, 0
			at[i] = g.add(v)
			p.Leaves = append(p.Leaves, Leaf{DType: n.DType, Shape: n.Shape, Strides: w.leafStrides(l),
				Donated: n.Flags&ir.Donated != 0 && w.leaves[l].node == n && n.Value() != nil})
			continue
		}
		for _, x := range n.Inputs() {
			v.in = append(v.in, at[x.Index])
		}
		switch n.Op {
		case op.Const:
			v.leaf = -2 - w.leafOf[i]
		case op.Random:
			v.leaf = draw
			draw++
		}
		if cost := op.Table[n.Op].Cost; cost != nil {
			flops, _ := cost(n)
			v.flops = int64(flops)
		}
		outputs := outputsOf(&v)
		if outputs == 1 {
			at[i] = g.add(v)
			continue
		}
		v.output = 0
		key = v.appendKey(key[:0])
		first, ok := multi[string(key)]
		if !ok {
			first = int32(len(g.vals))
			multi[string(key)] = first
			for k := range outputs {
				dtype, shape, err := op.Table[n.Op].Infer(n.Inputs(), n.Attrs, int(k))
				if err != nil {
					return nil, err
				}
				o := v
				o.output, o.dtype, o.shape = uint8(k), dtype, shape
				o.in = append([]int32(nil), v.in...)
				if k > 0 {
					o.flops = 0
				}
				g.add(o)
			}
		}
		at[i] = first + int32(n.Output)
	}
	for _, r := range roots {
		g.outs = append(g.outs, at[r.Index])
	}
	for _, r := range w.kept {
		g.outs = append(g.outs, at[r.Index])
	}
	return g, nil
}
