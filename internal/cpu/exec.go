package cpu

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"loris/internal/cpu/arena"
	"loris/internal/cpu/pool"
	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// executable is a compiled range of steps. What a run needs to itself, closures
// over its pointers and calls with their state, is an instance; runs that
// overlap take different ones.
type executable struct {
	dev      *Device
	plan     *plan.Plan
	from, to int

	mu   sync.Mutex
	free []*run
}

// run is one instance of an executable.
type run struct {
	dev   *Device
	pool  *pool.Pool
	plan  *plan.Plan
	b     *plan.Binding
	steps []kernel
	from  int           // number of the first step in the plan
	temps []arena.Block // of the running step

	product unsafe.Pointer // what the epilogue that the interpreter runs begins with
}

// kernel runs one step of an instance.
type kernel func() error

// ErrStopped is what a run returns that was told to stop.
var ErrStopped = errors.New("interrupted")

// Compile implements plan.Device.
func (d *Device) Compile(p *plan.Plan, from, to int) (plan.Executable, error) {
	x := &executable{dev: d, plan: p, from: from, to: to}
	r, err := x.instance()
	if err != nil {
		return nil, err
	}
	x.free = append(x.free, r)
	return x, nil
}

func (x *executable) instance() (*run, error) {
	r := &run{dev: x.dev, pool: x.dev.pool, plan: x.plan, from: x.from}
	for i := x.from; i < x.to; i++ {
		k, err := r.compile(&x.plan.Steps[i])
		if err != nil {
			return nil, &plan.StepError{Step: i, Name: x.plan.Steps[i].Name, Err: err}
		}
		r.steps = append(r.steps, k)
	}
	return r, nil
}

// compile returns the kernel of a step.
func (r *run) compile(s *plan.Step) (kernel, error) {
	if allEmpty(s.Out) {
		return func() error { return nil }, nil
	}
	switch s.Kind {
	case plan.FusedStep:
		return r.compileFused(s)
	case plan.MatMulStep, plan.LoRAStep:
		return r.compileProduct(s)
	case plan.CopyStep:
		return r.compileCopy(s)
	}
	if f := kernels[s.Op]; f != nil {
		return f(r, s)
	}
	return nil, fmt.Errorf("the CPU has no kernel for %s", op.NameOf(s.Op))
}

func allEmpty(out []plan.Operand) bool {
	for i := range out {
		if out[i].Shape.Size() > 0 {
			return false
		}
	}
	return true
}

// Run implements plan.Executable.
func (x *executable) Run(b *plan.Binding) (plan.Fence, error) {
	x.mu.Lock()
	var r *run
	if n := len(x.free); n > 0 {
		r, x.free = x.free[n-1], x.free[:n-1]
	}
	x.mu.Unlock()
	if r == nil {
		var err error
		if r, err = x.instance(); err != nil {
			return nil, err
		}
	}
	r.b = b
	at, err := r.run()
	r.b = nil
	x.mu.Lock()
	x.free = append(x.free, r)
	x.mu.Unlock()
	if err != nil && err != ErrStopped {
		at += x.from
		err = &plan.StepError{Step: at, Name: x.plan.Steps[at].Name, Err: err}
	}
	return nil, err
}

// run runs the steps and tells which one failed. A panic of a kernel, such as
// the arena's when memory has run out, is an error of its step.
func (r *run) run() (at int, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // operands may be mapped files
	defer func() {
		r.release()
		if v := recover(); v != nil {
			err = asError(v)
		}
	}()
	for at = range r.steps {
		if r.from+at < r.plan.Commit && r.b.Stop.Stopped() {
			return at, ErrStopped
		}
		start := time.Time{}
		if r.b.Trace != nil {
			start = time.Now()
		}
		if err := r.steps[at](); err != nil {
			return at, err
		}
		if r.temps != nil {
			r.release()
		}
		if r.b.Trace != nil {
			r.trace(r.from+at, start)
		}
	}
	if r.from+len(r.steps) <= r.plan.Commit && r.b.Stop.Flag().Load() {
		return at, ErrStopped
	}
	return at, nil
}

func asError(v any) error {
	if err, ok := v.(error); ok {
		if fault, ok := ir.FaultError(err); ok {
			return fault
		}
	}
	if p, ok := v.(*pool.Panic); ok {
		if err := p.Unwrap(); err != nil {
			var limit *arena.LimitError
			if errors.As(err, &limit) {
				return err
			}
		}
		return p
	}
	if err, ok := v.(error); ok {
		return err
	}
	return fmt.Errorf("%v", v)
}

func (r *run) trace(at int, start time.Time) {
	s := &r.plan.Steps[at]
	r.b.Trace.Add(plan.Event{Step: at, Kernel: s.Kind.String(), Start: start.UnixNano(), Nanos: time.Since(start).Nanoseconds()})
}

// at returns the address of an operand's first element.
func (r *run) at(o *plan.Operand) unsafe.Pointer {
	return unsafe.Add(r.b.Buffers[o.Buffer], o.Offset*o.DType.Bytes())
}

// stopped tells kernels between chunks to end early.
func (r *run) stopped() bool { return r.b.Stop.Stopped() }

// split runs chunks over the pool; cost is the whole job's in nanoseconds.
func (r *run) split(chunks int, cost float64, f pool.Func) {
	r.pool.Run(chunks, cost, r.b.Stop.Flag(), f)
}

// temp returns memory for the running step.
func (r *run) temp(bytes int) (unsafe.Pointer, error) {
	b, err := r.dev.mem.Alloc(max(bytes, 1))
	if err != nil {
		return nil, err
	}
	r.temps = append(r.temps, b)
	return b.Pointer(), nil
}

func (r *run) release() {
	for _, b := range r.temps {
		r.dev.mem.Free(b)
	}
	r.temps = r.temps[:0]
}

// chunksFor cuts work of the given cost (ns) into at most limit chunks: of two
// microseconds or more, or one for each of a few threads if it is shorter than that.
func (r *run) chunksFor(cost float64, limit int) int { return chunksOf(r.pool, cost, limit) }

func chunksOf(p *pool.Pool, cost float64, limit int) int {
	const least = 2000
	threads := p.Threads()
	n := max(int(cost/least), min(2, int(2*cost/least)))
	switch {
	case n > 8*threads:
		n = max(8*threads, int(cost/2e6))
	case n > threads:
		n -= n % threads // none waits for another's last
	}
	return max(1, min(n, limit))
}
