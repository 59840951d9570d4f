package tensorlib

import "testing"

func BenchmarkChain10(b *testing.B) {
	x := Ones(1024)
	y := Of(make([]float64, 1024)...)
	b.ReportAllocs()
	for b.Loop() {
		h := x
		for range 5 {
			h = h.Add(y)
			h = h.Mul(0.5)
		}
		if h.Rank() != 1 {
			b.Fatal()
		}
	}
}
