package metal

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).quantisedProduct, op.QMatMul)
	register((*lowering).dequantise, op.Dequantize)
}

// quantBits is the width of the weights of quantised matrices.
var quantBits = map[ir.DType]int{ir.Q8: 8, ir.Q4: 4}

// quantised describes a matrix of a plan and returns where its weights, scales
// and lows lie: see plan.QuantBytes.
func (l *lowering) quantised(o *plan.Operand, t kernels.Type, rows int) (q kernels.Quantised, parts [3]place, err error) {
	bits, n := quantBits[o.DType], len(o.Shape)
	if bits == 0 || n == 0 || !o.IsDense() || o.Offset != 0 || plan.QuantGroup != kernels.QuantGroup {
		return q, parts, errNoKernel
	}
	q = kernels.Quantised{Type: t, M: rows, N: o.Shape[:n-1].Size(), K: o.Shape[n-1], Bits: bits}
	at := 0
	for i, bytes := range [3]int{4 * q.Words(), 4 * q.Groups(), 0} {
		parts[i] = place{space: planSpace, index: o.Buffer, offset: at}
		at += bytes
	}
	return q, parts, nil
}

// quantisedProduct is x[…,K]·Wᵀ with quantised W [N,K].
func (l *lowering) quantisedProduct() error {
	x, y := &l.s.In[0], &l.s.Out[0]
	from, t, err := l.dense(x)
	if err != nil {
		return err
	}
	if !t.Float() || y.DType != x.DType {
		return errNoKernel
	}
	q, w, err := l.quantised(&l.s.In[1], t, x.Shape[:len(x.Shape)-1].Size())
	if err != nil {
		return err
	}
	l.add(q.Launch(), w[0], w[1], w[2], from, at(y))
	return nil
}

// unpackingProduct is a@b, where b [N,K] is still packed: l.quant.
func (l *lowering) unpackingProduct(t kernels.Type, a, b *plan.Operand, c place) error {
	n := len(b.Shape)
	whole := plan.Operand{Buffer: b.Buffer, DType: b.DType, View: plan.View{Shape: b.Shape[n-2:], Strides: b.Strides[n-2:], Offset: b.Offset}}
	if !isConstant(b, n-2) || !whole.IsDense() || b.Offset != 0 || !whole.Shape.Equal(l.quant.Shape) {
		return errNoKernel
	}
	x, _, err := l.dense(a)
	if err != nil {
		return err
	}
	q, w, err := l.quantised(l.quant, t, a.Shape[:len(a.Shape)-1].Size())
	if err != nil {
		return err
	}
	l.add(q.Transposed(), w[0], w[1], w[2], x, c)
	return nil
}

// unpacked joins step i, which unpacks quantised weights, with step j if that is
// a product with them and nothing else needs them unpacked.
func (g *joiner) unpacked(l *lowering, i, j int) bool {
	first, s := &g.p.Steps[i], &g.p.Steps[j]
	if first.Kind != plan.OpStep || first.Op != op.Dequantize || s.Kind != plan.MatMulStep || s.Own != 2 {
		return false
	}
	y := &first.Out[0]
	if s.In[1].Buffer != y.Buffer || !g.onlyReader(i, j) {
		return false
	}
	for k := range s.In {
		if k != 1 && s.In[k].Buffer == y.Buffer {
			return false
		}
	}
	l.quant = &first.In[0]
	if l.product() != nil || l.verify() != nil {
		*l = lowering{p: l.p, s: s, chip: l.chip}
		return false
	}
	return true
}

func (l *lowering) dequantise() error {
	y := &l.s.Out[0]
	t, err := typeOf(y)
	if err != nil {
		return err
	}
	if !t.Float() {
		return errNoKernel
	}
	q, w, err := l.quantised(&l.s.In[0], t, 1)
	if err != nil {
		return err
	}
	l.add(q.Dequantise(), w[0], w[1], w[2], at(y))
	return nil
}
