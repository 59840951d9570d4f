package conformance

import (
	"math"

	"loris/metal/kernels"
)

func attentionCases() []*Case {
	var all []*Case
	for _, t := range floatTypes {
		for _, a := range []kernels.Attention{
			{Batches: 2, Heads: 2, KeyHeads: 1, Queries: 5, Keys: 37, Size: 16},
			{Batches: 1, Heads: 2, KeyHeads: 2, Queries: 40, Keys: 40, Size: 20, ValueSize: 12, Causal: true},
			{Batches: 1, Heads: 1, KeyHeads: 1, Queries: 1, Keys: 70, Size: 64, Causal: true},
			{Batches: 2, Heads: 4, KeyHeads: 2, Queries: 33, Keys: 35, Size: 8, ValueSize: 24, Mask: true, MaskBatch: 33 * 35},
			{Batches: 1, Heads: 1, KeyHeads: 1, Queries: 34, Keys: 66, Size: 128, Mask: true, Causal: true},
			{Batches: 1, Heads: 1, KeyHeads: 1, Queries: 37, Keys: 3, Size: 8, Causal: true}, // queries that see no key
		} {
			a.Type, a.Scale = t, float32(1/math.Sqrt(float64(a.Size)))
			launches := a.Gradient()
			all = append(all, attentionCase(a, a.Launch()), attentionCase(a, launches[0]), attentionCase(a, launches[1]))
		}
	}
	return all
}

// attentionCase is one of the launches of an attention, with its results in float64.
func attentionCase(a kernels.Attention, l *kernels.Launch) *Case {
	if a.ValueSize == 0 {
		a.ValueSize = a.Size
	}
	b := build(l, a.Size < 64, "%dx%d/%dx%dx%dx%d/%d causal %v mask %v", a.Batches, a.Heads, a.KeyHeads, a.Queries, a.Keys, a.Size, a.ValueSize, a.Causal, a.Mask)
	if a.Mask {
		b.fill("mask", func(int) float64 {
			if b.random.IntN(4) == 0 {
				return math.Inf(-1)
			}
			return b.random.NormFloat64()
		})
	}
	r := attend(a, b.values)
	tolerance := 2 * precision[a.Type]
	switch l.Kernel {
	case "attention":
		return b.want("out", tolerance, r.out).c
	case "attention_gradient_queries":
		return b.want("dQ", tolerance, r.dQ).want("statistics", 1e-5, r.statistics).c
	}
	b.fill("statistics", func(i int) float64 { return r.statistics[i] })
	return b.want("dK", tolerance, r.dK).want("dV", tolerance, r.dV).c
}

// attended is an attention in float64; statistics are the logarithm of the sum
// of weights and the mean slope of each query, as the gradient's kernels have them.
type attended struct{ out, dQ, dK, dV, statistics []float64 }

func attend(a kernels.Attention, in map[string][]float64) attended {
	n := a.Batches * a.Heads * a.Queries
	keys := a.Batches * a.KeyHeads * a.Keys
	r := attended{make([]float64, n*a.ValueSize), make([]float64, n*a.Size), make([]float64, keys*a.Size), make([]float64, keys*a.ValueSize), make([]float64, 2*n)}
	dot := func(x, y []float64) (sum float64) {
		for i, v := range x {
			sum += v * y[i]
		}
		return sum
	}
	add := func(to []float64, factor float64, x []float64) {
		for i, v := range x {
			to[i] += factor * v
		}
	}
	row := func(x []float64, i, size int) []float64 { return x[i*size:][:size] }
	for i := range n {
		head, q := i/a.Queries, i%a.Queries
		first := (head/a.Heads*a.KeyHeads + head%a.Heads/(a.Heads/a.KeyHeads)) * a.Keys
		query := row(in["Q"], i, a.Size)
		scores := each(a.Keys, func(k int) float64 {
			if a.Causal && k > q+a.Keys-a.Queries {
				return math.Inf(-1)
			}
			s := float64(a.Scale) * dot(query, row(in["K"], first+k, a.Size))
			if a.Mask {
				s += in["mask"][head/a.Heads*a.MaskBatch+head%a.Heads*a.MaskHead+q*a.Keys+k]
			}
			return s
		})
		total := logSumExp(scores)
		if math.IsInf(total, -1) || math.IsNaN(total) {
			r.statistics[2*i] = math.Inf(1)
			continue // it sees no key
		}
		r.statistics[2*i] = total
		weights := each(a.Keys, func(k int) float64 { return math.Exp(scores[k] - total) })
		for k, w := range weights {
			add(row(r.out, i, a.ValueSize), w, row(in["V"], first+k, a.ValueSize))
		}
		if in["gradient"] == nil {
			continue
		}
		g := row(in["gradient"], i, a.ValueSize)
		slopes := each(a.Keys, func(k int) float64 { return dot(g, row(in["V"], first+k, a.ValueSize)) })
		mean := dot(weights, slopes)
		r.statistics[2*i+1] = mean
		for k, w := range weights {
			slope := float64(a.Scale) * w * (slopes[k] - mean)
			add(row(r.dQ, i, a.Size), slope, row(in["K"], first+k, a.Size))
			add(row(r.dK, first+k, a.Size), slope, query)
			add(row(r.dV, first+k, a.ValueSize), w, g)
		}
	}
	return r
}
