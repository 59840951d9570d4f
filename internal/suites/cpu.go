package suites

import (
	"context"
	"fmt"
	"runtime"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/limit"
	"loris/internal/cpu/pool"
	"loris/tensorlib/bench"

	lt "loris/tensorlib"
)

// CPURow is the speed of a work as a share of the machine's limit, which was
// measured in the same rounds.
type CPURow struct {
	Work       string   `json:"work"`
	US         float64  `json:"us"`
	Limit      string   `json:"limit,omitempty"` // "fma" in GFLOP/s or "read" in GB/s
	LimitValue float64  `json:"limit_value,omitempty"`
	LimitShare *float64 `json:"limit_share"`
}

// Columns are the headings of the table.
func (CPURow) Columns() []string { return []string{"work", "µs", "limit", "value", "share"} }

// Cells are the row's texts.
func (r CPURow) Cells() []string {
	unit := map[string]string{"fma": " GFLOP/s", "read": " GB/s"}[r.Limit]
	value := "-"
	if r.Limit != "" {
		value = number(r.LimitValue) + unit
	}
	return []string{r.Work, number(r.US), or(r.Limit, "-"), value, shareText(r.LimitShare)}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func runCPU(ctx context.Context, o Options) (*Result, error) {
	p := limitPool()
	defer p.Close()
	provenance, err := observe(func() error { return nil })
	if err != nil {
		return nil, err
	}
	result := &Result{Provenance: provenance}
	for _, w := range works {
		if !o.wants(w.name) {
			continue
		}
		list := []contestant{ours(w.name, w.make()), limitOf(w, p)}
		var failure error
		samples, err := contest(ctx, o.samples(15), list, func(name string, e error) { failure = fmt.Errorf("%s: %w", name, e) })
		if err == nil {
			err = failure
		}
		if err != nil {
			return nil, err
		}
		row := CPURow{Work: w.name, US: bench.Median(samples[0]), Limit: string(w.bound), LimitShare: share(w.cost, samples[0], samples[1])}
		if w.bound != unbounded {
			row.LimitValue = bench.Median(samples[1])
		}
		result.Rows = append(result.Rows, row)
		o.logf("%s: %s µs, %s of the limit", row.Work, number(row.US), shareText(row.LimitShare))
	}
	return result, nil
}

func limitPool() *pool.Pool { return pool.New(runtime.GOMAXPROCS(0), new(arena.Arena)) }

// limitOf samples the limit that a work runs into; 0 if it has none.
func limitOf(w work, p *pool.Pool) contestant {
	const within = warmUp + minSample
	return contestant{string(w.bound), func() (float64, error) {
		switch w.bound {
		case boundByFMA:
			return limit.FMA(p, within), nil
		case boundByRead:
			return limit.Read(p, 4*w.values, within)
		}
		return 0, nil
	}}
}

// observe returns the provenance of what f measures.
func observe(f func() error) (bench.Provenance, error) {
	report, err := bench.Options{Warmup: 1, Samples: 5, Verify: -1}.Compare(
		bench.Case{Name: "provenance", Run: func() *lt.Tensor { return lt.Ones(8).Add(1) }})
	if err != nil {
		return bench.Provenance{}, err
	}
	return report.Provenance, f()
}
