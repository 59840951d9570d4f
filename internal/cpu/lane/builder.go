package lane

import (
	"math"
	"slices"
	"sort"
)

// A kernel's body is written once, as straight-line code over one vector, and
// compiled for each instruction set: interleaved with itself to hide latencies,
// registers given out by last use, constants kept in the registers left over.

// Op is an abstract vector instruction over 32-bit lanes.
type Op int

const (
	OpLoad  Op = iota // input imm
	OpConst           // bits imm in every lane
	OpFixed           // the value of fixed register imm
	OpAcc             // the value of the copy's accumulator, of those from register imm on
	OpStore           // arg 0 to output imm

	OpAdd
	OpSub
	OpMul
	OpDiv
	OpMin // the second operand if either is NaN (on arm64: NaN)
	OpMax
	OpSqrt
	OpFMA  // a·b + c
	OpFNMA // c - a·b
	OpFMS  // a·b - c
	OpFloor
	OpCeil
	OpTrunc
	OpRound      // to nearest, ties to even
	OpRecip      // about 1/a, within one unit in the last place; a in [1, 2^100]
	OpScale      // a·2^b, where b is a float with an integer value in [-300, 300]
	OpToInt      // nearest int32
	OpToIntTrunc // towards zero
	OpToFloat    // from int32

	OpAnd
	OpAndNot // ^a & b
	OpOr
	OpXor
	OpShl // by imm
	OpShr // by imm, logical
	OpSar // by imm, arithmetic
	OpIAdd
	OpISub
	OpIMul
	OpIMin
	OpIMax

	OpEq // comparisons give masks
	OpLt
	OpLe
	OpNe
	OpIEq
	OpIGt
	OpMask   // mask from the sign bits of lanes
	OpLanes  // mask to lanes of all ones and zeros
	OpSelect // mask ? b : c
)

// Value is the index of the instruction that makes it.
type Value int

type instruction struct {
	Op    Op
	args  []Value
	Imm   uint32
	fixed int  // register the result must go to, or -1
	acc   bool // fixed counts up with the copies
}

// isMask reports whether an op's result is a mask.
func (o Op) isMask() bool { return o >= OpEq && o <= OpMask }

// Builder collects the body of a kernel.
type Builder struct {
	Code   []instruction
	consts map[uint32]Value
	In     []Elem
	Out    []Elem
}

// Elem is the type of an operand in memory; in registers all have 32-bit lanes.
type Elem int

const (
	F32  Elem = iota // also int32
	BF16             // to and from float32
	F16              // to and from float32
	U8               // to and from int32
	I8               // read to float32
)

// Size returns the bytes of one element.
func (e Elem) Size() int { return [...]int{F32: 4, BF16: 2, F16: 2, U8: 1, I8: 1}[e] }

// Add appends an instruction.
func (b *Builder) Add(o Op, imm uint32, args ...Value) Value {
	b.Code = append(b.Code, instruction{Op: o, args: args, Imm: imm, fixed: -1})
	return Value(len(b.Code) - 1)
}

// Bits returns a constant.
func (b *Builder) Bits(u uint32) Value {
	if v, ok := b.consts[u]; ok {
		return v
	}
	if b.consts == nil {
		b.consts = map[uint32]Value{}
	}
	v := b.Add(OpConst, u)
	b.consts[u] = v
	return v
}

// F returns a float32 constant.
func (b *Builder) F(x float64) Value { return b.Bits(math.Float32bits(float32(x))) }

// To writes the result of the newest instruction to a fixed register.
func (b *Builder) To(reg int) { b.Code[len(b.Code)-1].fixed = reg }

// Accumulate folds x into the accumulators from reg on.
func (b *Builder) Accumulate(f func(acc, x Value) Value, reg int, x Value) {
	f(b.Add(OpAcc, uint32(reg)), x)
	last := &b.Code[len(b.Code)-1]
	last.fixed, last.acc = reg, true
}

// Shorthands.
func (b *Builder) Plus(x, y Value) Value    { return b.Add(OpAdd, 0, x, y) }
func (b *Builder) Minus(x, y Value) Value   { return b.Add(OpSub, 0, x, y) }
func (b *Builder) Times(x, y Value) Value   { return b.Add(OpMul, 0, x, y) }
func (b *Builder) Fma(x, y, z Value) Value  { return b.Add(OpFMA, 0, x, y, z) }
func (b *Builder) fnma(x, y, z Value) Value { return b.Add(OpFNMA, 0, x, y, z) }
func (b *Builder) min(x, y Value) Value     { return b.Add(OpMin, 0, x, y) }
func (b *Builder) Max(x, y Value) Value     { return b.Add(OpMax, 0, x, y) }
func (b *Builder) and(x, y Value) Value     { return b.Add(OpAnd, 0, x, y) }
func (b *Builder) or(x, y Value) Value      { return b.Add(OpOr, 0, x, y) }
func (b *Builder) xor(x, y Value) Value     { return b.Add(OpXor, 0, x, y) }
func (b *Builder) sel(m, x, y Value) Value  { return b.Add(OpSelect, 0, m, x, y) }
func (b *Builder) abs(x Value) Value        { return b.and(x, b.Bits(0x7fffffff)) }
func (b *Builder) sign(x Value) Value       { return b.and(x, b.Bits(0x80000000)) }
func (b *Builder) poly(x Value, c ...float64) Value {
	p := b.F(c[0])
	for _, k := range c[1:] {
		p = b.Fma(p, x, b.F(k))
	}
	return p
}

// ISA is an instruction set.
type ISA interface {
	Lanes() int
	MaskRegisters() int // 0 where masks live in vector registers
	Free() []int        // vector registers that kernels may use
	Emit(t *Text, e Emission)
	Constant(t *Text, reg int, c uint32) // load a constant into a register
	Memory() bool                        // whether a constant can be the last operand of arithmetic
}

// Emission is one instruction with its registers.
type Emission struct {
	Op    Op
	Dst   int
	Args  []int // registers; -1 where a constant in memory is used instead
	dies  []bool
	imm   uint32
	Mem   string // of loads and stores
	Elem  Elem
	index int  // copy in the unrolled body, for loads and stores
	Slot  int  // operand
	Part  bool // loads and stores touch only the row's last lanes

	inMemory bool // the last argument is a constant that is read where it lies
	constant uint32

	Tmp func() int
}

// Compiler compiles bodies for an instruction set.
type Compiler struct {
	T      *Text
	ISA    ISA
	Pinned map[uint32]int // constants in registers
	Fixed  []int          // registers that the kernel keeps for itself
	Use    map[uint32]bool
	Addr   func(slot, index int, store bool) string

	First        int // number of the first copy
	Accumulators int // that copies take turns at, by their numbers; 0: one for each

	// merge, if set, compiles the body for the last lanes of a row, fewer than a
	// vector: it moves those lanes of a result into its accumulator.
	Merge func(acc, from int, tmp func() int)
}

// merger is an ISA that can compile a body for the last lanes of a row, see Compiler.
type merger interface {
	MergeTail(t *Text, acc, from int, tmp func() int)
}

type outOfRegisters struct{}

// Compile emits n interleaved copies of the body. It panics with outOfRegisters
// if they do not fit.
func (c *Compiler) Compile(b *Builder, n int) {
	type item struct{ at, copy int }
	var order []item
	for i := range b.Code {
		for u := range n {
			order = append(order, item{i, u})
		}
	}
	size := len(b.Code)
	id := func(v Value, u int) int { return u*size + int(v) }
	last := make([]int, n*size)
	uses := make([]int, n*size)
	for pos, it := range order {
		for _, a := range b.Code[it.at].args {
			last[id(a, it.copy)] = pos
			uses[id(a, it.copy)]++
		}
	}
	var vec, msk []int
	for _, r := range c.ISA.Free() {
		if !slices.Contains(c.Fixed, r) && !c.isPinned(r) {
			vec = append(vec, r)
		}
	}
	for i := range c.ISA.MaskRegisters() {
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
	var e Emission // its slices, and these, are used again and again
	var release, temps []int
	for pos, it := range order {
		in := b.Code[it.at]
		switch in.Op {
		case OpConst:
			continue
		case OpFixed:
			reg[id(Value(it.at), it.copy)] = int(in.Imm)
			continue
		case OpAcc:
			reg[id(Value(it.at), it.copy)] = c.accumulator(int(in.Imm), it.copy)
			continue
		}
		e = Emission{Op: in.Op, imm: in.Imm, index: c.First + it.copy, Slot: int(in.Imm), Part: c.Merge != nil, Args: e.Args[:0], dies: e.dies[:0]}
		if in.Op == OpLoad {
			e.Elem, e.Mem = b.In[in.Imm], c.Addr(int(in.Imm), e.index, false)
		}
		if in.Op == OpStore {
			e.Elem, e.Mem = b.Out[in.Imm], c.Addr(int(in.Imm), e.index, true)
		}
		release, temps = release[:0], temps[:0]
		for k, a := range in.args {
			src := b.Code[a]
			if src.Op == OpConst {
				if r, ok := c.Pinned[src.Imm]; ok {
					e.Args, e.dies = append(e.Args, r), append(e.dies, false)
					continue
				}
				c.Use[src.Imm] = true
				if k == len(in.args)-1 && c.ISA.Memory() && in.Op >= OpAdd && in.Op <= OpFMS && in.Op != OpSqrt {
					e.Args, e.dies, e.inMemory, e.constant = append(e.Args, -1), append(e.dies, false), true, src.Imm
					continue
				}
				r := take(&vec)
				c.ISA.Constant(c.T, r, src.Imm)
				temps = append(temps, r)
				e.Args, e.dies = append(e.Args, r), append(e.dies, true)
				continue
			}
			r := reg[id(a, it.copy)]
			e.Args = append(e.Args, r)
			// A repeated argument dies at its last mention only.
			dies := last[id(a, it.copy)] == pos && src.Op != OpFixed && src.Op != OpAcc && !slices.Contains(in.args[k+1:], a)
			e.dies = append(e.dies, dies)
			if dies && !slices.Contains(in.args[:k], a) {
				release = append(release, id(a, it.copy))
			} else if dies {
				release = append(release, id(a, it.copy))
				e.dies[k] = false // it is used twice: not to be overwritten half way
			}
		}
		mine := &vec
		if in.Op.isMask() && c.ISA.MaskRegisters() > 0 {
			mine = &msk
		}
		if in.Op != OpStore {
			e.Dst = in.fixed
			if in.fixed < 0 {
				e.Dst = c.chooseDst(&e, in, b, mine, take)
			} else if in.acc {
				e.Dst = c.accumulator(in.fixed, it.copy)
			}
			reg[id(Value(it.at), it.copy)] = e.Dst
		}
		e.Tmp = func() int {
			r := take(&vec)
			temps = append(temps, r)
			return r
		}
		if in.acc && c.Merge != nil {
			acc := e.Dst
			e.Dst = e.Tmp()
			c.ISA.Emit(c.T, e)
			c.Merge(acc, e.Dst, e.Tmp)
			e.Dst = acc
		} else {
			c.ISA.Emit(c.T, e)
		}
		for _, v := range release {
			if r := reg[v]; r != e.Dst || in.Op == OpStore {
				if b.Code[v%size].Op.isMask() && c.ISA.MaskRegisters() > 0 {
					msk = append(msk, r)
				} else if !slices.Contains(vec, r) {
					vec = append(vec, r)
				}
			} else if b.Code[v%size].Op.isMask() != in.Op.isMask() && c.ISA.MaskRegisters() > 0 {
				// same number, other file
				if b.Code[v%size].Op.isMask() {
					msk = append(msk, r)
				} else {
					vec = append(vec, r)
				}
			}
		}
		for _, r := range temps {
			if r != e.Dst || in.Op == OpStore {
				vec = append(vec, r)
			}
		}
		// A result nobody uses frees its register at once.
		if v := id(Value(it.at), it.copy); in.Op != OpStore && uses[v] == 0 && in.fixed < 0 {
			*mine = append(*mine, e.Dst)
		}
	}
}

// accumulator returns the register of a copy's accumulator.
func (c *Compiler) accumulator(first, copy int) int {
	copy += c.First
	if c.Accumulators > 0 {
		copy %= c.Accumulators
	}
	return first + copy
}

// chooseDst prefers the register of an argument that dies here.
func (c *Compiler) chooseDst(e *Emission, in instruction, b *Builder, mine *[]int, take func(*[]int) int) int {
	sameFile := func(k int) bool {
		if c.ISA.MaskRegisters() == 0 {
			return true
		}
		return b.Code[in.args[k]].Op.isMask() == in.Op.isMask()
	}
	prefer := []int{0, 1, 2}
	if in.Op == OpFMA || in.Op == OpFNMA || in.Op == OpFMS {
		prefer = []int{2, 0, 1}
	}
	if in.Op == OpScale || in.Op == OpRecip {
		return take(mine) // sequences that need their arguments to the end
	}
	for _, k := range prefer {
		if k < len(e.Args) && e.dies[k] && sameFile(k) {
			return e.Args[k]
		}
	}
	return take(mine)
}

func (c *Compiler) isPinned(r int) bool {
	for _, p := range c.Pinned {
		if p == r {
			return true
		}
	}
	return false
}

// Constants lists the constants of a body, most used first.
func (b *Builder) Constants() []uint32 {
	count := map[uint32]int{}
	var list []uint32
	for _, in := range b.Code {
		for _, a := range in.args {
			if b.Code[a].Op == OpConst {
				if count[b.Code[a].Imm] == 0 {
					list = append(list, b.Code[a].Imm)
				}
				count[b.Code[a].Imm]++
			}
		}
	}
	slices.SortStableFunc(list, func(x, y uint32) int { return count[y] - count[x] })
	return list
}

// Fits finds the largest number of copies, of those that halve copies, and then of
// constants in registers with which the body compiles. n is 0 if it does not at all.
func Fits(i ISA, fixed []int, copies int, body *Builder) (n int, pinned map[uint32]int) {
	consts := body.Constants()
	var regs []int
	for _, r := range i.Free() {
		if !slices.Contains(fixed, r) {
			regs = append(regs, r)
		}
	}
	pin := func(p int) map[uint32]int {
		pinned := map[uint32]int{}
		for j, k := range consts[:p] {
			pinned[k] = regs[len(regs)-1-j]
		}
		return pinned
	}
	for n = copies; n > 0; n /= 2 {
		if !fit(i, fixed, pin(0), n, body) {
			continue
		}
		most := min(len(consts), len(regs))
		return n, pin(sort.Search(most, func(p int) bool { return !fit(i, fixed, pin(p+1), n, body) }))
	}
	return 0, nil
}

func fit(i ISA, fixed []int, pinned map[uint32]int, n int, body *Builder) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, out := r.(outOfRegisters); !out {
				panic(r)
			}
			ok = false
		}
	}()
	c := &Compiler{T: &Text{discard: true}, ISA: i, Pinned: pinned, Fixed: fixed, Use: map[uint32]bool{}, Addr: func(int, int, bool) string { return "" }}
	c.Compile(body, n)
	if m, ok := i.(merger); ok {
		c.Merge = func(acc, from int, tmp func() int) { m.MergeTail(c.T, acc, from, tmp) }
		c.Compile(body, 1)
	}
	return true
}
