package lower

import (
	"go/ast"
	"go/types"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"loris/interp/native"
)

func isInterface(t types.Type) bool {
	_, ok := t.Underlying().(*types.Interface)
	return ok && !isTypeParam(t)
}

// hasMethods reports whether values of an interface type carry a method table.
func hasMethods(rt *native.Type) bool { return rt.InterfaceMethods() > 0 }

// dynamicType is the type of the value in an interface, or nil.
func dynamicType(x native.Iface, methods bool) *native.Type {
	if x.Tab == nil {
		return nil
	}
	if methods {
		return (*native.Itab)(x.Tab).Type
	}
	return (*native.Type)(x.Tab)
}

// toInterface converts a value of a concrete type.
func (c *compiler) toInterface(v value, t types.Type) value {
	target := c.rtype(t)
	word := unsafe.Pointer(v.rt)
	if hasMethods(target) {
		rt := v.rt
		// Found at run time: the methods may be bound after this is compiled.
		var once sync.Once
		var tab unsafe.Pointer
		box := c.boxing(v)
		return c.result(t, func(f *frame) native.Iface {
			once.Do(func() { tab = unsafe.Pointer(native.FindItab(target, rt)) })
			if tab == nil {
				panic(&Unsupported{Msg: "internal error: " + rt.Reflect().String() + " lacks methods of " + target.Reflect().String()})
			}
			return native.Iface{Tab: tab, Data: box(f)}
		})
	}
	box := c.boxing(v)
	if v.con != nil {
		x := native.Iface{Tab: word, Data: box(nil)}
		return c.result(t, constantly(x))
	}
	return c.result(t, func(f *frame) native.Iface { return native.Iface{Tab: word, Data: box(f)} })
}

// boxing returns what evaluates a value to an interface's data word.
func (c *compiler) boxing(v value) func(*frame) unsafe.Pointer {
	rt := v.rt
	if rt.Direct() {
		if v.inMemory() {
			m := v.memory()
			return func(f *frame) unsafe.Pointer { return *(*unsafe.Pointer)(m(f)) }
		}
		return load[unsafe.Pointer](v)
	}
	if rt.Size == 0 {
		g := v.memory()
		return func(f *frame) unsafe.Pointer { g(f); return native.New(rt) }
	}
	put := v.store()
	return func(f *frame) unsafe.Pointer {
		p := native.New(rt)
		put(f, p)
		return p
	}
}

// retable converts between interface types; the method sets are known to fit.
func (c *compiler) retable(v value, t types.Type) value {
	target := c.rtype(t)
	g := load[native.Iface](v)
	from := hasMethods(v.rt)
	if target == v.rt {
		v.typ = t
		return v
	}
	if !hasMethods(target) {
		if !from {
			return c.result(t, g)
		}
		return c.result(t, func(f *frame) native.Iface {
			x := g(f)
			x.Tab = unsafe.Pointer(dynamicType(x, true))
			return x
		})
	}
	return c.result(t, func(f *frame) native.Iface {
		x := g(f)
		if dt := dynamicType(x, from); dt != nil {
			x.Tab = unsafe.Pointer(native.FindItab(target, dt))
		}
		return x
	})
}

// typeTest returns what decides whether an interface holds a type, and gives
// the interface value converted if the type is an interface.
func (c *compiler) typeTest(from *native.Type, t types.Type) func(x native.Iface) (native.Iface, bool) {
	target := c.rtype(t)
	methods := hasMethods(from)
	if isInterface(t) {
		if !hasMethods(target) {
			return func(x native.Iface) (native.Iface, bool) {
				dt := dynamicType(x, methods)
				return native.Iface{Tab: unsafe.Pointer(dt), Data: x.Data}, dt != nil
			}
		}
		return func(x native.Iface) (native.Iface, bool) {
			dt := dynamicType(x, methods)
			if dt == nil {
				return native.Iface{}, false
			}
			tab := native.FindItab(target, dt)
			return native.Iface{Tab: unsafe.Pointer(tab), Data: x.Data}, tab != nil
		}
	}
	same := c.p.Types.Same
	return func(x native.Iface) (native.Iface, bool) {
		dt := dynamicType(x, methods)
		return x, dt == target || same(dt, target)
	}
}

// unboxed views the value in an interface, whose type is known to be t.
func (c *compiler) unboxed(t types.Type, g func(*frame) native.Iface) value {
	rt := c.rtype(t)
	if isInterface(t) {
		return c.result(t, g)
	}
	if rt.Direct() {
		if k := reflect.Kind(rt.Kind); k == reflect.Struct || k == reflect.Array {
			return value{typ: t, rt: rt, get: func(f *frame) unsafe.Pointer {
				p := new(unsafe.Pointer)
				*p = g(f).Data
				return unsafe.Pointer(p)
			}}
		}
		return c.result(t, func(f *frame) unsafe.Pointer { return g(f).Data })
	}
	return c.pointerResult(t, func(f *frame) unsafe.Pointer { return g(f).Data })
}

// typeAssert is x.(T), panicking if x is of another type.
func (c *compiler) typeAssert(e *ast.TypeAssertExpr) value {
	x := c.expr(e.X)
	t := c.typeOf(e)
	if tuple, ok := t.(*types.Tuple); ok {
		t = tuple.At(0).Type()
	}
	g := load[native.Iface](x)
	test := c.typeTest(x.rt, t)
	fail, pos := c.assertionError(x.rt, t), int32(c.pos)
	return c.unboxed(t, func(f *frame) native.Iface {
		v := g(f)
		r, ok := test(v)
		if !ok {
			f.Pos = pos
			fail(v)
		}
		return r
	})
}

// typeAssertOK is the form with two results.
func (c *compiler) typeAssertOK(e *ast.TypeAssertExpr) (t types.Type, eval func(f *frame, dst unsafe.Pointer) bool) {
	x := c.expr(e.X)
	t = c.typeOf(e.Type)
	g := load[native.Iface](x)
	test := c.typeTest(x.rt, t)
	tmp := c.temporary(anyType)
	off := tmp.off
	put := c.unboxed(t, func(f *frame) native.Iface { return *(*native.Iface)(f.At(off)) }).store()
	rt := c.rtype(t)
	return t, func(f *frame, dst unsafe.Pointer) bool {
		r, ok := test(g(f))
		if !ok {
			native.Clear(rt, dst)
			return false
		}
		*(*native.Iface)(f.At(off)) = r
		put(f, dst)
		return true
	}
}

var anyType = native.Of(reflect.TypeFor[any]())

// assertionMirror is the memory of a *runtime.TypeAssertionError.
type assertionMirror struct {
	iface, concrete, asserted *native.Type
	missing                   string
}

func (c *compiler) assertionError(from *native.Type, t types.Type) func(native.Iface) {
	methods := hasMethods(from)
	target := c.rtype(t)
	iface := isInterface(t)
	return func(x native.Iface) {
		err := new(runtime.TypeAssertionError)
		m := (*assertionMirror)(unsafe.Pointer(err))
		m.iface, m.concrete, m.asserted = from, dynamicType(x, methods), target
		if m.concrete != nil && iface {
			m.missing = missingMethod(target.Reflect(), m.concrete.Reflect())
		}
		panic(error(err))
	}
}

func missingMethod(iface, t reflect.Type) string {
	for m := range iface.Methods() {
		if got, ok := t.MethodByName(m.Name); !ok || !strings.HasSuffix(got.Type.String(), strings.TrimPrefix(m.Type.String(), "func(")) {
			return m.Name
		}
	}
	return ""
}

// equalIfaces compares two interface values as == does.
func equalIfaces(a, b native.Iface, aMethods, bMethods bool) bool {
	a.Tab = unsafe.Pointer(dynamicType(a, aMethods))
	b.Tab = unsafe.Pointer(dynamicType(b, bMethods))
	return *(*any)(unsafe.Pointer(&a)) == *(*any)(unsafe.Pointer(&b))
}
