package eval

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
)

// job is one evaluation: a plan bound to values.
type job struct {
	match   plan.Match
	bind    plan.Binding
	stop    plan.Stop
	dev     plan.Device
	roots   []*ir.Node
	outs    []*ir.Value
	buffers []*Buffer // of the plan's leaves and outputs
	donated []*ir.Value

	committed bool                   // the run failed after it had begun to write over donated leaves
	deps      atomic.Pointer[[]*job] // evaluations to wait for; nil once the job has ended

	state atomic.Int32
	done  chan struct{} // closed at the end; nil for a job that its caller runs
	err   *ir.Error
	nanos float64 // rough time of a run
	small bool    // not worth handing to another goroutine
	width int32   // cores that a run keeps busy
}

// The states of a job.
const (
	queued int32 = iota
	running
	ended
)

// cache holds the plans of the process.
var cache = plan.NewCache(256)

// jobs keeps jobs for reuse, so that an evaluation allocates only its values.
var jobs = sync.Pool{New: func() any { return new(job) }}

// recycle keeps a job that nothing refers to any more.
func (j *job) recycle() {
	j.forget()
	clear(j.outs)
	j.outs, j.err, j.small, j.committed = j.outs[:0], nil, false, false
	j.state.Store(queued)
	jobs.Put(j)
}

// forget drops the references to nodes and values.
func (j *job) forget() {
	clear(j.roots)
	j.roots = j.roots[:0]
	clear(j.match.Values)
	clear(j.match.Kept)
	clear(j.match.Draws)
	j.match.Plan, j.match.Exec = nil, nil
	j.deps.Store(nil)
	j.bind.Plan, j.bind.Leaves, j.bind.Arena, j.bind.Trace = nil, nil, nil, nil
	clear(j.bind.Memory)
	clear(j.bind.Buffers)
	clear(j.buffers)
	j.buffers = j.buffers[:0]
	clear(j.donated)
	j.donated = j.donated[:0]
}

// plan finds the plan of roots and what it waits for.
func (j *job) plan(ctx context.Context, roots []*ir.Node) error {
	opt, err := options()
	if err != nil {
		return err
	}
	j.stop.Reset(ctx)
	j.dev = opt.Device
	j.roots = append(j.roots[:0], roots...)
	if err := cache.Find(&j.match, j.roots, opt); err != nil {
		if step := (*plan.StepError)(nil); errors.As(err, &step) {
			return j.failure(err)
		}
		return err
	}
	var deps []*job
	for _, v := range j.match.Values {
		if v.Task == nil || v.Ready() {
			continue
		}
		if d, ok := v.Task.(*job); ok {
			deps = append(deps, d)
		}
	}
	if deps != nil {
		list := deps // only this copy is on the heap
		j.deps.Store(&list)
	}
	j.nanos = j.match.Plan.Nanos
	j.small, j.width = j.nanos < smallJob, 1
	if !j.small {
		j.width = int32(runtime.GOMAXPROCS(0))
	}
	return nil
}

// waitsFor returns the evaluations that the job needs the results of.
func (j *job) waitsFor() []*job {
	if d := j.deps.Load(); d != nil {
		return *d
	}
	return nil
}

// smallJob is the time, in nanoseconds, below which handing a job to another
// goroutine costs more than running it.
const smallJob = 25000

// longJob is the time, in nanoseconds, from which a run is watched: kernels of
// shorter ones end soon enough.
const longJob = 5e6

// prepare allocates the outputs and binds all buffers but the arena.
func (j *job) prepare() error {
	p := j.match.Plan
	b := &j.bind
	b.Plan, b.Leaves, b.Consts, b.Draws, b.Stop = p, j.match.Values, j.match.Consts, j.match.Draws, &j.stop
	b.Buffers = resize(b.Buffers, len(p.Buffers))
	b.Memory = resize(b.Memory, len(p.Buffers))
	j.buffers = resize(j.buffers, len(p.Buffers))
	for i := range p.Buffers {
		pb := &p.Buffers[i]
		switch pb.Kind {
		case plan.LeafBuffer:
			v := j.match.Values[pb.Index]
			buf := v.Buffer.(*Buffer)
			buf.hold()
			j.buffers[i] = buf
			b.Memory[i] = buf.mem
			b.Buffers[i] = unsafe.Add(buf.mem.Host(), (v.Offset+j.match.Offset[pb.Index])*v.DType.Bytes())
		case plan.OutputBuffer:
			if j.takeOver(i) {
				continue
			}
			pos := j.output(pb.Index).Pos
			buf, err := newBuffer(j.dev, pb.Bytes, pos)
			if err != nil {
				return memoryError(err, j.stepName(i), pos)
			}
			j.buffers[i] = buf
			b.Memory[i] = buf.mem
			b.Buffers[i] = buf.mem.Host()
		}
	}
	j.makeValues()
	return nil
}

// takeOver gives output buffer i the memory of a donated leaf, if nothing but
// this run and the leaf's own value uses it.
func (j *job) takeOver(i int) bool {
	a := j.match.Plan.Buffers[i].Alias
	if a < 0 || j.done != nil {
		return false
	}
	leaf := j.match.Plan.Buffers[a].Index
	v, buf := j.match.Values[leaf], j.buffers[a]
	if buf.refs.Load() != 2 || v.Offset != 0 || v.Strides != nil || buf.Bytes() != j.match.Plan.Buffers[i].Bytes {
		return false
	}
	j.bind.Memory[i], j.bind.Buffers[i] = buf.mem, j.bind.Buffers[a]
	j.donated = append(j.donated, v)
	return true
}

// retire makes the values whose memory results have taken over unreadable.
func (j *job) retire() {
	if len(j.donated) == 0 {
		return
	}
	gone := goneInPlace()
	for i, v := range j.donated {
		retireValue(v, gone)
		j.donated[i] = nil
	}
	j.donated = j.donated[:0]
}

func goneInPlace() *ir.Error {
	return &ir.Error{Code: ir.CodeDonated, Msg: "this tensor was updated in place: its old value is gone",
		Hint: "read it before the update, or keep a copy"}
}

// retireValue makes a value unreadable whose memory a new one has taken over, and
// with it the value's hold on the buffer.
func retireValue(v *ir.Value, gone *ir.Error) {
	buf := v.Buffer.(*Buffer)
	v.Err, v.Buffer = gone, nil
	changed(buf)
}

// changed tells a buffer's memory that it was written after its first use.
func changed(b *Buffer) {
	if m, ok := b.mem.(interface{ Changed() }); ok {
		m.Changed()
	}
}

// resize returns n zero elements in the memory of s, whose elements all are zero.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// output returns the node of output k.
func (j *job) output(k int) *ir.Node {
	if k < len(j.roots) {
		return j.roots[k]
	}
	return j.match.Kept[k-len(j.roots)]
}

// stepName names the step that writes buffer i.
func (j *job) stepName(i int) string {
	p := j.match.Plan
	if f := p.Buffers[i].First; f >= 0 && f < len(p.Steps) {
		return p.Steps[f].Name
	}
	return "evaluation"
}

// makeValues makes the values of the outputs, not yet computed. The first value in a
// new buffer takes it over from the job, or from the donated value; others hold it.
func (j *job) makeValues() {
	p := j.match.Plan
	j.outs = resize(j.outs, len(p.Outputs))
	for k := len(p.Outputs) - 1; k >= 0; k-- {
		o := &p.Outputs[k]
		pb := &p.Buffers[o.Buffer]
		v := &ir.Value{DType: o.DType, Shape: o.Shape, Offset: o.Offset, Device: p.Device}
		if !o.IsDense() {
			v.Strides = o.Strides
		}
		if pb.Kind == plan.LeafBuffer {
			leaf := j.match.Values[pb.Index]
			v.Buffer = leaf.Buffer
			v.Offset += leaf.Offset + j.match.Offset[pb.Index]
			leaf.Buffer.(*Buffer).hold()
		} else {
			buf := j.buffers[o.Buffer]
			if buf == nil {
				buf = j.buffers[pb.Alias]
			}
			if k == pb.Index {
				j.buffers[o.Buffer] = nil
			} else {
				buf.hold()
			}
			v.Buffer = buf
		}
		if j.done != nil {
			v.Done, v.Task = j.done, j
		}
		j.outs[k] = v
	}
}

// run computes the outputs. The job has been claimed and what it waits for has ended.
func (j *job) run() *ir.Error {
	for _, d := range j.waitsFor() {
		if d.err != nil {
			return dependency(d.err)
		}
	}
	p := j.match.Plan
	if p.Arena > 0 {
		arena, err := allocate(j.dev, p.Arena)
		if err != nil {
			return memoryError(err, "evaluation of "+j.stepAtPeak(), j.roots[0].Pos)
		}
		j.bind.Arena = arena
		defer j.dev.Free(arena)
		host := arena.Host()
		for i := range p.Buffers {
			if pb := &p.Buffers[i]; pb.Kind == plan.TempBuffer {
				j.bind.Buffers[i] = unsafe.Add(host, pb.Offset)
				j.bind.Memory[i] = arena
			}
		}
	}
	trace := profiler.Load()
	if trace != nil {
		j.bind.Trace = &plan.Recorder{}
	}
	if j.nanos > longJob {
		defer j.stop.Watch()()
	}
	for _, x := range j.match.Exec {
		fence, err := x.Run(&j.bind)
		if err == nil && fence != nil {
			err = fence.Wait()
		}
		if err != nil {
			var step *plan.StepError
			j.committed = errors.As(err, &step) && step.Step >= p.Commit
			return j.failure(err)
		}
	}
	counters.kernels.Add(int64(len(p.Steps)))
	if trace != nil {
		trace.record(j)
	}
	return nil
}

// dependency is the error of an evaluation that needed a failed one.
func dependency(err *ir.Error) *ir.Error {
	if err.Code == ir.CodeInterrupted {
		return err
	}
	e := *err
	e.Notes = append(append([]ir.Note(nil), err.Notes...), ir.Note{Msg: "an evaluation that needs this result could not run"})
	return &e
}

// stepAtPeak names the step that uses most temporary memory.
func (j *job) stepAtPeak() string {
	p := j.match.Plan
	name, most := "", -1
	for i := range p.Buffers {
		if b := &p.Buffers[i]; b.Kind == plan.TempBuffer && b.Bytes > most && b.First >= 0 {
			name, most = p.Steps[b.First].Name, b.Bytes
		}
	}
	return name
}

// failure makes the error of a run: which step, made by which line.
func (j *job) failure(err error) *ir.Error {
	if j.stop.Flag().Load() {
		return &ir.Error{Code: ir.CodeInterrupted, Op: "Eval", Msg: "interrupted", Err: context.Canceled}
	}
	e := &ir.Error{Code: ir.CodeDevice, Op: "Eval", Msg: err.Error(), Err: errors.Unwrap(err)}
	var known *ir.Error
	if errors.As(err, &known) {
		copied := *known
		e = &copied
	}
	var step *plan.StepError
	if errors.As(err, &step) {
		if known == nil {
			e.Op, e.Msg, e.Err = step.Name, step.Err.Error(), nil
		}
		j.locate(e, step.Step)
	}
	return e
}

// locate adds the places of the ops that a step computes.
func (j *job) locate(e *ir.Error, step int) {
	nodes := cache.Order(j.roots, j)
	for _, i := range j.match.Plan.Steps[step].Origin {
		if int(i) >= len(nodes) {
			return
		}
		n := nodes[i]
		if e.Pos == (ir.Pos{}) {
			e.Pos = n.Pos
		}
		if e.Op == "" {
			e.Op = op.NameOf(n.Op)
		}
		e.Notes = append(e.Notes, ir.Note{Pos: n.Pos, Msg: op.NameOf(n.Op) + " " + n.DType.String() + n.Shape.String()})
	}
}

// letGo ends the job's hold on its buffers.
func (j *job) letGo() {
	for i, b := range j.buffers {
		if b != nil {
			b.drop()
			j.buffers[i] = nil
		}
	}
}

// end publishes the result of a job.
func (j *job) end(err *ir.Error) {
	j.err = err
	counters.evals.Add(1)
	for _, v := range j.outs {
		v.Err = err
	}
	j.letGo()
	if j.done == nil {
		j.state.Store(ended)
		return
	}
	// Values refer to the job, and it must not keep the graph or anything large alive.
	j.match, j.bind, j.roots, j.outs, j.buffers = plan.Match{}, plan.Binding{}, nil, nil, nil
	j.deps.Store(nil)
	j.state.Store(ended)
	close(j.done)
}
