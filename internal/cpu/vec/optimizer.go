package vec

import (
	"math"
	"unsafe"
)

// AdamW is the settings of the optimiser of Loshchilov and Hutter (2019), with
// decoupled weight decay. Step counts from 1.
type AdamW struct {
	LearningRate, Beta1, Beta2, Epsilon, WeightDecay float64
	Step                                             int
	GradientScale                                    float32 // factor of every gradient; 0 means 1
}

// AdamWRates is what the settings come to at one step.
type AdamWRates [8]float32

// Rates returns the factors of the step.
func (a AdamW) Rates() AdamWRates {
	bias1, bias2 := 1-math.Pow(a.Beta1, float64(a.Step)), 1-math.Pow(a.Beta2, float64(a.Step))
	scale := float64(a.GradientScale)
	if scale == 0 {
		scale = 1
	}
	return AdamWRates{
		float32(a.Beta1), float32((1 - a.Beta1) * scale), float32(a.Beta2), float32((1 - a.Beta2) * scale * scale),
		float32(1 - a.LearningRate*a.WeightDecay), float32(a.LearningRate / bias1), float32(1 / math.Sqrt(bias2)), float32(a.Epsilon),
	}
}

// AdamWCall updates weights piece by piece with what its kernel needs at hand.
type AdamWCall struct{ s *scrap }

// Begin returns a call for one goroutine, which must End it.
func (k *AdamWRates) Begin() AdamWCall {
	c := AdamWCall{scraps.Get().(*scrap)}
	c.s.r = rowArgs{rows: 1, s: *k}
	return c
}

// End gives back what Begin took.
func (c AdamWCall) End() {
	c.s.r = rowArgs{}
	scraps.Put(c.s)
}

// Update sets the weights w to the old weights, which may be w itself, moved by
// their gradients g, and updates the moments m and v. All are of one length.
// It may run on parts of the slices at the same time.
func (c AdamWCall) Update(w, old, g, m, v []float32) {
	r := &c.s.r
	for i := 0; i < len(w); i += callElements {
		r.n = min(callElements, len(w)-i)
		r.dst, r.a, r.x = unsafe.Pointer(&w[i]), unsafe.Pointer(&old[i]), unsafe.Pointer(&g[i])
		r.b, r.c = unsafe.Pointer(&m[i]), unsafe.Pointer(&v[i])
		activeRows[kAdamWRows](r)
	}
}

// Norm returns the Euclidean norm of all elements of the slices, summed in float64
// above blocks.
func Norm(parts ...[]float32) float64 {
	total := 0.0
	for _, p := range parts {
		total += one(kSumSquaresRows, p, 0)
	}
	return math.Sqrt(total)
}

// ClipFactor returns what gradients of the given norm are multiplied by so that
// their norm is at most limit: 1 if it already is.
func ClipFactor(norm, limit float64) float32 {
	if norm <= limit || norm != norm {
		return 1
	}
	return float32(limit / norm)
}
