package main

import (
	"fmt"
	"strings"

	"loris/internal/cpu/lane"
)

// Row kernels run a few passes over each row of a matrix: a pass visits every
// vector of the row, folds into accumulators and may store; between passes the
// lanes of an accumulator are folded into all lanes of a scalar.
//
// Their argument is a struct that package vec lays out as follows.
const (
	rowsPointers = 0  // 6 addresses: dst, x, a, b, c, out
	rowsStrides  = 48 // 4 row strides in bytes: of dst, x, b, c
	rowsRows     = 80
	rowsN        = 88 // elements of a row
	rowsScalars  = 96 // 8 float32
)

// Operands of a pass.
const (
	dst = iota
	xIn
	aIn // the same for all rows
	bIn
	cIn
)

// machine is what row kernels need of an architecture beside its vectors.
type machine interface {
	lane.ISA
	unroll() int
	begin(t *lane.Text, name string)
	scalar(t *lane.Text, reg, offset int) // broadcast a float32 of the argument
	startPass(t *lane.Text, slots []int)
	passLoop(t *lane.Text, copies int, slots []int, body func(addr func(slot, index int, store bool) string))
	passTail(t *lane.Text, slots []int, body func(addr func(slot, index int, store bool) string))
	MergeTail(t *lane.Text, acc, from int, tmp func() int) // the lanes that are left into acc
	swapLanes(t *lane.Text, step, from, to int) bool       // false when all lanes have met
	storeLane(t *lane.Text, reg, offset int)               // lane 0 to out
	endRow(t *lane.Text, outBytes int)
	finish(t *lane.Text)
}

// rowBuilder writes one row kernel for one machine.
type rowBuilder struct {
	t      *lane.Text
	m      machine
	consts map[uint32]bool
	fixed  []int
}

// Registers that row kernels keep: accumulators, one to fold with, scalars.
func (r *rowBuilder) acc(i int) int    { return i * r.m.unroll() }
func (r *rowBuilder) tmp() int         { return 2 * r.m.unroll() }
func (r *rowBuilder) scalar(i int) int { return 2*r.m.unroll() + 1 + i }

const rowScalars = 4

// setAcc puts a constant into all copies of an accumulator.
func (r *rowBuilder) setAcc(i int, c uint32) {
	for u := range r.m.unroll() {
		r.m.Constant(r.t, r.acc(i)+u, c)
		r.consts[c] = true
	}
}

// body compiles straight-line code without a loop.
func (r *rowBuilder) body(f func(b *lane.Builder)) {
	b := &lane.Builder{}
	f(b)
	c := &lane.Compiler{T: r.t, ISA: r.m, Fixed: r.fixed, Use: r.consts}
	c.Compile(b, 1)
}

// pass compiles a loop over a row.
func (r *rowBuilder) pass(f func(b *lane.Builder)) {
	b := &lane.Builder{In: []lane.Elem{lane.F32, lane.F32, lane.F32, lane.F32, lane.F32}, Out: []lane.Elem{lane.F32, lane.F32, lane.F32, lane.F32, lane.F32}}
	f(b)
	var slots []int
	seen := map[int]bool{}
	for _, in := range b.Code {
		if s := int(in.Imm); (in.Op == lane.OpLoad || in.Op == lane.OpStore) && !seen[s] {
			seen[s] = true
			slots = append(slots, s)
		}
	}
	n, pinned := fits(r.m, r.fixed, r.m.unroll(), b)
	for _, k := range b.Constants() {
		if reg, ok := pinned[k]; ok {
			r.m.Constant(r.t, reg, k)
			r.consts[k] = true
		}
	}
	r.m.startPass(r.t, slots)
	loop := func(copies int) {
		r.m.passLoop(r.t, copies, slots, func(addr func(slot, index int, store bool) string) {
			c := &lane.Compiler{T: r.t, ISA: r.m, Pinned: pinned, Fixed: r.fixed, Use: r.consts, Addr: addr}
			c.Compile(b, copies)
		})
	}
	loop(n)
	if n > 1 {
		loop(1)
	}
	r.m.passTail(r.t, slots, func(addr func(slot, index int, store bool) string) {
		c := &lane.Compiler{T: r.t, ISA: r.m, Pinned: pinned, Fixed: r.fixed, Use: r.consts, Addr: addr}
		c.Merge = func(acc, from int, tmp func() int) { r.m.MergeTail(r.t, acc, from, tmp) }
		c.Compile(b, 1)
	})
}

// fold combines the copies and lanes of an accumulator into all lanes of a scalar.
func (r *rowBuilder) fold(acc, scalar int, f func(b *lane.Builder, x, y lane.Value) lane.Value) {
	a := r.acc(acc)
	combine := func(other int) {
		r.body(func(b *lane.Builder) {
			f(b, b.Add(lane.OpFixed, uint32(a)), b.Add(lane.OpFixed, uint32(other)))
			b.To(a)
		})
	}
	for u := 1; u < r.m.unroll(); u++ {
		combine(a + u)
	}
	for step := 0; r.m.swapLanes(r.t, step, a, r.tmp()); step++ {
		combine(r.tmp())
	}
	r.set(scalar, func(b *lane.Builder) {
		b.Add(lane.OpOr, 0, b.Add(lane.OpFixed, uint32(a)), b.Add(lane.OpFixed, uint32(a)))
	})
}

// set computes a scalar.
func (r *rowBuilder) set(scalar int, f func(b *lane.Builder)) {
	r.body(func(b *lane.Builder) {
		f(b)
		b.To(r.scalar(scalar))
	})
}

// s reads a scalar.
func (r *rowBuilder) s(b *lane.Builder, i int) lane.Value {
	return b.Add(lane.OpFixed, uint32(r.scalar(i)))
}

// rowKernel is a name and the passes over one row.
type rowKernel struct {
	name string
	out  int // bytes of out that a row writes
	row  func(r *rowBuilder)
}

const (
	infinity = 0x7f800000
	negInf   = 0xff800000
)

func sum(b *lane.Builder, x, y lane.Value) lane.Value { return b.Plus(x, y) }

func (r *rowBuilder) maxOf() {
	r.setAcc(0, negInf)
	r.pass(func(b *lane.Builder) { b.Accumulate(b.Max, r.acc(0), b.Add(lane.OpLoad, xIn)) })
	r.fold(0, 0, func(b *lane.Builder, x, y lane.Value) lane.Value { return b.Max(x, y) })
}

// expSum puts Σ exp(x - scalar 0) into scalar 1, and the terms into dst if asked.
func (r *rowBuilder) expSum(store bool) {
	r.setAcc(0, 0)
	r.pass(func(b *lane.Builder) {
		e := b.Exp(b.Minus(b.Add(lane.OpLoad, xIn), r.s(b, 0)))
		if store {
			b.Add(lane.OpStore, dst, e)
		}
		b.Accumulate(b.Plus, r.acc(0), e)
	})
	r.fold(0, 1, sum)
}

// logSum puts scalar 0 + log(scalar 1) into scalar 2.
func (r *rowBuilder) logSum() {
	r.set(2, func(b *lane.Builder) { b.Plus(b.Log(r.s(b, 1)), r.s(b, 0)) })
}

// scaleByArgument sets a scalar to the argument's scalar i divided by scalar 1.
func (r *rowBuilder) scaleByArgument(i, to int) {
	r.m.scalar(r.t, r.tmp(), rowsScalars+4*i)
	r.set(to, func(b *lane.Builder) { b.Add(lane.OpDiv, 0, b.Add(lane.OpFixed, uint32(r.tmp())), r.s(b, 1)) })
}

// rootMean sets scalar 1 to 1/√(scalar 0 · s[0] + s[1]), with s[0] = 1/n and s[1] = ε.
func (r *rowBuilder) rootMean() {
	r.m.scalar(r.t, r.scalar(2), rowsScalars)
	r.m.scalar(r.t, r.scalar(3), rowsScalars+4)
	r.set(1, func(b *lane.Builder) {
		v := b.Fma(r.s(b, 0), r.s(b, 2), r.s(b, 3))
		b.Add(lane.OpDiv, 0, b.F(1), b.Add(lane.OpSqrt, 0, v))
	})
}

func (r *rowBuilder) sumSquares(slot uint32) {
	r.setAcc(0, 0)
	r.pass(func(b *lane.Builder) {
		x := b.Add(lane.OpLoad, slot)
		b.Accumulate(func(acc, x lane.Value) lane.Value { return b.Fma(x, x, acc) }, r.acc(0), x)
	})
	r.fold(0, 0, sum)
}

func (r *rowBuilder) store(scalar, offset int) { r.m.storeLane(r.t, r.scalar(scalar), offset) }

// reduction is a kernel whose only result is one number for a row.
func reduction(name string, init uint32, f func(b *lane.Builder, acc, x lane.Value) lane.Value, combine func(b *lane.Builder, x, y lane.Value) lane.Value) rowKernel {
	return rowKernel{name, 4, func(r *rowBuilder) {
		r.setAcc(0, init)
		r.pass(func(b *lane.Builder) {
			b.Accumulate(func(acc, x lane.Value) lane.Value { return f(b, acc, x) }, r.acc(0), b.Add(lane.OpLoad, xIn))
		})
		r.fold(0, 0, combine)
		r.store(0, 0)
	}}
}

// extreme is a reduction whose result is NaN if the row has one: the largest magnitude as
// an integer tells, which adds nothing to the chain of maxima.
func extreme(name string, init uint32, o lane.Op) rowKernel {
	best := func(b *lane.Builder, x, y lane.Value) lane.Value { return b.Add(o, 0, x, y) }
	larger := func(b *lane.Builder, x, y lane.Value) lane.Value { return b.Add(lane.OpIMax, 0, x, y) }
	return rowKernel{name, 4, func(r *rowBuilder) {
		r.setAcc(0, init)
		r.setAcc(1, 0)
		r.pass(func(b *lane.Builder) {
			x := b.Add(lane.OpLoad, xIn)
			b.Accumulate(func(acc, x lane.Value) lane.Value { return best(b, acc, x) }, r.acc(0), x)
			magnitude := b.Add(lane.OpAnd, 0, x, b.Bits(0x7fffffff))
			b.Accumulate(func(acc, x lane.Value) lane.Value { return larger(b, acc, x) }, r.acc(1), magnitude)
		})
		r.fold(0, 0, best)
		r.fold(1, 1, larger)
		r.set(0, func(b *lane.Builder) {
			b.Add(lane.OpSelect, 0, b.Add(lane.OpIGt, 0, r.s(b, 1), b.Bits(infinity)), r.s(b, 1), r.s(b, 0))
		})
		r.store(0, 0)
	}}
}

// columns is a kernel that folds three rows into dst; with a stride of 0 for dst it
// folds all rows, three at a time, which reads and writes dst a third as often.
func columns(name string, f func(b *lane.Builder, x, y lane.Value) lane.Value) rowKernel {
	return rowKernel{name, 0, func(r *rowBuilder) {
		r.pass(func(b *lane.Builder) {
			three := f(b, f(b, b.Add(lane.OpLoad, xIn), b.Add(lane.OpLoad, bIn)), b.Add(lane.OpLoad, cIn))
			b.Add(lane.OpStore, dst, f(b, b.Add(lane.OpLoad, dst), three))
		})
	}}
}

var rowKernels = []rowKernel{
	columns("AddColumns", sum),
	columns("MaxColumns", (*lane.Builder).Larger),
	columns("MinColumns", (*lane.Builder).Smaller),
	reduction("SumRows", 0, sum, sum),
	reduction("SumSquaresRows", 0, func(b *lane.Builder, acc, x lane.Value) lane.Value { return b.Fma(x, x, acc) }, sum),
	reduction("ProdRows", 0x3f800000, (*lane.Builder).Times, (*lane.Builder).Times),
	extreme("MaxRows", negInf, lane.OpMax),
	extreme("MinRows", infinity, lane.OpMin),
	{"SumIntsRows", 8, func(r *rowBuilder) { // of int32: Σ of their lower halves, unsigned, and of their upper ones
		add := func(b *lane.Builder, x, y lane.Value) lane.Value { return b.Add(lane.OpIAdd, 0, x, y) }
		r.setAcc(0, 0)
		r.setAcc(1, 0)
		r.pass(func(b *lane.Builder) {
			x := b.Add(lane.OpLoad, xIn)
			lower, upper := b.Add(lane.OpAnd, 0, x, b.Bits(0xffff)), b.Add(lane.OpSar, 16, x)
			b.Accumulate(func(acc, x lane.Value) lane.Value { return add(b, acc, x) }, r.acc(0), lower)
			b.Accumulate(func(acc, x lane.Value) lane.Value { return add(b, acc, x) }, r.acc(1), upper)
		})
		r.fold(0, 0, add)
		r.fold(1, 1, add)
		r.store(0, 0)
		r.store(1, 4)
	}},
	{"DotRows", 4, func(r *rowBuilder) { // Σ x·b
		r.setAcc(0, 0)
		r.pass(func(b *lane.Builder) {
			y := b.Add(lane.OpLoad, bIn)
			b.Accumulate(func(acc, x lane.Value) lane.Value { return b.Fma(x, y, acc) }, r.acc(0), b.Add(lane.OpLoad, xIn))
		})
		r.fold(0, 0, sum)
		r.store(0, 0)
	}},
	{"CenteredSquaresRows", 4, func(r *rowBuilder) { // Σ (x - s[0])²
		r.m.scalar(r.t, r.scalar(0), rowsScalars)
		r.setAcc(0, 0)
		r.pass(func(b *lane.Builder) {
			d := b.Minus(b.Add(lane.OpLoad, xIn), r.s(b, 0))
			b.Accumulate(func(acc, d lane.Value) lane.Value { return b.Fma(d, d, acc) }, r.acc(0), d)
		})
		r.fold(0, 0, sum)
		r.store(0, 0)
	}},
	{"SoftmaxRows", 0, func(r *rowBuilder) {
		r.maxOf()
		r.expSum(true)
		r.scaleByArgument(0, 2)
		r.pass(func(b *lane.Builder) { b.Add(lane.OpStore, dst, b.Times(b.Add(lane.OpLoad, dst), r.s(b, 2))) })
	}},
	{"LogSoftmaxRows", 0, func(r *rowBuilder) {
		r.maxOf()
		r.expSum(false)
		// x - max - log Σ, in this order: the difference of two close numbers first.
		r.set(2, func(b *lane.Builder) { b.Log(r.s(b, 1)) })
		r.pass(func(b *lane.Builder) {
			b.Add(lane.OpStore, dst, b.Minus(b.Minus(b.Add(lane.OpLoad, xIn), r.s(b, 0)), r.s(b, 2)))
		})
	}},
	{"LogSumExpRows", 4, func(r *rowBuilder) {
		r.maxOf()
		r.expSum(false)
		r.logSum()
		r.store(2, 0)
	}},
	{"CrossEntropyRows", 4, func(r *rowBuilder) { // out: log Σ exp; dst: softmax · s[0]
		r.maxOf()
		r.expSum(true)
		r.logSum()
		r.store(2, 0)
		r.scaleByArgument(0, 2)
		r.pass(func(b *lane.Builder) { b.Add(lane.OpStore, dst, b.Times(b.Add(lane.OpLoad, dst), r.s(b, 2))) })
	}},
	{"RMSNormRows", 4, func(r *rowBuilder) { // x/rms · a; out: 1/rms
		r.sumSquares(xIn)
		r.rootMean()
		r.store(1, 0)
		r.pass(func(b *lane.Builder) {
			b.Add(lane.OpStore, dst, b.Times(b.Times(b.Add(lane.OpLoad, xIn), r.s(b, 1)), b.Add(lane.OpLoad, aIn)))
		})
	}},
	{"RMSNormResidualRows", 4, func(r *rowBuilder) { // x/rms · a + b
		r.sumSquares(xIn)
		r.rootMean()
		r.store(1, 0)
		r.pass(func(b *lane.Builder) {
			y := b.Times(b.Add(lane.OpLoad, xIn), r.s(b, 1))
			b.Add(lane.OpStore, dst, b.Fma(y, b.Add(lane.OpLoad, aIn), b.Add(lane.OpLoad, bIn)))
		})
	}},
	{"AddRMSNormRows", 4, func(r *rowBuilder) { // c = x + b; dst = c/rms · a
		r.setAcc(0, 0)
		r.pass(func(b *lane.Builder) {
			h := b.Plus(b.Add(lane.OpLoad, xIn), b.Add(lane.OpLoad, bIn))
			b.Add(lane.OpStore, cIn, h)
			b.Accumulate(func(acc, h lane.Value) lane.Value { return b.Fma(h, h, acc) }, r.acc(0), h)
		})
		r.fold(0, 0, sum)
		r.rootMean()
		r.store(1, 0)
		r.pass(func(b *lane.Builder) {
			b.Add(lane.OpStore, dst, b.Times(b.Times(b.Add(lane.OpLoad, cIn), r.s(b, 1)), b.Add(lane.OpLoad, aIn)))
		})
	}},
	{"LayerNormRows", 8, func(r *rowBuilder) { // (x - mean)/σ · a + c, c the same for all rows; out: mean, 1/σ
		r.setAcc(0, 0)
		r.pass(func(b *lane.Builder) { b.Accumulate(b.Plus, r.acc(0), b.Add(lane.OpLoad, xIn)) })
		r.fold(0, 0, sum)
		r.m.scalar(r.t, r.scalar(2), rowsScalars)
		r.set(3, func(b *lane.Builder) { b.Times(r.s(b, 0), r.s(b, 2)) })
		r.store(3, 0)
		r.setAcc(0, 0)
		r.pass(func(b *lane.Builder) {
			d := b.Minus(b.Add(lane.OpLoad, xIn), r.s(b, 3))
			b.Accumulate(func(acc, d lane.Value) lane.Value { return b.Fma(d, d, acc) }, r.acc(0), d)
		})
		// The mean moves to scalar 1 while rootMean uses the others.
		r.fold(0, 0, sum)
		r.set(1, func(b *lane.Builder) { b.Add(lane.OpOr, 0, r.s(b, 3), r.s(b, 3)) })
		r.m.scalar(r.t, r.scalar(3), rowsScalars+4)
		r.set(2, func(b *lane.Builder) {
			v := b.Fma(r.s(b, 0), r.s(b, 2), r.s(b, 3))
			b.Add(lane.OpDiv, 0, b.F(1), b.Add(lane.OpSqrt, 0, v))
		})
		r.store(2, 4)
		r.pass(func(b *lane.Builder) {
			y := b.Times(b.Minus(b.Add(lane.OpLoad, xIn), r.s(b, 1)), r.s(b, 2))
			b.Add(lane.OpStore, dst, b.Fma(y, b.Add(lane.OpLoad, aIn), b.Add(lane.OpLoad, cIn)))
		})
	}},
	{"ThreefryRows", 0, func(r *rowBuilder) {
		// dst and b: the words of block s[3] + x of the stream with the key s[0], s[1];
		// s[2] is the third word of the key's schedule, s[4] the high word of the block.
		k := func(b *lane.Builder, i int) lane.Value { return b.Add(lane.OpFixed, uint32(i)) }
		for i := range 5 {
			r.m.scalar(r.t, i, rowsScalars+4*i)
		}
		saved := r.fixed
		r.fixed = []int{0, 1, 2, 3, 4}
		r.pass(func(b *lane.Builder) {
			plus := func(x, y lane.Value) lane.Value { return b.Add(lane.OpIAdd, 0, x, y) }
			x0, x1 := plus(plus(b.Add(lane.OpLoad, xIn), k(b, 3)), k(b, 0)), plus(k(b, 4), k(b, 1))
			for group, shifts := range [5][4]uint32{{13, 15, 26, 6}, {17, 29, 16, 24}, {13, 15, 26, 6}, {17, 29, 16, 24}, {13, 15, 26, 6}} {
				for _, n := range shifts {
					x0 = plus(x0, x1)
					x1 = b.Add(lane.OpXor, 0, b.Add(lane.OpOr, 0, b.Add(lane.OpShl, n, x1), b.Add(lane.OpShr, 32-n, x1)), x0)
				}
				x0 = plus(x0, k(b, (group+1)%3))
				x1 = plus(plus(x1, k(b, (group+2)%3)), b.Bits(uint32(group+1)))
			}
			b.Add(lane.OpStore, dst, x0)
			b.Add(lane.OpStore, bIn, x1)
		})
		r.fixed = saved
	}},
	{"AdamWRows", 0, func(r *rowBuilder) {
		// dst: new and a: old weights, x: gradients, b: first and c: second moments.
		// s = β1, 1-β1, β2, 1-β2, 1-lr·decay, lr/bias1, 1/√bias2, ε.
		k := func(b *lane.Builder, i int) lane.Value { return b.Add(lane.OpFixed, uint32(i)) }
		for i := range 8 {
			r.m.scalar(r.t, i, rowsScalars+4*i)
		}
		saved := r.fixed
		r.fixed = []int{0, 1, 2, 3, 4, 5, 6, 7}
		r.pass(func(b *lane.Builder) {
			g := b.Add(lane.OpLoad, xIn)
			m := b.Fma(b.Add(lane.OpLoad, bIn), k(b, 0), b.Times(g, k(b, 1)))
			b.Add(lane.OpStore, bIn, m)
			v := b.Fma(b.Add(lane.OpLoad, cIn), k(b, 2), b.Times(b.Times(g, g), k(b, 3)))
			b.Add(lane.OpStore, cIn, v)
			d := b.Fma(b.Add(lane.OpSqrt, 0, v), k(b, 6), k(b, 7))
			u := b.Add(lane.OpDiv, 0, b.Times(m, k(b, 5)), d)
			b.Add(lane.OpStore, dst, b.Add(lane.OpFMS, 0, b.Add(lane.OpLoad, aIn), k(b, 4), u))
		})
		r.fixed = saved
	}},
}

// rowsOf writes all row kernels for a machine.
func rowsOf(t *lane.Text, m machine, suffix string, consts map[uint32]bool) {
	for _, k := range rowKernels {
		r := &rowBuilder{t: t, m: m, consts: consts}
		for i := range 2*m.unroll() + 1 + rowScalars {
			r.fixed = append(r.fixed, i)
		}
		m.begin(t, unexport(k.name)+suffix)
		k.row(r)
		m.endRow(t, k.out)
		m.finish(t)
	}
}

func rowsX86(x lane.X86, suffix string) string {
	t := lane.NewText()
	consts := map[uint32]bool{0x3f800000: true, 127: true}
	rowsOf(t, &x86Rows{X86: x}, suffix, consts)
	constantTables(t, x.Wide, consts)
	if !x.Wide {
		tailMasks(t)
	}
	return t.String()
}

func rowsNEON() string {
	t := lane.NewText()
	rowsOf(t, &neonRows{}, "NEON", map[uint32]bool{})
	return t.String()
}

func rowsTable(levels ...string) string {
	var s strings.Builder
	s.WriteString("// Code generated by asmgen; DO NOT EDIT.\n\n//go:build !noasm\n\npackage vec\n\nimport \"loris/internal/cpu/feature\"\n")
	for _, l := range levels {
		for _, k := range rowKernels {
			fmt.Fprintf(&s, "\n//go:noescape\nfunc %s%s(r *rowArgs)\n", unexport(k.name), l)
		}
	}
	s.WriteString("\nvar rowMicros = map[feature.Level][rowKernelCount]rowMicro{\n")
	for _, l := range levels {
		fmt.Fprintf(&s, "\tfeature.%s: {\n", l)
		for _, k := range rowKernels {
			fmt.Fprintf(&s, "\t\tk%s: %s%s,\n", k.name, unexport(k.name), l)
		}
		s.WriteString("\t},\n")
	}
	s.WriteString("}\n")
	return s.String()
}

func rowsNames() string {
	var s strings.Builder
	s.WriteString("// Code generated by asmgen; DO NOT EDIT.\n\npackage vec\n\n// rowKernel names a kernel over rows.\ntype rowKernel int\n\nconst (\n")
	for i, k := range rowKernels {
		fmt.Fprintf(&s, "\tk%s", k.name)
		if i == 0 {
			s.WriteString(" rowKernel = iota")
		}
		s.WriteString("\n")
	}
	s.WriteString("\n\trowKernelCount\n)\n\nvar rowKernelNames = [rowKernelCount]string{\n")
	for _, k := range rowKernels {
		fmt.Fprintf(&s, "\t%q,\n", k.name)
	}
	s.WriteString("}\n")
	return s.String()
}
