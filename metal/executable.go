package metal

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"loris/internal/plan"
	"loris/metal/launch"
	"loris/metal/mtl"
)

// executable is a compiled range of steps. Runs that overlap take different
// instances.
type executable struct {
	dev      *Device
	gpu      *mtl.Device
	plan     *plan.Plan
	from     int
	steps    []*lowered
	scratch  int // bytes that the hungriest step needs
	statuses int

	mu   sync.Mutex
	free []*instance
}

// instance is what one run at a time works with. It is the run's fence.
type instance struct {
	x          *executable
	dispatches []*mtl.Dispatch // of all steps in order
	first      []int           // first dispatch of each step, and the number of dispatches
	scratch    *mtl.Buffer
	status     *mtl.Buffer
	ticket     mtl.Ticket
	b          *plan.Binding
	start      time.Time // of a profiled run
}

// ErrStopped is what a run returns that was told to stop.
var ErrStopped = errors.New("interrupted")

// Compile implements plan.Device: it compiles the kernels of all steps.
func (d *Device) Compile(p *plan.Plan, from, to int) (plan.Executable, error) {
	gpu, err := d.open()
	if err != nil {
		return nil, err
	}
	x := &executable{dev: d, gpu: gpu, plan: p, from: from}
	for i := from; i < to; i++ {
		l, err := lower(p, &p.Steps[i], chipOf(gpu))
		if err != nil {
			return nil, &plan.StepError{Step: i, Name: p.Steps[i].Name, Err: err}
		}
		x.steps = append(x.steps, l)
	}
	g := &joiner{p: p, from: from, to: to, chip: chipOf(gpu)}
	g.join(x.steps)
	for _, l := range x.steps {
		for k := range l.checks {
			l.checks[k].status += x.statuses
		}
		for k := range l.commands {
			for a := range l.commands[k].args {
				if l.commands[k].args[a].space == statusSpace {
					l.commands[k].args[a].offset += 4 * x.statuses
				}
			}
		}
		x.statuses += l.statuses
		x.scratch = max(x.scratch, l.scratch)
	}
	g.settle(x.steps, x.scratch)
	x.scratch += g.size
	r, err := x.instance()
	if err != nil {
		return nil, err
	}
	x.free = append(x.free, r)
	return x, nil
}

// instance compiles the launches, or finds them compiled, and gets the memory
// that steps need for themselves.
func (x *executable) instance() (*instance, error) {
	r := &instance{x: x}
	for i, l := range x.steps {
		r.first = append(r.first, len(r.dispatches))
		for k := range l.commands {
			c := &l.commands[k]
			d, err := launch.Compile(x.gpu, c.launch)
			if err != nil {
				at := x.from + i
				return nil, &plan.StepError{Step: at, Name: x.plan.Steps[at].Name, Err: userError(&x.plan.Steps[at], err)}
			}
			d.Params = append([]byte(nil), d.Params...)
			d.Label = x.plan.Steps[x.from+i].Name
			r.dispatches = append(r.dispatches, d)
		}
	}
	r.first = append(r.first, len(r.dispatches))
	for _, own := range []struct {
		buffer **mtl.Buffer
		bytes  int
	}{{&r.scratch, x.scratch}, {&r.status, 4 * x.statuses}} {
		if own.bytes == 0 {
			continue
		}
		b, err := x.gpu.NewBuffer(own.bytes)
		if err != nil {
			return nil, err
		}
		*own.buffer = b
		runtime.AddCleanup(r, (*mtl.Buffer).Free, b)
	}
	return r, nil
}

// Run implements plan.Executable: it encodes the steps; the fence waits for them.
func (x *executable) Run(b *plan.Binding) (plan.Fence, error) {
	x.mu.Lock()
	var r *instance
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
	if r.status != nil {
		clear(r.status.Bytes())
	}
	for i := range x.steps {
		if err := r.bind(i); err != nil {
			r.release()
			return nil, &plan.StepError{Step: x.from + i, Name: x.plan.Steps[x.from+i].Name, Err: err}
		}
	}
	if stopped := r.encode(); stopped {
		err := x.gpu.Stream.Wait(r.ticket)
		r.release()
		if err == nil {
			err = ErrStopped
		}
		return nil, err
	}
	return r, nil
}

// encode hands the dispatches to the stream, with a look at the stop flag
// before each step.
func (r *instance) encode() (stopped bool) {
	x, s := r.x, r.x.gpu.Stream
	if r.b.Trace != nil {
		r.start = time.Now()
		s.BeginProfiled()
	} else {
		s.Begin()
	}
	for i := range x.steps {
		if stopped = x.from+i < x.plan.Commit && r.b.Stop.Stopped(); stopped {
			break
		}
		for _, d := range r.dispatches[r.first[i]:r.first[i+1]] {
			s.Dispatch(d)
		}
	}
	r.ticket = s.End()
	return stopped
}

// bind puts the run's memory and constants into the dispatches of a step.
func (r *instance) bind(step int) error {
	l := r.x.steps[step]
	for k := range l.commands {
		c, d := &l.commands[k], r.dispatches[r.first[step]+k]
		for i := range c.args {
			a, to := &c.args[i], &d.Bindings[i]
			switch a.space {
			case scratch:
				to.Buffer, to.Offset = r.scratch, a.offset
			case statusSpace:
				to.Buffer, to.Offset = r.status, a.offset
			case planSpace:
				buffer, start, err := r.memory(a.index)
				if err != nil {
					return err
				}
				to.Buffer, to.Offset = buffer, start+a.offset
			}
		}
		for _, p := range c.patches {
			writeConstant(d.Params[p.at:], p.dtype, r.b.Consts[p.constant])
		}
		if c.draw >= 0 {
			setDraw(d.Params, r.b.Draws[c.draw])
		}
	}
	return nil
}

// memory returns the buffer that holds buffer i of the plan, and where in it.
func (r *instance) memory(i int) (*mtl.Buffer, int, error) {
	m, ok := r.b.Memory[i].(*Memory)
	if ok {
		return m.buffer, int(uintptr(r.b.Buffers[i]) - uintptr(m.Host())), nil
	}
	foreign := r.b.Memory[i]
	if foreign.Bytes() == 0 {
		return r.x.gpu.Unused(), 0, nil
	}
	v, err := r.x.dev.view(foreign)
	if err != nil {
		return nil, 0, err
	}
	return v.buffer, v.before + int(uintptr(r.b.Buffers[i])-uintptr(foreign.Host())), nil
}

// Wait implements plan.Fence.
func (r *instance) Wait() error {
	x := r.x
	err := x.gpu.Stream.Wait(r.ticket)
	if err != nil {
		err = r.stepError(err)
	} else if err = r.badIndex(); err == nil && r.b.Trace != nil {
		r.trace()
	}
	r.release()
	return err
}

// release ends the run.
func (r *instance) release() {
	r.b = nil
	x := r.x
	x.mu.Lock()
	x.free = append(x.free, r)
	x.mu.Unlock()
}

// stepError finds the step that a failed command buffer names.
func (r *instance) stepError(err error) error {
	var failed *mtl.ErrStep
	if !errors.As(err, &failed) {
		return err
	}
	for i := range r.x.steps {
		at := r.x.from + i
		for _, name := range failed.Steps {
			if name == r.x.plan.Steps[at].Name {
				return &plan.StepError{Step: at, Name: name, Err: err}
			}
		}
	}
	return err
}

// trace records the GPU time of each step.
func (r *instance) trace() {
	times := r.x.gpu.Stream.TimingsOf(r.ticket)
	if len(times) != len(r.dispatches) || len(times) == 0 {
		return
	}
	origin := times[0].Start
	for i, l := range r.x.steps {
		if len(l.commands) == 0 {
			continue
		}
		first, last := &times[r.first[i]], &times[r.first[i+1]-1]
		var names []string
		for k := range l.commands {
			if n := l.commands[k].launch.Kernel; len(names) == 0 || names[len(names)-1] != n {
				names = append(names, n)
			}
		}
		nanos := func(seconds float64) int64 { return int64(seconds * 1e9) }
		r.b.Trace.Add(plan.Event{Step: r.x.from + i, Kernel: strings.Join(names, " + "),
			Start: r.start.UnixNano() + nanos(first.Start-origin), Nanos: nanos(last.End - first.Start)})
	}
}
