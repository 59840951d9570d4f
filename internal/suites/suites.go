// Package suites holds the benchmark suites of `loris bench`: the name of a
// suite goes in, rows of ratios with their provenance come out. Every suite
// compares within one run, its contestants interleaved.
package suites

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"loris/tensorlib/bench"
)

// Options say how to run a suite.
type Options struct {
	// Device to run on: "cpu" or "metal"; empty means the default.
	Device string
	// Samples of each contestant; 0 means the suite's own choice.
	Samples int
	// Only keeps the rows whose name contains this text.
	Only string
	// Log receives a line per finished row; nil means none.
	Log io.Writer
}

func (o Options) samples(standard int) int {
	if o.Samples > 0 {
		return o.Samples
	}
	return standard
}

func (o Options) wants(name string) bool { return strings.Contains(name, o.Only) }

func (o Options) logf(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", args...)
	}
}

// Result is what a suite measured.
type Result struct {
	Provenance bench.Provenance `json:"provenance"`
	Rows       []Row            `json:"rows"`
	// InterruptMS is the longest time, in milliseconds, from an interrupt to the end
	// of a long evaluation; of the suite async only.
	InterruptMS float64 `json:"interrupt_ms,omitempty"`
}

// Row is one line of a result: its names and numbers in the order of Columns.
type Row interface {
	Columns() []string
	Cells() []string
}

// Suite is a row of the table of suites.
type Suite struct {
	Name, Doc string
	Run       func(ctx context.Context, o Options) (*Result, error)
}

// Suites lists all suites.
var Suites = []Suite{
	{"seed", "lazy against eager: LoRA forward and training, products, chains", runSeed},
	{"async", "Eval against EvalAsync and Wait", runAsync},
	{"cpu", "the CPU kernels as shares of the machine's limits", runCPU},
	{"ops", "single operations in PyTorch, the slowest beside it first (make bench-ops)", runOps},
	{"peers", "the same work in NumPy, PyTorch, MLX, candle and gonum (make bench-peers)", runPeers},
	{"interp", "the interpreter: cells per second, loops and calls beside yaegi alone", runInterp},
}

// Find returns the suite of a name.
func Find(name string) (Suite, error) {
	var names []string
	for _, s := range Suites {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Suite{}, fmt.Errorf("no suite %q: there are %s", name, strings.Join(names, ", "))
}

// String is the rows as a table.
func (r *Result) String() string {
	if len(r.Rows) == 0 {
		return "no rows\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, strings.Join(r.Rows[0].Columns(), "\t")+"\t")
	for _, row := range r.Rows {
		fmt.Fprintln(w, strings.Join(row.Cells(), "\t")+"\t")
	}
	w.Flush()
	return b.String()
}

// WriteJSON writes the result as {"provenance": …, "rows": […]}.
func (r *Result) WriteJSON(path string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// number formats with four significant digits; what cannot be told is "-".
func number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return fmt.Sprintf("%.4g", v)
}

// microseconds of a time in nanoseconds.
func microseconds(nanos float64) float64 { return nanos / 1e3 }
