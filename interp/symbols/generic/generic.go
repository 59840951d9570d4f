// Package generic provides the generic functions and methods of the standard
// library for type arguments that are known only at run time: name and types
// in, native function out. Nothing of them is interpreted.
//
// The interpreter holds a value of a cell-defined type as a value of a
// representation type of equal memory layout (see [TypeArg]). A generic
// function sees only memory, except where it looks at the type itself, so
// there are two ways to provide an instance, tried in this order:
//
//   - By shape: the function is linked for a dozen element shapes (int64,
//     string, pointer, interface, …). Slices of any integer kind of that
//     width, named or not, pass through machine code in the same way, so the
//     linked function is given the wanted type and nothing is converted. A
//     slices.Sort of a []main.Celsius is slices.Sort[[]float64].
//   - By reflection: for other types (structs, arrays, rare kinds) a native
//     function written over package reflect.
//
// How lowering asks. For a call of a generic function of the standard library,
// go/types gives the instance (types.Info.Instances) and its signature with
// all type parameters replaced. Map both to representation types and call
//
//	fn, err := generic.Func("slices", "SortFunc", targs, sig)
//
// then bind fn, whose type is sig, to a binary symbol and call it like any
// native function. Type arguments come in the order of the declaration
// (slices.SortFunc has S and E). Methods of generic types are functions with
// the receiver first:
//
//	fn, err := generic.Method("sync/atomic", "Pointer", "Load", targs, sig)
//
// The types themselves (iter.Seq, atomic.Pointer, unique.Handle, weak.Pointer,
// sql.Null) need nothing special: export data shows their underlying type,
// from which a representation follows as for a cell-defined type. Where the
// program itself contains an instance, as iter.Seq[string] in the API of
// strings, [Type] returns it; use it as the representation, since native
// functions want it.
//
// An instance keeps no state and may be cached by its key and used at the same
// time from many goroutines.
package generic

import (
	"fmt"
	"reflect"
	"unsafe"

	"loris/interp/symbols/std"
)

// TypeArg is a type argument in its two views.
type TypeArg struct {
	// Rep is the type of the values that the interpreter holds and passes.
	Rep reflect.Type
	// True is the run-time type that values in interfaces carry: what %T
	// prints and what assertions see. nil means the same as Rep.
	True reflect.Type
}

// A row says how one generic function or method is provided.
type row struct {
	// elems are the indices of the type arguments that choose a linked
	// instance by shape; nil if none is linked.
	elems []int
	// build makes an instance over package reflect, or returns the zero Value
	// if it cannot; nil if all possible type arguments have a shape.
	build func(targs []TypeArg, sig reflect.Type) reflect.Value
}

// Func returns the instance of a generic function as a value of type sig.
func Func(path, name string, targs []TypeArg, sig reflect.Type) (reflect.Value, error) {
	return instance(path+"."+name, targs, sig)
}

// Method returns a method of an instance of a generic type as a function of
// type sig, whose first parameter is the receiver: *T where the method is
// declared on *T, else T.
func Method(path, typ, method string, targs []TypeArg, sig reflect.Type) (reflect.Value, error) {
	return instance(path+"."+typ+"."+method, targs, sig)
}

// Has reports whether there is such a function ("slices.Sort") or method
// ("sync/atomic.Pointer.Load").
func Has(name string) bool {
	_, ok := rows[name]
	return ok
}

// Type returns the run-time type of an instance that is part of the program.
// name is what types.TypeString(t, nil) prints: "iter.Seq[string]".
func Type(name string) (reflect.Type, bool) {
	t, ok := linked[name]
	return t, ok
}

var linked = map[string]reflect.Type{}

func init() {
	for _, i := range std.Instances {
		linked[i.Name] = reflect.TypeOf(i.Value).Elem()
	}
}

// rows has a row for each generic function and method of the standard library;
// a test holds it against the export data.
var rows = map[string]row{}

func register(more map[string]row) {
	for name, r := range more {
		rows[name] = r
	}
}

func instance(name string, targs []TypeArg, sig reflect.Type) (fn reflect.Value, err error) {
	r, ok := rows[name]
	if !ok {
		return fn, fmt.Errorf("%s is not a generic function of the standard library", name)
	}
	if sig == nil || sig.Kind() != reflect.Func {
		return fn, fmt.Errorf("%s: the signature is %v, want a func type", name, sig)
	}
	targs = append([]TypeArg(nil), targs...)
	for i := range targs {
		if targs[i].Rep == nil {
			return fn, fmt.Errorf("%s: type argument %d is missing", name, i)
		}
		if targs[i].True == nil {
			targs[i].True = targs[i].Rep
		}
	}
	defer func() {
		if p := recover(); p != nil {
			fn, err = reflect.Value{}, fmt.Errorf("%s of signature %s: %v", name, sig, p)
		}
	}()
	if r.elems != nil {
		fn = byShape(name, pick(targs, r.elems), sig)
	}
	if !fn.IsValid() && r.build != nil {
		fn = r.build(targs, sig)
	}
	if !fn.IsValid() {
		return fn, fmt.Errorf("%s cannot be instantiated with signature %s", name, sig)
	}
	return fn, nil
}

// retype returns the function fn as a value of type sig. The two types must
// pass their parameters in the same way, which sameShape decides.
func retype(fn any, sig reflect.Type) reflect.Value {
	code := dataWord(fn)
	return reflect.ValueOf(reflect.NewAt(sig, unsafe.Pointer(&code)).Elem().Interface())
}

// dataWord is the second word of an interface value: for a function, the
// function itself.
func dataWord(x any) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&x))[1]
}

// box turns a representation value into an interface value of the true type.
func (a TypeArg) box(v reflect.Value) any {
	if a.Rep == a.True || v.Kind() == reflect.Interface {
		return v.Interface()
	}
	p := reflect.New(a.Rep)
	p.Elem().Set(v)
	return reflect.NewAt(a.True, p.UnsafePointer()).Elem().Interface()
}

// unbox is the inverse of box. x must hold the true type, or implement it.
func (a TypeArg) unbox(x any) reflect.Value {
	if a.Rep.Kind() == reflect.Interface {
		v := reflect.New(a.Rep).Elem()
		if x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return v
	}
	p := reflect.New(a.True)
	p.Elem().Set(reflect.ValueOf(x))
	return reflect.NewAt(a.Rep, p.UnsafePointer()).Elem()
}

// assert is x.(T) of the true type, as a representation value.
func (a TypeArg) assert(x any) (v reflect.Value, ok bool) {
	if x == nil {
		return reflect.Zero(a.Rep), false
	}
	t := reflect.TypeOf(x)
	if t != a.True && (a.True.Kind() != reflect.Interface || !t.Implements(a.True)) {
		return reflect.Zero(a.Rep), false
	}
	return a.unbox(x), true
}
