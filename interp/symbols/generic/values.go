package generic

import (
	"iter"
	"reflect"
	"unsafe"
)

// A native is a function as reflect.MakeFunc wants it.
type native = func(args []reflect.Value) []reflect.Value

func makeFunc(sig reflect.Type, f native) reflect.Value { return reflect.MakeFunc(sig, f) }

func results(vs ...reflect.Value) []reflect.Value { return vs }

func intValue(i int) reflect.Value { return reflect.ValueOf(i) }

func boolValue(b bool) reflect.Value { return reflect.ValueOf(b) }

// A caller calls a function value again and again with the same argument
// slice.
type caller struct {
	fn   reflect.Value
	args []reflect.Value
}

func newCaller(fn reflect.Value) *caller {
	return &caller{fn, make([]reflect.Value, fn.Type().NumIn())}
}

// call panics as a compiled call does if the function is nil.
func call(fn reflect.Value, args []reflect.Value) []reflect.Value {
	if fn.IsNil() {
		var none func()
		none()
	}
	return fn.Call(args)
}

func (c *caller) one(a reflect.Value) reflect.Value {
	c.args[0] = a
	return call(c.fn, c.args)[0]
}

func (c *caller) two(a, b reflect.Value) reflect.Value {
	c.args[0], c.args[1] = a, b
	return call(c.fn, c.args)[0]
}

// copyOf is the value itself, apart from the variable that v may stand for.
func copyOf(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// An equality compares two addressable values of one comparable type as ==
// does, with the panic of == where interfaces hold uncomparable values.
type equality struct {
	word   unsafe.Pointer // the type
	direct bool           // values are pointers and lie in the interface itself
	iface  bool           // values are interfaces
}

func newEquality(t reflect.Type) equality {
	zero := reflect.Zero(t).Interface()
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&zero))
	return equality{words[0], words[1] == nil, t.Kind() == reflect.Interface}
}

func (e equality) same(a, b reflect.Value) bool {
	if e.iface {
		return a.Interface() == b.Interface()
	}
	return e.wrap(a.Addr().UnsafePointer()) == e.wrap(b.Addr().UnsafePointer())
}

// wrap makes an interface value over memory without a copy.
func (e equality) wrap(p unsafe.Pointer) (x any) {
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&x))
	if e.direct {
		p = *(*unsafe.Pointer)(p)
	}
	words[0], words[1] = e.word, p
	return x
}

// seq ranges over an iter.Seq of any type. The loop is compiled, so that a
// misbehaving iterator meets the checks of the language.
func seq(v reflect.Value) iter.Seq[reflect.Value] {
	yieldType := v.Type().In(0)
	return func(yield func(reflect.Value) bool) {
		call(v, results(makeFunc(yieldType, func(args []reflect.Value) []reflect.Value {
			return results(boolValue(yield(args[0])))
		})))
	}
}

// seq2 ranges over an iter.Seq2 of any types.
func seq2(v reflect.Value) iter.Seq2[reflect.Value, reflect.Value] {
	yieldType := v.Type().In(0)
	return func(yield func(k, v reflect.Value) bool) {
		call(v, results(makeFunc(yieldType, func(args []reflect.Value) []reflect.Value {
			return results(boolValue(yield(args[0], args[1])))
		})))
	}
}

// iterator makes an iterator of the given type that runs body.
func iterator(t reflect.Type, body func(yield func(...reflect.Value) bool)) reflect.Value {
	return makeFunc(t, func(args []reflect.Value) []reflect.Value {
		body(func(vs ...reflect.Value) bool { return call(args[0], vs)[0].Bool() })
		return nil
	})
}
