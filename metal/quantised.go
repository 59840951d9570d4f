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
