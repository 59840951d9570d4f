package native

import (
	"fmt"
	"go/types"
	"reflect"
	"unsafe"
)

// layout makes sure that the size of a type is known before another is built
// around it.
func (u *Types) layout(t types.Type) {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		u.of(t)
	case *types.Array:
		u.layout(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			u.layout(f.Type())
		}
	}
}

// layoutOf returns a type with the memory layout, equality and pointers of t.
// It does not look behind pointers, so that recursive types end.
func (u *Types) layoutOf(t types.Type) reflect.Type {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		return u.rt(t)
	case *types.Basic:
		return basicType(t).Reflect()
	case *types.Pointer:
		return reflect.TypeFor[*int]()
	case *types.Slice:
		return reflect.TypeFor[[]int]()
	case *types.Map:
		return reflect.TypeFor[map[int]int]()
	case *types.Chan:
		return reflect.TypeFor[chan int]()
	case *types.Signature:
		return reflect.TypeFor[func()]()
	case *types.Interface:
		if t.NumMethods() == 0 {
			return reflect.TypeFor[any]()
		}
		return reflect.TypeFor[error]()
	case *types.Array:
		return reflect.ArrayOf(int(t.Len()), u.layoutOf(t.Elem()))
	case *types.Struct:
		fields := make([]reflect.StructField, t.NumFields())
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: u.layoutOf(t.Field(i).Type())}
		}
		return reflect.StructOf(fields)
	}
	panic(fmt.Errorf("no values of type %s", t))
}

// queueFields fills in the fields of a struct type whose layout is set: later,
// since they may need the size of types that are being made.
func (u *Types) queueFields(m *made, src *types.Struct) {
	st := (*structType)(unsafe.Pointer(m.t))
	st.pkgPath = encodeName("main", "", false, false)
	offsets := (*structType)(unsafe.Pointer(Of(u.layoutOf(src)))).fields
	blank := false
	st.fields = make([]structField, src.NumFields())
	for i := range st.fields {
		f := src.Field(i)
		blank = blank || f.Name() == "_"
		st.fields[i] = structField{
			name:   encodeName(f.Name(), src.Tag(i), f.Exported(), f.Embedded()),
			typ:    offsets[i].typ,
			offset: offsets[i].offset,
		}
	}
	if blank && m.t.Equal != nil {
		m.t.TFlag &^= flagRegularMemory
		m.t.Equal = equalNamed(src, st)
	}
	u.queue = append(u.queue, func() {
		for i := range st.fields {
			st.fields[i].typ = u.of(src.Field(i).Type())
		}
	})
}

// equalNamed compares the fields that have a name, as == does.
func equalNamed(src *types.Struct, st *structType) func(p, q unsafe.Pointer) bool {
	return func(p, q unsafe.Pointer) bool {
		for i, f := range st.fields {
			if src.Field(i).Name() != "_" && !f.typ.Equal(unsafe.Add(p, f.offset), unsafe.Add(q, f.offset)) {
				return false
			}
		}
		return true
	}
}

// structLiteral makes an unnamed struct type: by reflect where that can, so
// that it is the same as in compiled code.
func (u *Types) structLiteral(t *types.Struct) *Type {
	byHand := false
	for f := range t.Fields() {
		byHand = byHand || f.Embedded() || f.Name() == "_"
	}
	if byHand {
		m := u.allocate(t, reflect.Struct, typeName(t), false)
		u.pointerTo(m, types.NewPointer(t))
		m.t.setLayout(Of(u.layoutOf(t)))
		u.queueFields(m, t)
		return m.t
	}
	fields := make([]reflect.StructField, t.NumFields())
	for i := range fields {
		f := t.Field(i)
		u.layout(f.Type())
		fields[i] = reflect.StructField{Name: f.Name(), Type: u.rt(f.Type()), Tag: reflect.StructTag(t.Tag(i))}
		if !f.Exported() {
			fields[i].PkgPath = f.Pkg().Path()
		}
	}
	return Of(reflect.StructOf(fields))
}
