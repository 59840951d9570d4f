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

	from, count, chunks int // rows of the general program's run in progress
	job                 pool.Func
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
	if e.out >= 0 && writtenBeforeRead(s.Program, s.Program.Stores[e.out].Ref) {
		e.out = -1
	}
	var err error
	e.general, err = compileProgram(r.plan, s)
	e.job = func(c int, w *pool.Worker) {
		e.general.runElements(r, w, e.cols*(e.from+e.count*c/e.chunks), e.cols*(e.from+e.count*(c+1)/e.chunks))
	}
	return e, err
}

// writtenBeforeRead reports whether the interpreter may write a result before the last
// instruction that reads the product: stored in the same memory, it would destroy that.
func writtenBeforeRead(p *plan.Program, result plan.Ref) bool {
	if result.Kind != plan.InstrRef {
		return true
	}
	for _, st := range p.Stores {
		if st.Ref.Kind == plan.AccRef {
			return true
		}
	}
	for i := int(result.Index) + 1; i < len(p.Instrs); i++ {
		for _, a := range p.Instrs[i].Args[:p.Instrs[i].NArgs] {
			if a.Kind == plan.AccRef {
				return true
			}
		}
	}
	return false
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
		if outRow[i] = s.Out[i].DType.Bytes(); !s.Program.Stores[i].Row {
			outRow[i] *= e.cols
		}
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
	r.product, e.from, e.count, e.chunks = acc, row, rows, r.chunksFor(cost, rows)
	r.split(e.chunks, cost, e.job)
	r.product = nil
}
