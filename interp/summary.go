package interp

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"loris/tensorlib"
)

// summary describes a value in one line, and says how much memory it and what
// it holds directly take. It calls no methods of cells: they may compute for
// long.
func summary(v reflect.Value) (text string, bytes int64) {
	bytes = int64(v.Type().Size())
	if text, n, ok := tensor(v); ok {
		return text, bytes + n
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return "nil", bytes
		}
		t, n := summary(v.Elem())
		return t, bytes + n
	case reflect.Slice:
		bytes += int64(v.Cap()) * int64(v.Type().Elem().Size())
		return fmt.Sprintf("len %d", v.Len()) + elements(v), bytes
	case reflect.Array:
		return fmt.Sprintf("len %d", v.Len()) + elements(v), bytes
	case reflect.Map:
		bytes += int64(v.Len()) * int64(v.Type().Key().Size()+v.Type().Elem().Size())
		return fmt.Sprintf("len %d", v.Len()), bytes
	case reflect.String:
		return shortened(strconv.Quote(firstOf(v.String(), 80))), bytes + int64(v.Len())
	case reflect.Pointer, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		if v.IsNil() {
			return "nil", bytes
		}
		if v.Kind() == reflect.Pointer {
			bytes += int64(v.Type().Elem().Size())
			return "&" + v.Type().Elem().Name(), bytes
		}
		return v.Kind().String(), bytes
	case reflect.Struct:
		return shortened(fields(v)), bytes
	}
	return shortened(plainText(v)), bytes
}

func plainText(v reflect.Value) string {
	switch {
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case v.CanComplex():
		return fmt.Sprint(v.Complex())
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.Kind().String()
}

// tensor describes the tensor that v points to; the zero Tensor is none.
func tensor(v reflect.Value) (text string, bytes int64, ok bool) {
	if v.Type() != reflect.TypeFor[*tensorlib.Tensor]() || v.IsNil() || !v.CanInterface() {
		return "", 0, false
	}
	defer func() { ok = recover() == nil }()
	t := v.Interface().(*tensorlib.Tensor)
	return t.DType().String() + t.Shape().String(), int64(t.Size() * t.DType().Bytes()), true
}

// fields shows the fields of a struct, as far as they are of basic types.
func fields(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		text := "…"
		if f := v.Field(i); f.Kind() <= reflect.Complex128 || f.Kind() == reflect.String {
			text, _ = summary(f)
		}
		parts = append(parts, v.Type().Field(i).Name+": "+text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// elements shows the first few elements of basic types.
func elements(v reflect.Value) string {
	var parts []string
	for i := range min(v.Len(), 5) {
		e := v.Index(i)
		if k := e.Kind(); k > reflect.Complex128 && k != reflect.String {
			return ""
		}
		text, _ := summary(e)
		parts = append(parts, text)
	}
	if v.Len() > len(parts) {
		parts = append(parts, "…")
	}
	return shortened(": " + strings.Join(parts, " "))
}

func firstOf(s string, n int) string { return s[:min(len(s), n)] }

func shortened(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
