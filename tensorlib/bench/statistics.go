package bench

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Percentile returns the p-th percentile (0 to 100) of values, interpolated
// linearly between neighbours as NumPy does by default (Hyndman and Fan's
// type 7). NaN for no values.
func Percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return percentileOfSorted(sorted, p)
}

func percentileOfSorted(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := min(max(p/100, 0), 1) * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	f := at - float64(i)
	return sorted[i]*(1-f) + sorted[i+1]*f
}

// Median returns the middle of values.
func Median(values []float64) float64 { return Percentile(values, 50) }

// MAD returns the median absolute deviation from the median, unscaled. Times
// have long tails to one side only, which the standard deviation would show as
// spread.
func MAD(values []float64) float64 {
	m := Median(values)
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - m)
	}
	return Median(deviations)
}

// Interval is a confidence interval.
type Interval struct{ Low, High float64 }

// Holds reports whether x lies in the interval.
func (i Interval) Holds(x float64) bool { return i.Low <= x && x <= i.High }

// PairedRatio returns the median of a[i]/b[i] and its confidence interval at the
// given level, for samples taken in turn: what slows the machine for longer than a
// sample slows both of a pair, and cancels. The interval lies between two of the
// ratios in order, such that the number of ratios below the median, which is
// binomial whatever their distribution, leaves at most (1-level)/2 on each side
// (the interval of the sign test). Of 5 pairs it holds the truth with 94 %.
func PairedRatio(a, b []float64, level float64) (ratio float64, ci Interval) {
	n := min(len(a), len(b))
	if n == 0 {
		return math.NaN(), Interval{math.NaN(), math.NaN()}
	}
	ratios := make([]float64, n)
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	slices.Sort(ratios)
	// The probability that i of n ratios lie below the median, from i = 0 on.
	p := math.Exp2(-float64(n))
	out, below := 0, 0.0
	for i := 0; i < n/2; i++ {
		if below += p; below > (1-level)/2 {
			break
		}
		out = i
		p *= float64(n-i) / float64(i+1)
	}
	return percentileOfSorted(ratios, 50), Interval{ratios[out], ratios[n-1-out]}
}

// BootstrapRatio returns median(a)/median(b) and its confidence interval at the
// given level (0.95) by the percentile bootstrap of Efron (1979), for samples that
// were not taken in turn (else see PairedRatio). Rounds are drawn in blocks of neighbours, the last one
// followed by the first (the circular block bootstrap of Politis and Romano
// 1992): a machine stays slow or fast for a while, so neighbours say less than
// as many independent rounds. The same seed gives the same interval.
func BootstrapRatio(a, b []float64, level float64, resamples int, seed uint64) (ratio float64, ci Interval) {
	n := min(len(a), len(b))
	if n == 0 {
		return math.NaN(), Interval{math.NaN(), math.NaN()}
	}
	ratio = Median(a) / Median(b)
	r := rand.New(rand.NewPCG(seed, 0x10515))
	ratios := make([]float64, resamples)
	x, y := make([]float64, n), make([]float64, n)
	block := int(math.Cbrt(float64(n))) // the order that has the least error
	for k := range ratios {
		for i := 0; i < n; {
			for j, end := r.IntN(n), min(i+block, n); i < end; i, j = i+1, (j+1)%n {
				x[i], y[i] = a[j], b[j]
			}
		}
		slices.Sort(x)
		slices.Sort(y)
		ratios[k] = percentileOfSorted(x, 50) / percentileOfSorted(y, 50)
	}
	slices.Sort(ratios)
	tail := (1 - level) / 2 * 100
	return ratio, Interval{percentileOfSorted(ratios, tail), percentileOfSorted(ratios, 100-tail)}
}

// maxRelativeError is max|y-ref| / max|ref|, the error of y as a whole: single
// elements near zero say nothing. Where both are NaN, or the same infinity,
// they agree; where only one is, the error is infinite.
func maxRelativeError(y, ref []float64) float64 {
	if len(y) != len(ref) {
		return math.Inf(1)
	}
	worst, scale := 0.0, 0.0
	for i := range ref {
		a, b := y[i], ref[i]
		if math.IsNaN(a) && math.IsNaN(b) || a == b {
			if !math.IsNaN(b) && !math.IsInf(b, 0) {
				scale = max(scale, math.Abs(b))
			}
			continue
		}
		if math.IsNaN(a) || math.IsNaN(b) || math.IsInf(a, 0) || math.IsInf(b, 0) {
			return math.Inf(1)
		}
		worst, scale = max(worst, math.Abs(a-b)), max(scale, math.Abs(b))
	}
	if worst == 0 {
		return 0
	}
	if scale == 0 {
		return math.Inf(1)
	}
	return worst / scale
}
