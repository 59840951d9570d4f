package run

import (
	"reflect"
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
	depth, top := th.Depth, th.Top
	f := th.Enter(c)
	code := f.Code
	for i, v := range in {
		native.Value(code.Params[i].Type, f.At(code.Params[i].Off)).Set(v)
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		r := recover()
		if r == nil {
			return // runtime.Goexit
		}
		if p, ok := r.(*Panicking); ok {
			// Compiled callers may recover: show them the value itself.
			th.lastPanic = p
			r = p.Value
		} else {
			th.lastPanic = th.newPanic(r)
		}
		th.Depth, th.Top = depth, top
		panic(r)
	}()
	f.Invoke()
	returned = true
	out := make([]reflect.Value, len(code.Results))
	for i, r := range code.Results {
		v := reflect.New(r.Type.Reflect()).Elem()
		native.Move(r.Type, v.Addr().UnsafePointer(), f.At(r.Off))
		out[i] = v
	}
	th.Release(f)
	return out
}
