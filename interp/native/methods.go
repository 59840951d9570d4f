package native

import (
	"go/types"
	"reflect"
	"sort"
	"strings"
	"unsafe"
)

// typeName spells a type as compiled Go's reflection does.
func typeName(t types.Type) string {
	s := types.TypeString(t, func(p *types.Package) string { return p.Name() })
	if n, ok := types.Unalias(t).(*types.Named); ok && n.TypeArgs().Len() > 0 {
		args := make([]string, n.TypeArgs().Len())
		for i := range args {
			args[i] = typeArgName(n.TypeArgs().At(i))
		}
		return n.Obj().Pkg().Name() + "." + n.Obj().Name() + "[" + strings.Join(args, ",") + "]"
	}
	return strings.NewReplacer("interface{", "interface { ", "struct{", "struct { ", "}", " }").Replace(strings.ReplaceAll(s, "any", "interface {}"))
}

// typeArgName spells a type argument, whose packages go by their paths.
func typeArgName(t types.Type) string {
	if n, ok := types.Unalias(t).(*types.Named); ok && n.TypeArgs().Len() > 0 {
		return typeName(n)
	}
	s := types.TypeString(t, func(p *types.Package) string { return p.Path() })
	if s == "any" {
		return "interface {}"
	}
	return s
}

func (u *Types) countMethods(t types.Type) int {
	return types.NewMethodSet(t).Len()
}

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

// bindMethods fills the method table of a type, keeping what is there.
func (u *Types) bindMethods(m *made) {
	list := ordered(types.NewMethodSet(m.src))
	if len(list) > len(m.table) {
		panic("interp: too many methods were added to " + m.src.String() + " in later cells")
	}
	old := map[string]method{}
	for i, name := range m.names {
		old[name] = m.table[i]
	}
	table := make([]method, len(list))
	exported := 0
	for i, sel := range list {
		name := sel.Obj().Name()
		if sel.Obj().Exported() {
			exported++
		}
		if e, ok := old[name]; ok {
			table[i] = e
			continue
		}
		sig := sel.Type().(*types.Signature)
		in, out := u.signature(sig)
		ifn, _ := newStub(funcPointer(u.bind.Method(m.src, sel, true)))
		tfn := ifn
		if kindOf(m.src) != reflect.Pointer {
			tfn, _ = newStub(funcPointer(u.bind.Method(m.src, sel, false)))
		}
		table[i] = method{
			name: nameOff(name, sel.Obj().Exported()),
			mtyp: typeOff(Of(reflect.FuncOf(in, out, sig.Variadic()))),
			ifn:  addReflectOff(ifn),
			tfn:  addReflectOff(tfn),
		}
	}
	copy(m.table, table)
	m.names = m.names[:0]
	for _, sel := range list {
		m.names = append(m.names, sel.Obj().Name())
	}
	m.uncommon.xcount = uint16(exported)
	m.uncommon.mcount = uint16(len(list))
	if len(list) > 0 && m.uncommon.pkgPath == 0 {
		m.uncommon.pkgPath = nameOff("main", false)
	}
}

// Refresh adds the methods that were declared since the types were made.
func (u *Types) Refresh() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.depth++
	defer func() { u.depth-- }()
	for _, m := range u.owners {
		if types.NewMethodSet(m.src).Len() != len(m.names) {
			u.bindMethods(m)
		}
	}
	u.drain()
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
