package main

import (
	"fmt"
	"math"
	"slices"
)

// A kernel's body is written once, as straight-line code over one vector, and
// compiled for each instruction set: interleaved with itself to hide latencies,
// registers given out by last use, constants kept in the registers left over.

// op is an abstract vector instruction over 32-bit lanes.
type op int

const (
	opLoad  op = iota // input imm
	opConst           // bits imm in every lane
	opFixed           // the value of fixed register imm
	opAcc             // the value of accumulator register imm + copy
	opStore           // arg 0 to output imm

	opAdd
	opSub
	opMul
	opDiv
	opMin // the second operand if either is NaN (on arm64: NaN)
	opMax
	opSqrt
	opFMA  // a·b + c
	opFNMA // c - a·b
	opFMS  // a·b - c
	opFloor
	opCeil
	opTrunc
	opRound      // to nearest, ties to even
	opRecip      // about 1/a, within one unit in the last place; a in [1, 2^100]
	opScale      // a·2^b, where b is a float with an integer value in [-300, 300]
	opToInt      // nearest int32
	opToIntTrunc // towards zero
	opToFloat    // from int32

	opAnd
	opAndNot // ^a & b
	opOr
	opXor
	opShl // by imm
	opShr // by imm, logical
	opSar // by imm, arithmetic
	opIAdd
	opISub
	opIMul
	opIMin
	opIMax

	opEq // comparisons give masks
	opLt
	opLe
	opNe
	opIEq
	opIGt
	opMask   // mask from the sign bits of lanes
	opLanes  // mask to lanes of all ones and zeros
	opSelect // mask ? b : c
)

// value is the index of the instruction that makes it.
type value int

type instruction struct {
	op    op
	args  []value
	imm   uint32
	fixed int  // register the result must go to, or -1
	acc   bool // fixed counts up with the copies
}

// isMask reports whether an op's result is a mask.
func (o op) isMask() bool { return o >= opEq && o <= opMask }

// builder collects the body of a kernel.
type builder struct {
	code   []instruction
	consts map[uint32]value
	in     []elem
	out    []elem
}

// elem is the type of an operand in memory; in registers all have 32-bit lanes.
type elem int

const (
	f32  elem = iota // also int32
	bf16             // to and from float32
	f16              // to and from float32
	u8               // to and from int32
	i8               // read to float32
)

func (e elem) size() int { return [...]int{f32: 4, bf16: 2, f16: 2, u8: 1, i8: 1}[e] }

func (b *builder) add(o op, imm uint32, args ...value) value {
	b.code = append(b.code, instruction{op: o, args: args, imm: imm, fixed: -1})
	return value(len(b.code) - 1)
}

// bits returns a constant.
func (b *builder) bits(u uint32) value {
	if v, ok := b.consts[u]; ok {
		return v
	}
	if b.consts == nil {
		b.consts = map[uint32]value{}
	}
	v := b.add(opConst, u)
	b.consts[u] = v
	return v
}

func (b *builder) f(x float64) value { return b.bits(math.Float32bits(float32(x))) }

// to writes the result of the newest instruction to a fixed register.
func (b *builder) to(reg int) { b.code[len(b.code)-1].fixed = reg }

// accumulate folds x into the accumulators from reg on.
func (b *builder) accumulate(f func(acc, x value) value, reg int, x value) {
	f(b.add(opAcc, uint32(reg)), x)
	last := &b.code[len(b.code)-1]
	last.fixed, last.acc = reg, true
}

// Shorthands.
func (b *builder) plus(x, y value) value    { return b.add(opAdd, 0, x, y) }
func (b *builder) minus(x, y value) value   { return b.add(opSub, 0, x, y) }
func (b *builder) times(x, y value) value   { return b.add(opMul, 0, x, y) }
func (b *builder) fma(x, y, z value) value  { return b.add(opFMA, 0, x, y, z) }
func (b *builder) fnma(x, y, z value) value { return b.add(opFNMA, 0, x, y, z) }
func (b *builder) min(x, y value) value     { return b.add(opMin, 0, x, y) }
func (b *builder) max(x, y value) value     { return b.add(opMax, 0, x, y) }
func (b *builder) and(x, y value) value     { return b.add(opAnd, 0, x, y) }
func (b *builder) or(x, y value) value      { return b.add(opOr, 0, x, y) }
func (b *builder) xor(x, y value) value     { return b.add(opXor, 0, x, y) }
func (b *builder) sel(m, x, y value) value  { return b.add(opSelect, 0, m, x, y) }
func (b *builder) abs(x value) value        { return b.and(x, b.bits(0x7fffffff)) }
func (b *builder) sign(x value) value       { return b.and(x, b.bits(0x80000000)) }
func (b *builder) poly(x value, c ...float64) value {
	p := b.f(c[0])
	for _, k := range c[1:] {
		p = b.fma(p, x, b.f(k))
	}
	return p
}

// target instruction set.
type isa interface {
	lanes() int
	registers() int
	maskRegisters() int // 0 where masks live in vector registers
	free() []int        // vector registers that kernels may use
	emit(t *text, e emission)
	constant(t *text, reg int, c uint32) // load a constant into a register
	constName() string
	memory() bool // whether a constant can be the last operand of arithmetic
}

// emission is one instruction with its registers.
type emission struct {
	op    op
	dst   int
	args  []int // registers; -1 where mem is used instead
	dies  []bool
	imm   uint32
	mem   string // memory operand that replaces the last argument
	elem  elem
	index int  // copy in the unrolled body, for loads and stores
	slot  int  // operand
	part  bool // loads and stores touch only the row's last lanes
	tmp   func() int
}

// compiled is one unrolled copy of a body.
type compiler struct {
	t      *text
	isa    isa
	pinned map[uint32]int // constants in registers
	fixed  []int          // registers that the kernel keeps for itself
	use    map[uint32]bool
	addr   func(slot, index int, store bool) string

	// merge, if set, compiles the body for the last lanes of a row, fewer than a
	// vector: it moves those lanes of a result into its accumulator.
	merge func(acc, from int, tmp func() int)
}

type outOfRegisters struct{}

// compile emits n interleaved copies of the body. It panics with outOfRegisters
// if they do not fit.
func (c *compiler) compile(b *builder, n int) {
	type item struct{ at, copy int }
	var order []item
	for i := range b.code {
		for u := range n {
			order = append(order, item{i, u})
		}
	}
	size := len(b.code)
	id := func(v value, u int) int { return u*size + int(v) }
	last := make([]int, n*size)
	uses := make([]int, n*size)
	for pos, it := range order {
		for _, a := range b.code[it.at].args {
			last[id(a, it.copy)] = pos
			uses[id(a, it.copy)]++
		}
	}
	var vec, msk []int
	for _, r := range c.isa.free() {
		if !slices.Contains(c.fixed, r) && !c.isPinned(r) {
			vec = append(vec, r)
		}
	}
	for i := range c.isa.maskRegisters() {
		msk = append(msk, i+1)
	}
	take := func(l *[]int) int {
		if len(*l) == 0 {
			panic(outOfRegisters{})
		}
		r := (*l)[0]
		*l = (*l)[1:]
		return r
	}
	reg := make([]int, n*size)
	for pos, it := range order {
		in := b.code[it.at]
		switch in.op {
		case opConst:
			continue
		case opFixed:
			reg[id(value(it.at), it.copy)] = int(in.imm)
			continue
		case opAcc:
			reg[id(value(it.at), it.copy)] = int(in.imm) + it.copy
			continue
		}
		e := emission{op: in.op, imm: in.imm, index: it.copy, slot: int(in.imm), part: c.merge != nil}
		if in.op == opLoad {
			e.elem, e.mem = b.in[in.imm], c.addr(int(in.imm), it.copy, false)
		}
		if in.op == opStore {
			e.elem, e.mem = b.out[in.imm], c.addr(int(in.imm), it.copy, true)
		}
		var release, temps []int
		for k, a := range in.args {
			src := b.code[a]
			if src.op == opConst {
				if r, ok := c.pinned[src.imm]; ok {
					e.args, e.dies = append(e.args, r), append(e.dies, false)
					continue
				}
				c.use[src.imm] = true
				if k == len(in.args)-1 && c.isa.memory() && in.op >= opAdd && in.op <= opFMS && in.op != opSqrt && e.mem == "" {
					e.args, e.dies, e.mem = append(e.args, -1), append(e.dies, false), fmt.Sprintf("const:%d", src.imm)
					continue
				}
				r := take(&vec)
				c.isa.constant(c.t, r, src.imm)
				temps = append(temps, r)
				e.args, e.dies = append(e.args, r), append(e.dies, true)
				continue
			}
			r := reg[id(a, it.copy)]
			e.args = append(e.args, r)
			// A repeated argument dies at its last mention only.
			dies := last[id(a, it.copy)] == pos && src.op != opFixed && src.op != opAcc && !slices.Contains(in.args[k+1:], a)
			e.dies = append(e.dies, dies)
			if dies && !slices.Contains(in.args[:k], a) {
				release = append(release, id(a, it.copy))
			} else if dies {
				release = append(release, id(a, it.copy))
				e.dies[k] = false // it is used twice: not to be overwritten half way
			}
		}
		mine := &vec
		if in.op.isMask() && c.isa.maskRegisters() > 0 {
			mine = &msk
		}
		if in.op != opStore {
			e.dst = in.fixed
			if in.fixed < 0 {
				e.dst = c.chooseDst(&e, in, b, mine, take)
			} else if in.acc {
				e.dst += it.copy
			}
			reg[id(value(it.at), it.copy)] = e.dst
		}
		e.tmp = func() int {
			r := take(&vec)
			temps = append(temps, r)
			return r
		}
		if in.acc && c.merge != nil {
			acc := e.dst
			e.dst = e.tmp()
			c.isa.emit(c.t, e)
			c.merge(acc, e.dst, e.tmp)
			e.dst = acc
		} else {
			c.isa.emit(c.t, e)
		}
		for _, v := range release {
			if r := reg[v]; r != e.dst || in.op == opStore {
				if b.code[v%size].op.isMask() && c.isa.maskRegisters() > 0 {
					msk = append(msk, r)
				} else if !slices.Contains(vec, r) {
					vec = append(vec, r)
				}
			} else if b.code[v%size].op.isMask() != in.op.isMask() && c.isa.maskRegisters() > 0 {
				// same number, other file
				if b.code[v%size].op.isMask() {
					msk = append(msk, r)
				} else {
					vec = append(vec, r)
				}
			}
		}
		for _, r := range temps {
			if r != e.dst || in.op == opStore {
				vec = append(vec, r)
			}
		}
		// A result nobody uses frees its register at once.
		if v := id(value(it.at), it.copy); in.op != opStore && uses[v] == 0 && in.fixed < 0 {
			*mine = append(*mine, e.dst)
		}
	}
}

// chooseDst prefers the register of an argument that dies here.
func (c *compiler) chooseDst(e *emission, in instruction, b *builder, mine *[]int, take func(*[]int) int) int {
	sameFile := func(k int) bool {
		if c.isa.maskRegisters() == 0 {
			return true
		}
		return b.code[in.args[k]].op.isMask() == in.op.isMask()
	}
	prefer := []int{0, 1, 2}
	if in.op == opFMA || in.op == opFNMA || in.op == opFMS {
		prefer = []int{2, 0, 1}
	}
	if in.op == opScale || in.op == opRecip {
		return take(mine) // sequences that need their arguments to the end
	}
	for _, k := range prefer {
		if k < len(e.args) && e.dies[k] && sameFile(k) {
			return e.args[k]
		}
	}
	return take(mine)
}

func (c *compiler) isPinned(r int) bool {
	for _, p := range c.pinned {
		if p == r {
			return true
		}
	}
	return false
}

// constants lists the constants of a body, most used first.
func (b *builder) constants() []uint32 {
	count := map[uint32]int{}
	var list []uint32
	for _, in := range b.code {
		for _, a := range in.args {
			if b.code[a].op == opConst {
				if count[b.code[a].imm] == 0 {
					list = append(list, b.code[a].imm)
				}
				count[b.code[a].imm]++
			}
		}
	}
	slices.SortStableFunc(list, func(x, y uint32) int { return count[y] - count[x] })
	return list
}

// fits finds the largest number of copies and then of constants in registers
// with which the bodies compile.
func fits(i isa, fixed []int, copies int, bodies ...*builder) (n int, pinned map[uint32]int) {
	var consts []uint32
	for _, b := range bodies {
		for _, k := range b.constants() {
			if !slices.Contains(consts, k) {
				consts = append(consts, k)
			}
		}
	}
	var regs []int
	for _, r := range i.free() {
		if !slices.Contains(fixed, r) {
			regs = append(regs, r)
		}
	}
	for n = copies; n > 0; n /= 2 {
		for p := min(len(consts), len(regs)); p >= 0; p-- {
			pinned = map[uint32]int{}
			for j, k := range consts[:p] {
				pinned[k] = regs[len(regs)-1-j]
			}
			if tryAll(i, fixed, pinned, n, bodies) {
				return n, pinned
			}
		}
	}
	panic("asmgen: a kernel does not fit into the registers")
}

func tryAll(i isa, fixed []int, pinned map[uint32]int, n int, bodies []*builder) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, out := r.(outOfRegisters); !out {
				panic(r)
			}
			ok = false
		}
	}()
	for _, b := range bodies {
		c := &compiler{t: &text{}, isa: i, pinned: pinned, fixed: fixed, use: map[uint32]bool{}, addr: func(int, int, bool) string { return "" }}
		c.compile(b, n)
		if m, ok := i.(machine); ok {
			c.merge = func(acc, from int, tmp func() int) { m.mergeTail(c.t, acc, from, tmp) }
			c.compile(b, 1)
		}
	}
	return true
}
