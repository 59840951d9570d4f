package kernels

// Convolution describes the windows of a convolution over planes of H×W, one
// for each image and channel; pairs are along H and W.
type Convolution struct {
	Type                  Type
	Planes, H, W          int
	KH, KW, OH, OW        int // kernel, output
	Stride, Pad, Dilation [2]int
}

// Columns is the number of elements that unfolding makes.
func (c Convolution) Columns() int { return c.Planes * c.KH * c.KW * c.OH * c.OW }

func (c Convolution) launch(kernel string, threads int, arguments ...Argument) *Launch {
	l := &Launch{Kernel: kernel, Variant: c.Type.String(), Source: source("convolution.metal", c.Type), Arguments: arguments,
		Params: params(threads, c.H, c.W, c.KH, c.KW, c.OH, c.OW, c.Stride[0], c.Stride[1], c.Pad[0], c.Pad[1], c.Dilation[0], c.Dilation[1])}
	l.flat(threads)
	return l.account()
}

// Unfold returns the dispatch that makes columns [planes, kh, kw, oh, ow]. Arguments: x, columns.
func (c Convolution) Unfold() *Launch {
	return c.launch("unfold", c.Columns(), in("x", c.Type, c.Planes*c.H*c.W), out("columns", c.Type, c.Columns()))
}

// Fold returns the dispatch that sums columns into x [planes, h, w]. Arguments: columns, x.
func (c Convolution) Fold() *Launch {
	return c.launch("fold", c.Planes*c.H*c.W, in("columns", c.Type, c.Columns()), out("x", c.Type, c.Planes*c.H*c.W))
}
