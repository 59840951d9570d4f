package lower

import (
	"go/constant"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
)

// value is an expression ready to be evaluated. By the kind of its type, get
// is a func(*frame) of
//
//	bool, the integer, float, complex and string types: the same type
//	pointer, unsafe.Pointer, map, chan, func: unsafe.Pointer
//	slice: native.Slice; interface: native.Iface
//	struct, array: unsafe.Pointer to memory that holds the value; who wants
//	to keep it copies it at once
type value struct {
	typ   types.Type
	rt    *native.Type
	con   constant.Value
	get   any
	place func(*frame) unsafe.Pointer // where it is stored, for variables and their parts
	local bool                        // it is at offset off of the frame
	off   uintptr
	many  []value      // of a call with several results, valid after run
	run   func(*frame) // evaluates a call for its effect
	isNil bool
}

func (v value) kind() reflect.Kind { return reflect.Kind(v.rt.Kind) }

func (v value) inMemory() bool { k := v.kind(); return k == reflect.Struct || k == reflect.Array }

// load returns the typed getter of a value.
func load[T any](v value) func(*frame) T {
	if g, ok := v.get.(func(*frame) T); ok {
		return g
	}
	if !holds[T](v) {
		panic("value of type " + v.typ.String() + " read as " + reflect.TypeFor[T]().String())
	}
	if v.local {
		off := v.off
		return func(f *frame) T { return *(*T)(unsafe.Add(unsafe.Pointer(f), off)) }
	}
	if p := v.place; p != nil {
		return func(f *frame) T { return *(*T)(p(f)) }
	}
	panic("value of kind " + v.kind().String() + " has no getter for " + reflect.TypeFor[T]().String())
}

// holds reports whether the memory of a value is a T. Reading it as anything
// else would be silently wrong.
func holds[T any](v value) bool {
	switch k := v.kind(); k {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		return reflect.TypeFor[T]() == reflect.TypeFor[unsafe.Pointer]()
	case reflect.Slice:
		return reflect.TypeFor[T]() == reflect.TypeFor[native.Slice]()
	case reflect.Interface:
		return reflect.TypeFor[T]() == reflect.TypeFor[native.Iface]()
	default:
		return reflect.TypeFor[T]().Kind() == k
	}
}

// memory returns where the bytes of a value of any kind are, evaluating it into
// a fresh object if it has no place.
func (v value) memory() func(*frame) unsafe.Pointer {
	if v.place != nil {
		return v.place
	}
	if v.local {
		off := v.off
		return func(f *frame) unsafe.Pointer { return f.At(off) }
	}
	if v.inMemory() {
		return v.get.(func(*frame) unsafe.Pointer)
	}
	put, rt := v.store(), v.rt
	return func(f *frame) unsafe.Pointer {
		p := native.New(rt)
		put(f, p)
		return p
	}
}

func storeOf[T any](v value) func(*frame, unsafe.Pointer) {
	if v.local && v.get == nil {
		off := v.off
		return func(f *frame, dst unsafe.Pointer) { *(*T)(dst) = *(*T)(unsafe.Add(unsafe.Pointer(f), off)) }
	}
	g := load[T](v)
	return func(f *frame, dst unsafe.Pointer) { *(*T)(dst) = g(f) }
}

// store returns what evaluates a value and writes it to memory.
func (v value) store() func(*frame, unsafe.Pointer) {
	switch v.kind() {
	case reflect.Bool:
		return storeOf[bool](v)
	case reflect.Int8:
		return storeOf[int8](v)
	case reflect.Uint8:
		return storeOf[uint8](v)
	case reflect.Int16:
		return storeOf[int16](v)
	case reflect.Uint16:
		return storeOf[uint16](v)
	case reflect.Int32:
		return storeOf[int32](v)
	case reflect.Uint32:
		return storeOf[uint32](v)
	case reflect.Int64:
		return storeOf[int64](v)
	case reflect.Uint64:
		return storeOf[uint64](v)
	case reflect.Int:
		return storeOf[int](v)
	case reflect.Uint:
		return storeOf[uint](v)
	case reflect.Uintptr:
		return storeOf[uintptr](v)
	case reflect.Float32:
		return storeOf[float32](v)
	case reflect.Float64:
		return storeOf[float64](v)
	case reflect.Complex64:
		return storeOf[complex64](v)
	case reflect.Complex128:
		return storeOf[complex128](v)
	case reflect.String:
		return storeOf[string](v)
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		return storeOf[unsafe.Pointer](v)
	case reflect.Slice:
		return storeOf[native.Slice](v)
	case reflect.Interface:
		return storeOf[native.Iface](v)
	}
	rt, p := v.rt, v.memory()
	return func(f *frame, dst unsafe.Pointer) { native.Move(rt, dst, p(f)) }
}

// storeLocal is store to a fixed place of the frame.
func (v value) storeLocal(off uintptr) func(*frame) {
	switch g := v.get.(type) {
	case func(*frame) int:
		return func(f *frame) { *(*int)(f.At(off)) = g(f) }
	case func(*frame) float64:
		return func(f *frame) { *(*float64)(f.At(off)) = g(f) }
	case func(*frame) bool:
		return func(f *frame) { *(*bool)(f.At(off)) = g(f) }
	case func(*frame) string:
		return func(f *frame) { *(*string)(f.At(off)) = g(f) }
	case func(*frame) native.Slice:
		return func(f *frame) { *(*native.Slice)(f.At(off)) = g(f) }
	}
	put := v.store()
	return func(f *frame) { put(f, f.At(off)) }
}

// local views a slot as a value.
func (c *compiler) slotValue(t types.Type, s slot) value {
	v := value{typ: t, rt: s.t}
	if s.boxed {
		v.place = s.address()
	} else {
		v.local, v.off = true, s.off
	}
	return v
}

// at views memory as a value.
func (c *compiler) at(t types.Type, p func(*frame) unsafe.Pointer) value {
	return value{typ: t, rt: c.rtype(t), place: p}
}

// fixed views an address that is known now as a value.
func (c *compiler) fixed(t types.Type, p unsafe.Pointer) value {
	return value{typ: t, rt: c.rtype(t), place: func(*frame) unsafe.Pointer { return p }}
}

// result makes a value from a typed getter.
func (c *compiler) result(t types.Type, get any) value {
	return value{typ: t, rt: c.rtype(t), get: get}
}

// reflected makes a value from a getter of reflect values.
func (c *compiler) pointerResult(t types.Type, p func(*frame) unsafe.Pointer) value {
	v := c.at(t, p)
	if v.inMemory() {
		return value{typ: t, rt: v.rt, get: p}
	}
	return v
}

// saved evaluates a value now into a temporary and returns the temporary.
func (c *compiler) saved(v value) (func(*frame), value) {
	if v.con != nil || v.isNil {
		return func(*frame) {}, v
	}
	s := c.temporary(v.rt)
	t := c.slotValue(v.typ, s)
	if !s.boxed {
		return v.storeLocal(s.off), t
	}
	put, addr, prep := v.store(), s.address(), s.prepare()
	return func(f *frame) {
		prep(f)
		put(f, addr(f))
	}, t
}
