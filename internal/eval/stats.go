package eval

import (
	"sort"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/plan"
)

// counters count evaluations of the process.
var counters struct {
	evals atomic.Int64
}

// Report is what Stats returns.
type Report struct {
	Evals  int64 // evaluations that ran
	Plans  plan.CacheStats
	Values int64 // live buffers of values
	Live   int64 // bytes of them
	Peak   int64 // highest Live so far
	// Memory of each device, arenas of running plans and cached blocks included.
	Devices []DeviceInfo
	// Lines that made the live buffers, most bytes first.
	Lines []Line
}

// Line is the memory that one line of a cell or program has made.
type Line struct {
	Pos    ir.Pos
	Bytes  int64
	Values int64
}

// Stats counts evaluations, plans and memory.
func Stats() Report {
	r := Report{Evals: counters.evals.Load(), Plans: cache.Stats(), Devices: Devices()}
	lines := map[ir.Pos]*Line{}
	memory.Lock()
	r.Values, r.Live, r.Peak = memory.values, memory.live, memory.peak
	for rec := memory.ring.next; rec != &memory.ring; rec = rec.next {
		pos := rec.pos
		pos.Col = 0
		l := lines[pos]
		if l == nil {
			l = &Line{Pos: pos}
			lines[pos] = l
		}
		l.Bytes += rec.bytes
		l.Values++
	}
	memory.Unlock()
	for _, l := range lines {
		r.Lines = append(r.Lines, *l)
	}
	sort.Slice(r.Lines, func(i, k int) bool {
		a, b := r.Lines[i], r.Lines[k]
		if a.Bytes != b.Bytes {
			return a.Bytes > b.Bytes
		}
		return a.Pos.Cell < b.Pos.Cell || a.Pos.Cell == b.Pos.Cell && a.Pos.Line < b.Pos.Line
	})
	return r
}

// ResetPeak makes the peaks start again from what is in use.
func ResetPeak() {
	memory.Lock()
	memory.peak = memory.live
	memory.Unlock()
	for _, d := range plan.Registered() {
		if r, ok := d.(interface{ ResetPeak() }); ok {
			r.ResetPeak()
		}
	}
}

// ClearPlans drops all cached plans, so that the next evaluation of each graph
// plans anew.
func ClearPlans() { cache.Clear() }
