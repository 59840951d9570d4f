package eval

import (
	"sync"
	"sync/atomic"
	"time"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// Trace is what Profile measured: one entry for each step that ran.
type Trace struct {
	Steps []TraceStep
	Total time.Duration // from the first step to the end of the last

	mu    sync.Mutex
	start time.Time
}

// TraceStep is the measured run of one step.
type TraceStep struct {
	Eval      int // number of the evaluation, from 0
	Name      string
	Kernel    string // what the device ran
	Device    string
	Nodes     []TraceNode // ops that the step computes
	Start     time.Duration
	Duration  time.Duration
	Flops     int64
	Precision plan.Precision // of the operations
	Bytes     int64          // read and written
	Live      int64          // bytes of buffers that are live during the step
}

// TraceNode is an op of a step.
type TraceNode struct {
	Op  string
	Pos ir.Pos
}

// Least is the time below which the step cannot be on this machine, 0 if that is not
// known. The first call measures the machine.
func (s *TraceStep) Least() time.Duration {
	for _, d := range plan.Registered() {
		if l, ok := d.(plan.Limiter); ok && d.Name() == s.Device {
			return time.Duration(l.LeastNanos(s.Flops, s.Bytes, s.Precision))
		}
	}
	return 0
}

// profiler is the trace that is being recorded, nil if none is.
var profiler atomic.Pointer[Trace]

// Profile runs f and records every step that is evaluated meanwhile.
func Profile(f func()) *Trace {
	t := &Trace{start: time.Now()}
	old := profiler.Swap(t)
	defer profiler.Store(old)
	f()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.Steps {
		t.Total = max(t.Total, s.Start+s.Duration)
	}
	return t
}

// record adds the steps of a job that has run.
func (t *Trace) record(j *job) {
	nodes := cache.Order(j.roots, j)
	p := j.match.Plan
	live := p.Live()
	t.mu.Lock()
	defer t.mu.Unlock()
	number := 0
	if n := len(t.Steps); n > 0 {
		number = t.Steps[n-1].Eval + 1
	}
	for _, e := range j.bind.Trace.Events {
		s := &p.Steps[e.Step]
		ts := TraceStep{Eval: number, Name: s.Name, Kernel: e.Kernel, Device: s.Device,
			Start: time.Duration(e.Start - t.start.UnixNano()), Duration: time.Duration(e.Nanos),
			Flops: s.Flops, Bytes: s.Bytes, Live: live[e.Step]}
		if s.Kind == plan.MatMulStep || s.Kind == plan.LoRAStep {
			if ts.Precision = p.Precision; s.In[0].DType == ir.BF16 {
				ts.Precision = plan.Medium
			}
		}
		for _, i := range s.Origin {
			if int(i) < len(nodes) {
				name := op.NameOf(nodes[i].Op)
				if nodes[i].Via != op.Invalid {
					name = op.NameOf(nodes[i].Via)
				}
				ts.Nodes = append(ts.Nodes, TraceNode{name, nodes[i].Pos})
			}
		}
		t.Steps = append(t.Steps, ts)
	}
}
