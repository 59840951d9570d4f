package eval

import (
	"sort"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/plan"
)

// counters count evaluations of the process.
var counters struct {
	evals   atomic.Int64
	kernels atomic.Int64
}

// Report is what Stats returns.
type Report struct {
	Evals   int64 // evaluations that ran
	Kernels int64 // steps of those that ended well
	Plans   plan.CacheStats
	Values  int64 // live buffers of values
	Live    int64 // bytes of them
	Peak    int64 // highest Live so far
	// Memory of each device, arenas of running plans and cached blocks included.
	Devices []DeviceInfo
	// Lines that made buffers, also ones that have gone; most bytes first.
	Lines []Line
}

// Line is the memory that one line of a cell or program has made.
type Line struct {
	Pos    ir.Pos // without column; no line if it is not known
	Bytes  int64  // of the buffers that are live
	Values int64  // live buffers
	Peak   int64  // most bytes at a time
}

// Stats counts evaluations, plans and memory.
func Stats() Report {
	r := Report{Evals: counters.evals.Load(), Kernels: counters.kernels.Load(), Plans: cache.Stats(), Devices: Devices()}
	memory.Lock()
	r.Values, r.Live, r.Peak = memory.values, memory.live, memory.peak
	unknown := Line{Values: r.Values, Bytes: r.Live}
	for _, l := range memory.lines {
		r.Lines = append(r.Lines, *l)
		unknown.Values, unknown.Bytes = unknown.Values-l.Values, unknown.Bytes-l.Bytes
	}
	memory.Unlock()
	if unknown.Values > 0 {
		unknown.Peak = unknown.Bytes
		r.Lines = append(r.Lines, unknown)
	}
	sort.Slice(r.Lines, func(i, k int) bool {
		a, b := r.Lines[i], r.Lines[k]
		if a.Bytes != b.Bytes {
			return a.Bytes > b.Bytes
		}
		if a.Peak != b.Peak {
			return a.Peak > b.Peak
		}
		return a.Pos.Cell < b.Pos.Cell || a.Pos.Cell == b.Pos.Cell && a.Pos.Line < b.Pos.Line
	})
	return r
}

// Plans counts the plans of the process.
func Plans() plan.CacheStats { return cache.Stats() }

// ResetPeak makes the peaks start again from what is in use.
func ResetPeak() {
	memory.Lock()
	memory.peak = memory.live
	forgetLines()
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
