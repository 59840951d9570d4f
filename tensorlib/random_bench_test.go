package tensorlib_test

import (
	"testing"

	lt "loris/tensorlib"
)

// BenchmarkRandom draws a million numbers.
func BenchmarkRandom(b *testing.B) {
	r := lt.NewRand(1)
	for name, draw := range map[string]func() *lt.Tensor{
		"normal": func() *lt.Tensor { return r.Normal(1 << 20) }, "uniform": func() *lt.Tensor { return r.Uniform(0, 1, 1<<20) },
		"randint": func() *lt.Tensor { return r.Randint(0, 1000, 1<<20) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				draw().Eval().Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1<<20), "ns/number")
		})
	}
}
