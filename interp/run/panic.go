package run

import (
	"reflect"
	"time"
)

// Panicking is a panic on its way through interpreted frames.
type Panicking struct {
	Value     any
	Trace     []TraceEntry
	Goexit    bool
	Started   int32 // where its goroutine was started; 0 for the cell itself
	recovered bool
}

// TraceEntry is one interpreted frame at the time of a panic.
type TraceEntry struct {
	Func string
	Pos  int32
}

const maxTrace = 64

// newPanic describes what recover returned.
func (th *Thread) newPanic(r any) *Panicking {
	if p, ok := r.(*Panicking); ok {
		return p
	}
	if last := th.lastPanic; last != nil && sameValue(last.Value, r) {
		th.lastPanic = nil
		return last // it came back through compiled code
	}
	p := &Panicking{Value: r, Started: th.Started}
	for f := th.Top; f != nil && len(p.Trace) < maxTrace; f = f.Caller {
		if !f.Code.Hidden {
			p.Trace = append(p.Trace, TraceEntry{f.Code.Name, f.Pos})
		}
	}
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
	case Interrupted, Exit:
		return nil
	}
	p.recovered = true
	return p.Value
}

// DeferredRecover is "defer recover()", which does stop a panic.
func DeferredRecover(p *Panicking) { p.recover() }

const grace = 100 * time.Millisecond

func afterGrace() <-chan time.Time { return time.After(grace) }
