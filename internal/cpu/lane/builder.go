package lane

import (
	"math"
	"slices"
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
