package cpu

import (
	"fmt"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// compiler turns a plan.Program into actions over slots. Registers are reused
// once their value has been used for the last time.
type compiler struct {
	pr    *program
	p     *plan.Program
	s     *plan.Step
	plan  *plan.Plan
	alias []int // for each output: the input whose memory it takes over, or -1

	value   []slot // slot of each instruction's result
	spreads map[slot]slot
	repeats map[slot]slot
	inputs  map[inputUse]slot
	consts  map[constUse]slot
	last    []int  // last instruction that uses each instruction's result
	lastIn  []int  // and each input
	free    []slot // registers of elements
	freeRow []slot
	size    []int // bytes of each register, 0 for directs
	isRow   []bool
	wide    int     // bytes of an element of a register
	at      int     // instruction being compiled
	nanos   float64 // of the instructions so far, for each element
}

// What an instruction takes for an element on one thread, in nanoseconds: with vectors
// and without; and what reading and writing take.
const (
	fastNanos = 0.08
	slowNanos = 0.8
	moveNanos = 0.1
)

type inputUse struct {
	input int32
	row   bool
}

type constUse struct {
	constant int32
	row      bool
}

const noSlot = slot(0) // slot 0 is always nil

// computed returns the dtype that registers hold for values of d.
func computed(d ir.DType) ir.DType {
	if d == ir.F16 || d == ir.BF16 {
		return ir.F32
	}
	return d
}

func compileProgram(p *plan.Plan, s *plan.Step) (*program, error) {
	pr := &program{s: s, p: s.Program, acc: -1}
	c := &compiler{pr: pr, p: s.Program, s: s, plan: p, spreads: map[slot]slot{}, repeats: map[slot]slot{}, inputs: map[inputUse]slot{}, consts: map[constUse]slot{}}
	c.newSlot(0, false)
	c.shape()
	c.lastUses()
	c.findAliases()
	c.value = make([]slot, len(c.p.Instrs))
	for i := range c.p.Instrs {
		c.at = i
		if err := c.instr(i); err != nil {
			return nil, err
		}
		c.release(i)
	}
	pr.cost = float64(c.p.Rows*c.p.Cols) * (moveNanos + c.nanos)
	c.at = len(c.p.Instrs)
	c.stores()
	c.layout()
	return pr, nil
}

// shape decides what a tile is.
func (c *compiler) shape() {
	pr, p := c.pr, c.p
	c.wide = 4
	for i := range p.Instrs {
		c.wide = max(c.wide, computed(p.Instrs[i].DType).Bytes())
	}
	for i := range p.Inputs {
		c.wide = max(c.wide, computed(p.Inputs[i].DType).Bytes())
	}
	pr.tile = tileElements
	if !p.HasRows() && !c.hasRowInputs() {
		pr.tile = min(pr.tile, p.Rows*p.Cols)
		return
	}
	inPlace := c.reducesInPlace()
	if p.Cols > 4*tileElements && !c.rowsFeedElements() {
		pr.cut, pr.rowsTile = true, 1
		switch {
		case inPlace:
			pr.tile *= 8
		case len(p.Instrs) <= 3: // few registers: longer tiles stay in the first-level cache, too
			pr.tile *= 4
		}
		return
	}
	// Longer tiles cost less for each row, as long as there are enough of them: registers
	// leave the first-level cache, but the calls of each row cost more than that. Without
	// registers nothing bounds a tile.
	most := 4 * tileElements
	if inPlace {
		most *= 4
	}
	pr.rowsTile = max(1, min(p.Rows, tileElements/p.Cols), min(p.Rows/16, most/p.Cols))
	pr.tile = pr.rowsTile * p.Cols
}

// reducesInPlace reports whether a program only reduces operands, which it reads where
// they lie.
func (c *compiler) reducesInPlace() bool {
	for i := range c.p.Instrs {
		if in := &c.p.Instrs[i]; !in.Row || isReduction(in.Op) && in.Args[0].Kind != plan.InputRef {
			return false
		}
	}
	for i := range c.p.Inputs {
		if d := c.p.Inputs[i].DType; !c.s.In[c.s.Own+i].IsDense() || computed(d) != d {
			return false
		}
	}
	return c.s.Own == 0
}

func (c *compiler) hasRowInputs() bool {
	for i := range c.p.Inputs {
		if c.p.Inputs[i].Kind == plan.RowInput {
			return true
		}
	}
	return false
}

// isRowRef reports whether a reference is one value per row.
func (c *compiler) isRowRef(r plan.Ref) bool {
	return r.Kind == plan.InstrRef && c.p.Instrs[r.Index].Row || r.Kind == plan.InputRef && c.p.Inputs[r.Index].Kind == plan.RowInput
}

// rowsFeedElements reports whether some element needs a result of its whole row.
func (c *compiler) rowsFeedElements() bool {
	for i := range c.p.Instrs {
		in := &c.p.Instrs[i]
		if isRowOp(in.Op) {
			return true
		}
		for _, a := range in.Args[:in.NArgs] {
			if !in.Row && a.Kind == plan.InstrRef && c.isRowRef(a) {
				return true
			}
		}
	}
	for _, st := range c.p.Stores {
		if !st.Row && c.isRowRef(st.Ref) {
			return true
		}
	}
	return false
}

func isRowOp(o ir.Op) bool {
	return o == op.Softmax || o == op.LogSoftmax || o == op.RMSNorm || o == op.LayerNorm
}

func (c *compiler) lastUses() {
	c.last = make([]int, len(c.p.Instrs))
	c.lastIn = make([]int, len(c.p.Inputs))
	use := func(r plan.Ref, at int) {
		switch r.Kind {
		case plan.InstrRef:
			c.last[r.Index] = at
		case plan.InputRef:
			c.lastIn[r.Index] = at
		}
	}
	for i := range c.p.Instrs {
		c.last[i] = i
		in := &c.p.Instrs[i]
		for _, a := range in.Args[:in.NArgs] {
			use(a, i)
		}
	}
	for _, st := range c.p.Stores {
		use(st.Ref, len(c.p.Instrs))
	}
}

// findAliases notes which outputs are written over inputs.
func (c *compiler) findAliases() {
	c.alias = make([]int, len(c.s.Out))
	for k := range c.s.Out {
		c.alias[k] = -1
		a := c.plan.Buffers[c.s.Out[k].Buffer].Alias
		for j := c.s.Own; j < len(c.s.In) && a >= 0; j++ {
			if c.s.In[j].Buffer == a {
				c.alias[k] = j - c.s.Own
			}
		}
	}
}

// newSlot returns a slot with a register of the given bytes, or without one.
func (c *compiler) newSlot(bytes int, row bool) slot {
	c.size = append(c.size, bytes)
	c.isRow = append(c.isRow, row)
	return slot(len(c.size) - 1)
}

// register returns a register for elements or rows.
func (c *compiler) register(row bool) slot {
	list := &c.free
	n := c.pr.tile
	if row {
		list, n = &c.freeRow, max(1, c.pr.rowsTile)
	}
	if k := len(*list); k > 0 {
		s := (*list)[k-1]
		*list = (*list)[:k-1]
		return s
	}
	return c.newSlot(n*c.wide, row)
}

// release frees the registers whose values instruction i used last.
func (c *compiler) release(i int) {
	give := func(s slot) {
		if s == noSlot || c.size[s] == 0 {
			return
		}
		switch {
		case c.isRow[s]:
			c.freeRow = append(c.freeRow, s)
		case c.size[s] >= c.pr.tile*c.wide: // not the register of one row, a loaded weight
			c.free = append(c.free, s)
		}
	}
	if c.pr.cut {
		return // results per row outlive the tile; registers are not reused
	}
	for j := range i + 1 {
		if c.last[j] == i && !c.stored(int32(j)) {
			s := c.value[j]
			give(s)
			c.last[j] = -1
			delete(c.repeats, s)
			if e, ok := c.spreads[s]; ok && c.p.Instrs[j].Row {
				give(e)
				delete(c.spreads, s)
			}
		}
	}
	for u, s := range c.inputs {
		if c.lastIn[u.input] == i {
			if !c.splatted(s) { // filled once, for all tiles
				give(s)
			}
			delete(c.inputs, u)
			delete(c.repeats, s)
			if e, ok := c.spreads[s]; ok {
				give(e)
				delete(c.spreads, s)
			}
		}
	}
}

// splatted reports whether slot s repeats one element.
func (c *compiler) splatted(s slot) bool {
	for i := range c.pr.splats {
		if c.pr.splats[i].slot == s {
			return true
		}
	}
	return false
}

// stored reports whether instruction i's result is an output.
func (c *compiler) stored(i int32) bool {
	for _, st := range c.p.Stores {
		if st.Ref == (plan.Ref{Kind: plan.InstrRef, Index: i}) {
			return true
		}
	}
	return false
}

// add appends an action; what needs results of a whole row waits for its end
// where rows are cut.
func (c *compiler) add(a action, late bool) {
	if c.pr.cut && late {
		c.pr.finish = append(c.pr.finish, a)
		return
	}
	c.pr.actions = append(c.pr.actions, a)
}

// dtypeOf returns the dtype of what a reference points to.
func (c *compiler) dtypeOf(r plan.Ref) ir.DType {
	switch r.Kind {
	case plan.InstrRef:
		return c.p.Instrs[r.Index].DType
	case plan.InputRef:
		return c.p.Inputs[r.Index].DType
	case plan.ConstRef:
		return c.plan.Consts[r.Index]
	}
	return ir.F32
}

func (c *compiler) instr(i int) error {
	in := &c.p.Instrs[i]
	late := in.Row && !isReduction(in.Op)
	a := action{row: in.Row}
	args := [3]slot{}
	from := computed(c.dtypeOf(in.Args[0]))
	repeated := c.repeated(in, from)
	for k := range in.NArgs {
		if int(k) == repeated {
			args[k] = c.repeat(in.Args[k])
			continue
		}
		args[k] = c.arg(in.Args[k], in.Row && !isReduction(in.Op))
	}
	switch {
	case repeated >= 0:
		a.kind, a.byRow = doByRow, byRow(vecOps[in.Op], repeated)
		c.count(in, true)
	case isReduction(in.Op):
		a.kind, a.row = doReduce, false
		a.reduce = reducers(in.Op, from)
		if in.Op == op.Sum && from == ir.F32 {
			a.reduce = c.sumOf(vec.Sum)
		}
		a.combine = a.reduce
		if before := c.takes(i); before != nil {
			n := len(c.pr.actions) - 1
			args[0], a.reduce = c.pr.actions[n].a, before
			c.pr.actions = c.pr.actions[:n]
		}
		a.elem, a.dstE = from.Bytes(), computed(in.DType).Bytes()
		if a.reduce == nil {
			return fmt.Errorf("no kernel for %s of %s in a program", op.NameOf(in.Op), from)
		}
		c.count(in, from == ir.F32)
	case isRowOp(in.Op):
		a.kind = doRowOp
		a.rowOp = rowOps(in, c.p.Cols)
		a.elem, a.dstE = 4, 4
		c.count(in, true)
	default:
		if in.Op == op.Where {
			from = computed(c.dtypeOf(in.Args[1]))
		}
		a.f = microFor(in, from, c.dtypeOf(in.Args[0]))
		if a.f == nil {
			return fmt.Errorf("no kernel for %s of %s", op.NameOf(in.Op), from)
		}
		c.count(in, fast(in, from) != nil)
	}
	a.a, a.b, a.c = args[0], args[1], args[2]
	a.dst = c.target(i)
	c.value[i] = a.dst
	c.add(a, late)
	return nil
}

// count adds the time of an instruction.
func (c *compiler) count(in *plan.Instr, vectors bool) {
	switch {
	case in.Row && !isReduction(in.Op):
	case vectors && feature.Active() != feature.Generic:
		c.nanos += fastNanos
	default:
		c.nanos += slowNanos
	}
}

// takes returns the reducer that does the last action too, if that squares or widens what
// sum i alone reads; else nil.
func (c *compiler) takes(i int) reducer {
	x, n := c.p.Instrs[i].Args[0], len(c.pr.actions)
	if c.p.Instrs[i].Op != op.Sum || x.Kind != plan.InstrRef || int(x.Index) != i-1 || c.last[x.Index] != i || c.stored(x.Index) ||
		n == 0 || c.pr.actions[n-1].kind != doMicro || c.pr.actions[n-1].dst != c.value[x.Index] {
		return nil
	}
	switch y := &c.p.Instrs[x.Index]; {
	case y.Op == op.Square && y.DType == ir.F32:
		return c.sumOf(vec.SumSquares)
	case y.Op == op.Cast && y.DType == ir.F32 && computed(c.dtypeOf(y.Args[0])) == ir.F32:
		return c.sumOf(vec.Sum) // registers hold halves as f32
	case y.Op == op.Cast && y.DType == ir.I64:
		return castSums(c.dtypeOf(y.Args[0]))
	}
	return nil
}

// sumOf returns the reducer of float32 by a kernel that sums rows.
func (c *compiler) sumOf(kernel rowSum) reducer {
	if c.pr.cut {
		return sumOfParts(kernel)
	}
	return vecReducer(kernel, func(a, b float32) float32 { return a + b })
}

// target returns where instruction i writes: straight to an output if nothing
// that is still needed lies there, else to a register.
func (c *compiler) target(i int) slot {
	in := &c.p.Instrs[i]
	for k, st := range c.p.Stores {
		if st.Ref != (plan.Ref{Kind: plan.InstrRef, Index: int32(i)}) || st.Row != in.Row || c.s.Out[k].DType != computed(in.DType) {
			continue
		}
		if a := c.alias[k]; a >= 0 && c.lastIn[a] > i {
			continue
		}
		if in.Row && c.pr.cut {
			continue
		}
		s := c.newSlot(0, in.Row)
		c.pr.directs = append(c.pr.directs, direct{slot: s, operand: k, out: true, row: in.Row, bytes: c.s.Out[k].DType.Bytes()})
		return s
	}
	return c.register(in.Row)
}

// stores writes the outputs that no instruction wrote in place.
func (c *compiler) stores() {
	for k, st := range c.p.Stores {
		if st.Ref.Kind == plan.InstrRef {
			s := c.value[st.Ref.Index]
			if c.isOutput(s, k) {
				continue
			}
		}
		s := c.arg(st.Ref, st.Row)
		out := c.newSlot(0, st.Row)
		c.pr.directs = append(c.pr.directs, direct{slot: out, operand: k, out: true, row: st.Row, bytes: c.s.Out[k].DType.Bytes()})
		c.add(action{kind: doStore, row: st.Row, dst: out, a: s, load: k}, st.Row)
	}
}

// isOutput reports whether slot s points into output k.
func (c *compiler) isOutput(s slot, k int) bool {
	for _, d := range c.pr.directs {
		if d.slot == s && d.out && d.operand == k {
			return true
		}
	}
	return false
}

// layout places the registers behind each other, each on its own cache lines.
func (c *compiler) layout() {
	c.pr.slots = len(c.size)
	c.pr.offsets = make([]int, len(c.size))
	at := 0
	for i, n := range c.size {
		if n == 0 {
			c.pr.offsets[i] = -1
			continue
		}
		c.pr.offsets[i] = at
		at += (n + 63) &^ 63
	}
	c.pr.scratch = at
}

func isReduction(o ir.Op) bool {
	switch o {
	case op.Sum, op.Prod, op.Max, op.Min, op.Any, op.All:
		return true
	}
	return false
}
