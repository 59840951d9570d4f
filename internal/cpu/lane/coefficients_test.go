package lane

import (
	"math"
	"testing"
)

// TestFits checks each approximation against the function, well below float32's 6e-8.
func TestFits(t *testing.T) {
	poly := func(c []float64, x float64) (v float64) {
		for _, k := range c {
			v = v*x + k
		}
		return v
	}
	for _, c := range []struct {
		name   string
		lo, hi float64
		got    func(x float64) float64
		want   func(x float64) float64
	}{
		{"exp", -.3465, .3465, func(x float64) float64 { return 1 + x + x*x*poly(expTail, x) }, math.Exp},
		{"log", -.2928, .4142, func(x float64) float64 { return x - x*x/2 + x*x*x*poly(logTail, x) }, math.Log1p},
		{"sin", -.7854, .7854, func(x float64) float64 { return x + x*x*x*poly(sinTail, x*x) }, math.Sin},
		{"cos", -.7854, .7854, func(x float64) float64 { return 1 - x*x/2 + x*x*x*x*poly(cosTail, x*x) }, math.Cos},
		{"erf", -.75, .75, func(x float64) float64 { return x * poly(erfNear, x*x) }, math.Erf},
		{"erfc", 0, 10.4, func(x float64) float64 {
			q := 1 / (1 + ErfcSlope*x)
			return math.Exp(-x*x) * q * poly(erfcFar, q-ErfcCentre)
		}, math.Erfc},
	} {
		worst := 0.0
		for i := range 10001 {
			x := c.lo + (c.hi-c.lo)*float64(i)/10000
			if w := c.want(x); w != 0 {
				worst = max(worst, math.Abs(c.got(x)-w)/math.Abs(w))
			}
		}
		t.Logf("%s: %.2g", c.name, worst)
		if worst > 3e-8 {
			t.Errorf("%s: relative error %.3g", c.name, worst)
		}
	}
}
