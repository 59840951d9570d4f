package tensorlib

import (
	"fmt"
	"strings"
	"time"

	"loris/display"
	"loris/internal/eval"
	"loris/internal/ir"
)

// SetHost installs what runs the library (the notebook kernel): it tells where
// the running statement stands and when the cell is interrupted. nil removes it.
func SetHost(h ir.Host) { ir.SetHost(h) }

// Devices returns the names of the devices of this process, such as "cpu".
func Devices() []string {
	var names []string
	for _, d := range eval.Devices() {
		names = append(names, d.Name)
	}
	return names
}

// Use makes a device the one that evaluations run on.
func Use(device string) {
	if err := eval.Use(device); err != nil {
		panic(asError("Use", err))
	}
}

// To computes x and returns it. All devices of this library share the memory
// of the machine, so that nothing is copied; a device that is not here is an
// error.
func (x *Tensor) To(device string) *Tensor {
	for _, d := range Devices() {
		if d == device {
			return x
		}
	}
	fail("To", ir.CodeDevice, nil, "there is no device %q; there are %s", device, strings.Join(Devices(), ", "))
	return nil
}

// Eager runs f with every op computed, and waited for, as soon as it is called:
// with the same kernels and memory as otherwise, but op by op. It is there to
// compare with; the mode holds for all goroutines while f runs.
func Eager(f func()) { eval.Eager(f) }

// SetPrecision chooses how exact products of f32 matrices have to be: "highest" (f32
// throughout, where a process begins), "high" (three bfloat16 products may stand for
// one) or "medium" (one may), as in PyTorch. It allows devices to be less exact and
// obliges none: the CPU and Metal compute in f32 at all three.
func SetPrecision(precision string) {
	if err := eval.SetPrecision(precision); err != nil {
		panic(asError("SetPrecision", err))
	}
}

// SetLimit bounds the memory of tensors in bytes; 0 lifts the bound. An
// evaluation that needs more fails with an error that names the step.
func SetLimit(bytes int64) { eval.SetLimit(bytes) }

// Stats tells what the library has done and holds.
type Stats struct {
	Evals      int64 // evaluations
	PlanHits   int64 // evaluations that found their plan
	PlanMisses int64 // evaluations that had to plan
	Plans      int   // plans in the cache
	Tensors    int64 // values in memory
	Active     int64 // bytes of them
	Peak       int64 // most bytes so far
	Lines      []MemoryLine
	Device     string
	Precision  string
	PlanTime   time.Duration // spent planning
}

// MemoryLine is the memory that one line of a cell or program has made.
type MemoryLine struct {
	Place   string
	Tensors int64 // in memory now
	Bytes   int64 // of them
	Peak    int64 // most bytes at a time
}

// GetStats returns what the library has done and holds.
func GetStats() Stats {
	r := eval.Stats()
	s := Stats{Evals: r.Evals, PlanHits: r.Plans.Hits, PlanMisses: r.Plans.Misses, Plans: r.Plans.Plans,
		PlanTime: time.Duration(r.Plans.BuildNanos), Tensors: r.Values, Active: r.Live, Peak: r.Peak, Precision: eval.Precision()}
	for _, d := range r.Devices {
		if d.Default {
			s.Device = d.Name
		}
	}
	for _, l := range r.Lines {
		s.Lines = append(s.Lines, MemoryLine{placeOf(l.Pos), l.Values, l.Bytes, l.Peak})
	}
	return s
}

// placeOf formats a place in a cell or file.
func placeOf(p ir.Pos) string {
	if p.Line == 0 {
		return "unknown place"
	}
	return fmt.Sprintf("%s, line %d", p.Cell, p.Line)
}

func (s Stats) facts() display.Facts {
	return display.Facts{
		{"device", s.Device}, {"precision", s.Precision},
		{"evaluations", fmt.Sprint(s.Evals)},
		{"plans", fmt.Sprintf("%d cached, %d hits, %d misses", s.Plans, s.PlanHits, s.PlanMisses)},
		{"tensors in memory", fmt.Sprintf("%d, %v", s.Tensors, display.Bytes(s.Active))},
		{"peak", display.Bytes(s.Peak).String()},
	}
}

func (s Stats) block() *display.Block {
	parts := []display.Part{s.facts()}
	if len(s.Lines) > 0 {
		t := &display.Table{Columns: []display.Column{{Name: "made by"}, {Name: "tensors", Align: display.AlignRight}, {Name: "bytes", Align: display.AlignRight},
			{Name: "peak", Align: display.AlignRight, Tooltip: "most bytes at a time of tensors made by the line"}}}
		for _, l := range s.Lines {
			t.Add(l.Place, l.Tensors, display.Bytes(l.Bytes), display.Bytes(l.Peak))
		}
		parts = append(parts, t)
	}
	return display.Stack("", parts...)
}

// String lists the numbers.
func (s Stats) String() string { return s.block().Text() }

// MIME shows the numbers as tables.
func (s Stats) MIME() map[string]any { return s.block().MIME() }
