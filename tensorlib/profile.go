package tensorlib

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"loris/display"
	"loris/internal/eval"
)

// Profile holds the time of every step that was evaluated while Prof ran.
type Profile struct{ trace *eval.Trace }

// Prof runs f and measures the steps that are evaluated meanwhile. What f
// builds but does not evaluate is not measured.
func Prof(f func()) *Profile { return &Profile{eval.Profile(f)} }

// stepKey tells apart the rows of the table.
type stepKey struct{ name, kernel, device, place, ops string }

type stepRow struct {
	key          stepKey
	calls        int
	times        []time.Duration
	flops, bytes float64
	live         int64
	least        time.Duration // that all calls take at the limits of the machine
}

func (p *Profile) rows() []*stepRow {
	var rows []*stepRow
	byKey := map[stepKey]*stepRow{}
	for i := range p.trace.Steps {
		s := &p.trace.Steps[i]
		var ops, places []string
		for _, n := range s.Nodes {
			ops = append(ops, n.Op)
			if n.Pos.Line > 0 && !slices.Contains(places, placeOf(n.Pos)) {
				places = append(places, placeOf(n.Pos))
			}
		}
		k := stepKey{s.Name, s.Kernel, s.Device, strings.Join(places, "; "), strings.Join(ops, " ")}
		r := byKey[k]
		if r == nil {
			r = &stepRow{key: k}
			byKey[k] = r
			rows = append(rows, r)
		}
		r.calls++
		r.times = append(r.times, s.Duration)
		r.least += s.Least()
		r.flops, r.bytes, r.live = r.flops+float64(s.Flops), r.bytes+float64(s.Bytes), max(r.live, s.Live)
	}
	for _, r := range rows {
		slices.Sort(r.times)
	}
	slices.SortStableFunc(rows, func(a, b *stepRow) int { return int(b.total() - a.total()) })
	return rows
}

func (r *stepRow) total() (t time.Duration) {
	for _, d := range r.times {
		t += d
	}
	return t
}

func (r *stepRow) median() time.Duration { return r.times[len(r.times)/2] }

// rate is a count per second in units of 10⁹.
func (r *stepRow) rate(count float64) any {
	if t := r.total().Seconds(); t > 0 && count > 0 {
		return count / t / 1e9
	}
	return nil
}

// peak is the share of the machine's limit in percent.
func (r *stepRow) peak() any {
	if t := r.total(); t > 0 && r.least > 0 {
		return 100 * r.least.Seconds() / t.Seconds()
	}
	return nil
}

func (p *Profile) table() display.Part {
	rows := p.rows()
	t := &display.Table{Title: "steps", Columns: []display.Column{
		{Name: "step"}, {Name: "kernel", Tooltip: "what the device ran"}, {Name: "device"}, {Name: "ops", Align: display.AlignRight, Tooltip: "ops computed by the step"},
		{Name: "line"}, {Name: "calls", Align: display.AlignRight}, {Name: "min", Align: display.AlignRight}, {Name: "median", Align: display.AlignRight},
		{Name: "total", Align: display.AlignRight}, {Name: "share %", Align: display.AlignRight, Bar: true, Digits: 3},
		{Name: "GFLOP/s", Align: display.AlignRight, Digits: 3}, {Name: "GB/s", Align: display.AlignRight, Digits: 3},
		{Name: "% of peak", Align: display.AlignRight, Digits: 3, Tooltip: "of the speed at which this machine multiplies and adds, or reads memory, whichever bounds the step"},
		{Name: "live", Align: display.AlignRight, Tooltip: "bytes of buffers that are live during the step"}}}
	var all time.Duration
	for _, r := range rows {
		all += r.total()
	}
	for _, r := range rows {
		share := 100 * r.total().Seconds() / max(1e-12, all.Seconds())
		t.Add(display.Cell{Value: r.key.name, Tooltip: r.key.ops}, r.key.kernel, r.key.device, len(strings.Fields(r.key.ops)), r.key.place, r.calls,
			r.times[0], r.median(), r.total(), share, r.rate(r.flops), r.rate(r.bytes), r.peak(), display.Bytes(r.live))
	}
	if len(rows) == 0 {
		return display.Note("nothing was evaluated")
	}
	t.Foot = []any{"sum", nil, nil, nil, nil, len(p.trace.Steps), nil, nil, all}
	return t
}

// Table shows for each step how often it ran, how long, and how fast.
func (p *Profile) Table() display.Output {
	names := map[string]int{}
	for _, r := range p.rows() {
		names[r.key.name] += r.calls
	}
	measured := map[string]any{"total_us": float64(p.trace.Total.Nanoseconds()) / 1e3, "steps": names}
	return display.Output{Part: p.table(), Result: display.Result{Measured: measured}}
}

func (p *Profile) timeline() *display.Timeline {
	t := &display.Timeline{Title: "timeline"}
	for i := range p.trace.Steps {
		s := &p.trace.Steps[i]
		var ops []string
		for _, n := range s.Nodes {
			ops = append(ops, n.Op)
		}
		t.Spans = append(t.Spans, display.Span{Lane: s.Device, Name: s.Name, Start: s.Start, Duration: s.Duration,
			Tooltip: fmt.Sprintf("%s (%s)\n%v\n%s", s.Name, s.Kernel, s.Duration, strings.Join(ops, " ")),
			Args:    map[string]any{"kernel": s.Kernel, "ops": strings.Join(ops, " "), "flops": s.Flops, "bytes": s.Bytes, "evaluation": s.Eval}})
	}
	return t
}

// Timeline shows when each step ran, a lane per device.
func (p *Profile) Timeline() *display.Timeline { return p.timeline() }

// SaveTrace writes the timeline as a trace file for chrome://tracing or Perfetto.
func (p *Profile) SaveTrace(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	return p.timeline().WriteTrace(f)
}

// Total is the time from the first step to the end of the last.
func (p *Profile) Total() time.Duration { return p.trace.Total }

// String returns the table as text.
func (p *Profile) String() string { return p.table().Text() }

// MIME shows table and timeline.
func (p *Profile) MIME() map[string]any {
	o := p.Table()
	o.Part = display.Stack("", p.table(), p.timeline())
	return o.MIME()
}
