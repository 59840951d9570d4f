package tensorlib

import (
	endian "encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

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
			key = endian.AppendUvarint(key, uint64(d))
		}
	}
	return key
}

// trace is a graph with places for what changes from call to call. Its values are
// numbered: arguments, parameters, nodes that never change, results of steps.
type trace struct {
	slots   []*Tensor // parameters
	fixed   []*ir.Node
	steps   []traceStep
	outputs []traceOutput
	inner   int // steps whose nodes lie together
	inputs  int // of all steps
}

// traceStep makes a node like one of the trace.
type traceStep struct {
	node   *ir.Node
	inputs []int32 // numbers of values
	inner  bool    // the node's value is never stored
	redraw bool    // the node is a draw of random numbers, made anew
}

// traceOutput is a result; of a gradient whose loss is a result, too, that one's place.
type traceOutput struct {
	value int32
	loss  int // -1: none
}

func newTrace(f func(x ...*Tensor) []*Tensor, in []*ir.Node) *trace {
	t := &trace{}
	number := map[*ir.Node]int32{}
	add := func(n *ir.Node) { number[n] = int32(len(number)) }
	args := make([]*Tensor, len(in))
	for i, n := range in {
		// A node of its own, so that an argument that is also captured is told apart.
		args[i] = wrap(op.Apply(op.Named, op.Name{Name: fmt.Sprintf("x%d", i)}, n))
		add(args[i].node.Load())
	}
	tracing.Add(1)
	results := func() []*Tensor {
		defer tracing.Add(-1)
		return f(args...)
	}()
	roots := nodes("Compile", results)
	order := newDrawing(roots).order
	for _, n := range order {
		if _, ok := number[n]; ok {
			continue
		}
		if s := slotOf(n); s != nil {
			add(n)
			t.slots = append(t.slots, s)
		}
	}

	changes := map[*ir.Node]bool{}
	for _, n := range order {
		if _, changes[n] = number[n]; changes[n] || n.Value() != nil {
			continue
		}
		d, _ := n.Attrs.(op.Draw)
		redraw := d.Redraw != nil
		changes[n] = redraw
		for _, x := range n.Inputs() {
			changes[n] = changes[n] || changes[x]
		}
		if changes[n] {
			t.steps = append(t.steps, traceStep{node: n, inner: n.Flags&ir.Kept == 0 && !slices.Contains(roots, n), redraw: redraw})
		}
	}
	use := func(n *ir.Node) {
		if _, ok := number[n]; !ok && !changes[n] {
			add(n)
			t.fixed = append(t.fixed, n)
		}
	}
	for _, s := range t.steps {
		for _, x := range s.node.Inputs() {
			use(x)
		}
	}
	for _, r := range roots {
		use(r)
	}
	for _, s := range t.steps {
		add(s.node)
	}

	for i := range t.steps {
		s := &t.steps[i]
		for _, x := range s.node.Inputs() {
			s.inputs = append(s.inputs, number[x])
		}
		t.inputs += len(s.inputs)
		if s.inner {
			t.inner++
		}
	}
	for i, r := range roots {
		loss := -1
		if l := results[i].loss; l != nil {
			loss = slices.Index(results, l)
		}
		t.outputs = append(t.outputs, traceOutput{number[r], loss})
	}
	return t
}

// replay copies the graph onto the arguments. Nothing is checked again: shapes
// and dtypes are those of the trace.
func (t *trace) replay(in []*ir.Node) []*Tensor {
	var room [64]*ir.Node
	values := room[:0]
	if n := len(in) + len(t.slots) + len(t.fixed) + len(t.steps); n > len(room) {
		values = make([]*ir.Node, 0, n)
	}
	values = append(values, in...)
	for _, s := range t.slots {
		values = append(values, s.n("Compile"))
	}
	values = append(values, t.fixed...)

	// Nodes that only others of the graph refer to share their memory. Those with
	// values do not: a result that somebody keeps must keep no other.
	var inner []ir.Node
	if ir.Built.Load() == nil { // else all are evaluated at once
		inner = make([]ir.Node, t.inner)
	}
	inputs := make([]*ir.Node, t.inputs)
	for i := range t.steps {
		s := &t.steps[i]
		var n *ir.Node
		if s.inner && len(inner) > 0 {
			n, inner = &inner[0], inner[1:]
		} else {
			n = new(ir.Node)
		}
		k := len(s.inputs)
		for j, x := range s.inputs {
			inputs[j] = values[x]
		}
		n.InitLike(s.node, inputs[:k:k])
		inputs = inputs[k:]
		if s.redraw {
			d := n.Attrs.(op.Draw)
			n.Attrs = d.Redraw(d)
		}
		values = append(values, ir.Finish(n))
	}
	out := make([]*Tensor, len(t.outputs))
	for i, o := range t.outputs {
		out[i] = wrap(values[o.value])
	}
	for i, o := range t.outputs {
		if o.loss >= 0 {
			out[i].loss = out[o.loss]
		}
	}
	return out
}
