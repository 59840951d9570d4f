package cpu

import (
	"unsafe"

	"loris/internal/cpu/gemm"
	"loris/internal/cpu/pool"
	"loris/internal/cpu/vec"
	"loris/internal/plan"
)

// leftFactor is the second term's left factor times its alpha, made before the sum: else
// workers would scale the rows of a narrow factor for each part of the columns again.
type leftFactor struct {
	from  *plan.Operand // what is scaled; nil: the result of the inner product
	inner *gemm.Call    // z@A of a LoRAStep
	alpha plan.Ref
	size  int // elements; 0: every term has a left factor of its own

	dst, src unsafe.Pointer // of the run in progress
	factor   float32
	job      pool.Func
}

const (
	widestScaled = 256      // columns of a left factor that is scaled beforehand
	scaledPart   = 16 << 10 // elements of a chunk
)

// scaleLeft lets the second term's left factor be scaled beforehand if it is narrow
// and lies in order.
func (p *product) scaleLeft() {
	if len(p.terms) < 2 || p.terms[1].alpha.Kind != plan.ConstRef || p.batch > 1 {
		return
	}
	t := &p.terms[1]
	if t.a.IsDense() && t.a.Shape[len(t.a.Shape)-1] <= widestScaled {
		p.left.from, p.left.alpha, p.left.size = t.a, t.alpha, t.a.Shape.Size()
		t.a, t.alpha = nil, plan.Ref{}
	}
}

// makeLeft returns the left factor of the term that has none of its own, if there is
// one; false if the run is to stop.
func (p *product) makeLeft() (left unsafe.Pointer, ok bool) {
	l, r := &p.left, p.r
	if l.size == 0 {
		return nil, true
	}
	l.dst = r.mustTemp(4 * l.size)
	l.src = l.dst
	if l.inner != nil {
		l.inner.C.Data = l.dst
		p.factor(&l.inner.Terms[0], p.low, nil, 0)
		if !l.inner.Run(r.pool, r.b.Stop.Flag()) {
			return nil, false
		}
	} else {
		l.src = r.at(l.from)
	}
	if l.alpha.Kind == plan.ConstRef {
		l.factor = float32(r.b.Consts[l.alpha.Index])
		if l.job == nil {
			l.job = l.scale
		}
		r.split((l.size+scaledPart-1)/scaledPart, 0.1*float64(l.size), l.job)
	}
	return l.dst, true
}

func (l *leftFactor) scale(chunk int, _ *pool.Worker) {
	from, to := chunk*scaledPart, min(l.size, (chunk+1)*scaledPart)
	vec.BinaryScalar(vec.Mul, slice[float32](l.dst, l.size)[from:to], slice[float32](l.src, l.size)[from:to], l.factor)
}
