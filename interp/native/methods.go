package native

import (
	"go/types"
	"reflect"
	"sort"
	"unsafe"
)

// ordered sorts methods as the runtime expects: exported first, then by name.
func ordered(set *types.MethodSet) []*types.Selection {
	list := make([]*types.Selection, set.Len())
	for i := range list {
		list[i] = set.At(i)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i].Obj(), list[j].Obj()
		if a.Exported() != b.Exported() {
			return a.Exported()
		}
		return a.Name() < b.Name()
	})
	return list
}

// bindMethods fills the method table of a type.
func (u *Types) bindMethods(m *made) {
	exported := 0
	list := ordered(types.NewMethodSet(m.src))
	for i, sel := range list {
		if sel.Obj().Exported() {
			exported++
		}
		sig := sel.Type().(*types.Signature)
		in, out := u.signature(sig)
		ifn := newStub(funcPointer(u.bind.Method(m.src, sel, true)))
		tfn := ifn
		if kindOf(m.src) != reflect.Pointer {
			tfn = newStub(funcPointer(u.bind.Method(m.src, sel, false)))
		}
		m.table[i] = method{
			name: nameOff(sel.Obj().Name(), sel.Obj().Exported()),
			mtyp: typeOff(Of(reflect.FuncOf(in, out, sig.Variadic()))),
			ifn:  addReflectOff(ifn),
			tfn:  addReflectOff(tfn),
		}
	}
	m.uncommon.xcount = uint16(exported)
	m.uncommon.mcount = uint16(len(list))
	if len(list) > 0 && m.uncommon.pkgPath == 0 {
		m.uncommon.pkgPath = nameOff("main", false)
	}
}

// Renew gives types whose method sets have grown since they were made a new
// run-time type, and reports whether there were any. The runtime remembers which
// interfaces a type does not implement, so the old one cannot get methods;
// values in interfaces keep it.
func (u *Types) Renew() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	grown := map[types.Object]bool{}
	for _, m := range u.owners {
		if n, ok := types.Unalias(m.src).(*types.Named); ok && types.NewMethodSet(types.NewPointer(n)).Len() != u.pointerMethods[n] {
			grown[n.Origin().Obj()] = true
		}
	}
	if len(grown) == 0 {
		return false
	}
	var gone []types.Type
	u.known.Iterate(func(t types.Type, _ any) {
		if Mentions(t, grown) {
			gone = append(gone, t)
		}
	})
	for _, t := range gone {
		u.known.Delete(t)
	}
	var kept []*made
	for _, m := range u.owners {
		if u.known.At(m.src) == any(m.t) {
			kept = append(kept, m)
		}
	}
	u.owners = kept
	u.renewed.Store(true)
	return true
}

// Same reports whether two run-time types stand for the same type of the
// session, of which one was made before the other had all its methods.
func (u *Types) Same(a, b *Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || !u.renewed.Load() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok1 := u.made[a]
	t, ok2 := u.made[b]
	return ok1 && ok2 && types.Identical(s, t)
}

// Mentions reports whether a type is built from one of the named types.
func Mentions(t types.Type, names map[types.Object]bool) bool {
	return mentions(t, names, map[types.Type]bool{})
}

func mentions(t types.Type, names map[types.Object]bool, seen map[types.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		if names[t.Origin().Obj()] {
			return true
		}
		for i := range t.TypeArgs().Len() {
			if mentions(t.TypeArgs().At(i), names, seen) {
				return true
			}
		}
		if t.Obj().Pkg() == nil || t.Obj().Pkg().Path() != "main" {
			return false
		}
		return mentions(t.Underlying(), names, seen)
	case *types.Map:
		return mentions(t.Key(), names, seen) || mentions(t.Elem(), names, seen)
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		return mentions(t.Elem(), names, seen)
	case *types.Struct:
		for f := range t.Fields() {
			if mentions(f.Type(), names, seen) {
				return true
			}
		}
	case *types.Tuple:
		for v := range t.Variables() {
			if mentions(v.Type(), names, seen) {
				return true
			}
		}
	case *types.Signature:
		return mentions(t.Params(), names, seen) || mentions(t.Results(), names, seen)
	case *types.Interface:
		for m := range t.Methods() {
			if mentions(m.Type(), names, seen) {
				return true
			}
		}
	}
	return false
}

func (u *Types) fillInterface(m *made, t *types.Interface) {
	it := (*interfaceType)(unsafe.Pointer(m.t))
	it.pkgPath = encodeName("main", "", false, false)
	if t.NumMethods() == 0 {
		m.t.setLayout(Of(reflect.TypeFor[any]()))
		return
	}
	m.t.setLayout(Of(reflect.TypeFor[error]()))
	list := make([]*types.Func, t.NumMethods())
	for i := range list {
		list[i] = t.Method(i)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Exported() != list[j].Exported() {
			return list[i].Exported()
		}
		return list[i].Name() < list[j].Name()
	})
	it.methods = make([]imethod, len(list))
	for i, f := range list {
		it.methods[i].name = nameOff(f.Name(), f.Exported())
	}
	u.queue = append(u.queue, func() {
		for i, f := range list {
			sig := f.Type().(*types.Signature)
			in, out := u.signature(sig)
			it.methods[i].typ = typeOff(Of(reflect.FuncOf(in, out, sig.Variadic())))
		}
	})
}
