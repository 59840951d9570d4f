package plan

import (
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/op"
)

// walker reads a graph of nodes once: it numbers them in topological order and
// writes their structure as the key of the plan cache. What may change from one
// run to the next without changing the plan (values, most constants, keys and
// counters of random draws, where slices of leaves begin) stays out of the key
// and is collected as the run's binding instead.
//
// A walker is used under the cache's lock; its memory is reused.
type walker struct {
	epoch uint64
	stack []frame
	deep  int // most frames that the walk has used
	key   []byte

	nodes  []*ir.Node // in topological order; Node.Index is the position
	leaves []leafBind
	leafOf []int32 // for each node: its leaf, or -1
	consts []float64
	slots  []constSlot
	draws  []ir.Attrs
	kept   []*ir.Node
	task   any // values that this computes count as not there
}

// epochs number walks of all caches, since nodes carry the mark of the last one.
var epochs atomic.Uint64

func nextEpoch() uint64 { return epochs.Add(1) }

type frame struct {
	node *ir.Node
	next int
}

type leafBind struct {
	node   *ir.Node // shape and dtype of what is bound
	value  *ir.Value
	offset int // elements beyond the value's own offset
}

type constSlot struct {
	dtype ir.DType
	baked bool
}

// Keys start each node with one of these, so that no two structures share a key.
const (
	keyLeaf = 0xfff0 + iota
	keySlice
	keyRoots
)

// manyInputs is how many inputs the first word of a node has no room for.
const manyInputs = 0xffff

// walk reads the graph below roots. The nodes in roots have no value.
func (w *walker) walk(roots []*ir.Node) error {
	w.nodes, w.leaves, w.leafOf = w.nodes[:0], w.leaves[:0], w.leafOf[:0]
	w.consts, w.slots, w.draws, w.kept = w.consts[:0], w.slots[:0], w.draws[:0], w.kept[:0]
	for _, r := range roots {
		if r.Mark != w.epoch {
			if err := w.visit(r); err != nil {
				return err
			}
		}
	}
	w.key = binary.LittleEndian.AppendUint64(w.key, keyRoots<<32|uint64(len(roots)))
	for _, r := range roots {
		w.key = binary.LittleEndian.AppendUint32(w.key, uint32(r.Index))
	}
	w.keepNoRoots(roots)
	return nil
}

// keepNoRoots takes the roots out of what is kept on the way: a second value of one
// would hold its memory, and nobody could release it.
func (w *walker) keepNoRoots(roots []*ir.Node) {
	if len(w.kept) == 0 {
		return
	}
	epoch := nextEpoch()
	for _, r := range roots {
		r.Mark = epoch
	}
	w.kept = slices.DeleteFunc(w.kept, func(n *ir.Node) bool { return n.Mark == epoch })
}

// visit appends the nodes below root in post-order, without recursion.
func (w *walker) visit(root *ir.Node) error {
	stack := append(w.stack[:0], frame{root, 0})
	defer func() { w.stack = stack[:0] }()
	root.Mark = w.epoch
	w.deep = max(w.deep, 1)
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		n := f.node
		if f.next == 0 {
			v := n.Value()
			if v != nil && v.Task != nil && v.Ready() && v.Err != nil && v.Err.Code == ir.CodeInterrupted && len(n.Inputs()) > 0 {
				n.SetValue(nil) // as if it had never been tried
				v = nil
			}
			if v != nil && (w.task == nil || v.Task != w.task) {
				if v.Ready() && v.Err != nil {
					return v.Err
				}
				if v.Done != nil && n.Flags&ir.Tracked == 0 && len(n.Inputs()) > 0 && v.Ready() {
					n.DropInputs() // an asynchronous evaluation has ended meanwhile
				}
				w.leaf(n, v, 0, keyLeaf)
				stack = stack[:len(stack)-1]
				continue
			}
		}
		in := n.Inputs()
		for f.next < len(in) && in[f.next].Mark == w.epoch {
			f.next++
		}
		if f.next < len(in) {
			c := in[f.next]
			f.next++
			c.Mark = w.epoch
			stack = append(stack, frame{c, 0})
			w.deep = max(w.deep, len(stack))
			continue
		}
		stack = stack[:len(stack)-1]
		if err := w.node(n); err != nil {
			return err
		}
	}
	return nil
}

// leaf appends a node whose value exists.
func (w *walker) leaf(n *ir.Node, v *ir.Value, offset int, tag uint64) {
	n.Index = int32(len(w.nodes))
	w.nodes = append(w.nodes, n)
	w.leafOf = append(w.leafOf, int32(len(w.leaves)))
	w.leaves = append(w.leaves, leafBind{n, v, offset})
	k := binary.LittleEndian.AppendUint64(w.key, tag|uint64(n.DType)<<16|uint64(len(n.Shape))<<24|uint64(n.Flags&ir.Donated)<<32)
	for _, d := range n.Shape {
		k = binary.LittleEndian.AppendUint64(k, uint64(d))
	}
	if v.Strides != nil && tag == keyLeaf {
		k = append(k, 1)
		for _, s := range v.Strides {
			k = binary.LittleEndian.AppendUint64(k, uint64(s))
		}
	} else {
		k = append(k, 0)
	}
	w.key = k
}

// node appends a node that a step must compute (or a view of one).
func (w *walker) node(n *ir.Node) error {
	if n.Op == op.Leaf {
		return &ir.Error{Code: ir.CodeFreed, Op: op.NameOf(n.Op), Msg: "the tensor was released", Pos: n.Pos,
			Hint: "build it again; Release frees the memory of every handle to the same value"}
	}
	in := n.Inputs()
	if n.Op == op.Slice && len(in) == 1 {
		if l := w.leafOf[in[0].Index]; l >= 0 && n.DType.Bytes() > 0 {
			w.slice(n, l)
			return nil
		}
	}
	if len(in) == 0 && op.Table[n.Op].Kind != op.Source && op.Table[n.Op].Kind != op.UserKernel {
		return &ir.Error{Code: ir.CodeFreed, Op: op.NameOf(n.Op), Pos: n.Pos,
			Msg:  "neither the value nor the inputs of this tensor are there any more",
			Hint: "an evaluation of it failed or was cancelled; build it again"}
	}
	n.Index = int32(len(w.nodes))
	w.nodes = append(w.nodes, n)
	w.leafOf = append(w.leafOf, -1)
	k := binary.LittleEndian.AppendUint64(w.key, uint64(n.Op)|uint64(n.DType)<<16|uint64(len(n.Shape))<<24|
		uint64(n.Output)<<32|uint64(n.Flags&ir.Kept)<<40|uint64(min(len(in), manyInputs))<<48)
	if len(in) >= manyInputs {
		k = binary.LittleEndian.AppendUint64(k, uint64(len(in)))
	}
	for _, d := range n.Shape {
		k = binary.LittleEndian.AppendUint64(k, uint64(d))
	}
	for _, c := range in {
		k = binary.LittleEndian.AppendUint32(k, uint32(c.Index))
	}
	switch n.Op {
	case op.Const:
		k = w.constant(k, n)
	case op.Random:
		if d, ok := n.Attrs.(op.Draw); ok {
			k = d.KeyWithoutStream(k)
		}
		w.draws = append(w.draws, n.Attrs)
	default:
		if n.Attrs != nil {
			k = n.Attrs.AppendKey(k)
		}
	}
	w.key = k
	if n.Flags&ir.Kept != 0 {
		w.kept = append(w.kept, n)
	}
	return nil
}

// slice appends a slice of a leaf as a leaf of its own: where it begins is
// bound at run time, so that walking through a data set replans nothing.
func (w *walker) slice(n *ir.Node, l int32) {
	b := w.leaves[l]
	win := n.Attrs.(op.Window)
	off := b.offset
	stride := 1
	base := b.node.Shape
	strides := w.leafStrides(l)
	for i := len(base) - 1; i >= 0; i-- {
		s := stride
		if strides != nil {
			s = strides[i]
		}
		if n.Shape[i] > 0 {
			off += win.Start[i] * s
		}
		stride *= base[i]
	}
	w.leaf(n, b.value, off, keySlice)
	w.key = binary.LittleEndian.AppendUint32(w.key, uint32(l))
	for _, s := range win.Step {
		w.key = binary.LittleEndian.AppendUint32(w.key, uint32(int32(s)))
	}
}

// leafStrides returns the strides of a leaf, nil for row-major.
func (w *walker) leafStrides(l int32) []int {
	b := &w.leaves[l]
	if b.node.Op != op.Slice || b.node.Value() != nil {
		return b.value.Strides
	}
	// A slice of a leaf: its strides are the base's, times its steps.
	in := b.node.Inputs()[0]
	base := w.leafStrides(w.leafOf[in.Index])
	if base == nil {
		base = in.Shape.Strides()
	}
	st := make([]int, len(base))
	for i, s := range base {
		st[i] = s * b.node.Attrs.(op.Window).Step[i]
	}
	return st
}

// constant gives a constant its slot. Equal values share one, and that they are
// equal is part of the key; 0 and -0 are not.
func (w *walker) constant(k []byte, n *ir.Node) []byte {
	slot := -1
	for i := range min(len(w.slots), 32) {
		if math.Float64bits(w.consts[i]) == math.Float64bits(n.Const) && w.slots[i].dtype == n.DType {
			slot = i
			break
		}
	}
	if slot < 0 {
		slot = len(w.slots)
		baked := bakedConst(n.Const) || len(w.nodes) > 1 && isCount(n.Const, w.nodes[len(w.nodes)-2])
		w.slots = append(w.slots, constSlot{n.DType, baked})
		w.consts = append(w.consts, n.Const)
	}
	k = binary.LittleEndian.AppendUint32(k, uint32(slot))
	if w.slots[slot].baked {
		k = binary.LittleEndian.AppendUint64(k, math.Float64bits(n.Const))
	}
	n.Index = int32(len(w.nodes) - 1)
	w.leafOf[n.Index] = -2 - int32(slot)
	return k
}
