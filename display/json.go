package display

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Result is the machine-readable side of an output, under [MIMEResult]. A
// replay of the notebook compares Values with what was stored, number by
// number, and leaves Measured alone.
type Result struct {
	// Values are results that every run must reproduce.
	Values any
	// Measured are times, speeds, sizes in memory and the like.
	Measured any
	// Tolerance is the allowed difference of a number of Values, relative to
	// the larger magnitude of both, or to the largest magnitude in the list
	// that holds it. 0 means the default of 1e-4.
	Tolerance float64
}

// JSON returns the content of the MIME type, with NaN and infinities as
// strings.
func (r Result) JSON() map[string]any {
	m := map[string]any{}
	if r.Values != nil {
		m["values"] = Finite(r.Values)
	}
	if r.Measured != nil {
		m["measured"] = Finite(r.Measured)
	}
	if r.Tolerance > 0 {
		m["tolerance"] = r.Tolerance
	}
	return m
}

// rawJSON is encoded JSON, kept as such.
type rawJSON = json.RawMessage

// MarshalJSON encodes v as JSON without HTML escapes, with NaN and infinities
// as the strings "NaN", "Infinity" and "-Infinity".
func MarshalJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err == nil {
		return bytes.TrimRight(buf.Bytes(), "\n"), nil
	}
	// Only now pay for a copy: most values hold no NaN.
	buf.Reset()
	if err := enc.Encode(Finite(v)); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// Finite returns v with every NaN and infinity inside it replaced by the
// strings "NaN", "Infinity" and "-Infinity", so that it encodes as JSON.
// Structs become maps under their JSON names; values with their own MarshalJSON
// are kept. Pointer cycles end after 1000 levels with a string that says so.
func Finite(v any) any {
	if v == nil {
		return nil
	}
	return finite(reflect.ValueOf(v), 0)
}

var marshaler = reflect.TypeFor[json.Marshaler]()

func finite(v reflect.Value, depth int) any {
	if depth > 1000 {
		return "(nested too deeply)"
	}
	if v.IsValid() && v.CanInterface() && v.Type().Implements(marshaler) {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Float32, reflect.Float64:
		return finiteFloat(v)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return finite(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return finiteList(v, depth)
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			out[fmt.Sprint(it.Key().Interface())] = finite(it.Value(), depth+1)
		}
		return out
	case reflect.Struct:
		return finiteStruct(v, depth)
	case reflect.Complex64, reflect.Complex128, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Sprint(v.Interface())
	}
	return v.Interface()
}

func finiteFloat(v reflect.Value) any {
	f := v.Float()
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	// A float32 keeps its short decimal form.
	if v.Kind() == reflect.Float32 {
		return float32(f)
	}
	return f
}

func finiteList(v reflect.Value, depth int) any {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		return v.Interface()
	}
	out := make([]any, v.Len())
	for i := range out {
		out[i] = finite(v.Index(i), depth+1)
	}
	return out
}

func finiteStruct(v reflect.Value, depth int) any {
	out := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" {
			continue
		}
		if strings.Contains(options, "omitempty") && v.Field(i).IsZero() {
			continue
		}
		if f.Anonymous && name == "" {
			if inner, ok := finite(v.Field(i), depth+1).(map[string]any); ok {
				for k, x := range inner {
					out[k] = x
				}
				continue
			}
		}
		if name == "" {
			name = f.Name
		}
		out[name] = finite(v.Field(i), depth+1)
	}
	return out
}

func indentJSON(text []byte) string {
	var buf bytes.Buffer
	if json.Indent(&buf, text, "", "  ") != nil {
		return string(text)
	}
	return buf.String()
}

// Number formats a float for people: up to digits significant digits, without
// trailing zeros, scientific outside [1e-4, 1e6); NaN and infinities by name.
func Number(f float64, digits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "∞"
	case math.IsInf(f, -1):
		return "-∞"
	case f == 0:
		return "0"
	}
	if a := math.Abs(f); a >= 1e-4 && a < 1e6 {
		decimals := digits - 1 - int(math.Floor(math.Log10(a)))
		s := strconv.FormatFloat(f, 'f', max(decimals, 0), 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	s := strconv.FormatFloat(f, 'e', digits-1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	return mantissa + "e" + exponent
}
