package symbols

import (
	"fmt"
	"go/constant"
	"go/types"
	"reflect"
)

// constValue turns a constant into what yaegi takes: a constant.Value if it is
// untyped, else a value of its type.
func constValue(c *types.Const) (reflect.Value, error) {
	if b, ok := c.Type().(*types.Basic); ok && b.Info()&types.IsUntyped != 0 {
		return reflect.ValueOf(c.Val()), nil
	}
	t, err := constType(c.Type())
	if err != nil {
		return reflect.Value{}, err
	}
	v := reflect.New(t).Elem()
	val := c.Val()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(constant.BoolVal(val))
	case reflect.String:
		v.SetString(constant.StringVal(val))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, _ := constant.Int64Val(constant.ToInt(val))
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, _ := constant.Uint64Val(constant.ToInt(val))
		v.SetUint(n)
	case reflect.Float32:
		f, _ := constant.Float32Val(val)
		v.SetFloat(float64(f))
	case reflect.Float64:
		f, _ := constant.Float64Val(val)
		v.SetFloat(f)
	case reflect.Complex64, reflect.Complex128:
		re, _ := constant.Float64Val(constant.Real(val))
		im, _ := constant.Float64Val(constant.Imag(val))
		v.SetComplex(complex(re, im))
	default:
		return reflect.Value{}, fmt.Errorf("type %s of kind %s", c.Type(), t.Kind())
	}
	return v, nil
}

var basicTypes = map[types.BasicKind]reflect.Type{
	types.Bool:       reflect.TypeFor[bool](),
	types.Int:        reflect.TypeFor[int](),
	types.Int8:       reflect.TypeFor[int8](),
	types.Int16:      reflect.TypeFor[int16](),
	types.Int32:      reflect.TypeFor[int32](),
	types.Int64:      reflect.TypeFor[int64](),
	types.Uint:       reflect.TypeFor[uint](),
	types.Uint8:      reflect.TypeFor[uint8](),
	types.Uint16:     reflect.TypeFor[uint16](),
	types.Uint32:     reflect.TypeFor[uint32](),
	types.Uint64:     reflect.TypeFor[uint64](),
	types.Uintptr:    reflect.TypeFor[uintptr](),
	types.Float32:    reflect.TypeFor[float32](),
	types.Float64:    reflect.TypeFor[float64](),
	types.Complex64:  reflect.TypeFor[complex64](),
	types.Complex128: reflect.TypeFor[complex128](),
	types.String:     reflect.TypeFor[string](),
}

// constType is the run-time type of a typed constant. An unexported type
// (debug/dwarf has one) becomes its underlying type.
func constType(t types.Type) (reflect.Type, error) {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return basicTypes[t.Kind()], nil
	case *types.Named:
		if rt, ok := Type(t.Obj().Pkg().Path(), t.Obj().Name()); ok {
			return rt, nil
		}
		return constType(t.Underlying())
	}
	return nil, fmt.Errorf("unexpected type %s", t)
}
