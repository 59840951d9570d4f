package suites

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	yaegi "github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"loris/interp"
	"loris/tensorlib/bench"

	// The packages that cells import.
	_ "loris/interp/symbols/library"
)

// InterpRow compares our cells with yaegi alone on the same source.
type InterpRow struct {
	Name    string  `json:"name"`
	LorisUS float64 `json:"loris_us"`
	YaegiUS float64 `json:"yaegi_us"`
	Ratio   float64 `json:"ratio"` // loris/yaegi: below 1 means ours is faster
}

// Columns are the headings of the table.
func (InterpRow) Columns() []string { return []string{"case", "loris µs", "yaegi µs", "loris/yaegi"} }

// Cells are the row's texts.
func (r InterpRow) Cells() []string {
	return []string{r.Name, number(r.LorisUS), number(r.YaegiUS), number(r.Ratio)}
}

// interpCase is source that both run: setup once, cell in every sample.
type interpCase struct {
	name, setup, cell string
}

var interpCases = []interpCase{
	{"trivial_cell", "", "1 + 1"},
	{"cell_100_lines", "", hundredLines()},
	{"loop_float_1m", "func loop() float64 { s := 0.0; for i := 0; i < 1000000; i++ { s += float64(i) * 0.5 }; return s }", "loop()"},
	{"loop_index_1m", "var xs = make([]int, 1000)\nfunc index() int { s := 0; for r := 0; r < 1000; r++ { for i := 0; i < len(xs); i++ { s += xs[i] + i } }; return s }", "index()"},
	{"loop_range_1m", "var ys = make([]int, 1000)\nfunc sums() int { s := 0; for r := 0; r < 1000; r++ { for i, v := range ys { s += v + i } }; return s }", "sums()"},
	{"calls_fib_22", "func fib(n int) int { if n < 2 { return n }; return fib(n-1) + fib(n-2) }", "fib(22)"},
	{"closure_calls_100k", "func closures() int { n := 0; add := func(d int) { n += d }; for i := 0; i < 100000; i++ { add(i) }; return n }", "closures()"},
	{"method_calls_100k", "type counter struct{ n int }\nfunc (c *counter) add(d int) { c.n += d }\nfunc methods() int { c := &counter{}; for i := 0; i < 100000; i++ { c.add(i) }; return c.n }", "methods()"},
	{"interface_calls_100k", "type shape interface{ area() int }\ntype square struct{ side int }\nfunc (s square) area() int { return s.side * s.side }\nfunc areas() int { var s shape = square{3}; n := 0; for i := 0; i < 100000; i++ { n += s.area() }; return n }", "areas()"},
	{"append_100k", "func grow() int { var s []int; for i := 0; i < 100000; i++ { s = append(s, i) }; return len(s) }", "grow()"},
	{"map_100k", "func fill() int { m := map[int]int{}; for i := 0; i < 100000; i++ { m[i%1000] += i }; return len(m) }", "fill()"},
	{"native_calls_100k", "import \"math\"\nfunc roots() float64 { s := 0.0; for i := 0; i < 100000; i++ { s += math.Sqrt(float64(i)) }; return s }", "roots()"},
}

// hundredLines is a cell of ordinary statements.
func hundredLines() string {
	var b strings.Builder
	b.WriteString("total := 0\n")
	for i := range 33 {
		fmt.Fprintf(&b, "v%d := %d * 3\nif v%d > 10 { total += v%d }\ntotal -= %d\n", i, i, i, i, i)
	}
	b.WriteString("total")
	return b.String()
}

func runInterp(ctx context.Context, o Options) (*Result, error) {
	provenance, err := observe(func() error { return nil })
	if err != nil {
		return nil, err
	}
	result := &Result{Provenance: provenance}
	if o.wants("session_start") {
		row, err := compareInterp(ctx, "session_start", o, func() error { _, err := newSession(); return err },
			func() error { _, err := newYaegi(); return err })
		if err != nil {
			return nil, err
		}
		result.Rows = append(result.Rows, row)
	}
	for _, c := range interpCases {
		if !o.wants(c.name) {
			continue
		}
		row, err := c.measure(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		result.Rows = append(result.Rows, row)
		o.logf("%s: loris %s µs, yaegi %s µs", row.Name, number(row.LorisUS), number(row.YaegiUS))
	}
	return result, nil
}

func (c interpCase) measure(ctx context.Context, o Options) (InterpRow, error) {
	session, err := newSession()
	if err != nil {
		return InterpRow{}, err
	}
	alone, err := newYaegi()
	if err != nil {
		return InterpRow{}, err
	}
	ours := func(code string) error {
		if out := session.Run(ctx, interp.Cell{ID: c.name, Code: code}); out.Err != nil {
			return out.Err
		}
		return nil
	}
	theirs := func(code string) error { _, err := alone.Eval(code); return err }
	if c.setup != "" {
		// yaegi takes an import and a function in one piece; so do cells.
		if err := ours(c.setup); err != nil {
			return InterpRow{}, err
		}
		if err := theirs(c.setup); err != nil {
			return InterpRow{}, fmt.Errorf("yaegi: %w", err)
		}
	}
	return compareInterp(ctx, c.name, o, func() error { return ours(c.cell) }, func() error { return theirs(c.cell) })
}

func compareInterp(ctx context.Context, name string, o Options, ours, theirs func() error) (InterpRow, error) {
	list := []contestant{once("loris", ours), once("yaegi", theirs)}
	var failure error
	samples, err := contest(ctx, o.samples(21), list, func(name string, e error) { failure = fmt.Errorf("%s: %w", name, e) })
	if err == nil {
		err = failure
	}
	if err != nil {
		return InterpRow{}, err
	}
	return InterpRow{Name: name, LorisUS: bench.Median(samples[0]), YaegiUS: bench.Median(samples[1]),
		Ratio: bench.Median(ratios(samples[0], samples[1]))}, nil
}

// once samples single runs, each of which leaves something behind in a session.
func once(name string, run func() error) contestant {
	return contestant{name, func() (float64, error) {
		begin := time.Now()
		err := run()
		return float64(time.Since(begin).Nanoseconds()) / 1e3, err
	}}
}

// silent takes what cells print.
type silent struct{}

func (silent) Stream(cell, name, text string) {}

func (silent) ReadInput(cell, prompt string, password bool) (string, error) { return "", io.EOF }

func newSession() (*interp.Session, error) { return interp.New(interp.Options{Sink: silent{}}) }

func newYaegi() (*yaegi.Interpreter, error) {
	i := yaegi.New(yaegi.Options{Stdout: io.Discard, Stderr: io.Discard})
	return i, i.Use(stdlib.Symbols)
}
