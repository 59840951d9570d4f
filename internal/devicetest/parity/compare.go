package main

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// compareAll compares the results of a case with what PyTorch computed.
func (s *Suite) compareAll(c *Case, results []*lt.Tensor) (failures []string) {
	for i, w := range c.Want {
		if problem := s.compare(c, i, results[i]); problem != "" {
			failures = append(failures, fmt.Sprintf("%s %d: %s", w.Kind, w.Of, problem))
		}
	}
	return failures
}

// compare says how one result differs, or "".
func (s *Suite) compare(c *Case, place int, got *lt.Tensor) string {
	w := c.Want[place]
	if got == nil {
		return "there is none"
	}
	if d := got.DType().String(); d != w.DType {
		return fmt.Sprintf("dtype %s, PyTorch has %s", d, w.DType)
	}
	if !got.Shape().Equal(w.Shape) {
		return fmt.Sprintf("shape %v, PyTorch has %v", got.Shape(), w.Shape)
	}
	v := got.Floats()
	if !w.sampled() {
		t := s.tolerance(c, w, largest(w.Data))
		for i, want := range w.Data {
			if !t.accepts(v[i], want) {
				return fmt.Sprintf("element %d is %v, PyTorch has %v (tolerance %.3g)", i, v[i], want, t.of(want))
			}
		}
		return ""
	}
	t := s.tolerance(c, w, w.Largest)
	k := resultsFrom + place
	for i, z := range words(c.Number, k, samples) {
		at := z % uint64(len(v))
		if !t.accepts(v[at], w.Data[i]) {
			return fmt.Sprintf("element %d is %v, PyTorch has %v (tolerance %.3g)", at, v[at], w.Data[i], t.of(w.Data[i]))
		}
	}
	// The sum is taken with compensation (Neumaier 1974): that of f64 elements is
	// compared to less than its own rounding.
	sum, rest := 0.0, 0.0
	for i, z := range words(c.Number, k, len(v)) {
		x := v[i]
		if z&1 == 1 {
			x = -x
		}
		next := sum + x
		if math.Abs(sum) >= math.Abs(x) {
			rest += (sum - next) + x
		} else {
			rest += (x - next) + sum
		}
		sum = next
	}
	sum += rest
	most := math.Sqrt(float64(len(v))) * t.of(w.Largest)
	if !(math.Abs(sum-w.Sum) <= most) {
		return fmt.Sprintf("the signed sum is %v, PyTorch has %v (tolerance %.3g)", sum, w.Sum, most)
	}
	return ""
}

// largest is the largest finite magnitude.
func largest(v []float64) float64 {
	m := 0.0
	for _, x := range v {
		if a := math.Abs(x); a > m && !math.IsInf(a, 0) {
			m = a
		}
	}
	return m
}

// bound is the tolerance of the elements of one result.
type bound struct {
	dtype         ir.DType
	unit          float64 // relative to the element, or to an eighth of the largest
	largest, rest float64
}

// tolerance returns that of a result whose largest magnitude is known.
func (s *Suite) tolerance(c *Case, w *Result, largest float64) bound {
	d := dtypes[w.DType]
	if !d.IsFloat() {
		return bound{dtype: d}
	}
	factor := 1.0
	for _, step := range c.Code {
		factor = max(factor, s.Tolerance.Ops[step.Op])
	}
	epsilon, smallest := epsilon(d)
	return bound{dtype: d, unit: s.Tolerance.Units[w.DType] * factor * epsilon, largest: largest,
		rest: s.Tolerance.Noise[w.DType]*w.Noise*epsilon + smallest}
}

// epsilon returns the distance from 1 to the next number, and the smallest
// positive number that every device keeps.
func epsilon(d ir.DType) (eps, smallest float64) {
	switch d {
	case lt.F16:
		return 0x1p-10, 0x1p-24
	case lt.BF16:
		return 0x1p-7, 0x1p-126
	case lt.F32:
		return 0x1p-23, 0x1p-126
	}
	return 0x1p-52, 0x1p-1022
}

func (b bound) of(want float64) float64 {
	if !b.dtype.IsFloat() {
		return 0
	}
	return b.unit*math.Max(math.Abs(want), b.largest/8) + b.rest
}

func (b bound) accepts(got, want float64) bool {
	if got == want || got != got && want != want {
		return true
	}
	if b.dtype.IsFloat() && got == b.dtype.Round(want) {
		return true
	}
	return math.Abs(got-want) <= b.of(want) && !math.IsInf(want, 0)
}

var zeroField = regexp.MustCompile(`"[A-Za-z]+":(null|0|false|""),?`)

// describe returns the call with the arguments that are set.
func (s *Step) describe() string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return zeroField.ReplaceAllString(string(b), "")
}
