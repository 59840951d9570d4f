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

// nativeAfter is how many nanoseconds the kernel of a short program works before it is
// compiled, unless LORIS_NATIVE is "always" or "never".
var nativeAfter = func() float64 {
	switch os.Getenv("LORIS_NATIVE") {
	case "always":
		return 0
	case "never":
		return math.Inf(1)
	}
	return 1e6
}()

// coldNanos returns how many nanoseconds a kernel works before it is compiled: at least
// as long as that takes, which is more the more an element costs.
func (p *Program) coldNanos() float64 { return nativeAfter * max(1, 2*p.cost) }

// natives are a program's machine codes, by which inputs repeat one element; nil where
// there can be none.
type natives struct {
	sync.Mutex
	codes map[uint64]*native.Code
}

// native returns the machine code for inputs of which those in the set repeat one
// element in a row, nil if the program has operations or operands that it cannot have.
func (p *Program) native(repeat uint64) *native.Code {
	if !native.Supported(level) || len(p.inputs) > native.MaxOperands {
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
	l := lowering{p: p, b: &lane.Builder{}, repeat: repeat}
	if l.run() {
		if c, err := native.Compile(level, l.b, l.in, l.out, l.sums); err == nil {
			code = c
		}
	}
	p.natives.codes[repeat] = code
	return code
}

var laneElems = map[Type]lane.Elem{F32: lane.F32, I32: lane.F32, Bool: lane.U8, U8: lane.U8, F16: lane.F16, BF16: lane.BF16}

// lowering writes a program as the body of one loop.
type lowering struct {
	p       *Program
	b       *lane.Builder
	repeat  uint64
	in, out []native.Operand
	sums    int
	values  []lane.Value
}

// run reports whether the program can be a loop.
func (l *lowering) run() bool {
	p := l.p
	l.values = make([]lane.Value, len(p.nodes))
	for i := range p.nodes {
		n := &p.nodes[i]
		ok := true
		switch {
		case n.kind == nodeInput:
			ok = l.input(i, n)
		case n.uses == 0:
		case n.kind == nodeConst:
			ok = l.constant(i, n)
		default:
			args := make([]lane.Value, len(n.args))
			for k, a := range n.args {
				args[k] = l.values[a]
			}
			f := lowerCast
			if n.kind == nodeOp {
				f = lowerOp
			}
			l.values[i], ok = f(l.b, n, p.nodes[n.args[len(n.args)-1]].typ, args)
		}
		if !ok {
			return false
		}
	}
	for _, o := range p.outputs {
		if !l.output(o) {
			return false
		}
	}
	return true
}

func (l *lowering) input(i int, n *node) bool {
	elem, ok := laneElems[n.mem]
	slot := len(l.in)
	repeats := l.repeat>>slot&1 == 1
	if !ok || repeats && elem != lane.F32 {
		return false
	}
	l.in = append(l.in, native.Operand{Elem: elem, Repeat: repeats})
	if n.uses == 0 {
		return true
	}
	l.values[i] = l.b.Add(lane.OpLoad, uint32(slot))
	if k, narrow := reads[n.mem]; narrow {
		l.values[i] = lane.Functions[k].Body(l.b, l.values[i:i+1])
	}
	return true
}

func (l *lowering) constant(i int, n *node) bool {
	switch n.typ {
	case F32:
		l.values[i] = l.b.F(n.bits)
	case I32:
		l.values[i] = l.b.Bits(uint32(int32(n.bits)))
	case Bool:
		l.values[i] = l.b.Bits(uint32(mask(n.bits != 0)))
	default:
		return false
	}
	return true
}

func (l *lowering) output(o outputNode) bool {
	v := l.values[o.value]
	if o.rowSum {
		add := l.b.Plus
		if o.kernel == kSumSquaresRows {
			add = func(sum, v lane.Value) lane.Value { return l.b.Fma(v, v, sum) }
		}
		l.b.Accumulate(add, native.SumRegister(level, l.sums), v)
		l.sums++
		return true
	}
	elem, ok := laneElems[o.mem]
	if !ok {
		return false
	}
	if k, narrow := writes[o.mem]; narrow {
		v = lane.Functions[k].Body(l.b, []lane.Value{v})
	}
	l.b.Add(lane.OpStore, uint32(len(l.out)), v)
	l.out = append(l.out, native.Operand{Elem: elem})
	return true
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

// grid is how a kernel's operands lie as rows and columns.
type grid struct {
	rows, cols int
	stride     []int  // bytes from row to row of each input
	repeat     uint64 // inputs that have one element for a row
}

// gridOf merges dimensions that lie behind each other in all inputs, but for the last
// one if it is to be the columns. It reports whether no more than rows and columns are
// left, with elements of each row that lie in order or repeat one.
func (k *Kernel) gridOf(lastApart bool) (g grid, ok bool) {
	var dims []int
	strides := make([][]int, len(k.inputs)) // of dims, in elements
	for d, size := range k.shape {
		last := lastApart && d == len(k.shape)-1
		if size == 1 && !last {
			continue
		}
		merge := len(dims) > 0 && !last
		for i := range k.inputs {
			merge = merge && strides[i][len(dims)-1] == size*k.strideOf(i, d)
		}
		if merge {
			dims[len(dims)-1] *= size
		} else {
			dims = append(dims, size)
		}
		for i := range k.inputs {
			s := &strides[i]
			if *s = append(*s, k.strideOf(i, d)); merge {
				*s = append((*s)[:len(dims)-1], k.strideOf(i, d))
			}
		}
	}
	g = grid{rows: 1, cols: 1, stride: make([]int, len(k.inputs))}
	switch len(dims) {
	case 0:
	case 1:
		g.cols = dims[0]
	case 2:
		g.rows, g.cols = dims[0], dims[1]
	default:
		return g, false
	}
	for i := range k.inputs {
		s := strides[i]
		if len(dims) == 2 {
			g.stride[i] = s[0] * k.inputs[i].size
		}
		if len(dims) == 0 {
			continue
		}
		switch s[len(s)-1] {
		case 0:
			g.repeat |= 1 << i
		case 1:
		default:
			return g, false
		}
	}
	return g, g.cols%lanes == 0 && g.cols > 0
}

// strideOf returns the stride of dimension d of an input, in elements.
func (k *Kernel) strideOf(i, d int) int {
	if k.strides[i] != nil {
		return k.strides[i][d]
	}
	s := 1
	for _, size := range k.shape[d+1:] {
		s *= size
	}
	return s
}

// warm counts the work of a run, and compiles the kernel once it is worth it.
func (k *Kernel) warm(nanos float64) {
	if k.cold -= nanos; k.cold > 0 || k.compiled {
		return
	}
	k.compiled = true
	if k.p.sumsRows() && k.sumBlocks() == 0 {
		return
	}
	if g, ok := k.gridOf(k.p.sumsRows()); ok {
		if k.code = k.p.native(g.repeat); k.code != nil {
			k.grid = g
			return
		}
	}
	if k.p.sumsRows() {
		return
	}
	// Inputs that lie otherwise are gathered tile by tile.
	repeat := uint64(0)
	for i := range k.inputs {
		if k.inputs[i].kind == splat {
			repeat |= 1 << i
		}
	}
	k.gathers = true
	k.code = k.p.native(repeat)
}

// sumBlocks returns how many numbers are added for the sum of a row, 0 if it is summed
// as a whole. Where there may be machine code, tiles sum alike.
func (k *Kernel) sumBlocks() int {
	if !native.HasLevel(level) || k.cols%native.SumBlock != 0 {
		return 0
	}
	return k.cols / native.SumBlock
}

// runNative runs machine code over the elements o to end, whole vectors, and whole rows
// where those are summed.
func (k *Kernel) runNative(scratch unsafe.Pointer, o, end int) {
	if k.gathers {
		k.runGathered(scratch, o, end)
		return
	}
	g := &k.grid
	b := block{k: k, code: k.code, grid: g, in: k.in, out: k.out}
	sums := k.p.sumsRows()
	if sums {
		b.sums, b.blocks = unsafe.Add(scratch, k.scratchBytes()), k.sumBlocks()
	}
	for o < end {
		row, col := o/g.cols, o%g.cols
		b.i0, b.i1, b.j0, b.j1 = row, row+1, col, min(g.cols, col+end-o)
		if col == 0 && b.j1 == g.cols {
			b.i1 = row + max(1, min((end-o)/g.cols, nativeElements/g.cols))
		}
		o += (b.i1 - b.i0) * (b.j1 - b.j0)
		b.sumFrom, b.sumRows = row, b.i1-row
		for last := b.j1; b.j0 < last; b.j0 = b.j1 {
			b.j1 = min(last, b.j0+nativeElements)
			b.run()
		}
		if sums {
			b.finish()
		}
	}
}

// scratchBytes returns the scratch memory of tiles.
func (k *Kernel) scratchBytes() int {
	return (k.p.regs + len(k.inputs) + len(k.out)) * k.tile * k.p.width
}

// sumBytes returns the memory of the numbers that are added for sums of rows in one call.
func (k *Kernel) sumBytes() int {
	if k.code == nil || k.gathers {
		return 0
	}
	return 4 * k.p.sums() * k.sumBlocks() * max(1, nativeElements/k.grid.cols)
}

// runGathered runs machine code tile by tile.
func (k *Kernel) runGathered(scratch unsafe.Pointer, o, end int) {
	var a native.Arguments
	for o < end {
		a.N, a.Rows = min(k.tile, end-o), 1
		k.gather(scratch, o, a.N, false)
		for i := range k.inputs {
			in := &k.inputs[i]
			switch in.kind {
			case inOrder:
				a.Operands[i] = unsafe.Add(k.in[i], o*in.size)
			case splat:
				a.Operands[i] = k.in[i]
			default:
				a.Operands[i] = unsafe.Add(scratch, in.slot*k.tile*k.p.width)
			}
		}
		for i := range k.out {
			a.Operands[len(k.inputs)+i] = unsafe.Add(k.out[i], o*k.p.outputs[i].mem.Size())
		}
		k.code.Run(&a)
		o += a.N
	}
}

// block is a call of machine code on rows i0 to i1 and columns j0 to j1.
type block struct {
	k              *Kernel
	code           *native.Code
	grid           *grid
	in, out        []unsafe.Pointer
	i0, i1, j0, j1 int

	// What is added for sums of rows: for each sum, blocks numbers for each of sumRows
	// rows from sumFrom on.
	sums                     unsafe.Pointer
	sumFrom, sumRows, blocks int
}

func (b *block) run() {
	var a native.Arguments
	g := b.grid
	a.N, a.Rows = b.j1-b.j0, b.i1-b.i0
	n := 0
	operand := func(p unsafe.Pointer, stride int) {
		a.Operands[n], a.Strides[n] = p, stride
		n++
	}
	for i, p := range b.in {
		at := b.i0 * g.stride[i]
		if g.repeat>>i&1 == 0 {
			at += b.j0 * b.k.inputs[i].size
		}
		operand(unsafe.Add(p, at), g.stride[i])
	}
	for i, p := range b.out {
		if o := &b.k.p.outputs[i]; !o.rowSum {
			size := o.mem.Size()
			operand(unsafe.Add(p, (b.i0*g.cols+b.j0)*size), g.cols*size)
		}
	}
	for s := range b.k.p.sums() {
		first := (s*b.sumRows+b.i0-b.sumFrom)*b.blocks + b.j0/native.SumBlock
		done := (a.N + native.SumBlock - 1) / native.SumBlock
		operand(unsafe.Add(b.sums, 4*first), 4*(b.blocks-done))
	}
	b.code.Run(&a)
}

// finish adds what there is for the rows from sumFrom on.
func (b *block) finish() {
	s := 0
	for i, p := range b.out {
		if b.k.p.outputs[i].rowSum {
			parts := unsafe.Add(b.sums, 4*s*b.sumRows*b.blocks)
			call(kSumRows, rowArgs{x: parts, ldx: uintptr(4 * b.blocks), rows: b.sumRows, n: b.blocks, out: unsafe.Add(p, 4*b.sumFrom)})
			s++
		}
	}
}
