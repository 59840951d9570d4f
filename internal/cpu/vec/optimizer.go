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

// Update sets the weights w to the old weights, which may be w itself, moved by
// their gradients g, and updates the moments m and v. All are of one length.
// Parameters that share an arena are one call. It may run on parts of the slices
// at the same time.
func (k *AdamWRates) Update(w, old, g, m, v []float32) {
	s := scraps.Get().(*scrap)
	for i := 0; i < len(w); i += callElements {
		n := min(callElements, len(w)-i)
		s.r = rowArgs{dst: unsafe.Pointer(&w[i]), a: unsafe.Pointer(&old[i]), x: unsafe.Pointer(&g[i]),
			b: unsafe.Pointer(&m[i]), c: unsafe.Pointer(&v[i]), rows: 1, n: n, s: *k}
		runRows(kAdamWRows, &s.r)
	}
	s.r = rowArgs{}
	scraps.Put(s)
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
