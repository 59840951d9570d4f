package vec

import (
	"math"
	"slices"

	"loris/internal/cpu/lane"
	"loris/internal/cpu/native"
)

var laneElems = map[Type]lane.Elem{F32: lane.F32, I32: lane.F32, Bool: lane.U8, U8: lane.U8, F16: lane.F16, BF16: lane.BF16}

// loopLength is how many instructions for a vector a loop may have; a third as many may be
// beside one operation that has more. A processor overlaps what lies within a few hundred
// instructions: there are few turns of a longer loop, and most of it waits for the rest.
const loopLength = 24

// lowering writes a program as loops.
type lowering struct {
	p      *Program
	repeat uint64
	at     []int // loop of each operation
	last   []int // last loop that reads each value
	kept   []int // place of each value between loops
	loops  int
}

// compileNative returns the program as machine code, nil if it cannot be. Loops that need
// too many registers or operands are cut further.
func (p *Program) compileNative(repeat uint64) *machineCode {
	for length := loopLength; length > 0; length /= 2 {
		l := lowering{p: p, repeat: repeat}
		if !l.cut(length) {
			return nil
		}
		c := &machineCode{kept: l.keep()}
		for i := range l.loops {
			b := loopBody{lowering: &l, loop: i}
			code := b.compile()
			if code == nil {
				c = nil
				break
			}
			c.loops = append(c.loops, machineLoop{code, b.operands})
		}
		if c != nil {
			return c
		}
	}
	return nil
}

// computed reports whether a node is an operation that outputs need.
func (n *node) computed() bool { return n.uses > 0 && (n.kind == nodeOp || n.kind == nodeCast) }

// cut gives each operation its loop, in their order. It reports whether all can be lowered.
// Outputs are written by the last loop, since they may lie where inputs do.
func (l *lowering) cut(limit int) bool {
	p := l.p
	l.at, l.last = make([]int, len(p.nodes)), make([]int, len(p.nodes))
	loop, length, longest := 0, 0, 0
	for i := range p.nodes {
		n := &p.nodes[i]
		if !n.computed() {
			continue
		}
		size, ok := p.length(n)
		if !ok {
			return false
		}
		if length > 0 && length+size > max(limit, max(longest, size)+limit/3) {
			loop, length, longest = loop+1, 0, 0
		}
		length, longest = length+size, max(longest, size)
		l.at[i] = loop
		for _, a := range n.args {
			l.last[a] = loop
		}
	}
	for _, o := range p.outputs {
		l.last[o.value] = loop
	}
	l.loops = loop + 1
	return true
}

// length returns how many instructions an operation is.
func (p *Program) length(n *node) (length int, ok bool) {
	b := &lane.Builder{}
	args := make([]lane.Value, len(n.args))
	for i := range args {
		args[i] = b.Add(lane.OpLoad, uint32(i))
	}
	_, ok = p.lower(b, n, args)
	for i := range b.Code {
		if op := b.Code[i].Op; op != lane.OpLoad && op != lane.OpConst {
			length++
		}
	}
	return length, ok
}

// keep gives places to the values that loops leave to later ones.
func (l *lowering) keep() (places int) {
	l.kept = make([]int, len(l.p.nodes))
	var free []int
	for loop := range l.loops {
		for i := range l.p.nodes {
			if !l.p.nodes[i].computed() {
				continue
			}
			switch {
			case l.at[i] == loop && l.last[i] > loop:
				if len(free) == 0 {
					free = append(free, places)
					places++
				}
				l.kept[i], free = free[len(free)-1], free[:len(free)-1]
			case l.at[i] < loop-1 && l.last[i] == loop-1: // its last reader is done
				free = append(free, l.kept[i])
			}
		}
	}
	return places
}

// loopBody writes one loop.
type loopBody struct {
	*lowering
	loop     int
	b        lane.Builder
	values   map[Value]lane.Value
	in, out  []native.Operand
	operands []loopOperand
	sums     int
}

func (l *loopBody) compile() *native.Code {
	p := l.p
	l.values = map[Value]lane.Value{}
	for i := range p.nodes {
		n := &p.nodes[i]
		if !n.computed() || l.at[i] != l.loop {
			continue
		}
		args := make([]lane.Value, len(n.args))
		for k, a := range n.args {
			v, ok := l.value(a)
			if !ok {
				return nil
			}
			args[k] = v
		}
		l.values[Value(i)], _ = p.lower(&l.b, n, args)
	}
	if !l.stores() {
		return nil
	}
	code, err := native.Compile(level, &l.b, l.in, l.out, l.sums)
	if err != nil {
		return nil
	}
	return code
}

// value returns a value, which it loads or makes if it is new in the loop.
func (l *loopBody) value(v Value) (lane.Value, bool) {
	if x, ok := l.values[v]; ok {
		return x, true
	}
	n := &l.p.nodes[v]
	var x lane.Value
	switch n.kind {
	case nodeConst:
		switch n.typ {
		case F32:
			x = l.b.F(n.bits)
		case I32:
			x = l.b.Bits(uint32(int32(n.bits)))
		case Bool:
			x = l.b.Bits(uint32(mask(n.bits != 0)))
		default:
			return 0, false
		}
	case nodeInput:
		i := slices.Index(l.p.inputs, v)
		elem, ok := laneElems[n.mem]
		repeats := l.repeat>>i&1 == 1
		if !ok || repeats && elem != lane.F32 {
			return 0, false
		}
		x = l.load(loopOperand{inputOperand, i}, native.Operand{Elem: elem, Repeat: repeats})
		if k, narrow := reads[n.mem]; narrow {
			x = lane.Functions[k].Body(&l.b, []lane.Value{x})
		}
	default:
		x = l.load(loopOperand{keptOperand, l.kept[v]}, native.Operand{Elem: lane.F32})
	}
	l.values[v] = x
	return x, true
}

func (l *loopBody) load(o loopOperand, in native.Operand) lane.Value {
	l.operands, l.in = append(l.operands, o), append(l.in, in)
	return l.b.Add(lane.OpLoad, uint32(len(l.in)-1))
}

func (l *loopBody) store(o loopOperand, elem lane.Elem, v lane.Value) {
	l.b.Add(lane.OpStore, uint32(len(l.out)), v)
	l.operands, l.out = append(l.operands, o), append(l.out, native.Operand{Elem: elem})
}

// stores writes what later loops read and, in the last loop, outputs and sums.
func (l *loopBody) stores() bool {
	p := l.p
	if l.loop < l.loops-1 {
		for i := range p.nodes {
			if p.nodes[i].computed() && l.at[i] == l.loop && l.last[i] > l.loop {
				l.store(loopOperand{keptOperand, l.kept[i]}, lane.F32, l.values[Value(i)])
			}
		}
		return true
	}
	values := make([]lane.Value, len(p.outputs))
	for i, o := range p.outputs { // all is read before an output is written
		var ok bool
		if values[i], ok = l.value(o.value); !ok {
			return false
		}
	}
	for i, o := range p.outputs {
		if o.rowSum {
			continue
		}
		elem, ok := laneElems[o.mem]
		if !ok {
			return false
		}
		if k, narrow := writes[o.mem]; narrow {
			values[i] = lane.Functions[k].Body(&l.b, values[i:i+1])
		}
		l.store(loopOperand{outputOperand, i}, elem, values[i])
	}
	for i, o := range p.outputs {
		if !o.rowSum {
			continue
		}
		add := l.b.Plus
		if o.kernel == kSumSquaresRows {
			add = func(sum, v lane.Value) lane.Value { return l.b.Fma(v, v, sum) }
		}
		l.b.Accumulate(add, native.SumRegister(level, l.sums), values[i])
		l.operands = append(l.operands, loopOperand{sumOperand, l.sums})
		l.sums++
	}
	return true
}

// lower writes an operation on values. It reports whether it can be in a loop.
func (p *Program) lower(b *lane.Builder, n *node, args []lane.Value) (lane.Value, bool) {
	t := p.nodes[n.args[len(n.args)-1]].typ
	if n.kind == nodeOp {
		return lowerOp(b, n, t, args)
	}
	return lowerCast(b, n, t, args)
}

// lowerOp writes an operation on operands of a type.
func lowerOp(b *lane.Builder, n *node, t Type, args []lane.Value) (lane.Value, bool) {
	k := fastKernels[n.op][t]
	if k < 0 || k == kSinSmall || k == kCosSmall { // those leave large arguments to package math
		return 0, false
	}
	if rows[n.op].swap {
		args[0], args[1] = args[1], args[0]
	}
	return lane.Functions[k].Body(b, args), true
}

// lowerCast writes a conversion from a type.
func lowerCast(b *lane.Builder, n *node, from Type, args []lane.Value) (lane.Value, bool) {
	x := args[0]
	switch [2]Type{from, n.typ} {
	case [2]Type{F32, I32}:
		return lane.Functions[kFloatToInt].Body(b, args), true
	case [2]Type{I32, F32}:
		return lane.Functions[kIntToFloat].Body(b, args), true
	case [2]Type{Bool, F32}:
		return b.Add(lane.OpAnd, 0, x, b.F(1)), true
	case [2]Type{Bool, I32}:
		return b.Add(lane.OpISub, 0, b.Bits(0), x), true
	case [2]Type{F32, Bool}:
		return b.Add(lane.OpLanes, 0, b.Add(lane.OpNe, 0, x, b.F(0))), true
	case [2]Type{I32, Bool}:
		zero := b.Add(lane.OpLanes, 0, b.Add(lane.OpIEq, 0, x, b.Bits(0)))
		return b.Add(lane.OpXor, 0, zero, b.Bits(math.MaxUint32)), true
	}
	return 0, false
}
