package lower

import (
	"go/constant"
	"go/types"
	"math/big"
	"reflect"
	"unsafe"

	"loris/interp/native"
)

func constantly[T any](x T) func(*frame) T { return func(*frame) T { return x } }

// constant makes the value of a constant of type t.
func (c *compiler) constant(t types.Type, con constant.Value) value {
	t = types.Default(t)
	if i, ok := t.Underlying().(*types.Interface); ok && !isTypeParam(t) {
		_ = i
		return c.convert(c.constant(defaultOf(con), con), t)
	}
	v := value{typ: t, rt: c.rtype(t), con: con}
	switch v.kind() {
	case reflect.Bool:
		v.get = constantly(constant.BoolVal(con))
	case reflect.String:
		if con.Kind() == constant.Int {
			n, _ := constant.Int64Val(con)
			v.get = constantly(string(rune(n)))
		} else {
			v.get = constantly(constant.StringVal(con))
		}
	case reflect.Int:
		v.get = constantly(int(toInt(con)))
	case reflect.Int8:
		v.get = constantly(int8(toInt(con)))
	case reflect.Int16:
		v.get = constantly(int16(toInt(con)))
	case reflect.Int32:
		v.get = constantly(int32(toInt(con)))
	case reflect.Int64:
		v.get = constantly(toInt(con))
	case reflect.Uint:
		v.get = constantly(uint(toUint(con)))
	case reflect.Uint8:
		v.get = constantly(uint8(toUint(con)))
	case reflect.Uint16:
		v.get = constantly(uint16(toUint(con)))
	case reflect.Uint32:
		v.get = constantly(uint32(toUint(con)))
	case reflect.Uint64:
		v.get = constantly(toUint(con))
	case reflect.Uintptr:
		v.get = constantly(uintptr(toUint(con)))
	case reflect.UnsafePointer:
		v.get = constantly(unsafe.Pointer(nil))
	case reflect.Float32:
		x, _ := constant.Float32Val(con)
		v.get = constantly(x)
	case reflect.Float64:
		v.get = constantly(toFloat(con))
	case reflect.Complex64:
		re, _ := constant.Float32Val(constant.Real(con))
		im, _ := constant.Float32Val(constant.Imag(con))
		v.get = constantly(complex(re, im))
	case reflect.Complex128:
		re, im := constant.Real(con), constant.Imag(con)
		v.get = constantly(complex(toFloat(re), toFloat(im)))
	default:
		panic("constant of kind " + v.kind().String())
	}
	return v
}

func defaultOf(con constant.Value) types.Type {
	switch con.Kind() {
	case constant.Bool:
		return types.Typ[types.Bool]
	case constant.String:
		return types.Typ[types.String]
	case constant.Int:
		return types.Typ[types.Int]
	case constant.Float:
		return types.Typ[types.Float64]
	}
	return types.Typ[types.Complex128]
}

func toInt(con constant.Value) int64 {
	n, exact := constant.Int64Val(constant.ToInt(con))
	if !exact {
		u, _ := constant.Uint64Val(constant.ToInt(con))
		return int64(u)
	}
	return n
}

func toUint(con constant.Value) uint64 {
	con = constant.ToInt(con)
	n, exact := constant.Uint64Val(con)
	if !exact {
		i, _ := constant.Int64Val(con)
		return uint64(i)
	}
	return n
}

func toFloat(con constant.Value) float64 {
	x, _ := constant.Float64Val(con)
	if r, ok := constant.Val(con).(*big.Rat); ok {
		x, _ = r.Float64()
	}
	return x
}

// zero makes the zero value of a type.
func (c *compiler) zero(t types.Type) value {
	v := value{typ: t, rt: c.rtype(t), isNil: true}
	switch v.kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		v.get = constantly(unsafe.Pointer(nil))
	case reflect.Slice:
		v.get = constantly(native.Slice{})
	case reflect.Interface:
		v.get = constantly(native.Iface{})
	default:
		rt := v.rt
		v.isNil = false
		v.place = func(*frame) unsafe.Pointer { return native.New(rt) }
	}
	return v
}

var oneConstant = constant.MakeInt64(1)
