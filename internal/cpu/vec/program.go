package vec

import (
	"fmt"
	"slices"
	"unsafe"

	"loris/internal/cpu/feature"
)

// Value is a result within a program.
type Value int

// Program is a chain of elementwise operations: inputs in, outputs out, nothing
// stored in between. Build it with Input, Const, Apply, Cast and Output, in any
// order that defines values before they are used, then Compile it once and bind
// it to shapes with [Program.Bind].
type Program struct {
	nodes   []node
	inputs  []Value
	outputs []outputNode
	code    []instruction
	consts  [][]byte
	regs    int
	tile    int // elements of a tile, a multiple of 64
	width   int // bytes of a register's element
	cost    float64
	err     error
	natives natives
}

type nodeKind uint8

const (
	nodeInput nodeKind = iota
	nodeConst
	nodeOp
	nodeCast
)

type node struct {
	kind nodeKind
	op   Op
	typ  Type // of the value in a register
	mem  Type // of an input
	args []Value
	bits float64
	uses int
	one  bool // an input of one element
}

type outputNode struct {
	value  Value
	mem    Type
	rowSum bool // one number for each row
	kernel rowKernel
}

// mostTile is the most elements of a tile, but for sums of long rows.
const mostTile = 1024

// place tells where an operand lies.
type place struct {
	in    where
	index int
}

type where uint8

const (
	inRegister where = iota
	inInput
	inConst
	inOutput
)

// instruction is one micro-operation over a tile.
type instruction struct {
	run   micro
	dst   place
	size  int // bytes of one result
	src   [3]place
	step  [3]int
	width [3]int // bytes of one operand element

	rowSum bool // kernel gives one number for each row of the tile, instead of run
	kernel rowKernel
}

// Input adds an input of a memory type.
func (p *Program) Input(t Type) Value {
	p.inputs = append(p.inputs, Value(len(p.nodes)))
	return p.add(node{kind: nodeInput, typ: t.register(), mem: t})
}

// Element adds an input of one element, which is repeated: a constant that changes
// from run to run. No output may be the same memory.
func (p *Program) Element(t Type) Value {
	v := p.Input(t)
	p.nodes[v].one = true
	return v
}

// Const adds a constant of a register type (F32, F64, I32, I64, Bool).
func (p *Program) Const(x float64, t Type) Value {
	return p.add(node{kind: nodeConst, typ: t.register(), bits: x})
}

// Apply adds an operation. Operands must have one type, except that Select's
// first is Bool. Mistakes are reported by Compile.
func (p *Program) Apply(op Op, args ...Value) Value {
	if op >= opCount || len(args) != rows[op].arity {
		p.fail("vec: operation %d with %d operands", op, len(args))
		return p.Const(0, F32)
	}
	for _, a := range args {
		if a < 0 || int(a) >= len(p.nodes) {
			p.fail("vec: %s of a value that does not exist", op)
			return p.Const(0, F32)
		}
	}
	t := p.nodes[args[len(args)-1]].typ
	for i, a := range args {
		want := t
		if op == Select && i == 0 {
			want = Bool
		}
		if p.nodes[a].typ != want {
			p.fail("vec: %s: operand %d is %s, not %s", op, i, p.nodes[a].typ, want)
		}
	}
	if !op.Supports(t) {
		p.fail("vec: %s does not exist for %s", op, t)
	}
	return p.add(node{kind: nodeOp, op: op, typ: op.result(t), args: args})
}

// Cast converts to the register type of t. Floats go to integers towards zero,
// saturating, NaN to 0; anything goes to Bool by comparing with 0. A cast to F16,
// BF16 or U8 rounds only when the value is stored as such.
func (p *Program) Cast(v Value, t Type) Value {
	t = t.register()
	if p.nodes[v].typ == t {
		return v
	}
	return p.add(node{kind: nodeCast, typ: t, args: []Value{v}})
}

// Output adds an output, stored as a memory type whose register type is the value's.
func (p *Program) Output(v Value, t Type) {
	if p.nodes[v].typ != t.register() {
		p.fail("vec: an output of %s stored as %s; cast it first", p.nodes[v].typ, t)
	}
	p.outputs = append(p.outputs, outputNode{value: v, mem: t})
}

// RowSum adds an output that has the sum of each row of v, which is float32 and no
// constant. Rows are the last dimension of the shape that the program is bound to, a
// multiple of 16.
func (p *Program) RowSum(v Value) {
	if n := &p.nodes[v]; n.kind == nodeConst || n.one || n.typ != F32 {
		p.fail("vec: no sum of rows of %s, or of a constant", n.typ)
	}
	p.outputs = append(p.outputs, outputNode{value: v, mem: F32, rowSum: true, kernel: kSumRows})
}

// sums returns the number of outputs that are sums of rows.
func (p *Program) sums() (n int) {
	for i := range p.outputs {
		if p.outputs[i].rowSum {
			n++
		}
	}
	return n
}

func (p *Program) sumsRows() bool { return p.sums() > 0 }

// Type returns the register type of a value.
func (p *Program) Type(v Value) Type { return p.nodes[v].typ }

func (p *Program) add(n node) Value {
	p.nodes = append(p.nodes, n)
	return Value(len(p.nodes) - 1)
}

func (p *Program) fail(f string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(f, a...)
	}
}

// Compile fuses pairs of operations, gives out registers and picks kernels.
func (p *Program) Compile() error {
	if p.err == nil && len(p.outputs) == 0 {
		p.fail("vec: a program without outputs")
	}
	if p.err != nil {
		return p.err
	}
	p.countUses()
	p.fuse()
	p.fuseSquares()
	p.countUses()
	p.schedule()
	return nil
}

// countUses counts the uses by nodes that outputs need.
func (p *Program) countUses() {
	for i := range p.nodes {
		p.nodes[i].uses = 0
	}
	for _, o := range p.outputs {
		p.nodes[o.value].uses++
	}
	for i := len(p.nodes) - 1; i >= 0; i-- {
		if n := &p.nodes[i]; n.uses > 0 {
			for _, a := range n.args {
				p.nodes[a].uses++
			}
		}
	}
}

// only returns the node of a value if it is the given float32 operation and used once.
func (p *Program) only(v Value, op Op) *node {
	n := &p.nodes[v]
	if n.kind == nodeOp && n.op == op && n.uses == 1 && n.typ == F32 {
		return n
	}
	return nil
}

var withProduct = map[Op]Op{Exp: ExpMul, Sigmoid: SigmoidMul, Tanh: TanhMul}

// fuse joins a multiplication with what alone uses it, and simplifies powers.
func (p *Program) fuse() {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.kind != nodeOp || n.uses == 0 {
			continue
		}
		if n.op == Pow && p.nodes[n.args[1]].kind == nodeConst && n.typ != I32 && n.typ != I64 {
			p.power(n, p.nodes[n.args[1]].bits)
		}
		if n.typ != F32 {
			continue
		}
		switch n.op {
		case Add:
			for k := range 2 {
				if m := p.only(n.args[k], Mul); m != nil {
					n.op, n.args = MulAdd, []Value{m.args[0], m.args[1], n.args[1-k]}
					break
				}
			}
		case Sub:
			if m := p.only(n.args[0], Mul); m != nil {
				n.op, n.args = MulSub, []Value{m.args[0], m.args[1], n.args[1]}
			} else if m := p.only(n.args[1], Mul); m != nil {
				n.op, n.args = SubMul, []Value{m.args[0], m.args[1], n.args[0]}
			}
		case Mul:
			for k := range 2 {
				if m := p.only(n.args[k], Silu); m != nil {
					n.op, n.args = SiluMul, []Value{m.args[0], n.args[1-k]}
					break
				}
			}
		case Exp, Sigmoid, Tanh:
			if m := p.only(n.args[0], Mul); m != nil {
				n.op, n.args = withProduct[n.op], m.args
			} else if m := p.only(n.args[0], Sub); m != nil && n.op == Exp {
				n.op, n.args = ExpSub, m.args
			}
		}
	}
}

// fuseSquares lets sums of rows square what they sum.
func (p *Program) fuseSquares() {
	for i := range p.outputs {
		o := &p.outputs[i]
		if !o.rowSum {
			continue
		}
		if m := p.only(o.value, Square); m != nil && p.nodes[m.args[0]].kind != nodeConst && !p.nodes[m.args[0]].one {
			o.value, o.kernel = m.args[0], kSumSquaresRows
		}
	}
}

// power replaces a power with a constant exponent by something cheaper and as exact.
func (p *Program) power(n *node, e float64) {
	switch e {
	case 2:
		n.op, n.args = Square, n.args[:1]
	case -1:
		n.op, n.args = Reciprocal, n.args[:1]
	}
}

// schedule makes the instructions in the order of the nodes. Values live in
// registers from their definition to their last use.
func (p *Program) schedule() {
	p.width, p.cost = 4, 0
	last := make([]int, len(p.nodes))
	for i, n := range p.nodes {
		if n.uses == 0 {
			continue
		}
		if n.typ.lane() == 8 {
			p.width = 8
		}
		for _, a := range n.args {
			last[a] = i
		}
	}
	for _, o := range p.outputs {
		if !p.sumsInput(o) {
			last[o.value] = len(p.nodes)
		}
	}
	var free []int
	at := make([]place, len(p.nodes))
	take := func() place {
		if len(free) == 0 {
			free = append(free, p.regs)
			p.regs++
		}
		r := free[len(free)-1]
		free = free[:len(free)-1]
		return place{inRegister, r}
	}
	release := func(v Value, now int) {
		if at[v].in == inRegister && last[v] == now {
			free = append(free, at[v].index)
			last[v] = -1
		}
	}
	inputs, from := 0, p.lastRead(last)
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.kind == nodeInput {
			at[i] = place{inInput, inputs}
			inputs++
			if k, narrow := reads[n.mem]; narrow && n.uses > 0 {
				reg := take()
				p.emit(instruction{run: active[k], dst: reg, size: 4, src: [3]place{at[i]}, step: [3]int{1}, width: [3]int{n.mem.Size()}}, .1)
				at[i] = reg
			} else if p.storesInput(Value(i)) {
				reg := take()
				p.emit(instruction{run: copier(n.typ.lane()), dst: reg, size: n.typ.lane(), src: [3]place{at[i]}, step: [3]int{1}, width: [3]int{n.typ.lane()}}, .1)
				at[i] = reg
			}
			for k, o := range p.outputs {
				if p.sumsInput(o) && o.value == Value(i) {
					p.sumRows(k, at[i])
				}
			}
			continue
		}
		if n.uses == 0 {
			continue
		}
		switch n.kind {
		case nodeConst:
			at[i] = place{inConst, p.constant(n)}
		case nodeOp, nodeCast:
			in := instruction{size: n.typ.lane()}
			args := n.args
			if n.kind == nodeOp && rows[n.op].swap {
				args = []Value{args[1], args[0]}
			}
			for k, a := range args {
				in.src[k], in.width[k], in.step[k] = at[a], p.nodes[a].typ.lane(), 1
				if at[a].in == inConst {
					in.step[k] = 0
				}
			}
			cost := .1
			if n.kind == nodeCast {
				in.run = casts[[2]Type{p.nodes[args[0]].typ, n.typ}]()
			} else {
				t := p.nodes[args[len(args)-1]].typ
				in.run = n.op.find(t)
				cost = n.op.cost(t)
			}
			for _, a := range args {
				if p.nodes[a].typ.lane() == n.typ.lane() {
					release(a, i)
				}
			}
			at[i] = place{inOutput, p.direct(Value(i))}
			if i < from || at[i].index < 0 {
				at[i] = take()
			}
			for _, a := range args {
				release(a, i)
			}
			in.dst = at[i]
			p.emit(in, cost)
		}
	}
	p.store(at)
	per := max(1, p.regs+len(p.inputs))
	p.tile = max(64, min(mostTile, feature.Cache().L1*3/4/(p.width*per)/64*64))
}

// sumsInput reports whether an output sums the rows of an input: that is done first,
// since another output may share the input's memory.
func (p *Program) sumsInput(o outputNode) bool { return o.rowSum && p.nodes[o.value].kind == nodeInput }

// storesInput reports whether an output beside others is the input v as it is, or
// rounded: it is read first, since the others may share its memory.
func (p *Program) storesInput(v Value) bool {
	return len(p.outputs) > 1 && slices.ContainsFunc(p.outputs, func(o outputNode) bool { return o.value == v && !o.rowSum })
}

// sumRows emits the sums of rows for output i.
func (p *Program) sumRows(i int, src place) {
	p.emit(instruction{dst: place{inOutput, i}, size: 4, src: [3]place{src}, step: [3]int{1}, width: [3]int{4}, rowSum: true, kernel: p.outputs[i].kernel}, .05)
}

// lastRead returns the last node that reads memory of inputs. Until then an output may
// share its memory with one of them.
func (p *Program) lastRead(last []int) (node int) {
	for _, v := range p.inputs {
		n := &p.nodes[v]
		if n.one || n.uses == 0 {
			continue
		}
		if _, narrow := reads[n.mem]; narrow || p.storesInput(v) {
			node = max(node, int(v)) // a register holds it from there on
		} else {
			node = max(node, last[v])
		}
	}
	return node
}

// direct returns the first output that a value can be computed in, or -1.
func (p *Program) direct(v Value) int {
	for i, o := range p.outputs {
		if _, narrow := writes[o.mem]; o.value == v && !o.rowSum && !narrow && o.mem.Size() == p.nodes[v].typ.lane() {
			return i
		}
	}
	return -1
}

// store writes the outputs that no instruction has computed in their place.
func (p *Program) store(at []place) {
	for i, o := range p.outputs {
		if o.rowSum && !p.sumsInput(o) {
			p.sumRows(i, at[o.value])
		}
	}
	for i, o := range p.outputs {
		dst := place{inOutput, i}
		src := at[o.value]
		if o.rowSum {
			continue
		}
		if src == dst {
			continue
		}
		step := 1
		if src.in == inConst {
			step = 0
		}
		in := instruction{dst: dst, size: o.mem.Size(), src: [3]place{src}, step: [3]int{step}, width: [3]int{p.nodes[o.value].typ.lane()}}
		if k, narrow := writes[o.mem]; narrow {
			in.run = active[k]
		} else {
			in.run = copier(in.size)
		}
		p.emit(in, .1)
	}
}

// copier returns what copies elements of 4 or 8 bytes.
func copier(size int) micro {
	if size == 8 {
		return copy8
	}
	return copy4
}

var (
	copy4 = copierOf[uint32]()
	copy8 = copierOf[uint64]()
)

func copierOf[T any]() micro {
	return func(dst, a, _, _ unsafe.Pointer, sa, _, _, n int) {
		d := unsafe.Slice((*T)(dst), n)
		if sa == 1 {
			copy(d, unsafe.Slice((*T)(a), n))
			return
		}
		v := *(*T)(a)
		for i := range d {
			d[i] = v
		}
	}
}

func (p *Program) emit(in instruction, cost float64) {
	p.code = append(p.code, in)
	p.cost += cost
}

// cost guesses nanoseconds per element on one thread.
func (o Op) cost(t Type) float64 {
	if _, fast := rows[o].fast[t]; !fast {
		return 3
	}
	if feature.Active() == feature.Generic {
		return 4
	}
	switch o {
	case Pow, Sin, Cos, Gelu:
		return .5
	case Log1p, Erf, GeluTanh:
		return .33
	case Log:
		return .22
	case Expm1, Tanh, TanhMul, Sigmoid, SigmoidMul, Silu, SiluMul:
		return .16
	case Exp, ExpMul, ExpSub, Div, Sqrt, Rsqrt, Reciprocal:
		return .1
	}
	return .05
}

// constant adds a block of equal values and returns its index.
func (p *Program) constant(n *node) int {
	raw := make([]byte, splatBytes+64)
	b := raw[-uintptr(unsafe.Pointer(&raw[0]))&63:][:splatBytes]
	switch n.typ {
	case F32:
		fill(b, float32(n.bits))
	case F64:
		fill(b, n.bits)
	case I32:
		fill(b, int32(n.bits))
	case I64:
		fill(b, int64(n.bits))
	case Bool:
		fill(b, mask(n.bits != 0))
	}
	p.consts = append(p.consts, b)
	return len(p.consts) - 1
}

func fill[T any](b []byte, v T) {
	s := unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(v)))
	for i := range s {
		s[i] = v
	}
}

// Instructions returns the number of micro-operations of a tile, for reports.
func (p *Program) Instructions() int { return len(p.code) }

// Inputs returns the memory types of the inputs.
func (p *Program) Inputs() []Type {
	var ts []Type
	for _, v := range p.inputs {
		ts = append(ts, p.nodes[v].mem)
	}
	return slices.Clip(ts)
}
