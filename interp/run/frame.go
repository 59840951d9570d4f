// Package run executes compiled cells: frames and threads, calls between
// interpreted and compiled code, deferred calls and panics, goroutines,
// interrupts and output. A program for it is made by package lower.
package run

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/interp/native"
)

// A Frame is one activation of a function. The values of its variables follow
// the header in the same object.
type Frame struct {
	Thread  *Thread
	Caller  *Frame
	Code    *Code
	Closure *Closure
	Defers  *Deferred
	Panic   *Panicking // of the function whose deferred call this is
	Pos     int32      // token.Pos of the running statement
	Label   int32      // target of the branch under way
}

// Slot is where a parameter, result or variable lives in a frame.
type Slot struct {
	Off  uintptr
	Type *native.Type
}

// At is the address of a slot.
func (f *Frame) At(off uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(f), off) }

// FrameType is the type of the header, which starts every layout.
var FrameType = native.Of(reflect.TypeFor[Frame]())

// Code is a function ready to run.
type Code struct {
	Name     string
	Layout   *native.Type // of the frame
	Params   []Slot
	Results  []Slot
	Captures []uintptr // slots that receive the captured variables' addresses
	Body     func(*Frame)
	Func     reflect.Type // as a func value
	index    uint32
	proto    atomic.Pointer[makeFuncImpl]
	// PanicFrame is set for code that stands for no function of the cell.
	Hidden bool
}

var codes atomic.Uint32

// NewCode returns code with its place in the threads' caches of frames.
func NewCode(name string) *Code { return &Code{Name: name, index: codes.Add(1)} }

// A Func is a late-bound function: callers hold the Func and read its code at
// each call.
type Func struct {
	Name string
	code atomic.Pointer[Code]
	lazy func() *Code
	once sync.Once
}

// Resolve sets what makes the code at the first call.
func (f *Func) Resolve(make func() *Code) { f.lazy = make }

// Code returns the current code.
func (f *Func) Code() *Code {
	c := f.code.Load()
	if c == nil {
		if f.lazy != nil {
			f.once.Do(func() { f.code.Store(f.lazy()) })
			return f.code.Load()
		}
		panic(&Refused{"call of " + f.Name + ", whose definition failed"})
	}
	return c
}

// Define sets the code that calls from now on run.
func (f *Func) Define(c *Code) { f.code.Store(c) }

// Defined reports whether the function has code.
func (f *Func) Defined() bool { return f.code.Load() != nil }

// Refused is the panic of code that must not run.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

const frameCache = 32

// A Thread is a goroutine of a cell.
type Thread struct {
	Task      *Task
	Top       *Frame
	Depth     int
	Stop      atomic.Int32 // see Task.Interrupt
	free      [frameCache]*Frame
	g         unsafe.Pointer
	Started   int32 // token.Pos of the go statement; 0 for the cell itself
	Main      bool
	lastPanic *Panicking
}

// NewFrame returns a frame for a call of c; the caller fills in its parameters.
func (th *Thread) NewFrame(c *Code) *Frame {
	p := &th.free[c.index%frameCache]
	if f := *p; f != nil && f.Code == c {
		*p = f.Caller
		return f
	}
	f := (*Frame)(native.New(c.Layout))
	f.Thread = th
	f.Code = c
	return f
}

// Release gives a frame back when its results were read.
func (th *Thread) Release(f *Frame) {
	p := &th.free[f.Code.index%frameCache]
	if old := *p; old != nil && old.Code != f.Code {
		*p = nil
	}
	code := f.Code
	if code.Layout.PtrBytes > headerSize {
		native.Clear(code.Layout, unsafe.Pointer(f))
		f.Thread = th
		f.Code = code
	} else {
		f.Closure, f.Panic = nil, nil
		f.Label = 0
	}
	f.Caller = *p
	*p = f
}

const headerSize = unsafe.Sizeof(Frame{})

// stackLimit bounds a goroutine's stack. The runtime kills the process at half
// a GiB, and doubles the stack (by copying it) as it grows.
const stackLimit = 240 << 20

// StackOverflow is the panic of too deep a recursion.
type StackOverflow struct {
	Func  string
	Calls int
}

func (e *StackOverflow) Error() string {
	return fmt.Sprintf("stack overflow: %s recurses without end (%d nested calls)", e.Func, e.Calls)
}

// RuntimeError makes it a [runtime.Error].
func (e *StackOverflow) RuntimeError() {}

// Invoke runs a frame whose parameters are set.
func (f *Frame) Invoke() {
	th := f.Thread
	th.Depth++
	top := (*[2]uintptr)(th.g)[1]
	if top-uintptr(unsafe.Pointer(&top)) > stackLimit {
		panic(&StackOverflow{f.Code.Name, th.Depth})
	}
	f.Caller = th.Top
	th.Top = f
	f.Code.Body(f)
	th.Top = f.Caller
	th.Depth--
}

// Check ends the goroutine if it was interrupted. Loops and native calls end
// with it.
func (f *Frame) Check() {
	if f.Thread.Stop.Load() != 0 {
		f.Thread.interrupted()
	}
}

func (th *Thread) interrupted() { panic(Interrupted{}) }

// Interrupted is the panic that unwinds an interrupted goroutine. Cells cannot
// recover it.
type Interrupted struct{}

func (Interrupted) Error() string { return "interrupted" }

// Exit is the panic of os.Exit.
type Exit struct{ Code int }

// A Closure is code with the variables it captured.
type Closure struct {
	Code     *Code
	Late     *Func // if set, its current code runs instead
	Captured []unsafe.Pointer
	Task     *Task
}

// Target is the code to run.
func (c *Closure) Target() *Code {
	if c.Late != nil {
		return c.Late.Code()
	}
	return c.Code
}

// Enter prepares a frame for a call of the closure.
func (th *Thread) Enter(c *Closure) *Frame {
	f := th.NewFrame(c.Target())
	f.Closure = c
	return f
}
