package cpu

import (
	"unsafe"

	"loris/internal/cpu/feature"
	"loris/internal/cpu/gemm"
	"loris/internal/ir"
	"loris/internal/plan"
)

// product is a compiled MatMulStep or LoRAStep on float32.
type product struct {
	r     *run
	s     *plan.Step
	parts []rowPart  // the sum of products, by blocks of rows
	terms []term     // factors of the sum
	left  leftFactor // of a term that has none of its own
	low   term       // factors of left.inner
	added addend     // what the sum starts from
	after *epilogue  // nil if there is none
	batch int
	rows  int
}

// rowPart computes blocks of so many rows.
type rowPart struct {
	rows  int
	call  *gemm.Call
	ready *gemm.Call // the same with a packed first right factor, once there is one
}

// term are two factors: operands of the step.
type term struct {
	a, b  *plan.Operand // nil a: product.left
	alpha plan.Ref
}

// compileProduct returns the kernel of a MatMulStep or LoRAStep.
func (r *run) compileProduct(s *plan.Step) (kernel, error) {
	if s.In[0].DType != ir.F32 {
		return r.compileAnyProduct(s)
	}
	if s.In[1].DType != ir.F32 {
		return r.halfProduct(s)
	}
	p := &product{r: r, s: s}
	x, w := &s.In[0], &s.In[1]
	p.terms = []term{{a: x, b: w}}
	switch {
	case s.Kind == plan.LoRAStep:
		p.low = term{a: &s.In[2], b: &s.In[3]}
		p.left.alpha = s.Alpha
		p.terms = append(p.terms, term{b: &s.In[4]})
	case s.Own == 4:
		p.terms = append(p.terms, term{a: &s.In[2], b: &s.In[3], alpha: s.Alpha})
	}
	p.flatten()
	p.scaleLeft()
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
	medium := p.r.plan.Precision == plan.Medium
	c := &gemm.Call{BFloat16: medium}
	p.rows = rows
	c.M, c.N = rows, cols
	c.C = gemm.Matrix{RowStride: cols, ColStride: 1}
	for _, t := range p.terms {
		g := gemm.Term{K: inner, B: matrixOf(t.b)}
		if t.a != nil {
			g.A = p.leftOf(t.a)
			g.K = t.a.Shape[n-1]
		} else {
			g.K = t.b.Shape[n-2]
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
		p.left.size = rows * k * p.batch
		p.left.inner = &gemm.Call{BFloat16: medium, M: rows, N: k, C: gemm.Matrix{RowStride: k, ColStride: 1},
			Terms: []gemm.Term{{A: p.leftOf(p.low.a), B: matrixOf(p.low.b), K: s.In[2].Shape[n-1]}}}
		low := p.offsets(func(i int) *plan.Operand { return []*plan.Operand{p.low.a, p.low.b, nil, nil}[i] })
		for i := range low {
			low[i].C = i * rows * k
			batch[i].A[1] = i * rows * k
		}
		p.left.inner.Batch = low
	}
	p.addend(c)
	for i := range batch {
		batch[i].C, batch[i].R = i*rows*cols, i*rows*p.added.row
	}
	c.Batch = batch
	return p.split(c)
}

// split cuts a product with an epilogue into blocks of rows that stay in the
// second-level caches until the epilogue has run.
func (p *product) split(c *gemm.Call) error {
	s := p.s
	if s.Program == nil || p.rows == 0 {
		p.parts = []rowPart{{rows: max(1, c.M), call: c}}
		return nil
	}
	block := p.rows
	if p.batch == 1 {
		perRow := 4 * c.N * (2 + len(s.In) - s.Own + len(s.Out))
		most := max(64, p.r.pool.Threads()*feature.Cache().L2/2/max(1, perRow))
		blocks := (p.rows + most - 1) / most
		block = (p.rows + blocks - 1) / blocks
	}
	sizes := []int{block}
	if tail := p.rows % block; tail > 0 {
		sizes = append(sizes, tail)
	}
	for _, n := range sizes {
		part := *c
		part.M = n
		part.Terms = append([]gemm.Term(nil), c.Terms...)
		p.parts = append(p.parts, rowPart{rows: n, call: &part})
	}
	for i := range sizes { // a batch is one block of all its rows
		sizes[i] *= p.batch
	}
	var err error
	p.after, err = p.r.newEpilogue(s, sizes, p.rows*p.batch, c.N)
	return err
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
	return batchOffsets(p.batch, batchOf(&p.s.In[0]), factor)
}

// batchOffsets returns where the items of a batch of the given shape lie in left (even)
// and right factors.
func batchOffsets(items int, shape ir.Shape, factor func(i int) *plan.Operand) []gemm.Offsets {
	out := make([]gemm.Offsets, items)
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
	left, ok := p.makeLeft()
	if !ok {
		return nil
	}
	acc := r.at(&p.s.Out[0])
	if p.after != nil {
		acc = p.after.target(r)
	}
	for row := 0; row < p.rows; row += p.parts[0].rows {
		part := &p.parts[0]
		if row+part.rows > p.rows {
			part = &p.parts[1]
		}
		if !p.block(part, row, left, acc) {
			return nil
		}
		if p.after != nil {
			p.after.run(r, row, part.rows, p.batch, acc)
		}
	}
	return nil
}

// block computes rows from row on.
func (p *product) block(part *rowPart, row int, left, acc unsafe.Pointer) bool {
	r, c := p.r, part.call
	for i, t := range p.terms {
		p.factor(&c.Terms[i], t, left, row)
	}
	if w := p.weight(c); w != nil {
		if part.ready == nil {
			part.ready = &gemm.Call{M: c.M, N: c.N, C: c.C, Minus: c.Minus, Terms: append([]gemm.Term(nil), c.Terms...)}
		}
		ready := part.ready
		copy(ready.Terms, c.Terms)
		ready.Terms[0].B, ready.Terms[0].Packed = gemm.Matrix{}, w
		c = ready
	}
	c.C.Data = unsafe.Add(acc, 4*row*c.N)
	p.added.bind(r, c, row)
	return c.Run(r.pool, r.b.Stop.Flag())
}

// weight returns the packed first right factor if it is one that stays.
func (p *product) weight(c *gemm.Call) *gemm.PackedB {
	if p.batch != 1 || c.M < 16 || c.UsesLibrary() {
		return nil
	}
	t := &c.Terms[0]
	return p.r.weight(p.terms[0].b, t.B, t.K, c.N, c.Rounds())
}

// factor binds the addresses of a term for the rows from row on; left is the left
// factor of a term that has none of its own.
func (p *product) factor(g *gemm.Term, t term, left unsafe.Pointer, row int) {
	r := p.r
	if t.a != nil {
		left = r.at(t.a)
	}
	g.A.Data = unsafe.Add(left, 4*row*g.A.RowStride)
	g.B.Data = r.at(t.b)
	if t.alpha.Kind == plan.ConstRef {
		g.Alpha = float32(r.b.Consts[t.alpha.Index])
	}
}
