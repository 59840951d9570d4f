package cpu

import (
	"unsafe"

	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/plan"
)

// epilogue is the program that follows a matrix product: it runs on blocks of
// rows of the result, which lies in an output of the step where one is float32.
type epilogue struct {
	s       *plan.Step
	cols    int
	rows    int
	out     int // output that holds the product, -1: memory of its own
	kernels map[int]*vecKernel
	general *program // where package vec cannot express the program
}

// newEpilogue compiles the program of a product of rows x cols for blocks of the
// given numbers of rows.
func (r *run) newEpilogue(s *plan.Step, blocks []int, rows, cols int) (*epilogue, error) {
	e := &epilogue{s: s, cols: cols, rows: rows, out: -1, kernels: map[int]*vecKernel{}}
	for k := range s.Out {
		if s.Out[k].DType == ir.F32 && !s.Program.Stores[k].Row && !aliased(r.plan, s.Out[k].Buffer) {
			e.out = k
			break
		}
	}
	if e.compile(r, blocks) {
		return e, nil
	}
	e.out = -1 // the interpreter may write outputs before it has read the product
	var err error
	e.general, err = compileProgram(r.plan, s)
	return e, err
}

func aliased(p *plan.Plan, buffer int) bool { return p.Buffers[buffer].Alias >= 0 }

// compile makes a kernel for each size of block; false where package vec or
// strides over rows cannot express the program.
func (e *epilogue) compile(r *run, blocks []int) bool {
	s := e.s
	var strides [][]int
	var inRow []int
	for i := s.Own; i < len(s.In); i++ {
		v, ok := s.In[i].View.Reshape(ir.Shape{e.rows, e.cols})
		if !ok {
			return false
		}
		strides = append(strides, v.Strides)
		inRow = append(inRow, v.Strides[0]*s.In[i].DType.Bytes())
	}
	outRow := make([]int, len(s.Out))
	for i := range s.Out {
		outRow[i] = e.cols * s.Out[i].DType.Bytes()
	}
	for _, n := range blocks {
		b, ok := r.newVecProgram(s, append([][]int(nil), strides...), 2)
		if !ok {
			return false
		}
		k, err := b.bind(ir.Shape{n, e.cols})
		if err != nil {
			return false
		}
		k.inRow, k.outRow = inRow, outRow
		e.kernels[n] = k
	}
	return true
}

// target returns where the product is to be written.
func (e *epilogue) target(r *run) unsafe.Pointer {
	if e.out >= 0 {
		return r.at(&e.s.Out[e.out])
	}
	return r.mustTemp(4 * e.rows * e.cols)
}

// run finishes rows of the product from row on, of all items of a batch.
func (e *epilogue) run(r *run, row, rows, batch int, acc unsafe.Pointer) {
	rows *= batch
	if e.general == nil {
		e.kernels[rows].run(r, row, unsafe.Add(acc, 4*row*e.cols))
		return
	}
	cost := e.general.cost * float64(rows) / float64(e.rows)
	chunks := r.chunksFor(cost, rows)
	r.split(chunks, cost, func(c int, w *pool.Worker) {
		e.interpret(r, w, acc, row+rows*c/chunks, row+rows*(c+1)/chunks)
	})
}

// interpret runs the general program over whole rows.
func (e *epilogue) interpret(r *run, w *pool.Worker, acc unsafe.Pointer, from, to int) {
	pr := e.general
	pv := pr.start(r, w.Scratch(pr.scratchBytes()).Pointer())
	for o := from * e.cols; o < to*e.cols; o += pr.tile {
		if pr.acc >= 0 {
			pv[pr.acc] = unsafe.Add(acc, 4*o)
		}
		pr.runTile(r, pv, o, min(pr.tile, to*e.cols-o), 0, 0, pr.actions, false)
	}
}
