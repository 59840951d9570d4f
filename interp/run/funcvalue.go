package run

import (
	"reflect"
	"runtime"
	"unsafe"

	"loris/interp/native"
)

// makeFuncImpl mirrors reflect's closure of a func made by MakeFunc. Ours are
// copies of one per func type with another handler, which is cheaper than
// MakeFunc and lets calls between interpreted functions go around it.
type makeFuncImpl struct {
	fn      uintptr
	stack   unsafe.Pointer
	argLen  uintptr
	regPtrs [2]uint8
	ftyp    unsafe.Pointer
	handler *handlerClosure
}

type handlerClosure struct {
	pc uintptr
	c  *Closure
}

var stubPC, handlerPC = func() (uintptr, uintptr) {
	f := reflect.MakeFunc(reflect.TypeFor[func()](), handler(nil)).Interface()
	impl := (*makeFuncImpl)((*[2]unsafe.Pointer)(unsafe.Pointer(&f))[1])
	return impl.fn, impl.handler.pc
}()

//go:noinline
func handler(c *Closure) func([]reflect.Value) []reflect.Value {
	return func(in []reflect.Value) []reflect.Value { return c.fromNative(in) }
}

// Value makes the func value of a closure.
func (c *Closure) Value(typ reflect.Type) unsafe.Pointer {
	h := &handlerClosure{handlerPC, c}
	impl := new(makeFuncImpl)
	if code := c.Code; code != nil {
		p := code.proto.Load()
		if p == nil {
			p = prototype(typ)
			code.proto.Store(p)
		}
		*impl = *p
	} else {
		*impl = *prototype(typ)
	}
	impl.handler = h
	return unsafe.Pointer(impl)
}

func prototype(typ reflect.Type) *makeFuncImpl {
	f := reflect.MakeFunc(typ, handler(nil)).Interface()
	return (*makeFuncImpl)((*[2]unsafe.Pointer)(unsafe.Pointer(&f))[1])
}

// ClosureOf returns the closure behind a func value, or nil if the function is
// a compiled one.
func ClosureOf(fv unsafe.Pointer) *Closure {
	impl := (*makeFuncImpl)(fv)
	if impl.fn != stubPC || impl.handler.pc != handlerPC {
		return nil
	}
	return impl.handler.c
}

// fromNative is a call from compiled code.
func (c *Closure) fromNative(in []reflect.Value) []reflect.Value {
	th, enter := currentThread(c.Task)
	if enter {
		defer th.leave()
	}
	f := th.Enter(c)
	code := f.Code
	for i, v := range in {
		native.Value(code.Params[i].Type, f.At(code.Params[i].Off)).Set(v)
	}
	if p := th.enterFromNative(f); p != nil {
		if enter {
			// Compiled code started this goroutine (a timer, say).
			th.passOn(p)
			th.Task.crash(p)
			runtime.Goexit() // the process must not die
		}
		// Compiled callers may recover: show them the value itself. It is
		// raised here and not where it was caught, so that the stack below is
		// gone.
		th.lastPanic = p
		panic(p.Value)
	}
	out := make([]reflect.Value, len(code.Results))
	for i, r := range code.Results {
		v := reflect.New(r.Type.Reflect()).Elem()
		native.Move(r.Type, v.Addr().UnsafePointer(), f.At(r.Off))
		out[i] = v
	}
	th.Release(f)
	return out
}

// enterFromNative invokes f and returns the panic that ended it, if any, with
// the thread as it was before.
func (th *Thread) enterFromNative(f *Frame) (p *Panicking) {
	depth, top := th.Depth, th.Top
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil { // else it is runtime.Goexit
			p = th.newPanic(r)
			th.Depth, th.Top = depth, top
		}
	}()
	f.Invoke()
	returned = true
	return nil
}
