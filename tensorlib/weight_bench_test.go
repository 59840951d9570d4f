package tensorlib_test

import (
	"fmt"
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkWeights multiplies few rows by a weight [4096 4096] in each format, which
// no cache holds in f32. MB/s counts the weight's bytes: the read limit of the
// machine (internal/cpu/limit) bounds them where rows are few.
func BenchmarkWeights(b *testing.B) {
	const n = 4096
	w := lt.NewRand(1).Normal(n, n).Eval()
	for _, rows := range []int{1, 4, 8, 16, 64} {
		x := lt.NewRand(2).Normal(rows, n).Eval()
		for _, c := range []struct {
			dtype lt.DType
			bytes float64
		}{{lt.F32, 4}, {lt.BF16, 2}, {lt.F16, 2}, {lt.Q8, 1.125}, {lt.Q4, .625}} {
			weight, left := w, x
			switch c.dtype {
			case lt.BF16, lt.F16:
				weight, left = w.Cast(c.dtype).Eval(), x.Cast(c.dtype).Eval()
			case lt.Q8, lt.Q4:
				weight = w.Quantize(c.dtype).Eval()
			}
			b.Run(fmt.Sprintf("%s/%d", c.dtype, rows), func(b *testing.B) {
				b.SetBytes(int64(c.bytes * n * n))
				for b.Loop() {
					left.MatMul(weight.T()).Eval().Release()
				}
			})
		}
	}
}
