package display

import (
	"math"
	"strings"
)

// scale maps data to pixels along one axis.
type scale struct {
	low, high float64 // data
	from, to  float64 // pixels
	log       bool
}

// newScale covers [low, high], widened to whole ticks when linear.
func newScale(low, high float64, log bool, ticks int) scale {
	if log {
		low, high = math.Log10(low), math.Log10(high)
		if high-low < 0.1 {
			low, high = low-0.1, high+0.1
		}
		return scale{low: low, high: high, log: true}
	}
	// The span must be finite too.
	low, high = max(low, -math.MaxFloat64/4), min(high, math.MaxFloat64/4)
	if low == high {
		pad := math.Abs(low) * 0.1
		if pad == 0 {
			pad = 1
		}
		low, high = low-pad, high+pad
	}
	step := niceStep(high-low, ticks)
	return scale{low: math.Floor(low/step+1e-9) * step, high: math.Ceil(high/step-1e-9) * step}
}

// pixel returns where v lies; ok is false for values that cannot be drawn.
func (s scale) pixel(v float64) (p float64, ok bool) {
	if s.log {
		if v <= 0 {
			return 0, false
		}
		v = math.Log10(v)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from), true
}

// ticks returns about n round values inside the scale.
func (s scale) ticks(n int) []float64 {
	var out []float64
	if s.log {
		for e := math.Floor(s.low); e <= math.Ceil(s.high); e++ {
			for _, m := range logSteps(s.high - s.low) {
				if v := e + math.Log10(m); v >= s.low-1e-9 && v <= s.high+1e-9 {
					out = append(out, math.Pow(10, e)*m)
				}
			}
		}
		for len(out) > 2*n {
			var thin []float64
			for i := 0; i < len(out); i += 2 {
				thin = append(thin, out[i])
			}
			out = thin
		}
		return out
	}
	step := niceStep(s.high-s.low, n)
	first := math.Ceil(s.low/step - 1e-9)
	// Bounded, for ranges so narrow that adding a step changes nothing.
	for i := range 4 * n {
		v := (first + float64(i)) * step
		if v > s.high+step*1e-9 {
			break
		}
		out = append(out, v)
	}
	return out
}

func logSteps(decades float64) []float64 {
	switch {
	case decades > 3:
		return []float64{1}
	case decades > 1:
		return []float64{1, 2, 5}
	}
	return []float64{1, 1.5, 2, 3, 4, 5, 6, 8}
}

// niceStep is 1, 2 or 5 times a power of ten, so that about n steps make span.
func niceStep(span float64, n int) float64 {
	raw := span / float64(max(n, 1))
	if raw <= 0 || math.IsInf(raw, 0) || math.IsNaN(raw) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	switch m := raw / power; {
	case m <= 1.0000001:
		return power
	case m <= 2.0000001:
		return 2 * power
	case m <= 5.0000001:
		return 5 * power
	}
	return 10 * power
}

// tickText prints a tick value: rounded to what the step needs, with k, M, G
// for large ones.
func tickText(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if a := math.Abs(v); a >= u.size && a < 1e15 {
			if u.name == "k" {
				return Number(v/1e3, 6) + "k"
			}
			return Number(v/u.size, 6) + u.name
		}
	}
	return strings.TrimSuffix(Number(math.Round(v*1e9)/1e9+0, 6), "e+00")
}
