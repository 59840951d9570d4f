package metal

import (
	"slices"

	"loris/internal/ir"
	"loris/internal/plan"
	"loris/metal/kernels"
)

// matrix is a factor of a product as GEMM takes it.
type matrix struct {
	at         place
	transposed bool
	row        int // elements between stored rows
	batch      int // between matrices, 0 for one
}

// product runs a MatMulStep or LoRAStep and the program on its result.
func (l *lowering) product() error {
	s := l.s
	t, err := typeOf(&s.In[0])
	if err != nil {
		return err
	}
	if !t.Float() {
		return errNoKernel
	}
	n := len(s.In[0].Shape)
	rows, cols := s.In[0].Shape[:n-1].Size(), s.In[1].Shape[n-1]
	if s.Program == nil {
		return l.sum(t, at(&s.Out[0]))
	}
	before := l.lowered
	acc := l.temp(t, rows*cols)
	if err := l.sum(t, acc); err != nil {
		return err
	}
	if l.epilogue(acc) {
		return nil
	}
	if last := &l.commands[len(l.commands)-1]; last.launch.Kernel == "gemm_sum_splits" { // a product that does not split K takes it
		l.lowered, l.whole = before, true
		if err := l.sum(t, acc); err != nil {
			return err
		}
		if l.epilogue(acc) {
			return nil
		}
	}
	return l.program(&acc)
}

// epilogue makes the step's program part of the product's last launch.
func (l *lowering) epilogue(acc place) bool {
	saved := l.lowered
	last := l.commands[len(l.commands)-1]
	l.commands = slices.Clone(l.commands)
	n := len(l.commands)
	if err := l.program(&acc); err != nil || len(l.commands) != n+1 {
		l.lowered = saved
		return false
	}
	after := l.commands[n]
	l.lowered = saved
	if after.group == nil || after.args[0] != acc {
		return false
	}
	with, ok := kernels.WithEpilogue(last.launch, after.group)
	if !ok {
		return false
	}
	c := &l.commands[n-1]
	c.args = append(slices.Clone(last.args), after.args[1:]...)
	for i := range last.args {
		if with.Arguments[i].Unused {
			c.args[i] = place{}
		}
	}
	for _, p := range after.patches {
		p.at += len(with.Params) - len(after.launch.Params)
		c.patches = append(c.patches, p)
	}
	c.launch = with
	return true
}

// sum computes the step's sum of products into c, row-major.
func (l *lowering) sum(t kernels.Type, c place) error {
	s := l.s
	switch {
	case s.Kind == plan.LoRAStep:
		return l.lora(t, c)
	case s.Own == 4:
		part := l.temp(t, productSize(&s.In[0], &s.In[1]))
		if err := l.gemm(t, &s.In[2], &s.In[3], s.Alpha, nil, part); err != nil {
			return err
		}
		return l.gemm(t, &s.In[0], &s.In[1], plan.Ref{}, &part, c)
	}
	return l.gemm(t, &s.In[0], &s.In[1], plan.Ref{}, nil, c)
}

func productSize(a, b *plan.Operand) int {
	n := len(a.Shape)
	return a.Shape[:n-1].Size() * b.Shape[n-1]
}

// gemm computes alpha·a@b + addend into c.
func (l *lowering) gemm(t kernels.Type, a, b *plan.Operand, alpha plan.Ref, addend *place, c place) error {
	if l.quant != nil && b == &l.s.In[1] {
		if addend != nil || alpha.Kind != plan.NoRef {
			return errNoKernel
		}
		return l.unpackingProduct(t, a, b, c)
	}
	x, y, rows, batches, err := l.factors(a, b)
	if err != nil {
		return err
	}
	n := len(a.Shape)
	inner, cols := a.Shape[n-1], b.Shape[n-1]
	if v := (kernels.GEMV{Type: t, M: rows, N: cols, K: inner, TransposeW: y.transposed, RowW: y.row}); rows <= kernels.MaxVectors && batches == 1 && !x.transposed && x.row == inner && addend == nil && alpha.Kind == plan.NoRef {
		l.add(v.Launch(), y.at, x.at, place{}, c)
		return nil
	}
	g := kernels.GEMM{Type: t, M: rows, N: cols, K: inner, TransposeA: x.transposed, TransposeB: y.transposed, RowA: x.row, RowB: y.row, RowC: cols,
		BatchA: x.batch, BatchB: y.batch, Batches: batches, Alpha: 1, Addend: addend != nil}
	l.multiply(g, x.at, y.at, addend, c)
	l.scale(alpha)
	return nil
}

// multiply adds the launches of a product; addend may be nil.
func (l *lowering) multiply(g kernels.GEMM, a, b place, addend *place, c place) {
	if l.whole {
		g.Splits = 1
	}
	launches := g.Launches(l.chip)
	var more, partial place
	if addend != nil {
		more = *addend
	}
	if len(launches) > 1 {
		partial = l.temp(kernels.F32, launches[1].Arguments[0].Size)
		l.add(launches[0], a, b, place{}, place{}, place{}, place{}, partial)
		l.add(launches[1], partial, place{}, more, c)
	} else {
		l.add(launches[0], a, b, place{}, more, place{}, c, place{})
	}
}

// scale sets the factor, the last parameter of the last launch, to a constant of the run.
func (l *lowering) scale(alpha plan.Ref) {
	if alpha.Kind == plan.ConstRef {
		c := &l.commands[len(l.commands)-1]
		c.patches = append(c.patches, patch{c.launch.Factor, alpha.Index, kernels.F32})
	}
}

// factors returns both factors of a product, batches of rows that share a right
// factor as one matrix.
func (l *lowering) factors(a, b *plan.Operand) (x, y matrix, rows, batches int, err error) {
	n := len(a.Shape)
	rows = a.Shape[n-2]
	batches = a.Shape[:n-2].Size()
	left, right := *a, *b
	if batches > 1 && isConstant(b, n-2) {
		if flat, ok := a.Reshape(ir.Shape{a.Shape[:n-1].Size(), a.Shape[n-1]}); ok {
			left.View = flat
			right.View = plan.View{Shape: b.Shape[n-2:], Strides: b.Strides[n-2:], Offset: b.Offset}
			rows, batches = rows*batches, 1
		}
	}
	if x, err = l.matrix(&left); err == nil {
		y, err = l.matrix(&right)
	}
	return x, y, rows, batches, err
}

// isConstant reports whether the first n axes repeat one thing.
func isConstant(o *plan.Operand, n int) bool {
	for i := range n {
		if o.Shape[i] > 1 && o.Strides[i] != 0 {
			return false
		}
	}
	return true
}

// matrix returns an operand as a batch of matrices, copied if it lies otherwise.
func (l *lowering) matrix(o *plan.Operand) (matrix, error) {
	n := len(o.Shape)
	rows, cols, rs, cs := o.Shape[n-2], o.Shape[n-1], o.Strides[n-2], o.Strides[n-1]
	batch := plan.View{Shape: o.Shape[:n-2], Strides: o.Strides[:n-2]}.Collapse()
	if rows == 1 {
		rs = cols
	}
	if cols == 1 {
		cs = rows
		if rs >= 1 { // a column: rows of one element
			cs = 1
		}
	}
	if len(batch.Shape) == 1 && batch.Strides[0] >= 0 {
		if cs == 1 && rs >= cols {
			return matrix{at(o), false, rs, batch.Strides[0]}, nil
		}
		if rs == 1 && cs >= rows {
			return matrix{at(o), true, cs, batch.Strides[0]}, nil
		}
	}
	p, _, err := l.dense(o)
	size := rows * cols
	if o.Shape[:n-2].Size() == 1 {
		size = 0
	}
	return matrix{p, false, cols, size}, err
}

// lora computes x@W + alpha·(z@A)@B into c: in one launch where the rank allows.
func (l *lowering) lora(t kernels.Type, c place) error {
	in := l.s.In
	x, w, rows, batches, err := l.factors(&in[0], &in[1])
	if err != nil {
		return err
	}
	n := len(in[0].Shape)
	inner, cols, rank := in[0].Shape[n-1], in[1].Shape[n-1], in[3].Shape[n-1]
	constant := isConstant(&in[1], n-2) && isConstant(&in[3], n-2) && isConstant(&in[4], n-2)
	if batches == 1 && constant && rank <= kernels.MaxFusedRank && in[2].Shape[n-1] == inner {
		return l.fusedLora(t, rows, inner, cols, rank, x, w, c)
	}
	h := &plan.Operand{Buffer: -1, DType: in[0].DType, View: plan.Dense(append(in[2].Shape[:n-1:n-1], rank))}
	low, part := l.temp(t, h.Shape.Size()), l.temp(t, productSize(&in[0], &in[1]))
	if err := l.gemm(t, &in[2], &in[3], plan.Ref{}, nil, low); err != nil {
		return err
	}
	from := len(l.commands)
	if err := l.gemm(t, h, &in[4], l.s.Alpha, nil, part); err != nil {
		return err
	}
	for i := from; i < len(l.commands); i++ { // h lies in the step's own memory
		for k, a := range l.commands[i].args {
			if a.space == planSpace && a.index < 0 {
				l.commands[i].args[k] = place{space: scratch, offset: low.offset + a.offset}
			}
		}
	}
	return l.gemm(t, &in[0], &in[1], plan.Ref{}, &part, c)
}

// fusedLora is the launch of lora_forward.
func (l *lowering) fusedLora(t kernels.Type, rows, inner, cols, rank int, x, w matrix, c place) error {
	in := l.s.In
	n := len(in[0].Shape)
	last := func(o *plan.Operand) *plan.Operand {
		return &plan.Operand{Buffer: o.Buffer, DType: o.DType, View: plan.View{Shape: o.Shape[n-2:], Strides: o.Strides[n-2:], Offset: o.Offset}}
	}
	a, err := l.matrix(last(&in[3]))
	if err != nil {
		return err
	}
	b, err := l.matrix(last(&in[4]))
	if err != nil {
		return err
	}
	solid := func(m matrix, o *plan.Operand, r, k int) (matrix, error) { // without gaps between rows
		if want := map[bool]int{false: k, true: r}[m.transposed]; m.row == want {
			return m, nil
		}
		p, _, err := l.dense(last(o))
		return matrix{at: p, row: k}, err
	}
	if w, err = solid(w, &in[1], inner, cols); err != nil {
		return err
	}
	if a, err = solid(a, &in[3], inner, rank); err != nil {
		return err
	}
	if b, err = solid(b, &in[4], rank, cols); err != nil {
		return err
	}
	xs := x.at
	if x.transposed || x.row != inner {
		if xs, _, err = l.dense(&in[0]); err != nil {
			return err
		}
	}
	k := kernels.LoRA{Type: t, M: rows, N: cols, K: inner, R: rank, Scale: 1, TransposeW: w.transposed, TransposeA: a.transposed, TransposeB: b.transposed}
	zs := place{}
	if !sameView(&in[0], &in[2]) {
		k.Z = true
		if zs, _, err = l.dense(&in[2]); err != nil {
			return err
		}
	}
	h := place{}
	if l.keep != nil {
		k.SaveH, h = true, at(l.keep)
	}
	l.add(k.Forward(), xs, w.at, a.at, b.at, place{}, zs, c, h)
	l.scale(l.s.Alpha)
	return nil
}

func sameView(a, b *plan.Operand) bool {
	if a.Buffer != b.Buffer || a.Offset != b.Offset || !a.Shape.Equal(b.Shape) {
		return false
	}
	for i, n := range a.Shape {
		if n > 1 && a.Strides[i] != b.Strides[i] {
			return false
		}
	}
	return true
}
