package conformance

import "loris/metal/kernels"

func boxCases() []*Case {
	var all []*Case
	for _, t := range []kernels.Type{kernels.F32, kernels.F16, kernels.BF16, kernels.I64, kernels.Bool} {
		for _, c := range []struct {
			kernels.Box
			starts, moved []float64
		}{
			{kernels.Box{Shape: []int{2, 3}, Full: []int{4, 5}}, []float64{1, 2}, []float64{1, 2}},
			{kernels.Box{Shape: []int{2, 3}, Full: []int{4, 5}}, []float64{-7, 9e9}, []float64{0, 2}}, // moved to fit
			{kernels.Box{Shape: []int{1, 1, 40}, Full: []int{3, 1, 40}}, []float64{2, 0, 0}, []float64{2, 0, 0}},
		} {
			c.Type = t
			all = append(all, boxCase(c.Box, c.Read(), c.starts, c.moved), boxCase(c.Box, c.Write(), c.starts, c.moved))
		}
	}
	return all
}

func boxCase(box kernels.Box, l *kernels.Launch, starts, moved []float64) *Case {
	b := build(l, true, "%v of %v at %v", box.Shape, box.Full, starts)
	small := func(i int) float64 { return float64(i % 2) }
	b.fill("x", small).fill("box", func(i int) float64 { return float64((i + i/2) % 2) })
	b.fill("starts", func(i int) float64 { return starts[i] })
	out := "box"
	if l.Kernel == "box_write" {
		out = "x"
	}
	want := append([]float64(nil), b.values[out]...)
	for i := range b.values["box"] {
		at, rest, stride := 0, i, 1
		for axis := len(box.Shape) - 1; axis >= 0; axis-- {
			at += (int(moved[axis]) + rest%box.Shape[axis]) * stride
			rest /= box.Shape[axis]
			stride *= box.Full[axis]
		}
		if out == "box" {
			want[i] = b.values["x"][at]
		} else {
			want[at] = b.values["box"][i]
		}
	}
	return b.want(out, 0, want).c
}
