package vec

import (
	"math"
	"os"
	"sync"
	"unsafe"

	"loris/internal/cpu/lane"
	"loris/internal/cpu/native"
)

// A program that has run for a while becomes machine code: its operations in one loop,
// with intermediate values in vector registers instead of tiles. The values are the
// same to the last bit.

// nativeElements bounds the elements of one call of machine code.
const nativeElements = 8 << 10

// nativeAfter is how many nanoseconds a kernel works before it is compiled: about as
// long as that takes, unless LORIS_NATIVE is "always" or "never".
var nativeAfter = func() float64 {
	switch os.Getenv("LORIS_NATIVE") {
	case "always":
		return 0
	case "never":
		return math.Inf(1)
	}
	return 1e6
}()

// natives are a program's machine codes, by which inputs repeat one element; nil where
// there can be none.
type natives struct {
	sync.Mutex
	codes map[uint64]*native.Code
}

// native returns the machine code for inputs of which those in the set repeat one
// element, nil if the program has operations or operands that it cannot have.
func (p *Program) native(repeat uint64) *native.Code {
	if !native.Supported() || p.sumsRows() || len(p.inputs) > 64 {
		return nil
	}
	p.natives.Lock()
	defer p.natives.Unlock()
	if c, known := p.natives.codes[repeat]; known {
		return c
	}
	if p.natives.codes == nil {
		p.natives.codes = map[uint64]*native.Code{}
	}
	var code *native.Code
	if body, in, out, ok := p.lower(repeat); ok {
		if c, err := native.Compile(body, in, out); err == nil {
			code = c
		}
	}
	p.natives.codes[repeat] = code
	return code
}

var laneElems = map[Type]lane.Elem{F32: lane.F32, I32: lane.F32, Bool: lane.U8, U8: lane.U8, F16: lane.F16, BF16: lane.BF16}

// lower writes the program as the body of one loop.
func (p *Program) lower(repeat uint64) (body *lane.Builder, in, out []native.Operand, ok bool) {
	b := &lane.Builder{}
	values := make([]lane.Value, len(p.nodes))
	for i := range p.nodes {
		n := &p.nodes[i]
		switch {
		case n.kind == nodeInput:
			elem, ok := laneElems[n.mem]
			if !ok {
				return nil, nil, nil, false
			}
			slot := len(in)
			in = append(in, native.Operand{Elem: elem, Repeat: repeat>>slot&1 == 1})
			if n.uses == 0 {
				continue
			}
			values[i] = b.Add(lane.OpLoad, uint32(slot))
			if k, narrow := reads[n.mem]; narrow {
				values[i] = lane.Functions[k].Body(b, values[i:i+1])
			}
		case n.uses == 0:
		case n.kind == nodeConst:
			switch n.typ {
			case F32:
				values[i] = b.F(n.bits)
			case I32:
				values[i] = b.Bits(uint32(int32(n.bits)))
			case Bool:
				values[i] = b.Bits(uint32(mask(n.bits != 0)))
			default:
				return nil, nil, nil, false
			}
		default:
			args := make([]lane.Value, len(n.args))
			for k, a := range n.args {
				args[k] = values[a]
			}
			f := lowerCast
			if n.kind == nodeOp {
				f = lowerOp
			}
			if values[i], ok = f(b, n, p.nodes[n.args[len(n.args)-1]].typ, args); !ok {
				return nil, nil, nil, false
			}
		}
	}
	for i, o := range p.outputs {
		elem, ok := laneElems[o.mem]
		if !ok {
			return nil, nil, nil, false
		}
		v := values[o.value]
		if k, narrow := writes[o.mem]; narrow {
			v = lane.Functions[k].Body(b, []lane.Value{v})
		}
		b.Add(lane.OpStore, uint32(i), v)
		out = append(out, native.Operand{Elem: elem})
	}
	return b, in, out, true
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

// warm counts the work of a run, and compiles the kernel once it is worth it.
func (k *Kernel) warm(nanos float64) {
	if k.cold -= nanos; k.cold > 0 || k.compiled {
		return
	}
	k.compiled = true
	repeat := uint64(0)
	for i := range k.inputs {
		if k.inputs[i].kind == splat && i < 64 {
			repeat |= 1 << i
		}
	}
	k.code = k.p.native(repeat)
}

// runNative runs machine code over the elements o to end, whole vectors.
func (k *Kernel) runNative(scratch unsafe.Pointer, o, end int) {
	var a native.Arguments
	most := nativeElements
	for i := range k.inputs {
		in := &k.inputs[i]
		if in.kind != inOrder {
			a.Operands[i] = unsafe.Add(scratch, in.slot*k.tile*k.p.width)
		}
		if in.kind == gathered {
			most = k.tile
		}
	}
	for o < end {
		a.N = min(most, end-o)
		k.gather(scratch, o, a.N, false)
		for i := range k.inputs {
			if in := &k.inputs[i]; in.kind == inOrder {
				a.Operands[i] = unsafe.Add(k.in[i], o*in.size)
			}
		}
		for i := range k.out {
			a.Operands[len(k.inputs)+i] = unsafe.Add(k.out[i], o*k.p.outputs[i].mem.Size())
		}
		k.code.Run(&a)
		o += a.N
	}
}
