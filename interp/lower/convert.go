package lower

import (
	"fmt"
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
)

// convert makes a value of type t from v: both conversions that Go makes by
// itself and explicit ones.
func (c *compiler) convert(v value, t types.Type) value {
	if types.Identical(v.typ, t) {
		return v
	}
	if v.isNil && c.nilable(t) {
		return c.zero(t)
	}
	rt := c.rtype(t)
	if rt.IsInterface() {
		if v.rt.IsInterface() {
			return c.retable(v, t)
		}
		return c.toInterface(v, t)
	}
	from, to := v.kind(), reflect.Kind(rt.Kind)
	switch {
	case to == reflect.String:
		return c.toString(v, t, rt)
	case from == reflect.String && to == reflect.Slice:
		return c.fromString(v, t, rt)
	case from == reflect.Slice && to == reflect.Array:
		return c.sliceToArray(v, t, rt, int(rt.Reflect().Len()), true)
	case from == reflect.Slice && to == reflect.Pointer:
		return c.sliceToArray(v, t, rt, rt.Reflect().Elem().Len(), false)
	case isNumeric(from) && isNumeric(to):
		if from != to {
			return c.number(v, t, to)
		}
	case from == reflect.Uintptr && to == reflect.UnsafePointer:
		g := load[uintptr](v)
		return c.result(t, func(f *frame) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(new(g(f)))) })
	case from == reflect.UnsafePointer && to == reflect.Uintptr:
		g := load[unsafe.Pointer](v)
		return c.result(t, func(f *frame) uintptr { return uintptr(g(f)) })
	}
	// The same memory under another type.
	v.typ, v.rt = t, rt
	if v.con != nil {
		return c.constant(t, v.con)
	}
	return v
}

func (c *compiler) nilable(t types.Type) bool {
	switch reflect.Kind(c.rtype(t).Kind) {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func, reflect.Slice, reflect.Interface:
		return true
	}
	return false
}

func isNumeric(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Complex128 }

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

func isSigned(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Int64 }

type number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

func as[T, F number](v value) func(*frame) T {
	g := load[F](v)
	return func(f *frame) T { return T(g(f)) }
}

// fromNumber returns a getter that converts any number to T in one step.
func fromNumber[T number](v value) func(*frame) T {
	switch v.kind() {
	case reflect.Int:
		return as[T, int](v)
	case reflect.Int8:
		return as[T, int8](v)
	case reflect.Int16:
		return as[T, int16](v)
	case reflect.Int32:
		return as[T, int32](v)
	case reflect.Int64:
		return as[T, int64](v)
	case reflect.Uint:
		return as[T, uint](v)
	case reflect.Uint8:
		return as[T, uint8](v)
	case reflect.Uint16:
		return as[T, uint16](v)
	case reflect.Uint32:
		return as[T, uint32](v)
	case reflect.Uint64:
		return as[T, uint64](v)
	case reflect.Uintptr:
		return as[T, uintptr](v)
	case reflect.Float32:
		return as[T, float32](v)
	case reflect.Float64:
		return as[T, float64](v)
	}
	panic("number of kind " + v.kind().String())
}

func (c *compiler) number(v value, t types.Type, to reflect.Kind) value {
	if v.con != nil {
		return c.constant(t, v.con)
	}
	var get any
	switch to {
	case reflect.Int:
		get = fromNumber[int](v)
	case reflect.Int8:
		get = fromNumber[int8](v)
	case reflect.Int16:
		get = fromNumber[int16](v)
	case reflect.Int32:
		get = fromNumber[int32](v)
	case reflect.Int64:
		get = fromNumber[int64](v)
	case reflect.Uint:
		get = fromNumber[uint](v)
	case reflect.Uint8:
		get = fromNumber[uint8](v)
	case reflect.Uint16:
		get = fromNumber[uint16](v)
	case reflect.Uint32:
		get = fromNumber[uint32](v)
	case reflect.Uint64:
		get = fromNumber[uint64](v)
	case reflect.Uintptr:
		get = fromNumber[uintptr](v)
	case reflect.Float32:
		get = fromNumber[float32](v)
	case reflect.Float64:
		get = fromNumber[float64](v)
	case reflect.Complex64:
		g := load[complex128](v)
		get = func(f *frame) complex64 { return complex64(g(f)) }
	case reflect.Complex128:
		g := load[complex64](v)
		get = func(f *frame) complex128 { return complex128(g(f)) }
	}
	return c.result(t, get)
}

func (c *compiler) toString(v value, t types.Type, rt *native.Type) value {
	switch k := v.kind(); {
	case isInteger(k):
		if v.con != nil {
			return c.constant(t, v.con)
		}
		if isSigned(k) {
			g := fromNumber[int64](v)
			return c.result(t, func(f *frame) string {
				n := g(f)
				if int64(rune(n)) != n {
					return "\uFFFD"
				}
				return string(rune(n))
			})
		}
		g := fromNumber[uint64](v)
		return c.result(t, func(f *frame) string {
			n := g(f)
			if n > 0x10FFFF {
				return "\uFFFD"
			}
			return string(rune(n))
		})
	case k == reflect.Slice:
		g := load[native.Slice](v)
		if v.rt.Reflect().Elem().Kind() == reflect.Uint8 {
			return c.result(t, func(f *frame) string {
				s := g(f)
				return string(unsafe.Slice((*byte)(s.Data), s.Len))
			})
		}
		return c.result(t, func(f *frame) string {
			s := g(f)
			return string(unsafe.Slice((*rune)(s.Data), s.Len))
		})
	}
	v.typ, v.rt = t, rt
	return v
}

func (c *compiler) fromString(v value, t types.Type, rt *native.Type) value {
	g := load[string](v)
	if rt.Reflect().Elem().Kind() == reflect.Uint8 {
		return c.result(t, func(f *frame) native.Slice { return sliceOf([]byte(g(f))) })
	}
	return c.result(t, func(f *frame) native.Slice { return sliceOf([]rune(g(f))) })
}

func sliceOf[T any](s []T) native.Slice { return *(*native.Slice)(unsafe.Pointer(&s)) }

func (c *compiler) sliceToArray(v value, t types.Type, rt *native.Type, n int, copied bool) value {
	g, pos := load[native.Slice](v), int32(c.pos)
	check := func(f *frame) unsafe.Pointer {
		s := g(f)
		if s.Len < n {
			f.Pos = pos
			panic(runtimeError(fmt.Sprintf("cannot convert slice with length %d to array or pointer to array with length %d", s.Len, n)))
		}
		return s.Data
	}
	if copied {
		return value{typ: t, rt: rt, get: check}
	}
	return c.result(t, check)
}

// runtimeError is a run-time error that compiled code here cannot raise.
type runtimeError string

func (e runtimeError) Error() string { return "runtime error: " + string(e) }

func (runtimeError) RuntimeError() {}
