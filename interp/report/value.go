package report

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// panicText is the text that Go prints for a panic value: errors and Stringers
// speak for themselves, values of basic types are shown as Go writes them, and
// named ones with their type, as in main.Level(3). For other values Go prints
// an address; here they are shown as %+v with their type.
func panicText(v any) string {
	if v == nil {
		return "panic called with nil argument"
	}
	switch x := v.(type) {
	case runtime.Error:
		return safely(x.Error)
	case error:
		return safely(x.Error)
	case fmt.Stringer:
		return safely(x.String)
	case string:
		return shorten(x)
	}
	rv := reflect.ValueOf(v)
	t := rv.Type()
	switch rv.Kind() {
	case reflect.String:
		return t.String() + "(" + shorten(strconv.Quote(rv.String())) + ")"
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		s := fmt.Sprint(plain(rv))
		if t.PkgPath() == "" {
			return s
		}
		return t.String() + "(" + s + ")"
	}
	return "(" + t.String() + ") " + shorten(safely(func() string { return fmt.Sprintf("%+v", v) }))
}

// typeRemark names the type of a value whose text does not.
func typeRemark(v any) string {
	switch v.(type) {
	case nil, runtime.Error:
		return ""
	case error, fmt.Stringer:
		return fmt.Sprintf("  (%T)", v)
	}
	return ""
}

// plain drops the methods of a value of a basic kind.
func plain(v reflect.Value) any {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.CanFloat():
		return v.Float()
	case v.CanComplex():
		return v.Complex()
	}
	return v.Bool()
}

// safely calls a method of a user's value, which may itself panic.
func safely(f func() string) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("(the value's own method panicked: %v)", p)
		}
	}()
	return f()
}

const maxText = 4000

// shorten keeps a runaway value from filling the notebook.
func shorten(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("… (%d bytes more)", len(s)-maxText)
}
