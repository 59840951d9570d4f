package vec

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"loris/internal/cpu/feature"
)

// TestPow compares powers with float64 where they neither overflow nor vanish, and
// all pairs of special values.
func TestPow(t *testing.T) {
	const n = 1 << 14
	var x, y, got [n]float32
	for _, l := range feature.Levels() {
		run := kernelsFor(l)[kPow]
		t.Run(l.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			worst := 0.0
			for round := range 20 {
				for i := range x {
					switch round % 4 {
					case 0: // bases of all sizes
						x[i] = math.Float32frombits(uint32(r.Uint64N(0x7f800000)))
					case 1: // around 1, with large exponents
						x[i] = float32(1 + (r.Float64()-.5)*math.Exp2(-24*r.Float64()))
					case 2: // whole and half exponents
						x[i] = float32(r.ExpFloat64()) * 10
					case 3:
						x[i] = float32(r.NormFloat64())
					}
					span := 150 / math.Abs(math.Log2(math.Abs(float64(x[i]))))
					y[i] = float32((2*r.Float64() - 1) * min(span, 1e9))
					if round%4 == 2 {
						y[i] = float32(math.Round(2*min(20, max(-20, float64(y[i]))))) / 2
					} else if round%4 == 3 {
						y[i] = float32(math.Round(float64(y[i])))
					}
					if k := round*n + i; k < len(specials)*len(specials) {
						x[i], y[i] = specials[k/len(specials)], specials[k%len(specials)]
					}
				}
				run(unsafe.Pointer(&got), unsafe.Pointer(&x), unsafe.Pointer(&y), nil, 1, 1, 0, n)
				for i := range x {
					want := math.Pow(float64(x[i]), float64(y[i]))
					d := ulps(got[i], want)
					if d > 4 || want == 0 && math.Signbit(float64(got[i])) != math.Signbit(want) {
						t.Fatalf("pow(%v, %v) = %v, want %v", x[i], y[i], got[i], want)
					}
					worst = max(worst, d)
				}
			}
			t.Logf("worst %.2f ulp", worst)
		})
	}
}

func BenchmarkPow(b *testing.B) {
	const n = 4096
	r := rand.New(rand.NewPCG(1, 1))
	x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], y[i] = float32(r.ExpFloat64()), float32(r.NormFloat64())
	}
	for _, l := range feature.Levels() {
		run := kernelsFor(l)[kPow]
		b.Run(l.String(), func(b *testing.B) {
			for b.Loop() {
				run(unsafe.Pointer(&z[0]), unsafe.Pointer(&x[0]), unsafe.Pointer(&y[0]), nil, 1, 1, 0, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/elem")
		})
	}
}
