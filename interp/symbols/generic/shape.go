package generic

import (
	"reflect"
	"strings"
	"sync"
	"unsafe"
)

// sameShape reports whether values of types a and b have the same size and the
// same pointers and travel in the same registers; for functions, whether their
// parameters and results do. Such functions are interchangeable as machine
// code as far as what is behind pointers, slices and maps agrees, too, which
// the choice of the linked instance by element takes care of.
func sameShape(a, b reflect.Type) bool {
	return shapes{}.same(a, b)
}

type shapes map[[2]reflect.Type]bool

func (seen shapes) same(a, b reflect.Type) bool {
	if a == b || seen[[2]reflect.Type{a, b}] {
		return true
	}
	seen[[2]reflect.Type{a, b}] = true
	ka, kb := shapeKind(a), shapeKind(b)
	if ka != kb || a.Size() != b.Size() || a.Align() != b.Align() {
		return false
	}
	switch ka {
	case reflect.Array:
		return a.Len() == b.Len() && seen.same(a.Elem(), b.Elem())
	case reflect.Func:
		return seen.sameSignature(a, b)
	case reflect.Interface:
		return (a.NumMethod() == 0) == (b.NumMethod() == 0)
	case reflect.Struct:
		if a.NumField() != b.NumField() {
			return false
		}
		for i := range a.NumField() {
			if a.Field(i).Offset != b.Field(i).Offset || !seen.same(a.Field(i).Type, b.Field(i).Type) {
				return false
			}
		}
	}
	return true
}

func (seen shapes) sameSignature(a, b reflect.Type) bool {
	if a.NumIn() != b.NumIn() || a.NumOut() != b.NumOut() || a.IsVariadic() != b.IsVariadic() {
		return false
	}
	for i := range a.NumIn() {
		if !seen.same(a.In(i), b.In(i)) {
			return false
		}
	}
	for i := range a.NumOut() {
		if !seen.same(a.Out(i), b.Out(i)) {
			return false
		}
	}
	return true
}

// shapeKind maps kinds that differ only in name to one of them. Signed and
// unsigned integers stay apart since they order differently.
func shapeKind(t reflect.Type) reflect.Kind {
	switch k := t.Kind(); k {
	case reflect.Int:
		if t.Size() == 8 {
			return reflect.Int64
		}
		return reflect.Int32
	case reflect.Uint, reflect.Uintptr:
		if t.Size() == 8 {
			return reflect.Uint64
		}
		return reflect.Uint32
	case reflect.Chan, reflect.UnsafePointer:
		return reflect.Pointer
	default:
		return k
	}
}

// elementShape is the linked type that stands for t as an element, or nil.
func elementShape(t reflect.Type) reflect.Type {
	switch k := shapeKind(t); k {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return pointerShape
	case reflect.Slice:
		return sliceShape
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return anyShape
		}
		return errorShape
	case reflect.Struct, reflect.Array:
		return nil
	default:
		return kindShape[k]
	}
}

var (
	pointerShape = reflect.TypeFor[unsafe.Pointer]()
	sliceShape   = reflect.TypeFor[[]byte]()
	anyShape     = reflect.TypeFor[any]()
	errorShape   = reflect.TypeFor[error]()
	kindShape    = map[reflect.Kind]reflect.Type{
		reflect.Bool:       reflect.TypeFor[bool](),
		reflect.Int8:       reflect.TypeFor[int8](),
		reflect.Int16:      reflect.TypeFor[int16](),
		reflect.Int32:      reflect.TypeFor[int32](),
		reflect.Int64:      reflect.TypeFor[int64](),
		reflect.Uint8:      reflect.TypeFor[uint8](),
		reflect.Uint16:     reflect.TypeFor[uint16](),
		reflect.Uint32:     reflect.TypeFor[uint32](),
		reflect.Uint64:     reflect.TypeFor[uint64](),
		reflect.Float32:    reflect.TypeFor[float32](),
		reflect.Float64:    reflect.TypeFor[float64](),
		reflect.Complex64:  reflect.TypeFor[complex64](),
		reflect.Complex128: reflect.TypeFor[complex128](),
		reflect.String:     reflect.TypeFor[string](),
	}
)

// linkedElements returns the functions that are linked for an element shape.
var linkedElements = map[reflect.Type]func() map[string]any{
	reflect.TypeFor[bool]():       sync.OnceValue(comparableElements[bool]),
	reflect.TypeFor[int8]():       sync.OnceValue(orderedOnly[int8]),
	reflect.TypeFor[int16]():      sync.OnceValue(orderedOnly[int16]),
	reflect.TypeFor[int32]():      sync.OnceValue(orderedElements[int32]),
	reflect.TypeFor[int64]():      sync.OnceValue(orderedElements[int64]),
	reflect.TypeFor[uint8]():      sync.OnceValue(orderedElements[uint8]),
	reflect.TypeFor[uint16]():     sync.OnceValue(orderedOnly[uint16]),
	reflect.TypeFor[uint32]():     sync.OnceValue(orderedOnly[uint32]),
	reflect.TypeFor[uint64]():     sync.OnceValue(orderedElements[uint64]),
	reflect.TypeFor[float32]():    sync.OnceValue(orderedElements[float32]),
	reflect.TypeFor[float64]():    sync.OnceValue(orderedElements[float64]),
	reflect.TypeFor[complex64]():  sync.OnceValue(comparableOnly[complex64]),
	reflect.TypeFor[complex128](): sync.OnceValue(comparableOnly[complex128]),
	reflect.TypeFor[string]():     sync.OnceValue(orderedElements[string]),
	pointerShape:                  sync.OnceValue(comparableElements[unsafe.Pointer]),
	sliceShape:                    sync.OnceValue(anyElements[[]byte]),
	anyShape:                      sync.OnceValue(comparableElements[any]),
	errorShape:                    sync.OnceValue(comparableElements[error]),
}

// byShape finds a linked function that can serve as name with signature sig.
func byShape(name string, elems []reflect.Type, sig reflect.Type) (fn reflect.Value) {
	table := linkedTable(name, elems)
	if table == nil {
		return fn
	}
	f := table[name]
	if f == nil || !sameShape(reflect.TypeOf(f), sig) {
		return fn
	}
	return retype(f, sig)
}

func linkedTable(name string, elems []reflect.Type) map[string]any {
	shape := elementShape(elems[0])
	if shape == nil {
		return nil
	}
	if strings.HasPrefix(name, "maps.") {
		key, value := shape, elementShape(elems[1])
		if value == nil || elementShape(elems[len(elems)-1]) != value {
			return nil
		}
		if f := linkedMaps[[2]reflect.Type{key, value}]; f != nil {
			return f()
		}
		return nil
	}
	for _, e := range elems[1:] {
		if elementShape(e) != shape {
			return nil
		}
	}
	return linkedElements[shape]()
}

func pick(targs []TypeArg, indices []int) (elems []reflect.Type) {
	for _, i := range indices {
		elems = append(elems, targs[i].Rep)
	}
	return elems
}
