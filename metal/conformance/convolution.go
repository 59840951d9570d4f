package conformance

import "loris/metal/kernels"

func convolutionCases() []*Case {
	var all []*Case
	one := [2]int{1, 1}
	for _, t := range floatTypes {
		for _, c := range []kernels.Convolution{
			{Planes: 2, H: 5, W: 4, KH: 3, KW: 3, OH: 5, OW: 4, Stride: one, Pad: one, Dilation: one},
			{Planes: 3, H: 7, W: 9, KH: 3, KW: 2, OH: 4, OW: 4, Stride: [2]int{2, 2}, Pad: [2]int{1, 0}, Dilation: [2]int{1, 2}},
			{Planes: 1, H: 1, W: 20, KH: 1, KW: 4, OH: 1, OW: 6, Stride: [2]int{1, 3}, Pad: [2]int{0, 0}, Dilation: one},
		} {
			c.Type = t
			all = append(all, convolutionCase(c, c.Unfold()), convolutionCase(c, c.Fold()))
		}
	}
	return all
}

func convolutionCase(c kernels.Convolution, l *kernels.Launch) *Case {
	b := build(l, true, "%dx%dx%d by %dx%d", c.Planes, c.H, c.W, c.KH, c.KW)
	columns, x := make([]float64, c.Columns()), make([]float64, c.Planes*c.H*c.W)
	for i := range columns {
		u, v, rest := i%c.OW, i/c.OW%c.OH, i/c.OW/c.OH
		column, row := u*c.Stride[1]-c.Pad[1]+rest%c.KW*c.Dilation[1], v*c.Stride[0]-c.Pad[0]+rest/c.KW%c.KH*c.Dilation[0]
		if row < 0 || row >= c.H || column < 0 || column >= c.W {
			continue
		}
		at := (rest/c.KW/c.KH*c.H+row)*c.W + column
		if l.Kernel == "unfold" {
			columns[i] = b.values["x"][at]
		} else {
			x[at] += b.values["columns"][i]
		}
	}
	if l.Kernel == "unfold" {
		return b.want("columns", 0, columns).c
	}
	return b.want("x", 0, x).c
}
