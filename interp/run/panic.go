package run

import (
	"reflect"
	"time"

	"loris/interp/native"
)

// Panicking is a panic on its way through interpreted frames.
type Panicking struct {
	Value     any
	Trace     []TraceEntry // innermost first
	Dropped   int          // frames left out before the last lastEntries of Trace
	Goexit    bool
	Started   int32 // where its goroutine was started; 0 for the cell itself
	recovered bool
}

// TraceEntry is an interpreted frame at the time of a panic, with those above it
// that are the same: recursion makes one entry.
type TraceEntry struct {
	Func   string
	Pos    int32
	Frames int // 1 or more
}

const (
	firstEntries = 48
	lastEntries  = 16
	// walkedFrames bounds what a panic costs far down the stack.
	walkedFrames = 4096
)

// trace lists the frames of the thread. Only the end of a recursion, which
// comes once, is worth a walk through millions.
func (p *Panicking) trace(th *Thread) {
	_, overflow := p.Value.(*StackOverflow)
	walked := 0
	for f := th.Top; f != nil; f = f.Caller {
		if walked++; walked > walkedFrames && !overflow {
			p.Dropped += max(th.Depth-walkedFrames, 1)
			return
		}
		if f.Code.Hidden {
			continue
		}
		if n := len(p.Trace); n > 0 && p.Trace[n-1].Func == f.Code.Name && p.Trace[n-1].Pos == f.Pos {
			p.Trace[n-1].Frames++
			continue
		}
		if len(p.Trace) == firstEntries+lastEntries {
			p.Dropped += p.Trace[firstEntries].Frames
			p.Trace = append(p.Trace[:firstEntries], p.Trace[firstEntries+1:]...)
		}
		p.Trace = append(p.Trace, TraceEntry{f.Code.Name, f.Pos, 1})
	}
}

// newPanic describes what recover returned.
func (th *Thread) newPanic(r any) *Panicking {
	if p, ok := r.(*Panicking); ok {
		return p
	}
	if last := th.lastPanic; last != nil && sameValue(last.Value, r) {
		th.lastPanic = nil
		return last // it came back through compiled code
	}
	if last := th.Task.passed.Load(); last != nil && sameValue(last.Value, r) {
		th.Task.passed.Store(nil)
		return last
	}
	p := &Panicking{Value: r, Started: th.Started}
	p.trace(th)
	return p
}

func sameValue(a, b any) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) || a == nil {
		return false
	}
	return reflect.TypeOf(a).Comparable() && reflect.ValueOf(a).Comparable() && a == b
}

// A Deferred call waits for its function to end.
type Deferred struct {
	next *Deferred
	call func(th *Thread, p *Panicking)
}

// Defer adds a deferred call, which gets the panic under way or nil.
func (f *Frame) Defer(call func(th *Thread, p *Panicking)) {
	f.Defers = &Deferred{f.Defers, call}
}

// RunDeferring runs a function's body, then its deferred calls.
func (f *Frame) RunDeferring(body func(*Frame)) {
	depth := f.Thread.Depth
	p := f.protect(depth, body)
	p = f.runDeferred(depth, p)
	if p != nil {
		panic(p)
	}
}

func (f *Frame) runDeferred(depth int, p *Panicking) *Panicking {
	for f.Defers != nil {
		d := f.Defers
		f.Defers = d.next
		q := f.protect(depth, func(f *Frame) { d.call(f.Thread, p) })
		if q != nil {
			p = q
		} else if p != nil && p.recovered {
			p = nil
		}
	}
	return p
}

// protect runs body in f and returns the panic that ended it, if any.
func (f *Frame) protect(depth int, body func(*Frame)) (p *Panicking) {
	returned := false
	defer func() {
		if returned {
			return
		}
		th := f.Thread
		r := recover()
		if r == nil { // runtime.Goexit goes on after this
			th.Top, th.Depth = f, depth
			if q := f.runDeferred(depth, &Panicking{Goexit: true}); q != nil && !q.Goexit {
				panic(q)
			}
			return
		}
		p = th.newPanic(r)
		th.Top, th.Depth = f, depth
	}()
	body(f)
	returned = true
	return nil
}

// Recover is the builtin, called in frame f.
func (f *Frame) Recover() any { return f.Panic.recover() }

func (p *Panicking) recover() any {
	if p == nil || p.recovered || p.Goexit {
		return nil
	}
	switch p.Value.(type) {
	case Interrupted, Exit, native.Fatal:
		return nil
	}
	p.recovered = true
	return p.Value
}

// DeferredRecover is "defer recover()", which does stop a panic.
func DeferredRecover(p *Panicking) { p.recover() }

const grace = 100 * time.Millisecond

func afterGrace() <-chan time.Time { return time.After(grace) }
