package vec

import (
	"math"
	"testing"
)

// TestSweep walks through float32's bit patterns in steps and finds each
// function's largest error, in units in the last place.
func TestSweep(t *testing.T) {
	const step = 19997 // prime: all low bits occur
	var x, y [4096]float32
	for _, c := range []struct {
		op Op
		k  kernel
	}{
		{Exp, kExp}, {Expm1, kExpm1}, {Log, kLog}, {Log1p, kLog1p}, {Sin, kSinSmall}, {Cos, kCosSmall}, {Tanh, kTanh}, {Sigmoid, kSigmoid},
		{Silu, kSilu}, {Erf, kErf}, {Gelu, kGelu}, {GeluTanh, kGeluTanh}, {Rsqrt, kRsqrt},
	} {
		f := exact[c.k]
		worst, at := 0.0, float32(0)
		for bits := uint64(0); bits < 1<<32; {
			n := 0
			for ; n < len(x) && bits < 1<<32; n++ {
				x[n] = math.Float32frombits(uint32(bits))
				bits += step
			}
			Unary(c.op, y[:n], x[:n])
			for i, v := range x[:n] {
				want := f(float64(v), 0)
				d := ulps(y[i], want)
				switch c.op {
				case Silu, Gelu, GeluTanh:
					// A factor below the normal range has lost bits: the error is its last one.
					if math.Abs(float64(y[i])-want) <= 0x1p-149*max(1, math.Abs(float64(v))) {
						d = 0
					}
				}
				if d > worst {
					worst, at = d, v
				}
			}
		}
		t.Logf("%-8s %.2f ulp at %v", c.op, worst, at)
		if worst > tolerance[c.k] {
			t.Errorf("%s(%v): %v ulp", c.op, at, worst)
		}
	}
}
