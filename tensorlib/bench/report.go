package bench

import (
	"fmt"
	"math"
	"strings"
	"time"

	"loris/display"
)

// Report is the result of a comparison. It shows as a table with a chart of the
// samples; its provenance is in the output's metadata.
type Report struct {
	Rows []Row
	// Errors are the largest relative errors of the cases' results against the
	// first's; NaN if not verified.
	Errors []float64
	// CallCost is what an empty case costs, in a notebook the interpreter's
	// share of each repetition.
	CallCost   time.Duration
	Options    Options
	Provenance Provenance

	shape []int
	norm  float64 // of the first case's result, for replays; NaN if not verified
}

// Row is one case. Times are in nanoseconds per repetition.
type Row struct {
	Name    string
	Batch   int       // repetitions in a sample
	Samples []float64 // one time per sample
	// Median, median absolute deviation, least, 5th and 95th percentile.
	Median, MAD, Min, P5, P95 float64
	// Plan is the part of a repetition that plans, by counters. Run is the part
	// in kernels and Build the rest (building the graph, calls, hand-over), both
	// of a few repetitions that are profiled after the samples were taken.
	Build, Plan, Run     float64
	PlanHits, PlanMisses int64
	KernelsPerRun        float64
	PeakBytes            int64 // most that one evaluation holds
	// Ratio is this case's time over the first case's, the median over pairs of
	// samples if they were interleaved: above 1, the first is faster. CI is its
	// confidence interval.
	Ratio float64
	CI    Interval
}

// summarise keeps what a replay can compare.
func (r *Report) summarise(first Result) {
	r.shape, r.norm = first.Shape(), math.NaN()
	if r.Options.Verify < 0 {
		return
	}
	values, err := first.Values()
	if err != nil {
		return // verification has read them before
	}
	sum := 0.0
	for _, v := range values {
		sum += v * v
	}
	r.norm = math.Sqrt(sum)
}

// Verdict says in words what the comparison of row i with the first shows.
func (r *Report) Verdict(i int) string {
	if i <= 0 || i >= len(r.Rows) {
		return ""
	}
	row, first := r.Rows[i], r.Rows[0].Name
	interval := fmt.Sprintf("(%.0f %% interval %.3f to %.3f)", 100*r.Options.Confidence, row.CI.Low, row.CI.High)
	switch {
	case math.IsNaN(row.Ratio):
		return "no samples to compare"
	case row.CI.Holds(1):
		return fmt.Sprintf("no difference detected between %s and %s %s", first, row.Name, interval)
	case row.Ratio > 1:
		return fmt.Sprintf("%s is %.2fx as fast as %s %s", first, row.Ratio, row.Name, interval)
	}
	return fmt.Sprintf("%s is %.2fx as fast as %s %s", row.Name, 1/row.Ratio, first, interval)
}

// Table returns the figures as a table.
func (r *Report) Table() *display.Table {
	t := &display.Table{Columns: []display.Column{
		{Name: "case"}, {Name: "median", Bar: true}, {Name: "± MAD", Tooltip: "median absolute deviation"}, {Name: "min"}, {Name: "p95", Tooltip: "95th percentile"},
		{Name: "build", Tooltip: "building the graph, with all calls"}, {Name: "plan"}, {Name: "run"}, {Name: "ratio", Align: display.AlignRight, Tooltip: "time over the first case's"},
		{Name: fmt.Sprintf("%.0f %% interval", 100*r.Options.Confidence)}, {Name: "plan hits"}, {Name: "kernels"}, {Name: "peak", Tooltip: "most bytes that one evaluation holds"},
	}}
	for i, row := range r.Rows {
		ratio, interval := any("1"), any("")
		if i > 0 {
			ratio = display.Cell{Value: fmt.Sprintf("%.3f", row.Ratio), Strong: !row.CI.Holds(1)}
			interval = fmt.Sprintf("%.3f – %.3f", row.CI.Low, row.CI.High)
		}
		t.Add(display.Cell{Value: row.Name, Tooltip: fmt.Sprintf("%d samples of %d repetitions", len(row.Samples), row.Batch)},
			duration(row.Median), duration(row.MAD), duration(row.Min), duration(row.P95), duration(row.Build), duration(row.Plan), duration(row.Run),
			ratio, interval, fmt.Sprintf("%d/%d", row.PlanHits, row.PlanHits+row.PlanMisses), row.KernelsPerRun, display.Bytes(row.PeakBytes))
	}
	if r.CallCost > 0 {
		t.Add(display.Cell{Value: "(an empty case)", Tooltip: "what the interpreter adds to each repetition; part of build"}, r.CallCost)
	}
	return t
}

func duration(ns float64) any {
	if math.IsNaN(ns) {
		return nil
	}
	return time.Duration(math.Round(ns))
}

// Notes are the verdicts and what else a reader must know.
func (r *Report) Notes() []string {
	var notes []string
	for i := 1; i < len(r.Rows); i++ {
		notes = append(notes, r.Verdict(i)+".")
	}
	switch worst := r.worstError(); {
	case math.IsNaN(worst):
		notes = append(notes, "Results were not verified.")
	case len(r.Rows) > 1:
		notes = append(notes, fmt.Sprintf("Results agree within %s relative.", display.Number(worst, 2)))
	}
	p := r.Provenance
	notes = append(notes, p.Machine.String()+".")
	if p.Noisy {
		notes = append(notes, fmt.Sprintf("Other programs used %.0f %% of the machine meanwhile: read small differences with care.", 100*p.Load.Others()))
	}
	return notes
}

func (r *Report) worstError() float64 {
	worst := 0.0
	for _, e := range r.Errors {
		if math.IsNaN(e) {
			return e
		}
		worst = max(worst, e)
	}
	return worst
}

func (r *Report) parts() display.Part {
	parts := []display.Part{r.Table()}
	for _, n := range r.Notes() {
		parts = append(parts, display.Note(n))
	}
	return display.Stack("", parts...)
}

// chart shows every sample in the order in which it was taken.
func (r *Report) chart() *display.Chart {
	c := &display.Chart{XLabel: "sample", YLabel: "µs", Height: 160, Measured: true}
	for _, row := range r.Rows {
		s := display.Series{Name: row.Name, Mark: display.Scatter}
		for i, ns := range row.Samples {
			s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, ns/1e3)
		}
		c.Series = append(c.Series, s)
	}
	return c
}

func (r *Report) String() string { return r.parts().Text() }

// MIME implements display.Rich.
func (r *Report) MIME() map[string]any {
	return map[string]any{
		display.MIMEHTML:   display.Page(r.parts(), r.chart()),
		display.MIMEText:   r.String(),
		display.MIMEResult: r.result().JSON(),
	}
}

// result separates what every run must reproduce (which cases, that they agree,
// what they compute) from what was measured.
func (r *Report) result() display.Result {
	var names []string
	var rows []any
	for i, row := range r.Rows {
		names = append(names, row.Name)
		rows = append(rows, map[string]any{
			"name": row.Name, "median_us": row.Median / 1e3, "mad_us": row.MAD / 1e3, "min_us": row.Min / 1e3, "p95_us": row.P95 / 1e3,
			"build_us": row.Build / 1e3, "plan_us": row.Plan / 1e3, "run_us": row.Run / 1e3, "ratio": row.Ratio, "ci_low": row.CI.Low, "ci_high": row.CI.High,
			"samples": len(row.Samples), "batch": row.Batch, "plan_hits": row.PlanHits, "plan_misses": row.PlanMisses,
			"kernels": row.KernelsPerRun, "peak_bytes": row.PeakBytes, "max_rel_err": r.Errors[i], "verdict": r.Verdict(i),
		})
	}
	values := map[string]any{"cases": names, "shape": r.shape}
	if !math.IsNaN(r.norm) {
		values["verified"], values["norm"] = true, r.norm
	}
	return display.Result{Values: values, Measured: map[string]any{"rows": rows, "call_us": float64(r.CallCost) / 1e3}}
}

// MIMEMetadata implements display.RichMetadata.
func (r *Report) MIMEMetadata() map[string]any {
	return map[string]any{"loris": map[string]any{"provenance": display.Finite(r.Provenance)}}
}

// Row returns the row of a case by name, nil if there is none.
func (r *Report) Row(name string) *Row {
	for i := range r.Rows {
		if strings.EqualFold(r.Rows[i].Name, name) {
			return &r.Rows[i]
		}
	}
	return nil
}
