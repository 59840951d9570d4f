package lane

import (
	"slices"
	"sort"
)

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
	a := c.allocate(b, n)
	for at := range b.Code {
		for u := range n {
			a.instruction(at, u)
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

func (c *Compiler) isPinned(r int) bool {
	for _, p := range c.Pinned {
		if p == r {
			return true
		}
	}
	return false
}

// allocation gives out registers while copies of a body are compiled.
type allocation struct {
	*Compiler
	b         *Builder
	copies    int
	vec, mask []int // registers that are free
	reg       []int // of each copy's values
	last      []int // the step that uses each copy's value last, -1 if none does

	// Of the instruction being compiled, used again for the next.
	e     Emission
	dying []int // values that no later one uses
	temps []int // registers that it needs for itself
}

func (c *Compiler) allocate(b *Builder, copies int) *allocation {
	size := len(b.Code) * copies
	a := &allocation{Compiler: c, b: b, copies: copies, reg: make([]int, size), last: slices.Repeat([]int{-1}, size)}
	for at := range b.Code {
		for u := range copies {
			for _, v := range b.Code[at].args {
				a.last[a.id(v, u)] = a.id(Value(at), u)
			}
		}
	}
	for _, r := range c.ISA.Free() {
		if !slices.Contains(c.Fixed, r) && !c.isPinned(r) {
			a.vec = append(a.vec, r)
		}
	}
	for i := range c.ISA.MaskRegisters() {
		a.mask = append(a.mask, i+1)
	}
	return a
}

// id numbers the values of all copies, in the order in which they are made.
func (a *allocation) id(v Value, copy int) int { return int(v)*a.copies + copy }

// file returns the free registers of the file that an op's result goes to.
func (a *allocation) file(o Op) *[]int {
	if o.isMask() && a.ISA.MaskRegisters() > 0 {
		return &a.mask
	}
	return &a.vec
}

func take(free *[]int) int {
	if len(*free) == 0 {
		panic(outOfRegisters{})
	}
	r := (*free)[0]
	*free = (*free)[1:]
	return r
}

// temp gives the instruction being compiled a register for itself.
func (a *allocation) temp() int {
	r := take(&a.vec)
	a.temps = append(a.temps, r)
	return r
}

// instruction compiles an instruction of one copy.
func (a *allocation) instruction(at, copy int) {
	in, id := &a.b.Code[at], a.id(Value(at), copy)
	switch in.Op {
	case OpConst:
		return
	case OpFixed:
		a.reg[id] = int(in.Imm)
		return
	case OpAcc:
		a.reg[id] = a.accumulator(int(in.Imm), copy)
		return
	}
	a.e = Emission{Op: in.Op, imm: in.Imm, index: a.First + copy, Slot: int(in.Imm), Part: a.Merge != nil, Args: a.e.Args[:0], dies: a.e.dies[:0], Tmp: a.temp}
	a.dying, a.temps = a.dying[:0], a.temps[:0]
	a.operand(in)
	for k := range in.args {
		a.argument(in, k, at, copy)
	}
	if in.Op != OpStore {
		a.e.Dst = a.destination(in, copy)
		a.reg[id] = a.e.Dst
	}
	a.emit(in)
	a.release(in, id)
}

// operand sets the memory of a load or store.
func (a *allocation) operand(in *instruction) {
	switch in.Op {
	case OpLoad:
		a.e.Elem, a.e.Mem = a.b.In[in.Imm], a.Addr(int(in.Imm), a.e.index, false)
	case OpStore:
		a.e.Elem, a.e.Mem = a.b.Out[in.Imm], a.Addr(int(in.Imm), a.e.index, true)
	}
}

// argument finds the register of argument k.
func (a *allocation) argument(in *instruction, k, at, copy int) {
	e, v := &a.e, in.args[k]
	src := &a.b.Code[v]
	if src.Op == OpConst {
		a.constant(in, k, src.Imm)
		return
	}
	id := a.id(v, copy)
	// A repeated argument dies at its last mention only, and is not to be overwritten half way.
	dies := a.last[id] == a.id(Value(at), copy) && src.Op != OpFixed && src.Op != OpAcc && !slices.Contains(in.args[k+1:], v)
	e.Args, e.dies = append(e.Args, a.reg[id]), append(e.dies, dies && !slices.Contains(in.args[:k], v))
	if dies {
		a.dying = append(a.dying, id)
	}
}

// constant makes a constant argument k: from a pinned register, from memory, or in a
// register of the instruction's own.
func (a *allocation) constant(in *instruction, k int, bits uint32) {
	e := &a.e
	if r, ok := a.Pinned[bits]; ok {
		e.Args, e.dies = append(e.Args, r), append(e.dies, false)
		return
	}
	a.Use[bits] = true
	if k == len(in.args)-1 && a.ISA.Memory() && in.Op >= OpAdd && in.Op <= OpFMS && in.Op != OpSqrt {
		e.Args, e.dies, e.inMemory, e.constant = append(e.Args, -1), append(e.dies, false), true, bits
		return
	}
	r := a.temp()
	a.ISA.Constant(a.T, r, bits)
	e.Args, e.dies = append(e.Args, r), append(e.dies, true)
}

// destination returns the register for a result: a fixed one, or preferably that of an
// argument that dies here.
func (a *allocation) destination(in *instruction, copy int) int {
	if in.acc {
		return a.accumulator(in.fixed, copy)
	}
	if in.fixed >= 0 {
		return in.fixed
	}
	mine := a.file(in.Op)
	prefer := []int{0, 1, 2}
	switch in.Op {
	case OpScale, OpRecip: // sequences that need their arguments to the end
		return take(mine)
	case OpFMA, OpFNMA, OpFMS:
		prefer = []int{2, 0, 1}
	}
	for _, k := range prefer {
		if k < len(a.e.Args) && a.e.dies[k] && a.file(a.b.Code[in.args[k]].Op) == mine {
			return a.e.Args[k]
		}
	}
	return take(mine)
}

// emit emits the instruction; one for a row's last lanes leaves the others of its
// accumulator alone.
func (a *allocation) emit(in *instruction) {
	if !in.acc || a.Merge == nil {
		a.ISA.Emit(a.T, a.e)
		return
	}
	acc := a.e.Dst
	a.e.Dst = a.temp()
	a.ISA.Emit(a.T, a.e)
	a.Merge(acc, a.e.Dst, a.temp)
	a.e.Dst = acc
}

// release frees the registers that nothing uses after the instruction.
func (a *allocation) release(in *instruction, id int) {
	mine, kept := a.file(in.Op), a.e.Dst
	if in.Op == OpStore {
		kept = -1
	}
	for _, v := range a.dying {
		r, file := a.reg[v], a.file(a.b.Code[v/a.copies].Op)
		if (r != kept || file != mine) && !slices.Contains(*file, r) {
			*file = append(*file, r)
		}
	}
	for _, r := range a.temps {
		if r != kept {
			a.vec = append(a.vec, r)
		}
	}
	if in.Op != OpStore && a.last[id] < 0 && in.fixed < 0 {
		*mine = append(*mine, kept)
	}
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
