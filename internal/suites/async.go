package suites

import (
	"context"
	"fmt"
	"time"

	"loris/tensorlib/bench"

	lt "loris/tensorlib"
)

// AsyncRow compares Eval with EvalAsync followed at once by Wait.
type AsyncRow struct {
	Name        string  `json:"name"`
	EvalUS      float64 `json:"eval_us"`
	AsyncWaitUS float64 `json:"async_wait_us"`
	Ratio       float64 `json:"ratio"` // async/eval
}

// Columns are the headings of the table.
func (AsyncRow) Columns() []string {
	return []string{"case", "Eval µs", "EvalAsync+Wait µs", "ratio"}
}

// Cells are the row's texts.
func (r AsyncRow) Cells() []string {
	return []string{r.Name, number(r.EvalUS), number(r.AsyncWaitUS), number(r.Ratio)}
}

func runAsync(ctx context.Context, o Options) (*Result, error) {
	result := &Result{}
	for _, c := range seedCases {
		if !o.wants(c.name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		direct, async := c.make(), c.make()
		wait := func() *lt.Tensor {
			y := async.run()
			if err := lt.EvalAsync(y).Wait(ctx); err != nil {
				panic(err)
			}
			return y
		}
		report, err := bench.Options{Warmup: 10, Samples: o.samples(60), Interleave: true, Verify: 1e-3}.Compare(
			bench.Case{Name: "eval", Run: direct.run}, bench.Case{Name: "async", Run: wait})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		row := AsyncRow{Name: c.name, EvalUS: microseconds(report.Rows[0].Median),
			AsyncWaitUS: microseconds(report.Rows[1].Median), Ratio: report.Rows[1].Ratio}
		result.Rows = append(result.Rows, row)
		result.Provenance = merge(result.Provenance, report.Provenance)
		o.logf("%s: async/eval %.3f", row.Name, row.Ratio)
	}
	if o.wants("interrupt") {
		for range 5 {
			result.InterruptMS = max(result.InterruptMS, float64(interrupted().Microseconds())/1e3)
		}
		o.logf("an interrupt ends a long evaluation within %.3g ms", result.InterruptMS)
	}
	return result, nil
}

// interrupted begins an evaluation of many seconds and returns how long it goes on
// after it is cancelled, as an interrupt of the cell does.
func interrupted() time.Duration {
	x := lt.NewRand(1).Normal(1024, 1024).Eval()
	y := x
	for range 2000 {
		y = y.MatMul(x).Tanh()
	}
	p := lt.EvalAsync(y)
	time.Sleep(30 * time.Millisecond)
	start := time.Now()
	p.Cancel()
	<-p.Done()
	return time.Since(start)
}
