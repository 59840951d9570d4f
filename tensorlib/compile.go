package tensorlib

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"loris/internal/ir"
	"loris/internal/op"
)

// tracing counts the functions that Compile is tracing: draws made meanwhile
// say how to draw anew.
var tracing atomic.Int32

// Compiled is a function whose graph is built once for each signature of its
// arguments. It may be called from several goroutines.
type Compiled struct {
	Hits   int // calls that found their graph
	Misses int // calls that had to build it

	f      func(x ...*Tensor) []*Tensor
	mu     sync.Mutex
	traces map[string]*trace
}

// Compile returns f with its graph remembered: f itself is called only for new
// shapes and dtypes of its arguments, after that its graph is copied. This
// saves the time of building (in a cell about 0.3 µs an op), nothing else:
// plans are remembered anyway. Parameters that f uses have their value of the
// call, random numbers are drawn anew; whatever else f reads from outside is
// frozen, and so is what it prints or counts. A gradient that Grads made in f knows
// its loss if f returns that, too, so that an optimiser computes both at once.
func Compile(f func(x ...*Tensor) []*Tensor) *Compiled {
	return &Compiled{f: f, traces: map[string]*trace{}}
}

// maxTraces bounds the graphs of one Compiled; beyond it all are forgotten.
const maxTraces = 64

// Call returns the lazy results of f.
func (c *Compiled) Call(x ...*Tensor) []*Tensor {
	in := nodes("Compile", x)
	var room [128]byte
	key := signature(room[:0], in)
	c.mu.Lock()
	t := c.traces[string(key)]
	if t != nil {
		c.Hits++
	} else {
		c.Misses++
	}
	c.mu.Unlock()
	if t == nil {
		t = newTrace(c.f, in)
		c.mu.Lock()
		if len(c.traces) >= maxTraces {
			clear(c.traces)
		}
		c.traces[string(key)] = t
		c.mu.Unlock()
	}
	return t.replay(in)
}

// signature appends the dtypes and shapes of arguments.
func signature(key []byte, in []*ir.Node) []byte {
	for _, n := range in {
		key = append(key, byte(n.DType), byte(len(n.Shape)))
		for _, d := range n.Shape {
			key = append(strconv.AppendInt(key, int64(d), 36), ',')
		}
	}
	return key
}

// trace is a graph with places for what changes from call to call.
type trace struct {
	steps   []traceStep
	outputs []traceOutput
	slots   []*Tensor // parameters, after the arguments in the order of values
}

// traceRef is a node that never changes, or the result of a step: value number
// index counts arguments, then slots, then steps.
type traceRef struct {
	fixed *ir.Node
	index int
}

// traceOutput is a result; of a gradient whose loss is a result, too, that one's number.
type traceOutput struct {
	traceRef
	loss int // -1: none
}

type traceStep struct {
	node   *ir.Node
	inputs []traceRef
}

func newTrace(f func(x ...*Tensor) []*Tensor, in []*ir.Node) *trace {
	args := make([]*Tensor, len(in))
	index := map[*ir.Node]int{}
	for i, n := range in {
		// A node of its own, so that an argument that is also captured is told apart.
		args[i] = wrap(op.Apply(op.Named, op.Name{Name: fmt.Sprintf("x%d", i)}, n))
		index[args[i].node.Load()] = i
	}
	tracing.Add(1)
	results := func() []*Tensor {
		defer tracing.Add(-1)
		return f(args...)
	}()
	roots := nodes("Compile", results)
	order := newDrawing(roots).order

	t := &trace{}
	for _, n := range order {
		if s := slotOf(n); s != nil {
			if _, ok := index[n]; !ok {
				index[n] = len(in) + len(t.slots)
				t.slots = append(t.slots, s)
			}
		}
	}
	ref := func(n *ir.Node) traceRef {
		if i, ok := index[n]; ok {
			return traceRef{index: i}
		}
		return traceRef{fixed: n}
	}
	for _, n := range order {
		if _, ok := index[n]; ok {
			continue
		}
		step := traceStep{node: n}
		changes := false
		if d, ok := n.Attrs.(op.Draw); ok && d.Redraw != nil {
			changes = true
		}
		for _, x := range n.Inputs() {
			r := ref(x)
			changes = changes || r.fixed == nil
			step.inputs = append(step.inputs, r)
		}
		if changes && n.Value() == nil {
			index[n] = len(in) + len(t.slots) + len(t.steps)
			t.steps = append(t.steps, step)
		}
	}
	for i, r := range roots {
		loss := -1
		if l := results[i].loss.Value(); l != nil {
			loss = slices.Index(results, l)
		}
		t.outputs = append(t.outputs, traceOutput{ref(r), loss})
	}
	return t
}

// replay copies the graph onto the arguments. Nothing is checked again: shapes
// and dtypes are those of the trace.
func (t *trace) replay(in []*ir.Node) []*Tensor {
	values := make([]*ir.Node, 0, len(in)+len(t.slots)+len(t.steps))
	values = append(values, in...)
	for _, s := range t.slots {
		values = append(values, s.n("Compile"))
	}
	get := func(r traceRef) *ir.Node {
		if r.fixed != nil {
			return r.fixed
		}
		return values[r.index]
	}
	for i := range t.steps {
		s := &t.steps[i]
		attrs := s.node.Attrs
		if d, ok := attrs.(op.Draw); ok && d.Redraw != nil {
			attrs = d.Redraw(d)
		}
		var n *ir.Node
		switch len(s.inputs) {
		case 0:
			n = ir.NewNode0(s.node.Op, s.node.DType, s.node.Shape, attrs)
		case 1:
			n = ir.NewNode1(s.node.Op, s.node.DType, s.node.Shape, attrs, get(s.inputs[0]))
		case 2:
			n = ir.NewNode2(s.node.Op, s.node.DType, s.node.Shape, attrs, get(s.inputs[0]), get(s.inputs[1]))
		default:
			inputs := make([]*ir.Node, len(s.inputs))
			for k, r := range s.inputs {
				inputs[k] = get(r)
			}
			n = ir.NewNode(s.node.Op, s.node.DType, s.node.Shape, attrs, inputs...)
		}
		n.Output, n.Via, n.Const, n.Pos = s.node.Output, s.node.Via, s.node.Const, s.node.Pos
		n.Flags |= s.node.Flags
		values = append(values, ir.Finish(n))
	}
	out := make([]*Tensor, len(t.outputs))
	for i, o := range t.outputs {
		out[i] = wrap(get(o.traceRef))
	}
	for i, o := range t.outputs {
		if o.loss < 0 {
			continue
		}
		if k := slices.IndexFunc(t.outputs[:i], func(p traceOutput) bool { return p.loss == o.loss }); k >= 0 {
			out[i].loss = out[k].loss
		} else {
			out[i].loss = weak.Make(out[o.loss])
		}
	}
	return out
}
