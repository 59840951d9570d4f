package cpu

import (
	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

func init() {
	register(compileConv, op.Conv2d, op.Conv2dInputGrad, op.Conv2dWeightGrad)
}

// taps are the sizes of a convolution of x [n c h w] with kernels [o c/groups kh kw]
// to an output [n o oh ow].
type taps struct {
	a                         op.Conv
	n, c, h, w, o, cg, kh, kw int
	oh, ow                    int
	perGroup                  int // output channels of a group
}

func newTaps(a op.Conv, x, w, y ir.Shape) *taps {
	return &taps{a, x[0], x[1], x[2], x[3], w[0], w[1], w[2], w[3], y[2], y[3], max(1, w[0]/a.Groups)}
}

func compileConv(r *run, s *plan.Step) (kernel, error) {
	a := s.Attrs.(op.Conv)
	in0, in1, out := s.In[0].Shape, s.In[1].Shape, s.Out[0].Shape
	var t *taps
	switch s.Op {
	case op.Conv2d:
		t = newTaps(a, in0, in1, out)
	case op.Conv2dInputGrad:
		t = newTaps(a, out, in1, in0)
	default:
		t = newTaps(a, in0, out, in1)
	}
	if s.In[0].DType == ir.F64 {
		return convOf[float64](r, s, t), nil
	}
	if k, ok := r.convProducts(s, t); ok {
		return k, nil
	}
	return convOf[float32](r, s, t), nil
}

// convOf runs over the parts of the result that no two chunks share: images and
// output channels, images and input channels, or kernels.
func convOf[T floating](r *run, s *plan.Step, t *taps) kernel {
	a, b, out := newArg(&s.In[0]), newArg(&s.In[1]), newResult(&s.Out[0])
	var p, q, y []T
	work := float64(t.n*t.o*t.oh*t.ow) * float64(t.cg*t.kh*t.kw)
	rows, f := t.n*t.o, func(i int) { forward(t, p, q, y, i) }
	switch s.Op {
	case op.Conv2dInputGrad:
		rows, f = t.n*t.c, func(i int) { inputGrad(t, p, q, y, i) }
	case op.Conv2dWeightGrad:
		rows, f = t.o*t.cg, func(i int) { weightGrad(t, p, q, y, i) }
	}
	run := r.eachRow(rows, work, func(from, to int, _ *pool.Worker) {
		for i := from; i < to; i++ {
			if r.stopped() {
				return
			}
			f(i)
		}
	})
	return func() error {
		p, q = slice[T](a.get(r), a.n), slice[T](b.get(r), b.n)
		dst := out.get(r)
		y = slice[T](dst, out.n)
		clear(y)
		if work > 0 {
			run()
		}
		out.put(r, dst)
		return nil
	}
}

// columns returns the range of output columns for which tap j lies inside of x.
func (t *taps) columns(j int) (lo, hi int) {
	off := j*t.a.Dilation[1] - t.a.Pad[1]
	st := t.a.Stride[1]
	lo = max(0, (-off+st-1)/st)
	hi = min(t.ow, (t.w-1-off)/st+1)
	if t.w-1-off < 0 {
		hi = 0
	}
	return lo, hi
}

// row returns the row of x that tap i of output row y reads, -1 if outside.
func (t *taps) row(y, i int) int {
	v := y*t.a.Stride[0] - t.a.Pad[0] + i*t.a.Dilation[0]
	if v < 0 || v >= t.h {
		return -1
	}
	return v
}

// forward computes one output channel of one image.
func forward[T floating](t *taps, x, w, y []T, at int) {
	image, o := at/t.o, at%t.o
	dst := y[at*t.oh*t.ow:][:t.oh*t.ow]
	st := t.a.Stride[1]
	for c := range t.cg {
		src := x[(image*t.c+o/t.perGroup*t.cg+c)*t.h*t.w:][:t.h*t.w]
		for i := range t.kh {
			for j := range t.kw {
				k := w[((o*t.cg+c)*t.kh+i)*t.kw+j]
				lo, hi := t.columns(j)
				off := j*t.a.Dilation[1] - t.a.Pad[1]
				for v := range t.oh {
					row := t.row(v, i)
					if row < 0 {
						continue
					}
					for u := lo; u < hi; u++ {
						dst[v*t.ow+u] += k * src[row*t.w+u*st+off]
					}
				}
			}
		}
	}
}

// inputGrad computes the gradient of one input channel of one image.
func inputGrad[T floating](t *taps, g, w, dx []T, at int) {
	image, c := at/t.c, at%t.c
	group, cg := c/t.cg, c%t.cg
	dst := dx[at*t.h*t.w:][:t.h*t.w]
	st := t.a.Stride[1]
	for o := group * t.perGroup; o < (group+1)*t.perGroup; o++ {
		src := g[(image*t.o+o)*t.oh*t.ow:][:t.oh*t.ow]
		for i := range t.kh {
			for j := range t.kw {
				k := w[((o*t.cg+cg)*t.kh+i)*t.kw+j]
				lo, hi := t.columns(j)
				off := j*t.a.Dilation[1] - t.a.Pad[1]
				for v := range t.oh {
					row := t.row(v, i)
					if row < 0 {
						continue
					}
					for u := lo; u < hi; u++ {
						dst[row*t.w+u*st+off] += k * src[v*t.ow+u]
					}
				}
			}
		}
	}
}

// weightGrad computes the gradient of one kernel of one input channel.
func weightGrad[T floating](t *taps, x, g, dw []T, at int) {
	o, cg := at/t.cg, at%t.cg
	c := o/t.perGroup*t.cg + cg
	st := t.a.Stride[1]
	for i := range t.kh {
		for j := range t.kw {
			lo, hi := t.columns(j)
			off := j*t.a.Dilation[1] - t.a.Pad[1]
			sum := 0.0
			for image := range t.n {
				src, grad := x[(image*t.c+c)*t.h*t.w:], g[(image*t.o+o)*t.oh*t.ow:]
				for v := range t.oh {
					row := t.row(v, i)
					if row < 0 {
						continue
					}
					for u := lo; u < hi; u++ {
						sum += float64(grad[v*t.ow+u]) * float64(src[row*t.w+u*st+off])
					}
				}
			}
			dw[(at*t.kh+i)*t.kw+j] = T(sum)
		}
	}
}
