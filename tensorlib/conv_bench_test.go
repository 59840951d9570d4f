package tensorlib_test

import (
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkConv2d is a layer of a small image network, [8 64 56 56] with kernels
// [64 64 3 3], and its two gradients.
func BenchmarkConv2d(b *testing.B) {
	r := lt.NewRand(1)
	x, w := r.Normal(8, 64, 56, 56).Eval(), r.Normal(64, 64, 3, 3).Eval()
	o := lt.ConvOptions{Pad: [2]int{1, 1}}
	const flops = 2 * 8 * 64 * 56 * 56 * 64 * 9
	for _, c := range []struct {
		name string
		f    func() *lt.Tensor
	}{
		{"forward", func() *lt.Tensor { return x.Conv2d(w, o) }},
		{"input", func() *lt.Tensor { return lt.Grads(x.Conv2d(w, o).Sum(), x)[0] }},
		{"kernels", func() *lt.Tensor { return lt.Grads(x.Conv2d(w, o).Sum(), w)[0] }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.f().Eval().Release()
			}
			b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds())*float64(b.N), "GFLOP/s")
		})
	}
}
