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
