package tensorlib_test

import (
	"fmt"
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkReduce reports the bytes read by sums and extremes over leading, middle
// and last axes.
func BenchmarkReduce(b *testing.B) {
	for _, c := range []struct {
		shape []int
		axis  int
	}{
		{[]int{2048, 512}, 0}, {[]int{2048, 512}, 1}, {[]int{65536, 16}, 0}, {[]int{262144, 4}, 0}, {[]int{64, 256, 64}, 1},
	} {
		x := lt.NewRand(1).Normal(c.shape...).Eval()
		for name, f := range map[string]func(...int) *lt.Tensor{"sum": x.Sum, "max": x.Max} {
			b.Run(fmt.Sprintf("%s/%v/%d", name, x.Shape(), c.axis), func(b *testing.B) {
				b.SetBytes(int64(4 * x.Size()))
				for b.Loop() {
					f(c.axis).Eval().Release()
				}
			})
		}
	}
}

// BenchmarkReduceOf reports the bytes read by reductions of each dtype.
func BenchmarkReduceOf(b *testing.B) {
	numbers := lt.NewRand(1).Randint(0, 100, 1024, 1024)
	for _, d := range []lt.DType{lt.F32, lt.F64, lt.BF16, lt.I32, lt.I64, lt.U8, lt.Bool} {
		x := numbers.Cast(d).Eval()
		ops := map[string]func(...int) *lt.Tensor{"sum": x.Sum, "prod": x.Prod, "max": x.Max, "argmax": func(a ...int) *lt.Tensor { return x.ArgMax(a[0]) }}
		if d == lt.Bool {
			ops = map[string]func(...int) *lt.Tensor{"sum": x.Sum, "any": x.Any, "all": x.All}
		}
		for name, f := range ops {
			for _, axis := range []int{0, 1} {
				b.Run(fmt.Sprintf("%s/%s/%d", d, name, axis), func(b *testing.B) {
					b.SetBytes(int64(d.Bytes() * x.Size()))
					for b.Loop() {
						f(axis).Eval().Release()
					}
				})
			}
		}
	}
}

// BenchmarkCumSum reports the bytes read and written.
func BenchmarkCumSum(b *testing.B) {
	x := lt.NewRand(1).Normal(1024, 1024).Eval()
	for _, axis := range []int{0, 1} {
		b.Run(fmt.Sprint(axis), func(b *testing.B) {
			b.SetBytes(8 << 20)
			for b.Loop() {
				x.CumSum(axis).Eval().Release()
			}
		})
	}
}
