package tensorlib

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"loris/display"
	"loris/internal/eval"
	"loris/internal/ir"
	"loris/internal/op"
)

// Stats tells what the library has done and holds, and how it is set.
type Stats struct {
	Evals      int64 // evaluations
	Kernels    int64 // steps that devices have run
	PlanHits   int64 // evaluations that found their plan
	PlanMisses int64 // evaluations that had to plan
	Plans      int   // plans in the cache
	PlanTime   time.Duration
	Tensors    int64 // values in memory
	Active     int64 // bytes of them
	Peak       int64 // most bytes so far
	Cached     int64 // bytes that the device keeps for reuse
	Waiting    int   // ops that the cells' variables wait for, not evaluated
	Lines      []MemoryLine

	Device    string // of evaluations to come
	Precision string
	Limit     int64  // of memory in bytes, 0 if there is none
	Random    string // key and position of the default stream
}

// MemoryLine is what one line of a cell or program has made.
type MemoryLine struct {
	Place   string
	Tensors int64 // in memory now
	Bytes   int64 // of them
	Peak    int64 // most bytes at a time
	Waiting int   // ops that are not evaluated
}

// GetStats returns what the library has done and holds.
func GetStats() Stats {
	r := eval.Stats()
	s := Stats{Evals: r.Evals, Kernels: r.Kernels, PlanHits: r.Plans.Hits, PlanMisses: r.Plans.Misses, Plans: r.Plans.Plans,
		PlanTime: time.Duration(r.Plans.BuildNanos), Tensors: r.Values, Active: r.Live, Peak: r.Peak, Precision: eval.Precision()}
	for _, d := range r.Devices {
		if d.Default {
			s.Device, s.Cached, s.Limit = d.Name, d.Memory.Cached, d.Memory.Limit
		}
	}
	key, drawn := DefaultRand().State()
	s.Random = fmt.Sprintf("key %08x%08x, %d blocks drawn", key[0], key[1], drawn)
	waiting := waitingByLine()
	for _, l := range r.Lines {
		s.Lines = append(s.Lines, MemoryLine{placeOf(l.Pos), l.Values, l.Bytes, l.Peak, waiting[l.Pos]})
		s.Waiting += waiting[l.Pos]
		delete(waiting, l.Pos)
	}
	var rest []MemoryLine
	for pos, n := range waiting {
		rest = append(rest, MemoryLine{Place: placeOf(pos), Waiting: n})
		s.Waiting += n
	}
	slices.SortFunc(rest, func(a, b MemoryLine) int {
		return cmp.Or(b.Waiting-a.Waiting, cmp.Compare(a.Place, b.Place))
	})
	s.Lines = append(s.Lines, rest...)
	return s
}

// waitingByLine counts the ops that tensors in the variables of cells wait for, by
// the line that called them.
func waitingByLine() map[ir.Pos]int {
	h := ir.CurrentHost()
	if h == nil {
		return nil
	}
	var stack []*ir.Node
	seen := map[*ir.Node]bool{}
	visit := func(n *ir.Node) {
		if n != nil && n.Value() == nil && !seen[n] {
			seen[n] = true
			stack = append(stack, n)
		}
	}
	h.Globals(func(_ string, v any) {
		switch v := v.(type) {
		case *Tensor:
			if v != nil {
				visit(v.node.Load())
			}
		case []*Tensor:
			for _, t := range v {
				if t != nil {
					visit(t.node.Load())
				}
			}
		case map[string]*Tensor:
			for _, t := range v {
				if t != nil {
					visit(t.node.Load())
				}
			}
		}
	})
	lines := map[ir.Pos]int{}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n.Op != op.Const && n.Op != op.Leaf {
			pos := n.Pos
			pos.Col = 0
			lines[pos]++
		}
		for _, x := range n.Inputs() {
			visit(x)
		}
	}
	return lines
}

// placeOf formats a place in a cell or file.
func placeOf(p ir.Pos) string {
	if p.Line == 0 {
		return "unknown place"
	}
	return fmt.Sprintf("%s, line %d", p.Cell, p.Line)
}

func (s Stats) facts() display.Facts {
	limit := "none"
	if s.Limit > 0 {
		limit = display.Bytes(s.Limit).String()
	}
	return display.Facts{
		{"device", s.Device}, {"precision", s.Precision},
		{"evaluations", fmt.Sprintf("%d, of %d steps", s.Evals, s.Kernels)},
		{"plans", fmt.Sprintf("%d cached, %d hits, %d misses", s.Plans, s.PlanHits, s.PlanMisses)},
		{"tensors in memory", fmt.Sprintf("%d, %v", s.Tensors, display.Bytes(s.Active))},
		{"peak", display.Bytes(s.Peak).String()}, {"kept for reuse", display.Bytes(s.Cached).String()},
		{"limit", limit},
		{"ops waiting", fmt.Sprint(s.Waiting)},
		{"default random stream", s.Random},
	}
}

func (s Stats) block() *display.Block {
	parts := []display.Part{s.facts()}
	if len(s.Lines) > 0 {
		t := &display.Table{Columns: []display.Column{{Name: "made by"}, {Name: "tensors", Align: display.AlignRight}, {Name: "bytes", Align: display.AlignRight},
			{Name: "peak", Align: display.AlignRight, Tooltip: "most bytes at a time of tensors made by the line"},
			{Name: "waiting", Align: display.AlignRight, Tooltip: "ops of the line that variables wait for and nothing has evaluated"}}}
		for _, l := range s.Lines {
			t.Add(l.Place, l.Tensors, display.Bytes(l.Bytes), display.Bytes(l.Peak), l.Waiting)
		}
		parts = append(parts, t)
	}
	return display.Stack("", parts...)
}

// String lists the numbers.
func (s Stats) String() string { return s.block().Text() }

// MIME shows the numbers as tables.
func (s Stats) MIME() map[string]any { return s.block().MIME() }
