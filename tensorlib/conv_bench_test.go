package tensorlib_test

import (
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkConv2d is layers of networks, and their two gradients.
func BenchmarkConv2d(b *testing.B) {
	r := lt.NewRand(1)
	two := func(a, b int) [2]int { return [2]int{a, b} }
	for _, c := range []struct {
		name string
		x, w []int
		o    lt.ConvOptions
	}{
		{"3x3", []int{8, 64, 56, 56}, []int{64, 64, 3, 3}, lt.ConvOptions{Pad: two(1, 1)}},
		{"few-channels", []int{8, 16, 64, 64}, []int{32, 16, 3, 3}, lt.ConvOptions{Pad: two(1, 1)}},
		{"stride", []int{8, 16, 64, 64}, []int{32, 16, 3, 3}, lt.ConvOptions{Stride: two(2, 2)}},
		{"one-axis", []int{8, 16, 1, 1024}, []int{32, 16, 1, 5}, lt.ConvOptions{Pad: two(0, 2)}},
		{"dilated", []int{4, 32, 64, 64}, []int{32, 32, 3, 3}, lt.ConvOptions{Pad: two(2, 2), Dilation: two(2, 2)}},
		{"1x1", []int{4, 256, 56, 56}, []int{64, 256, 1, 1}, lt.ConvOptions{}},
		{"small", []int{4, 512, 7, 7}, []int{512, 512, 3, 3}, lt.ConvOptions{Pad: two(1, 1)}},
		{"stem", []int{2, 3, 224, 224}, []int{64, 3, 7, 7}, lt.ConvOptions{Pad: two(3, 3), Stride: two(2, 2)}},
		{"patches", []int{4, 3, 224, 224}, []int{192, 3, 16, 16}, lt.ConvOptions{Stride: two(16, 16)}},
		{"depthwise", []int{4, 64, 56, 56}, []int{64, 1, 3, 3}, lt.ConvOptions{Pad: two(1, 1), Groups: 64}},
		{"one-channel", []int{32, 1, 28, 28}, []int{16, 1, 5, 5}, lt.ConvOptions{}},
	} {
		x, w := r.Normal(c.x...).Eval(), r.Normal(c.w...).Eval()
		g := r.Normal(x.Conv2d(w, c.o).Shape()...).Eval()
		flops := 2 * float64(g.Size()) * float64(c.w[1]*c.w[2]*c.w[3])
		for _, f := range []struct {
			name string
			f    func() *lt.Tensor
		}{
			{"forward", func() *lt.Tensor { return x.Conv2d(w, c.o) }},
			{"input", func() *lt.Tensor { return lt.Grads(x.Conv2d(w, c.o).Mul(g).Sum(), x)[0] }},
			{"kernels", func() *lt.Tensor { return lt.Grads(x.Conv2d(w, c.o).Mul(g).Sum(), w)[0] }},
		} {
			b.Run(c.name+"/"+f.name, func(b *testing.B) {
				for b.Loop() {
					f.f().Eval().Release()
				}
				b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds())*float64(b.N), "GFLOP/s")
			})
		}
	}
}
