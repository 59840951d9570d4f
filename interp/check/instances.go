package check

import (
	"go/token"
	"go/types"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// Instances of a generic type make their methods when they are asked for them,
// from a list that must not change. When a cell declares another method of a
// generic type, its instances forget theirs. TestMethodOfInstantiatedType holds
// the layout.

// namedLayout is where go/types keeps what resetInstances needs.
type namedLayout struct {
	inst, state        uintptr             // of types.Named
	expanded, context  uintptr             // of its instance record
	hasMethods         uint32              // bit of the state
	typeMap            reflect.StructField // of types.Context
	entryInstanceIndex int
	checkerContext     uintptr
}

var layout = findLayout()

func findLayout() namedLayout {
	var l namedLayout
	field := func(t reflect.Type, name string) reflect.StructField {
		f, ok := t.FieldByName(name)
		if !ok {
			panic("interp: go/types has changed: " + t.String() + " has no field " + name)
		}
		return f
	}
	named := reflect.TypeFor[types.Named]()
	inst := field(named, "inst")
	l.inst, l.state = inst.Offset, field(named, "state_").Offset
	record := inst.Type.Elem()
	l.expanded, l.context = field(record, "expandedMethods").Offset, field(record, "ctxt").Offset
	l.typeMap = field(reflect.TypeFor[types.Context](), "typeMap")
	l.checkerContext = field(reflect.TypeFor[types.Checker](), "ctxt").Offset
	l.entryInstanceIndex = field(l.typeMap.Type.Elem().Elem(), "instance").Index[0]

	// The bit that says that all methods are made, seen on an example.
	pkg := types.NewPackage("example", "example")
	param := types.NewTypeParam(types.NewTypeName(token.NoPos, pkg, "T", nil), types.Universe.Lookup("any").Type())
	generic := types.NewNamed(types.NewTypeName(token.NoPos, pkg, "G", nil), types.NewStruct(nil, nil), nil)
	generic.SetTypeParams([]*types.TypeParam{param})
	recvParam := types.NewTypeParam(types.NewTypeName(token.NoPos, pkg, "T", nil), types.Universe.Lookup("any").Type())
	recvType, _ := types.Instantiate(nil, generic, []types.Type{recvParam}, false)
	recv := types.NewVar(token.NoPos, pkg, "", recvType)
	sig := types.NewSignatureType(recv, []*types.TypeParam{recvParam}, nil, nil, nil, false)
	generic.AddMethod(types.NewFunc(token.NoPos, pkg, "M", sig))
	t, err := types.Instantiate(types.NewContext(), generic, []types.Type{types.Typ[types.Int]}, false)
	if err != nil {
		panic(err)
	}
	n := t.(*types.Named)
	n.Underlying()
	before := *l.stateOf(n)
	n.Method(0)
	l.hasMethods = *l.stateOf(n) &^ before
	return l
}

func (l *namedLayout) stateOf(n *types.Named) *uint32 {
	return (*uint32)(unsafe.Add(unsafe.Pointer(n), l.state))
}

// keepContext gives the checker the session's context again: it drops it after
// each cell, and then would not know the instances of earlier ones.
func keepContext(c *types.Checker, ctx *types.Context) {
	*(**types.Context)(unsafe.Add(unsafe.Pointer(c), layout.checkerContext)) = ctx
}

// resetInstances makes the instances of a generic type forget their methods.
func resetInstances(ctx *types.Context, generic *types.Named) {
	m := reflect.NewAt(layout.typeMap.Type, unsafe.Add(unsafe.Pointer(ctx), layout.typeMap.Offset)).Elem()
	for it := m.MapRange(); it.Next(); {
		for i := range it.Value().Len() {
			f := it.Value().Index(i).Field(layout.entryInstanceIndex)
			t := *(*types.Type)(f.Addr().UnsafePointer())
			if n, ok := t.(*types.Named); ok && n.Origin() == generic && n != generic {
				record := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(n), layout.inst))
				*methods(n) = nil
				*(*int)(unsafe.Add(record, layout.expanded)) = 0
				*(**types.Context)(unsafe.Add(record, layout.context)) = ctx
				atomic.AndUint32(layout.stateOf(n), ^layout.hasMethods)
			}
		}
	}
}
