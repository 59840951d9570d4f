package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/ir"
	"loris/internal/plan"
)

// product is a compiled MatMulStep or LoRAStep on float32.
type product struct {
	r     *run
	s     *plan.Step
	call  *gemm.Call // the sum of products
	ready *gemm.Call // the same with a packed first right factor, once there is one
	inner *gemm.Call // z@A of a LoRAStep
	terms []term     // factors of call
	low   term       // factors of inner
	h     []float32  // result of inner
	hSize int
	pr    *program // the epilogue
	batch int
}

// term are two factors: operands of the step.
type term struct {
	a, b  *plan.Operand // nil a: the result of the inner product
	alpha plan.Ref
}

// compileProduct returns the kernel of a MatMulStep or LoRAStep.
func (r *run) compileProduct(s *plan.Step) (kernel, error) {
	if s.In[0].DType != ir.F32 {
		return r.compileAnyProduct(s)
	}
	p := &product{r: r, s: s}
	x, w := &s.In[0], &s.In[1]
	p.terms = []term{{a: x, b: w}}
	switch {
	case s.Kind == plan.LoRAStep:
		p.low = term{a: &s.In[2], b: &s.In[3]}
		p.terms = append(p.terms, term{b: &s.In[4], alpha: s.Alpha})
	case s.Own == 4:
		p.terms = append(p.terms, term{a: &s.In[2], b: &s.In[3], alpha: s.Alpha})
	}
	p.flatten()
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return p.run, nil
}

// flatten turns a batch of products with one right factor into one product of
// more rows, where the left factor's rows lie evenly.
func (p *product) flatten() {
	p.batch = batchOf(&p.s.In[0]).Size()
	if p.batch == 1 {
		return
	}
	for i := range p.s.Own {
		o := &p.s.In[i]
		right := i == 1 || i == 3 || i == 4
		if right && !constantBatch(o) {
			return
		}
		if !right {
			if _, ok := rowsOf(o); !ok {
				return
			}
		}
	}
	p.batch = 1
}

func batchOf(o *plan.Operand) ir.Shape { return o.Shape[:len(o.Shape)-2] }

// constantBatch reports whether all items of the batch are the same matrix.
func constantBatch(o *plan.Operand) bool {
	for i, d := range batchOf(o) {
		if d > 1 && o.Strides[i] != 0 {
			return false
		}
	}
	return true
}

// rowsOf returns the stride of all rows of all items as one matrix.
func rowsOf(o *plan.Operand) (stride int, ok bool) {
	last := len(o.Shape) - 1
	v := plan.View{Shape: o.Shape[:last], Strides: o.Strides[:last]}.Collapse()
	return v.Strides[0], len(v.Shape) == 1
}

func (p *product) prepare() error {
	s := p.s
	x, w := &s.In[0], &s.In[1]
	n := len(x.Shape)
	rows, inner, cols := x.Shape[n-2], x.Shape[n-1], w.Shape[n-1]
	if p.batch == 1 {
		rows = x.Shape[:n-1].Size()
	}
	c := &gemm.Call{}
	p.call = c
	c.M, c.N = rows, cols
	c.C = gemm.Matrix{RowStride: cols, ColStride: 1}
	for _, t := range p.terms {
		g := gemm.Term{K: inner, B: matrixOf(t.b)}
		if t.a != nil {
			g.A = p.leftOf(t.a)
			g.K = t.a.Shape[n-1]
		} else {
			g.K = s.In[3].Shape[n-1]
			g.A = gemm.Matrix{RowStride: g.K, ColStride: 1}
		}
		c.Terms = append(c.Terms, g)
	}
	batch := p.offsets(func(i int) *plan.Operand {
		if i/2 >= len(p.terms) {
			return nil
		}
		if i%2 == 0 {
			return p.terms[i/2].a
		}
		return p.terms[i/2].b
	})
	if s.Kind == plan.LoRAStep {
		k := s.In[3].Shape[n-1]
		p.hSize = rows * k * p.batch
		p.inner = &gemm.Call{M: rows, N: k, C: gemm.Matrix{RowStride: k, ColStride: 1},
			Terms: []gemm.Term{{A: p.leftOf(p.low.a), B: matrixOf(p.low.b), K: s.In[2].Shape[n-1]}}}
		low := p.offsets(func(i int) *plan.Operand { return []*plan.Operand{p.low.a, p.low.b, nil, nil}[i] })
		for i := range low {
			low[i].C = i * rows * k
			batch[i].A[1] = i * rows * k
		}
		p.inner.Batch = low
	}
	for i := range batch {
		batch[i].C = i * rows * cols
	}
	c.Batch = batch
	if s.Program != nil {
		return p.epilogue(rows, cols)
	}
	return nil
}

// leftOf returns the layout of a left factor's rows.
func (p *product) leftOf(o *plan.Operand) gemm.Matrix {
	m := matrixOf(o)
	if p.batch == 1 && batchOf(o).Size() > 1 {
		m.RowStride, _ = rowsOf(o)
	}
	return m
}

func matrixOf(o *plan.Operand) gemm.Matrix {
	n := len(o.Shape)
	return gemm.Matrix{RowStride: o.Strides[n-2], ColStride: o.Strides[n-1]}
}

// offsets returns where the items of the batch lie in the factors; nil for one item.
func (p *product) offsets(factor func(i int) *plan.Operand) []gemm.Offsets {
	if p.batch == 1 {
		return nil
	}
	out := make([]gemm.Offsets, p.batch)
	shape := batchOf(&p.s.In[0])
	for item := range out {
		for i := range 4 {
			o := factor(i)
			if o == nil {
				continue
			}
			off, rest := 0, item
			for d := len(shape) - 1; d >= 0; d-- {
				off += rest % shape[d] * o.Strides[d]
				rest /= shape[d]
			}
			if i%2 == 0 {
				out[item].A[i/2] = off
			} else {
				out[item].B[i/2] = off
			}
		}
	}
	return out
}

// run computes the product.
func (p *product) run() error {
	r := p.r
	flag := r.b.Stop.Flag()
	if p.inner != nil {
		h, err := r.temp(4 * p.hSize)
		if err != nil {
			return err
		}
		p.inner.C.Data = h
		p.factor(&p.inner.Terms[0], p.low)
		if !p.inner.Run(r.pool, flag) {
			return nil
		}
		p.call.Terms[1].A.Data = h
	}
	c := p.call
	for i, t := range p.terms {
		p.factor(&c.Terms[i], t)
	}
	if w := p.weight(); w != nil {
		if p.ready == nil {
			p.ready = p.packedCall()
		}
		c = p.ready
		c.Terms[0].A.Data, c.Terms[0].Packed = p.call.Terms[0].A.Data, w
		for i := 1; i < len(c.Terms); i++ {
			c.Terms[i] = p.call.Terms[i]
		}
	}
	c.C.Data = r.at(&p.s.Out[0])
	c.Run(r.pool, flag)
	return nil
}

// weight returns the packed first right factor if it is one that stays.
func (p *product) weight() *gemm.PackedB {
	if p.batch != 1 || p.call.M < 4 {
		return nil
	}
	t := &p.call.Terms[0]
	return p.r.weight(p.terms[0].b, t.B, t.K, p.call.N)
}

// packedCall is the call for a packed first right factor.
func (p *product) packedCall() *gemm.Call {
	c := &gemm.Call{M: p.call.M, N: p.call.N, C: p.call.C, Epilogue: p.call.Epilogue}
	c.Terms = append(c.Terms, p.call.Terms...)
	c.Terms[0].B = gemm.Matrix{}
	return c
}

// factor binds the addresses of a term.
func (p *product) factor(g *gemm.Term, t term) {
	r := p.r
	if t.a != nil {
		g.A.Data = r.at(t.a)
	}
	g.B.Data = r.at(t.b)
	if t.alpha.Kind == plan.ConstRef {
		g.Alpha = float32(r.b.Consts[t.alpha.Index])
	}
}

// epilogue compiles the program and hooks it into the product: it runs on each
// finished part, row by row.
func (p *product) epilogue(rows, cols int) error {
	pr, err := compileProgram(p.r.plan, p.s)
	if err != nil {
		return err
	}
	p.pr = pr
	p.call.Epilogue = func(item, i0, i1, j0, j1 int) {
		b, err := p.r.dev.mem.Alloc(pr.scratchBytes())
		if err != nil {
			panic(err)
		}
		defer p.r.dev.mem.Free(b)
		p.finish(b.Pointer(), item*rows+i0, item*rows+i1, cols, j0, j1)
	}
	return nil
}

// finish runs the epilogue on rows i0 to i1 of the result, columns j0 to j1.
func (p *product) finish(scratch unsafe.Pointer, i0, i1, cols, j0, j1 int) {
	pv := p.pr.start(p.r, scratch)
	base := p.r.at(&p.s.Out[0])
	part := func(o, n int) {
		for ; n > 0; n, o = n-p.pr.tile, o+p.pr.tile {
			if p.pr.acc >= 0 {
				pv[p.pr.acc] = unsafe.Add(base, 4*o)
			}
			p.pr.runTile(p.r, pv, o, min(n, p.pr.tile), 0, 0, p.pr.actions, false)
		}
	}
	if j0 == 0 && j1 == cols {
		part(i0*cols, (i1-i0)*cols)
		return
	}
	for i := i0; i < i1; i++ {
		part(i*cols+j0, j1-j0)
	}
}
