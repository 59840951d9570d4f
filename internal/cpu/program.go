package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/ir"
	"loris/internal/plan"
)

// A program runs through an interpreter: tile by tile, each instruction runs a
// kernel over the tile, and its result lies in a register, a piece of the
// worker's scratch memory that stays in the first-level cache. A tile is a range
// of elements, or some whole rows where the program has results per row, or a
// part of one long row that is only reduced.
//
// Halves are computed in float32: a register never holds them.

// tileElements is the size of a tile: 4 KiB of float32.
const tileElements = 1024

// micro computes n elements; unused arguments are nil.
type micro func(dst, a, b, c unsafe.Pointer, n int)

// slot is a pointer that instructions use: an input, a register, an output.
type slot int16

// action is one thing that the interpreter does for each tile.
type action struct {
	kind       actionKind
	row        bool // over the rows of the tile, not its elements
	f          micro
	dst        slot
	a, b, c    slot
	load       int // operand, for loads and stores
	rowOp      rowOp
	byRow      rowMicro
	reduce     reducer
	combine    reducer // of results of reduce
	elem, dstE int     // bytes of an element of a and dst
}

type actionKind uint8

const (
	doMicro  actionKind = iota
	doLoad              // gather a strided or half operand into a register
	doStore             // write a register to an output, converting
	doReduce            // elements to rows
	doSpread            // rows to elements
	doRepeat            // rows to the blocks that doByRow takes
	doByRow             // elements of a row with one number of it
	doRowOp             // all elements of a row to all
)

// direct is a slot that points into an operand and moves with the tile.
type direct struct {
	slot    slot
	operand int // index in Step.In, or in Step.Out if out
	out     bool
	row     bool
	bytes   int
}

// splat is a slot that holds a constant (or a one-element operand) in every element.
type splat struct {
	slot     slot
	n        int
	operand  int // -1: constant
	constant int32
	dtype    ir.DType
}

// program is a compiled plan.Program.
type program struct {
	s        *plan.Step
	p        *plan.Program
	actions  []action
	finish   []action // run at the end of each row when rows are cut
	directs  []direct
	splats   []splat
	loads    []loader
	slots    int
	offsets  []int // of registers in the scratch, -1 for directs
	scratch  int
	cut      bool // tiles are parts of rows
	rowsTile int  // rows of a tile, 0 for flat programs
	tile     int  // elements of a tile
	cost     float64
	acc      slot // the product's slot in an epilogue, -1 if none
}

// compileFused returns the kernel of a FusedStep.
func (r *run) compileFused(s *plan.Step) (kernel, error) {
	if s.Program.Rows*s.Program.Cols == 0 {
		return func() error { return nil }, nil
	}
	if k, ok, err := r.compileElementwise(s); ok || err != nil {
		return k, err
	}
	if k, ok := r.compileNormResidual(s); ok {
		return k, nil
	}
	pr, err := compileProgram(r.plan, s)
	if err != nil {
		return nil, err
	}
	if pr.cut && pr.p.Rows < 2*r.pool.Threads() {
		if parts := r.chunksFor(pr.cost/float64(pr.p.Rows), pr.p.Cols/(4*pr.tile)); parts > 1 {
			return pr.cutRows(r, parts), nil
		}
	}
	tiles := pr.tiles()
	chunks := r.chunksFor(pr.cost, tiles)
	f := func(i int, w *pool.Worker) { pr.run(r, w, tiles*i/chunks, tiles*(i+1)/chunks) }
	return func() error { r.split(chunks, pr.cost, f); return nil }, nil
}

// tiles returns how many tiles the program has.
func (pr *program) tiles() int {
	if pr.rowsTile > 0 {
		return (pr.p.Rows + pr.rowsTile - 1) / pr.rowsTile
	}
	n := pr.p.Rows * pr.p.Cols
	return (n + pr.tile - 1) / pr.tile
}

// run runs tiles from to to-1.
func (pr *program) run(r *run, w *pool.Worker, from, to int) {
	if !pr.cut {
		pr.runElements(r, w, from*pr.tile, min(to*pr.tile, pr.p.Rows*pr.p.Cols))
		return
	}
	pv := pr.start(r, w.Scratch(pr.scratchBytes()).Pointer())
	for row := from; row < to; row++ {
		if (row-from)&63 == 63 && r.stopped() {
			return
		}
		pr.cutRow(r, pv, row)
	}
}

// runElements runs elements from to to-1, whole rows if the program has rows, which are
// not cut.
func (pr *program) runElements(r *run, w *pool.Worker, from, to int) {
	pv := pr.start(r, w.Scratch(pr.scratchBytes()).Pointer())
	for t, o := 0, from; o < to; t, o = t+1, o+pr.tile {
		if t&63 == 63 && r.stopped() {
			return
		}
		n, row, rows := min(pr.tile, to-o), 0, 0
		if pr.rowsTile > 0 {
			row, rows = o/pr.p.Cols, n/pr.p.Cols
		}
		pr.runTile(r, pv, o, n, row, rows, pr.actions, false)
	}
}

// scratchBytes is the memory that start needs.
func (pr *program) scratchBytes() int { return pr.scratch + 8*pr.slots }

// start lays out the registers in scratch and fills the constants.
func (pr *program) start(r *run, scratch unsafe.Pointer) []unsafe.Pointer {
	pv := slice[unsafe.Pointer](unsafe.Add(scratch, pr.scratch), pr.slots)
	for i, o := range pr.offsets {
		if o >= 0 {
			pv[i] = unsafe.Add(scratch, o)
		} else {
			pv[i] = nil
		}
	}
	for i := range pr.splats {
		s := &pr.splats[i]
		if s.operand >= 0 {
			loadScalar(pv[s.slot], r.at(&pr.s.In[s.operand]), s.dtype, s.n)
		} else {
			fillConst(pv[s.slot], s.dtype, r.b.Consts[s.constant], s.n)
		}
	}
	return pv
}

// cutRow runs one row in parts, then what follows from its results.
func (pr *program) cutRow(r *run, pv []unsafe.Pointer, row int) {
	for c := 0; c < pr.p.Cols; c += pr.tile {
		pr.runTile(r, pv, row*pr.p.Cols+c, min(pr.tile, pr.p.Cols-c), row, 1, pr.actions, c > 0)
	}
	pr.runTile(r, pv, row*pr.p.Cols, 0, row, 1, pr.finish, false)
}

// runTile runs actions on n elements from element o, rows rows from row.
func (pr *program) runTile(r *run, pv []unsafe.Pointer, o, n, row, rows int, actions []action, more bool) {
	if pr.acc >= 0 {
		pv[pr.acc] = unsafe.Add(r.product, 4*o)
	}
	for i := range pr.directs {
		d := &pr.directs[i]
		op := &pr.s.Out
		if !d.out {
			op = &pr.s.In
		}
		at := o
		if d.row {
			at = row
		}
		pv[d.slot] = unsafe.Add(r.at(&(*op)[d.operand]), at*d.bytes)
	}
	pr.do(r, pv, o, n, row, rows, actions, more)
}

// do runs actions on a tile whose direct slots are set.
func (pr *program) do(r *run, pv []unsafe.Pointer, o, n, row, rows int, actions []action, more bool) {
	for i := range actions {
		a := &actions[i]
		k := n
		if a.row {
			k = rows
		}
		switch a.kind {
		case doMicro:
			a.f(pv[a.dst], pv[a.a], pv[a.b], pv[a.c], k)
		case doLoad:
			l := &pr.loads[a.load]
			at := o
			if a.row {
				at = row
			}
			l.load(pv[a.dst], r.at(&pr.s.In[l.operand]), at, k)
		case doStore:
			storeRange(pv[a.dst], pv[a.a], pr.s.Out[a.load].DType, k)
		case doReduce:
			a.reduce(pv[a.dst], pv[a.a], rows, n/rows, more)
		case doSpread:
			spread(pv[a.dst], pv[a.a], a.elem, rows, n/rows)
		case doRepeat:
			spread(pv[a.dst], pv[a.a], 4, rows, vec.Repeats)
		case doByRow:
			a.byRow(pv[a.dst], pv[a.a], pv[a.b], rows, n/rows)
		case doRowOp:
			a.rowOp(pv[a.dst], pv[a.a], pv[a.b], pv[a.c], rows, n/rows)
		}
	}
}

// cutRows returns the kernel of a program over few long rows: the parts of each
// row are reduced apart, then together.
func (pr *program) cutRows(r *run, parts int) kernel {
	var sums []*action
	for i := range pr.actions {
		if pr.actions[i].kind == doReduce {
			sums = append(sums, &pr.actions[i])
		}
	}
	var partial unsafe.Pointer
	at := func(row, part, sum int) unsafe.Pointer {
		return unsafe.Add(partial, 8*((row*parts+part)*len(sums)+sum))
	}
	tiles := (pr.p.Cols + pr.tile - 1) / pr.tile
	job := func(c int, w *pool.Worker) {
		row, part := c/parts, c%parts
		pv := pr.start(r, w.Scratch(pr.scratchBytes()).Pointer())
		first := tiles * part / parts
		for t := first; t < tiles*(part+1)/parts; t++ {
			if (t-first)&63 == 63 && r.stopped() {
				return
			}
			o := t * pr.tile
			pr.runTile(r, pv, row*pr.p.Cols+o, min(pr.tile, pr.p.Cols-o), row, 1, pr.actions, t > first)
		}
		for i, a := range sums {
			copy(slice[byte](at(row, part, i), a.dstE), slice[byte](pv[a.dst], a.dstE))
		}
	}
	return func() error {
		partial = r.mustTemp(8 * pr.p.Rows * parts * len(sums))
		r.split(pr.p.Rows*parts, pr.cost, job)
		if r.stopped() {
			return nil
		}
		pv := pr.start(r, r.mustTemp(pr.scratchBytes()))
		for row := range pr.p.Rows {
			for i, a := range sums {
				for part := range parts {
					a.combine(pv[a.dst], at(row, part, i), 1, 1, part > 0)
				}
			}
			pr.runTile(r, pv, row*pr.p.Cols, 0, row, 1, pr.finish, false)
		}
		return nil
	}
}
