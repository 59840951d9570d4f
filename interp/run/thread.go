package run

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// goroutine returns the runtime's descriptor of the running goroutine. Its
// second word is the upper end of the stack, see Frame.Invoke.
func goroutine() unsafe.Pointer

var threads sync.Map // unsafe.Pointer -> *Thread

// currentThread returns the thread of the running goroutine. One that compiled
// code started gets a new thread for the time of the call.
func currentThread(t *Task) (th *Thread, enter bool) {
	if th := Current(); th != nil {
		return th, false
	}
	if t == nil {
		t = Foreground()
	}
	return t.attach(), true
}

// Current returns the thread of the running goroutine, or nil.
func Current() *Thread {
	if th, ok := threads.Load(goroutine()); ok {
		return th.(*Thread)
	}
	return nil
}

func (t *Task) attach() *Thread {
	th := &Thread{Task: t, g: goroutine()}
	threads.Store(th.g, th)
	t.mu.Lock()
	t.threads[th] = struct{}{}
	th.Stop.Store(t.stopped)
	t.mu.Unlock()
	return th
}

// Attached calls f with the running goroutine, which compiled code may have
// started, as a thread of the cell that runs or ran last. Panics of interpreted
// functions then come back through f's callees; Attached returns the one that
// ended f, or nil.
func Attached(f func()) *Panicking {
	th, enter := currentThread(nil)
	if enter {
		defer th.leave()
	}
	return th.guard(func(*Thread) { f() })
}

func (th *Thread) leave() {
	threads.Delete(th.g)
	t := th.Task
	if t != Foreground() {
		t.Flush() // while what it wrote is known to be its own
	}
	t.mu.Lock()
	delete(t.threads, th)
	t.mu.Unlock()
}

var foreground atomic.Pointer[Task]

// Foreground is the cell that runs or ran last; of several that run, the one that
// began first.
func Foreground() *Task { return foreground.Load() }

// running are the tasks that run now, the oldest first.
var running struct {
	sync.Mutex
	tasks []*Task
}

func (t *Task) enter() {
	running.Lock()
	defer running.Unlock()
	running.tasks = append(running.tasks, t)
	foreground.Store(running.tasks[0])
}

func (t *Task) leave() {
	running.Lock()
	defer running.Unlock()
	running.tasks = slices.DeleteFunc(running.tasks, func(o *Task) bool { return o == t })
	if len(running.tasks) > 0 {
		foreground.Store(running.tasks[0])
	}
}

// A Task is one run of a cell, with the goroutines it started.
type Task struct {
	Cell string
	// Output receives what the cell's goroutines print; name is stdout or
	// stderr.
	Output func(name, text string)
	// Crashed receives a panic that ended a goroutine of the cell.
	Crashed func(*Panicking)
	// Recovered receives a panic that compiled code recovers and only logs.
	Recovered func(*Panicking)

	done    chan struct{} // closed by Interrupt
	mu      sync.Mutex
	threads map[*Thread]struct{}
	stopped int32
	exit    *Panicking                // of a goroutine that called os.Exit
	passed  atomic.Pointer[Panicking] // the last that went from one goroutine to another
}

// NewTask prepares a run.
func NewTask(cell string) *Task {
	return &Task{Cell: cell, done: make(chan struct{}), threads: map[*Thread]struct{}{}}
}

// Done is closed when the task is interrupted.
func (t *Task) Done() <-chan struct{} { return t.done }

// Interrupt makes all goroutines of the task end: at once in loops, channel
// operations and calls; when they return from compiled code else. Nothing of
// them runs later.
func (t *Task) Interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped == 0 {
		close(t.done)
	}
	t.stopped = 1
	for th := range t.threads {
		th.Stop.Store(1)
	}
}

// Threads is the number of live goroutines of the task.
func (t *Task) Threads() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.threads)
}

// Run executes f on a new goroutine as the task's main thread; it returns when
// that has ended.
func (t *Task) Run(f func(*Thread)) (p *Panicking) {
	t.enter()
	defer t.leave()
	done := make(chan *Panicking, 1)
	go func() {
		th := t.attach()
		th.Main = true
		var p *Panicking
		defer func() {
			th.leave()
			done <- p
		}()
		p = th.guard(f)
	}()
	select {
	case p = <-done:
		return t.ended(p)
	case <-t.done:
	}
	// The main goroutine may be blocked in compiled code for ever.
	select {
	case p = <-done:
		return t.ended(p)
	case <-afterGrace():
		return t.ended(&Panicking{Value: Interrupted{}})
	}
}

// Go starts a goroutine of the same task.
func (th *Thread) Go(f func(*Thread)) {
	t := th.Task
	started := th.Pos()
	go func() {
		th := t.attach()
		th.Started = started
		defer th.leave()
		if p := th.guard(f); p != nil {
			t.crash(p)
		}
	}()
}

// crash reports a panic that ended a goroutine. os.Exit ends the whole cell.
func (t *Task) crash(p *Panicking) {
	switch p.Value.(type) {
	case Interrupted:
		return
	case Exit:
		t.mu.Lock()
		first := t.exit == nil
		if first {
			t.exit = p
		}
		t.mu.Unlock()
		if first {
			t.Interrupt()
		}
		return
	}
	if t.Crashed != nil {
		t.Crashed(p)
	}
}

// ended is how a cell ended, given how its main goroutine did.
func (t *Task) ended(p *Panicking) *Panicking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exit != nil {
		return t.exit
	}
	return p
}

// guard runs f and returns its panic, if any.
func (th *Thread) guard(f func(*Thread)) (p *Panicking) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			p = th.newPanic(r)
		}
	}()
	f(th)
	returned = true
	return nil
}

// Pos returns the position of what the goroutine runs: of a call of compiled
// code, while that runs.
func (th *Thread) Pos() int32 {
	if f := th.visible(); f != nil {
		return f.Pos
	}
	return 0
}

// At makes pos the position of what the goroutine runs.
func (th *Thread) At(pos int32) {
	if f := th.visible(); f != nil {
		f.Pos = pos
	}
}

// Frames yields the frames of cells' own code, innermost first.
func (th *Thread) Frames(yield func(*Frame) bool) {
	for f := th.Top; f != nil; f = f.Caller {
		if !f.Code.Hidden && !yield(f) {
			return
		}
	}
}

// visible is the innermost frame of a cell's own code.
func (th *Thread) visible() *Frame {
	f := th.Top
	for f != nil && f.Code.Hidden {
		f = f.Caller
	}
	return f
}
