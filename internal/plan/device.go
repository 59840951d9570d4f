package plan

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
)

// Memory is a piece of a device's memory. Every device of Loris shares memory
// with the CPU, so Host is always valid.
type Memory interface {
	ir.Buffer
	Host() unsafe.Pointer
}

// Device runs plans. All methods may be called from several goroutines.
type Device interface {
	// Name is what Use takes: "cpu", "metal".
	Name() string
	// Memory tells how much memory there is and how much the device holds.
	Memory() MemoryInfo
	// SetLimit bounds the bytes that Alloc hands out; 0 means no bound.
	SetLimit(bytes int64)
	// Supports reports whether the device runs op on elements of dtype. What it
	// does not support is planned onto the CPU.
	Supports(op ir.Op, dtype ir.DType) bool
	// Alloc returns memory with undefined contents, aligned to 64 bytes.
	Alloc(bytes int) (Memory, error)
	// Free gives memory back; the device may keep it, and the Memory itself, for
	// the next Alloc.
	Free(Memory)
	// Trim returns unused memory to the system.
	Trim()
	// Compile prepares steps from..to-1 of a plan. It is called once per plan.
	Compile(p *Plan, from, to int) (Executable, error)
}

// Wrapper is a device that computes on memory it has not allocated, such as that of
// a mapped file. Free of what Wrap returned calls release.
type Wrapper interface {
	Wrap(data []byte, release func()) Memory
}

// Attacher is memory that tells when it is given back, so that what another device
// keeps for it, such as its view of the pages, goes with it.
type Attacher interface {
	Attach(freed func())
}

// Limiter is a device that knows what it can do at most.
type Limiter interface {
	// LeastNanos is the time below which a step with so much arithmetic (operations
	// of that precision) and memory traffic cannot be.
	LeastNanos(flops, bytes int64, p Precision) float64
}

// Executable is a compiled range of steps. Several runs may be in progress.
type Executable interface {
	// Run starts the steps on the bound memory. A nil Fence means that they are
	// done. An error names the step as a *StepError where one is to blame.
	Run(b *Binding) (Fence, error)
}

// Updater is a device that can update parameters where they lie, without a plan.
type Updater interface {
	// AdamW updates all sets in one pass; h is the third operand of op.AdamW.
	AdamW(sets []AdamWSet, k op.AdamWStep, h [3]float64) error
}

// AdamWSet is one parameter of N float32 elements: W takes the new values and may be
// P, where the old ones are; the moments M and V are updated in place.
type AdamWSet struct {
	W, P, G, M, V unsafe.Pointer
	N             int
}

// Fence waits for work that a device does behind the caller's back.
type Fence interface {
	Wait() error
}

// MemoryInfo counts a device's memory, in bytes.
type MemoryInfo struct {
	Total  int64 // of the device
	Active int64 // handed out now
	Peak   int64
	Cached int64 // kept for reuse
	Limit  int64 // 0: none
}

// Binding is what one run of a plan works on.
type Binding struct {
	Plan    *Plan
	Buffers []unsafe.Pointer // first byte of each buffer of the plan, leaf offsets included
	Memory  []Memory         // what each lies in; nil for arena buffers
	Arena   Memory
	Leaves  []*ir.Value // the values bound to the leaves
	Consts  []float64   // the run's constants
	Draws   []ir.Attrs  // attributes of the random ops, with their keys and counters
	Stop    *Stop
	Trace   *Recorder // nil unless the run is profiled

	Scratch any // a device may keep per-binding state here between runs
}

// Stop tells a running plan to end early. Kernels call Stopped between chunks of
// at most a few milliseconds.
type Stop struct {
	flag atomic.Bool
	ctx  <-chan struct{}
	host <-chan struct{}
}

// Reset prepares s for a run that ends when ctx or the running cell does.
func (s *Stop) Reset(ctx context.Context) {
	s.flag.Store(false)
	s.ctx, s.host = nil, nil
	if ctx != nil {
		s.ctx = ctx.Done()
	}
	if h := ir.CurrentHost(); h != nil {
		s.host = h.Done()
	}
}

// Stop ends the run.
func (s *Stop) Stop() { s.flag.Store(true) }

// Flag is true once the run is to end and someone has noticed.
func (s *Stop) Flag() *atomic.Bool { return &s.flag }

// Stopped reports whether the run is to end.
func (s *Stop) Stopped() bool {
	if s.flag.Load() {
		return true
	}
	select {
	case <-s.ctx:
	case <-s.host:
	default:
		return false
	}
	s.flag.Store(true)
	return true
}

// Watch makes s notice by itself, without a call of Stopped, that the run is to
// end, until end is called. A long run needs it: a kernel may look at the flag only.
func (s *Stop) Watch() (end func()) {
	if s.ctx == nil && s.host == nil {
		return func() {}
	}
	over := make(chan struct{})
	ctx, host := s.ctx, s.host
	go func() {
		select {
		case <-ctx:
			s.flag.Store(true)
		case <-host:
			s.flag.Store(true)
		case <-over:
		}
	}()
	return func() { close(over) }
}

// StepError is a failure of one step.
type StepError struct {
	Step int // index in Plan.Steps
	Name string
	Err  error
}

func (e *StepError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Event is the measured run of one step.
type Event struct {
	Step   int
	Kernel string // the device's name of what ran
	Start  int64  // nanoseconds on the monotonic clock of the recorder
	Nanos  int64
}

// Recorder collects events of a profiled run.
type Recorder struct {
	Events []Event
}

// Add appends an event.
func (r *Recorder) Add(e Event) { r.Events = append(r.Events, e) }

var (
	devicesMu sync.Mutex
	devices   []Device
)

// Register makes a device known by its name. A device's package calls it when
// the program starts; the first one registered is the default.
func Register(d Device) {
	devicesMu.Lock()
	defer devicesMu.Unlock()
	devices = append(devices, d)
}

// Registered returns the devices of this process.
func Registered() []Device {
	devicesMu.Lock()
	defer devicesMu.Unlock()
	return slices.Clone(devices)
}
