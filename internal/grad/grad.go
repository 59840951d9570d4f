// Package grad turns graphs into graphs of their derivatives: results, their
// gradients and the nodes to differentiate for go in, the gradients of these
// come out, not yet evaluated.
package grad

import (
	"fmt"
	"slices"
	"sync"

	"loris/internal/ir"
	"loris/internal/op"
)

// VJP returns, for each node of wrt, the gradient of Σ outputs·seeds
// (vector-Jacobian product); nil where the outputs do not depend on the node.
// freed is an evaluated node on the way whose recipe is gone, if one was met.
func VJP(outputs, seeds, wrt []*ir.Node) (gradients []*ir.Node, freed *ir.Node) {
	p := passes.Get().(*pass)
	defer p.forget()
	defer p.explain()
	p.prepare(outputs, wrt)
	for i, y := range outputs {
		p.accumulate(y, seeds[i])
	}
	p.sweep(p.order)
	gradients = make([]*ir.Node, len(wrt))
	for i, x := range wrt {
		if k, ok := p.index[x]; ok {
			gradients[i] = p.cotangents[k]
			if gradients[i] == nil && p.flat[k] {
				gradients[i] = op.Filled(0, x.DType, x.Shape)
			}
		}
	}
	return gradients, p.freed
}

// JVP returns the derivative of each output in the direction that tangents
// give for the nodes of wrt (Jacobian-vector product); nil where an output does
// not depend on any. It differentiates the VJP, which is linear in its seeds,
// for the seeds.
func JVP(outputs, wrt, tangents []*ir.Node) []*ir.Node {
	seeds := make([]*ir.Node, len(outputs))
	for i, y := range outputs {
		// A Barrier is a node of its own, even on a shared constant.
		seeds[i] = op.Apply(op.Barrier, nil, op.Filled(0, y.DType, y.Shape))
	}
	gradients, _ := VJP(outputs, seeds, wrt)
	var ys, ts []*ir.Node
	for i, g := range gradients {
		if g != nil {
			ys, ts = append(ys, g), append(ts, tangents[i])
		}
	}
	d, _ := VJP(ys, ts, seeds)
	return d
}

// pass is one backward sweep.
type pass struct {
	index      map[*ir.Node]int32 // place of a node in order and cotangents
	order      []*ir.Node         // inputs before users
	depends    []bool             // on a node of wrt
	cotangents []*ir.Node
	flat       map[int32]bool // places that a derivative of zero almost everywhere leads to
	wrt        map[*ir.Node]bool
	freed      *ir.Node
	current    *ir.Node // the node whose derivative is being built, for errors
	stack      []frame
}

// passes keeps the memory of passes: a training loop differentiates the same graph
// again and again.
var passes = sync.Pool{New: func() any { return &pass{index: map[*ir.Node]int32{}, wrt: map[*ir.Node]bool{}} }}

// forget gives the memory back, unless an unusually large graph needed it.
func (p *pass) forget() {
	if len(p.index) > 1<<12 {
		return
	}
	clear(p.index)
	clear(p.wrt)
	clear(p.order)
	clear(p.cotangents)
	clear(p.stack[:cap(p.stack)])
	*p = pass{index: p.index, wrt: p.wrt, order: p.order[:0], depends: p.depends[:0], cotangents: p.cotangents[:0], stack: p.stack[:0]}
	passes.Put(p)
}

// frame is a node whose inputs from next on are still to be visited.
type frame struct {
	node *ir.Node
	next int
}

// prepare orders the nodes that a gradient may flow through and finds out
// which of them depend on wrt.
func (p *pass) prepare(outputs, wrt []*ir.Node) {
	for _, x := range wrt {
		p.wrt[x] = true
	}
	stack := p.stack
	for _, y := range outputs {
		if _, seen := p.index[y]; seen {
			continue
		}
		p.index[y] = -1
		stack = append(stack, frame{y, 0})
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			in := f.node.Inputs()
			if f.next < len(in) {
				x := in[f.next]
				f.next++
				if _, seen := p.index[x]; !seen && x.DType.IsFloat() {
					p.index[x] = -1
					stack = append(stack, frame{x, 0})
				}
				continue
			}
			p.place(f.node)
			stack = stack[:len(stack)-1]
		}
	}
	p.stack = stack
	p.cotangents = slices.Grow(p.cotangents, len(p.order))[:len(p.order)]
}

// place appends n, whose inputs are placed, to the order.
func (p *pass) place(n *ir.Node) {
	in := n.Inputs()
	depends := p.wrt[n]
	for _, x := range in {
		if k, ok := p.index[x]; ok && x.DType.IsFloat() && p.depends[k] {
			depends = true
			break
		}
	}
	if len(in) == 0 && !depends && n.Value() != nil && op.Table[n.Op].Kind != op.Source {
		p.freed = n
	}
	p.index[n] = int32(len(p.order))
	p.order = append(p.order, n)
	p.depends = append(p.depends, depends)
}

// accumulate adds g to the gradient of n.
func (p *pass) accumulate(n, g *ir.Node) {
	k := p.index[n]
	if old := p.cotangents[k]; old != nil {
		g = op.Binary(op.Add, old, g)
	}
	p.cotangents[k] = g
}

// flatten notes that x has a gradient, if only zeros (floor, sign): it is made
// where it is asked for and no other reaches x.
func (p *pass) flatten(x *ir.Node) {
	k, ok := p.index[x]
	if !ok || !p.depends[k] {
		return
	}
	if p.flat == nil {
		p.flat = map[int32]bool{}
	}
	p.flat[k] = true
}

// sweep goes backwards over nodes in order and hands each one's gradient to
// its inputs.
func (p *pass) sweep(order []*ir.Node) {
	for i := len(order) - 1; i >= 0; i-- {
		n := order[i]
		k := p.index[n]
		g := p.cotangents[k]
		if !p.depends[k] {
			continue
		}
		if g == nil {
			if p.flat[k] {
				for _, x := range n.Inputs() {
					p.flatten(x)
				}
			}
			continue
		}
		p.current = n
		if n.Op == op.Region {
			p.replay(n, g)
			continue
		}
		p.through(n, g)
	}
}

// through hands the gradient g of n to those inputs of n that need one.
func (p *pass) through(n, g *ir.Node) {
	row := &op.Table[n.Op]
	in := n.Inputs()
	var all []*ir.Node
	for i, x := range in {
		k, ok := p.index[x]
		if !ok || !x.DType.IsFloat() || !p.depends[k] {
			continue
		}
		switch {
		case row.VJP != nil:
			if d := row.VJP(n, g, i); d != nil {
				p.accumulate(x, folded(d, deepestFold))
			} else if row.Kind == op.Elementwise {
				p.flatten(x)
			}
		case row.VJPs != nil:
			if all == nil {
				all = row.VJPs(n, g)
			}
			if all[i] != nil {
				p.accumulate(x, all[i])
			} else if i > 0 || row.Kind != op.Identity { // to what it is equal to, CustomVJP hands nothing
				p.flatten(x)
			}
		case row.Expand != nil:
			p.throughExpansion(n, g)
			return
		default:
			reason := row.NoGrad
			if reason == "" {
				reason = "none is known"
			}
			panic(&ir.Error{Code: ir.CodeGradient, Msg: fmt.Sprintf("%s has no derivative: %s", row.Name, reason),
				Hint: "use x.Detach() where no gradient is wanted"})
		}
	}
}

// deepestFold is how many nodes deep constants are looked for: as many as a
// derivative puts above the gradient it is given.
const deepestFold = 3

// folded returns the constant that g computes, or g. The gradient of a mean is
// the constant 1/n, and is shown and planned as such. Only what is exact is
// folded: products of two numbers of one dtype are in float64, and are rounded
// once, as a kernel does.
func folded(g *ir.Node, depth int) *ir.Node {
	in := g.Inputs()
	if depth == 0 || len(in) == 0 { // a value has no inputs any more
		return g
	}
	switch g.Op {
	case op.Reshape, op.Expand:
		if x := folded(in[0], depth-1); x.Op == op.Const {
			return op.Filled(x.Const, g.DType, g.Shape)
		}
	case op.Mul:
		x, y := folded(in[0], depth-1), folded(in[1], depth-1)
		if x.Op == op.Const && y.Op == op.Const && x.DType == y.DType {
			return op.Filled(x.Const*y.Const, g.DType, g.Shape)
		}
		if x.Op == op.Const && x != in[0] || y.Op == op.Const && y != in[1] { // one factor has become a number
			return op.Binary(op.Mul, x, y)
		}
	}
	return g
}

// throughExpansion differentiates n as the equal graph of simpler ops.
func (p *pass) throughExpansion(n, g *ir.Node) {
	y := op.Table[n.Op].Expand(n)
	gradients, _ := VJP([]*ir.Node{y}, []*ir.Node{g}, n.Inputs())
	done := map[*ir.Node]bool{} // an input may stand twice
	for i, x := range n.Inputs() {
		if gradients[i] == nil || done[x] {
			continue
		}
		done[x] = true
		if k, ok := p.index[x]; ok && p.depends[k] {
			p.accumulate(x, gradients[i])
		}
	}
}

// replay computes a checkpointed region a second time, from where it begins
// and not before its gradient is known, and sweeps over that copy: nothing
// within the region has to be kept from the forward pass.
func (p *pass) replay(region, g *ir.Node) {
	in := region.Inputs()
	copies := make(map[*ir.Node]*ir.Node)
	for _, x := range in[1:] {
		begin := op.Apply(op.Barrier, nil, x, g)
		copies[x] = begin
		p.adopt(begin, x)
	}
	order := p.regionOrder(in[0], copies)
	var sweep []*ir.Node
	for _, n := range order {
		inputs := make([]*ir.Node, len(n.Inputs()))
		changed := false
		for i, x := range n.Inputs() {
			inputs[i] = x
			if c := copies[x]; c != nil {
				inputs[i], changed = c, true
			}
		}
		if !changed {
			continue // does not depend on where the region begins: no copy
		}
		c := op.ApplyOutput(n.Op, n.Attrs, int(n.Output), inputs...)
		c.Via = n.Via
		copies[n] = c
		p.adopt(c, n)
		sweep = append(sweep, c)
	}
	end := in[0]
	if c := copies[end]; c != nil {
		end = c
	}
	if _, ok := p.index[end]; ok {
		p.accumulate(end, g)
	}
	p.sweep(sweep)
	for _, x := range in[1:] {
		p.handBack(x, copies[x])
		copies[x] = nil // it may stand twice
	}
	for _, n := range order {
		if c := copies[n]; c != nil && p.wrt[n] {
			p.handBack(n, c)
		}
	}
}

// handBack adds the gradient of the copy c to that of the original n.
func (p *pass) handBack(n, c *ir.Node) {
	if c == nil {
		return
	}
	k := p.index[c]
	if _, ok := p.index[n]; !ok {
		return
	}
	if g := p.cotangents[k]; g != nil {
		p.accumulate(n, g)
	} else if p.flat[k] {
		p.flatten(n)
	}
}

// adopt gives the copy of n a place of its own.
func (p *pass) adopt(c, n *ir.Node) {
	depends := false
	if k, ok := p.index[n]; ok {
		depends = p.depends[k]
	}
	p.index[c] = int32(len(p.depends))
	p.depends = append(p.depends, depends)
	p.cotangents = append(p.cotangents, nil)
}

// regionOrder lists the nodes between the begin of a region and y, inputs
// before users, also those of integer dtype.
func (p *pass) regionOrder(y *ir.Node, begin map[*ir.Node]*ir.Node) []*ir.Node {
	type frame struct {
		node *ir.Node
		next int
	}
	var order []*ir.Node
	if begin[y] != nil {
		return nil
	}
	seen := map[*ir.Node]bool{y: true}
	stack := []frame{{y, 0}}
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		in := f.node.Inputs()
		if f.next < len(in) {
			x := in[f.next]
			f.next++
			if !seen[x] && begin[x] == nil {
				seen[x] = true
				stack = append(stack, frame{x, 0})
			}
			continue
		}
		order = append(order, f.node)
		stack = stack[:len(stack)-1]
	}
	return order
}

// explain adds to an error on its way up which node it is about.
func (p *pass) explain() {
	r := recover()
	if r == nil {
		return
	}
	if e, ok := r.(*ir.Error); ok && e.Op == "" && p.current != nil {
		n := p.current
		e.Op, e.Pos = "Grads", op.Here()
		e.Notes = append(e.Notes, ir.Note{Pos: n.Pos, Msg: fmt.Sprintf("%s%s  %s", n.DType, n.Shape, op.Origin(n))})
	}
	panic(r)
}
