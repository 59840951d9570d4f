package suites

import (
	"context"
	"fmt"
	"math"

	"loris/tensorlib/bench"

	lt "loris/tensorlib"
)

// SeedRow compares lazy with honest eager: the same kernels and packed weights,
// outputs from the same memory, recycled after each run, op by op, each op waited for.
type SeedRow struct {
	Name    string  `json:"name"`
	Device  string  `json:"device"`
	LazyUS  float64 `json:"lazy_us"`
	EagerUS float64 `json:"eager_us"`
	// Ratio is eager/lazy, above 1 means that lazy is faster, and its 95 % interval.
	Ratio    float64 `json:"ratio"`
	CI95Low  float64 `json:"ci95_low"`
	CI95High float64 `json:"ci95_high"`
	// MaxRelErr is max|y−ref|/max|ref| of both against float64.
	MaxRelErr float64 `json:"max_rel_err"`
}

// Columns are the headings of the table.
func (SeedRow) Columns() []string {
	return []string{"case", "device", "lazy µs", "eager µs", "eager/lazy", "95 % interval", "max rel. error", ""}
}

// Cells are the row's texts.
func (r SeedRow) Cells() []string {
	verdict := "no difference detected"
	switch {
	case r.CI95Low > 1:
		verdict = "lazy is faster"
	case r.CI95High < 1:
		verdict = "eager is faster"
	}
	return []string{r.Name, r.Device, number(r.LazyUS), number(r.EagerUS), number(r.Ratio),
		"[" + number(r.CI95Low) + ", " + number(r.CI95High) + "]", number(r.MaxRelErr), verdict}
}

// workload is one computation in its own state.
type workload struct {
	run    func() *lt.Tensor // one repetition
	values func() []float64  // what a first run computes, for the reference
}

// seedCase makes a workload from a fixed seed, and computes in float64, with
// plain loops that share nothing with the library, what it should give.
type seedCase struct {
	name      string
	make      func() workload
	reference func() []float64
}

func runSeed(ctx context.Context, o Options) (*Result, error) {
	if o.Device != "" {
		if err := lt.Try(func() { lt.Use(o.Device) }); err != nil {
			return nil, err
		}
	}
	result := &Result{}
	for _, c := range seedCases {
		if !o.wants(c.name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, provenance, err := c.measure(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		result.Rows = append(result.Rows, row)
		result.Provenance = merge(result.Provenance, provenance)
		o.logf("%s: eager/lazy %.3f [%.3f, %.3f]", row.Name, row.Ratio, row.CI95Low, row.CI95High)
	}
	return result, nil
}

func (c seedCase) measure(o Options) (SeedRow, bench.Provenance, error) {
	row := SeedRow{Name: c.name, Device: lt.GetStats().Device}
	var err error
	if row.MaxRelErr, err = c.worstError(); err != nil {
		return row, bench.Provenance{}, err
	}
	lazy, eager := c.make(), c.make()
	report, err := bench.Options{Warmup: 10, Samples: o.samples(60), Interleave: true, Recycle: true, Verify: 1e-3,
		Seeds: map[string]int64{"inputs": seed}}.Compare(
		bench.Case{Name: "lazy", Run: lazy.run},
		bench.Case{Name: "eager", Run: eagerly(eager.run)},
	)
	if err != nil {
		return row, bench.Provenance{}, err
	}
	row.LazyUS, row.EagerUS = microseconds(report.Rows[0].Median), microseconds(report.Rows[1].Median)
	second := report.Rows[1]
	row.Ratio, row.CI95Low, row.CI95High = second.Ratio, second.CI.Low, second.CI.High
	return row, report.Provenance, nil
}

func eagerly(run func() *lt.Tensor) func() *lt.Tensor {
	return func() (y *lt.Tensor) {
		lt.Eager(func() { y = run() })
		return y
	}
}

// worstError compares a lazy and an eager run with the reference.
func (c seedCase) worstError() (float64, error) {
	want := c.reference()
	worst := 0.0
	err := lt.Try(func() {
		worst = relativeError(c.make().values(), want)
		lt.Eager(func() { worst = math.Max(worst, relativeError(c.make().values(), want)) })
	})
	if err != nil {
		return 0, err
	}
	if math.IsNaN(worst) || worst > 1e-3 {
		return worst, fmt.Errorf("the result is off by %.3g of the float64 reference", worst)
	}
	return worst, nil
}

// relativeError is max|y−ref| / max|ref|.
func relativeError(y, ref []float64) float64 {
	if len(y) != len(ref) {
		return math.NaN()
	}
	var diff, size float64
	for i, v := range ref {
		d := math.Abs(y[i] - v)
		if math.IsNaN(d) {
			return math.NaN()
		}
		diff, size = math.Max(diff, d), math.Max(size, math.Abs(v))
	}
	return diff / size
}

// merge keeps the first provenance with the kernels and the load of all.
func merge(all, one bench.Provenance) bench.Provenance {
	if all.Started == "" {
		return one
	}
	for k, v := range one.Kernels {
		all.Kernels[k] = v
	}
	all.Noisy = all.Noisy || one.Noisy
	return all
}
