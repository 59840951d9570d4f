package check

import (
	"go/types"
	"reflect"
	"unsafe"
)

// A notebook may declare a name again, which a package may not. The checker
// keeps what a scope declares in a map and a type's methods in a slice that
// have no public way to remove from; these reach them. TestScopeAccess holds
// the layout.

var elemsOffset, methodsOffset = func() (uintptr, uintptr) {
	e, ok1 := reflect.TypeFor[types.Scope]().FieldByName("elems")
	m, ok2 := reflect.TypeFor[types.Named]().FieldByName("methods")
	if !ok1 || !ok2 || e.Type != reflect.TypeFor[map[string]types.Object]() || m.Type != reflect.TypeFor[[]*types.Func]() {
		panic("interp: go/types has changed; this build of the kernel cannot redeclare names")
	}
	return e.Offset, m.Offset
}()

// elems is the map of what a scope declares; it is nil while it is empty.
func elems(s *types.Scope) map[string]types.Object {
	return *(*map[string]types.Object)(unsafe.Add(unsafe.Pointer(s), elemsOffset))
}

func methods(n *types.Named) *[]*types.Func {
	return (*[]*types.Func)(unsafe.Add(unsafe.Pointer(n), methodsOffset))
}

// forgetChecked takes what earlier cells declared out of the checker's work
// list, which it goes over for each cell; all it needs there are the types that
// may still get methods.
func forgetChecked(c *types.Checker, scope *types.Scope) {
	m := reflect.NewAt(objMap.Type, unsafe.Add(unsafe.Pointer(c), objMap.Offset)).Elem()
	for _, key := range m.MapKeys() {
		if o, ok := key.Interface().(types.Object); ok {
			if t, ok := o.(*types.TypeName); ok && scope.Lookup(t.Name()) == o {
				continue
			}
			m.SetMapIndex(key, reflect.Value{})
		}
	}
}

var objMap = func() reflect.StructField {
	f, ok := reflect.TypeFor[types.Checker]().FieldByName("objMap")
	if !ok || f.Type.Kind() != reflect.Map || f.Type.Key() != reflect.TypeFor[types.Object]() {
		panic("interp: go/types has changed; the checker's work list is elsewhere")
	}
	return f
}()
