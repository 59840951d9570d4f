package cpu

import (
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/plan"
)

// This file finds or fills the slots that the instructions of a program read.

// arg returns a slot with the elements (or rows) of a reference.
func (c *compiler) arg(r plan.Ref, row bool) slot {
	switch r.Kind {
	case plan.AccRef:
		if c.pr.acc < 0 {
			c.pr.acc = c.newSlot(0, false)
		}
		return c.pr.acc
	case plan.ConstRef:
		use := constUse{r.Index, row}
		s, ok := c.consts[use]
		if !ok {
			n := c.pr.tile
			if row {
				n = max(1, c.pr.rowsTile)
			}
			s = c.newSlot(n*c.wide, row)
			c.consts[use] = s
			c.pr.splats = append(c.pr.splats, splat{s, n, -1, r.Index, computed(c.dtypeOf(r))})
		}
		return s
	case plan.InputRef:
		return c.input(r, row)
	}
	s := c.value[r.Index]
	if c.p.Instrs[r.Index].Row && !row {
		return c.spread(s, c.dtypeOf(r))
	}
	return s
}

// spread returns a register with a row result repeated along its row.
func (c *compiler) spread(s slot, d ir.DType) slot {
	if e, ok := c.spreads[s]; ok {
		return e
	}
	e := c.register(false)
	c.spreads[s] = e
	b := computed(d).Bytes()
	c.add(action{kind: doSpread, dst: e, a: s, elem: b, dstE: b}, true)
	return e
}

// repeated returns which operand of an elementwise instruction is one number for each
// row that its kernel can repeat by itself, or -1.
func (c *compiler) repeated(in *plan.Instr, from ir.DType) int {
	const fewest = 64 // columns from which a call for each row pays
	if in.Row || in.NArgs != 2 || isRowOp(in.Op) || c.p.Cols < fewest || c.isRowRef(in.Args[0]) == c.isRowRef(in.Args[1]) || fast(in, from) == nil {
		return -1
	}
	if c.isRowRef(in.Args[0]) {
		return 0
	}
	return 1
}

// repeat returns a register with the block that kernels read for each number of a row result.
func (c *compiler) repeat(r plan.Ref) slot {
	s := c.arg(r, true)
	if e, ok := c.repeats[s]; ok {
		return e
	}
	e := c.newSlot(c.pr.rowsTile*vec.Repeats*4, false)
	c.repeats[s] = e
	c.add(action{kind: doRepeat, dst: e, a: s}, true)
	return e
}

// input returns a slot for an operand: a pointer into it where its elements lie
// in order, else a register that a load fills.
func (c *compiler) input(r plan.Ref, row bool) slot {
	in := c.p.Inputs[r.Index]
	isRow := in.Kind == plan.RowInput
	key := inputUse{r.Index, isRow}
	s, ok := c.inputs[key]
	if !ok {
		s = c.loadInput(int(r.Index), in, isRow)
		c.inputs[key] = s
	}
	if isRow && !row {
		return c.spread(s, in.DType)
	}
	return s
}

func (c *compiler) loadInput(i int, in plan.Input, row bool) slot {
	o := &c.s.In[c.s.Own+i]
	if computed(in.DType) == in.DType && (o.IsDense() || in.Kind == plan.ColInput && o.Collapse().Strides[0] == 1) {
		s := c.newSlot(0, row)
		d := direct{slot: s, operand: c.s.Own + i, row: row}
		if in.Kind != plan.ColInput { // which all tiles read from its start
			d.bytes = in.DType.Bytes()
		}
		c.pr.directs = append(c.pr.directs, d)
		return s
	}
	if o.IsScalar() && in.Kind == plan.EachInput {
		s := c.newSlot(c.pr.tile*c.wide, false)
		c.pr.splats = append(c.pr.splats, splat{s, c.pr.tile, c.s.Own + i, 0, in.DType})
		return s
	}
	l := newLoader(o, c.s.Own+i)
	if in.Kind == plan.ColInput { // loaded once for each tile
		l.fixed = c.p.Cols
		s := c.newSlot(c.p.Cols*c.wide, false)
		c.pr.loads = append(c.pr.loads, l)
		c.add(action{kind: doLoad, dst: s, load: len(c.pr.loads) - 1}, false)
		return s
	}
	s := c.register(row)
	c.pr.loads = append(c.pr.loads, l)
	c.add(action{kind: doLoad, row: row, dst: s, load: len(c.pr.loads) - 1}, row)
	return s
}
