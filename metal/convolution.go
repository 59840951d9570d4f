package metal

import (
	"loris/internal/ir"
	"loris/internal/op"
	"loris/metal/kernels"
)

func init() {
	register((*lowering).convolution, op.Conv2d, op.Conv2dInputGrad, op.Conv2dWeightGrad)
}

const (
	maxColumnBytes = 64 << 20 // of scratch memory for columns: more images are taken in turn
	maxConvGroups  = 16       // each is a launch of its own; more run on the CPU
)

// windows are the sizes of a convolution of x [images, channels, h, w] with kernels [o, channels/groups, kh, kw].
type windows struct {
	kernels.Convolution
	images, channels, outputs, groups int
	rows, places                      int // of the columns of an image and group: window elements, output places
}

// convolution is a product of kernels and unfolded images, one of its gradients
// by x, which is folded back, or by the kernels, which is summed over images.
func (l *lowering) convolution() error {
	s, a := l.s, l.s.Attrs.(op.Conv)
	var x, w, y ir.Shape
	switch s.Op {
	case op.Conv2d:
		x, w, y = s.In[0].Shape, s.In[1].Shape, s.Out[0].Shape
	case op.Conv2dInputGrad:
		x, w, y = s.Out[0].Shape, s.In[1].Shape, s.In[0].Shape
	default:
		x, w, y = s.In[0].Shape, s.Out[0].Shape, s.In[1].Shape
	}
	given, err := typeOf(&s.Out[0])
	if err != nil || !given.Float() {
		return errNoKernel
	}
	t := given
	if s.Op != op.Conv2d {
		t = kernels.F32 // what is summed in two steps is not rounded between them
	}
	p, err := l.denseAs(&s.In[0], t)
	if err != nil {
		return err
	}
	q, err := l.denseAs(&s.In[1], t)
	if err != nil {
		return err
	}
	c := windows{kernels.Convolution{Type: t, H: x[2], W: x[3], KH: w[2], KW: w[3], OH: y[2], OW: y[3], Stride: a.Stride, Pad: a.Pad, Dilation: a.Dilation},
		x[0], x[1], w[0], a.Groups, w[1] * w[2] * w[3], y[2] * y[3]}
	image := t.Size() * c.groups * c.rows * c.places
	if c.groups > maxConvGroups || image > 1<<30 {
		return errNoKernel
	}
	step := max(1, min(c.images, maxColumnBytes/image))
	columns := l.temp(t, step*c.groups*c.rows*c.places)
	out := at(&s.Out[0])
	if t != given {
		out = l.temp(t, s.Out[0].Shape.Size())
	}
	var partial place
	if s.Op == op.Conv2dWeightGrad {
		partial = l.temp(t, c.images*c.outputs*c.rows)
	}
	for first := 0; first < c.images; first += step {
		n := min(step, c.images-first)
		c.Planes = n * c.channels
		xs, ys := first*c.channels*c.H*c.W, first*c.outputs*c.places
		switch s.Op {
		case op.Conv2d:
			l.add(c.Unfold(), l.elements(p, t, xs), columns)
			l.eachGroup(c, n, q, columns, l.elements(out, t, ys), forwardProduct)
		case op.Conv2dInputGrad:
			l.eachGroup(c, n, q, l.elements(p, t, ys), columns, inputProduct)
			l.add(c.Fold(), columns, l.elements(out, t, xs))
		default:
			l.add(c.Unfold(), l.elements(p, t, xs), columns)
			l.eachGroup(c, n, l.elements(q, t, ys), columns, l.elements(partial, t, first*c.outputs*c.rows), weightProduct)
		}
	}
	if s.Op == op.Conv2dWeightGrad {
		l.addReduction(t, 1, c.images, c.outputs*c.rows, kernels.Sum, partial, out)
	}
	if t != given {
		l.add(kernels.Cast(t, given, s.Out[0].Shape.Size(), false), out, at(&s.Out[0]))
	}
	return nil
}

// elements is the place n elements of t behind p.
func (l *lowering) elements(p place, t kernels.Type, n int) place {
	p.offset += n * t.Size()
	return p
}

// strides are the elements between the groups and between the images of an argument.
type strides struct{ group, image int }

// The products of a convolution's group: what is multiplied, and how A, B and C lie.
var (
	// y = W·columns
	forwardProduct = func(c windows) (kernels.GEMM, [3]strides) {
		o := c.outputs / c.groups
		return kernels.GEMM{M: o, N: c.places, K: c.rows},
			[3]strides{{o * c.rows, 0}, {c.rows * c.places, c.groups * c.rows * c.places}, {o * c.places, c.outputs * c.places}}
	}
	// columns = Wᵀ·dy
	inputProduct = func(c windows) (kernels.GEMM, [3]strides) {
		o := c.outputs / c.groups
		return kernels.GEMM{M: c.rows, N: c.places, K: o, TransposeA: true},
			[3]strides{{o * c.rows, 0}, {o * c.places, c.outputs * c.places}, {c.rows * c.places, c.groups * c.rows * c.places}}
	}
	// dW = dy·columnsᵀ, of each image
	weightProduct = func(c windows) (kernels.GEMM, [3]strides) {
		o := c.outputs / c.groups
		return kernels.GEMM{M: o, N: c.rows, K: c.places, TransposeB: true},
			[3]strides{{o * c.places, c.outputs * c.places}, {c.rows * c.places, c.groups * c.rows * c.places}, {o * c.rows, c.outputs * c.rows}}
	}
)

// eachGroup adds the product of each group for n images.
func (l *lowering) eachGroup(c windows, n int, a, b, to place, product func(windows) (kernels.GEMM, [3]strides)) {
	g, by := product(c)
	g.Type, g.Alpha, g.Batches, g.BatchA, g.BatchB, g.BatchC = c.Type, 1, n, by[0].image, by[1].image, by[2].image
	for group := range c.groups {
		at := func(p place, i int) place { return l.elements(p, c.Type, group*by[i].group) }
		l.multiply(g, at(a, 0), at(b, 1), nil, at(to, 2))
	}
}
