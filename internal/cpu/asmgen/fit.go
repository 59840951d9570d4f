package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"loris/internal/cpu/lane"
)

// fit returns the polynomial of the given degree, highest coefficient first, that
// is closest to f on [lo, hi], where errors count by weight. Points at Chebyshev
// nodes and Lawson's reweighting bring least squares near the minimax solution.
func fit(f, weight func(float64) float64, lo, hi float64, degree int) []float64 {
	const points, rounds = 400, 40
	var xs, w [points]float64
	for i := range xs {
		xs[i] = (lo+hi)/2 + (hi-lo)/2*math.Cos(math.Pi*(float64(i)+.5)/points)
		w[i] = 1
	}
	best, bestError := []float64(nil), math.Inf(1)
	for range rounds {
		a, b := mat.NewDense(points, degree+1, nil), mat.NewVecDense(points, nil)
		for i, x := range xs {
			s := weight(x) * math.Sqrt(w[i])
			v := s
			for j := degree; j >= 0; j-- {
				a.Set(i, j, v)
				v *= x
			}
			b.SetVec(i, s*f(x))
		}
		var qr mat.QR
		qr.Factorize(a)
		var c mat.VecDense
		if err := qr.SolveVecTo(&c, false, b); err != nil {
			panic(err)
		}
		worst, sum := 0.0, 0.0
		var errs [points]float64
		for i, x := range xs {
			v := 0.0
			for _, k := range c.RawVector().Data {
				v = v*x + k
			}
			errs[i] = math.Abs(v-f(x)) * weight(x)
			worst = max(worst, errs[i])
			w[i] *= errs[i]
			sum += w[i]
		}
		if worst < bestError {
			bestError = worst
			best = append([]float64(nil), c.RawVector().Data...)
		}
		for i := range w {
			w[i] = max(w[i]/sum*points, 1e-12)
		}
	}
	return best
}

// series sums term(k) until it no longer matters.
func series(term func(k int) float64) (sum float64) {
	for k := range 200 {
		t := term(k)
		sum += t
		if math.Abs(t) < 1e-18*math.Abs(sum) {
			break
		}
	}
	return sum
}

func one(float64) float64 { return 1 }

// approximation is a polynomial of package lane, highest coefficient first.
type approximation struct {
	name, doc string
	fit       func() []float64
}

var approximations = []approximation{
	{"normalNear", "z / x in w - 2.5, for the normal number z of the probability (1+x)/2 and w = -log(1-x²) up to 5", func() []float64 {
		return fit(func(u float64) float64 { return normalSlope(u + 2.5) }, func(u float64) float64 { return 1 / normalSlope(u+2.5) }, -2.5, 2.5, 9)
	}},
	{"normalFar", "the same in √w - 3.1, for w from 5 to 16.1", func() []float64 {
		f := func(v float64) float64 { return normalSlope((v + 3.1) * (v + 3.1)) }
		return fit(f, func(v float64) float64 { return 1 / f(v) }, math.Sqrt(5)-3.1, math.Sqrt(16.1)-3.1, 8)
	}},
	{"expTail", "(e^r - 1 - r) / r²", func() []float64 {
		return fit(func(r float64) float64 {
			t := .5
			return series(func(k int) float64 {
				v := t
				t *= r / float64(k+3)
				return v
			})
		}, func(r float64) float64 { return r * r }, -math.Ln2/2, math.Ln2/2, 4)
	}},
	{"logTail", "(log(1+f) - f + f²/2) / f³", func() []float64 {
		return fit(func(f float64) float64 {
			t := 1.0
			return series(func(k int) float64 {
				v := t / float64(k+3)
				t *= -f
				return v
			})
		}, func(f float64) float64 { return f * f }, math.Sqrt2/2-1, math.Sqrt2-1, 7)
	}},
	{"atanhTail", "(artanh(s)/s - 1 - s²/3) / s⁴ in s², for s = f/(2+f) and the f above", func() []float64 {
		return fit(func(w float64) float64 {
			t := 1.0
			return series(func(k int) float64 {
				v := t / float64(2*k+5)
				t *= w
				return v
			})
		}, one, 0, .0295, 3)
	}},
	{"sinTail", "(sin x - x) / x³ in x²", func() []float64 {
		return fit(func(s float64) float64 {
			t := -1.0 / 6
			return series(func(k int) float64 {
				v := t
				t *= -s / float64((2*k+4)*(2*k+5))
				return v
			})
		}, func(s float64) float64 { return s }, 0, math.Pi*math.Pi/16*1.02, 2)
	}},
	{"cosTail", "(cos x - 1 + x²/2) / x⁴ in x²", func() []float64 {
		return fit(func(s float64) float64 {
			t := 1.0 / 24
			return series(func(k int) float64 {
				v := t
				t *= -s / float64((2*k+5)*(2*k+6))
				return v
			})
		}, func(s float64) float64 { return s * s }, 0, math.Pi*math.Pi/16*1.02, 2)
	}},
	{"erfNear", "erf(x) / x in x², up to x = 0.75", func() []float64 {
		return fit(func(s float64) float64 {
			t := 2 / math.Sqrt(math.Pi)
			return series(func(k int) float64 {
				v := t / float64(2*k+1)
				t *= -s / float64(k+1)
				return v
			})
		}, one, 0, .75*.75, 5)
	}},
	{"erfcFar", "e^(a²)·erfc(a) / t in t - erfcCentre, for t = 1/(1 + erfcSlope·a) and a up to 10.5.\nAround the middle of t's range the coefficients are small, and so are roundings.", func() []float64 {
		return fit(func(u float64) float64 {
			t := u + lane.ErfcCentre
			a := (1/t - 1) / lane.ErfcSlope
			return math.Exp(a*a) * math.Erfc(a) / t
		}, func(u float64) float64 {
			t := u + lane.ErfcCentre
			a := (1/t - 1) / lane.ErfcSlope
			return t / (math.Exp(a*a) * math.Erfc(a))
		}, 1/(1+10.5*lane.ErfcSlope)-lane.ErfcCentre, 1-lane.ErfcCentre, 9)
	}},
}

// normalSlope is z / x for w = -log(1-x²), see the approximations.
func normalSlope(w float64) float64 {
	x := math.Sqrt(-math.Expm1(-w))
	if w < 1 {
		return math.Sqrt2 * math.Erfinv(x) / x
	}
	return math.Sqrt2 * math.Erfcinv(math.Exp(-w)/(1+x)) / x
}

// coefficients writes package lane's file of approximations.
func coefficients() string {
	var s strings.Builder
	s.WriteString("// Code generated by asmgen; DO NOT EDIT.\n\npackage lane\n\n// The approximations, highest coefficient first.\nvar (\n")
	for _, a := range approximations {
		fmt.Fprintf(&s, "\t// %s\n\t%s = []float64{", strings.ReplaceAll(a.doc, "\n", "\n\t// "), a.name)
		for i, c := range a.fit() {
			if i > 0 {
				s.WriteString(", ")
			}
			s.WriteString(strconv.FormatFloat(c, 'g', -1, 64))
		}
		s.WriteString("}\n")
	}
	s.WriteString(")\n")
	return s.String()
}
