package nn

import (
	"fmt"
	"math"

	"loris/internal/ir"
	lt "loris/tensorlib"
)

// Schedule is a learning rate that depends on the step. The zero Kind is
// "constant".
type Schedule struct {
	Kind   string  // constant, linear, cosine, exponential, step, inverse-sqrt
	LR     float64 // the rate after the warm-up
	Min    float64 // the rate at the end (linear, cosine), the least one (others)
	Warmup int     // steps of linear growth from 0 at first
	Steps  int     // length of the whole run: linear, cosine
	Decay  float64 // factor per step (exponential) or per Every steps (step)
	Every  int
}

// Validate returns an error that says what does not fit.
func (s Schedule) Validate() error {
	bad := func(format string, args ...any) error {
		return &lt.Error{Code: ir.CodeValue, Op: "Schedule", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case !(s.LR >= 0) || !(s.Min >= 0) || math.IsInf(s.LR, 0):
		return bad("LR = %v and Min = %v must be finite and not negative", s.LR, s.Min)
	case s.Warmup < 0 || s.Steps < 0:
		return bad("Warmup = %d and Steps = %d must not be negative", s.Warmup, s.Steps)
	}
	switch s.Kind {
	case "", "constant", "inverse-sqrt":
	case "linear", "cosine":
		if s.Steps <= s.Warmup {
			return bad("Steps = %d must be more than Warmup = %d", s.Steps, s.Warmup)
		}
	case "exponential":
		if !(s.Decay > 0) {
			return bad("Decay = %v must be positive", s.Decay)
		}
	case "step":
		if !(s.Decay > 0) || s.Every < 1 {
			return bad("Decay = %v and Every = %d must be positive", s.Decay, s.Every)
		}
	default:
		return bad("unknown kind %q; constant, linear, cosine, exponential, step and inverse-sqrt are possible", s.Kind)
	}
	return nil
}

// At returns the rate of a step, counted from 1. Step t of the warm-up has
// LR·t/Warmup. It panics if the schedule is not valid.
func (s Schedule) At(step int) float64 {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	if step < 1 {
		step = 1
	}
	if step <= s.Warmup {
		return s.LR * float64(step) / float64(s.Warmup)
	}
	t := float64(step - s.Warmup) // 1 at the first full step
	switch s.Kind {
	case "linear", "cosine":
		p := math.Min(1, (t-1)/math.Max(1, float64(s.Steps-s.Warmup-1)))
		if s.Kind == "linear" {
			return s.Min + (s.LR-s.Min)*(1-p)
		}
		return s.Min + (s.LR-s.Min)*(1+math.Cos(math.Pi*p))/2
	case "exponential":
		return math.Max(s.Min, s.LR*math.Pow(s.Decay, t-1))
	case "step":
		return math.Max(s.Min, s.LR*math.Pow(s.Decay, math.Floor((t-1)/float64(s.Every))))
	case "inverse-sqrt":
		w := float64(max(1, s.Warmup))
		return math.Max(s.Min, s.LR*math.Sqrt(w/(w+t-1)))
	}
	return s.LR
}
