package symbols

import (
	"reflect"
	"sort"
	"strings"
	"sync"

	"loris/interp/symbols/table"
)

// Type returns the run-time type of a non-generic named type. Unexported types
// are found when the exported API leads to them, as in the result of a
// function or the type of a field.
func Type(path, name string) (reflect.Type, bool) {
	e, ok := packages[path]
	if !ok {
		return nil, false
	}
	if s := find(e.table.Types, name); s != nil {
		return reflect.TypeOf(s.Value).Elem(), true
	}
	t, ok := e.hidden()[name]
	return t, ok
}

func find(list []table.Symbol, name string) *table.Symbol {
	i := sort.Search(len(list), func(i int) bool { return list[i].Name >= name })
	if i < len(list) && list[i].Name == name {
		return &list[i]
	}
	return nil
}

var (
	hiddenMu    sync.Mutex
	hiddenTypes = map[*packageEntry]map[string]reflect.Type{}
)

// hidden finds the unexported named types of a package by walking over all
// that its exported API mentions.
func (e *packageEntry) hidden() map[string]reflect.Type {
	hiddenMu.Lock()
	defer hiddenMu.Unlock()
	if m, ok := hiddenTypes[e]; ok {
		return m
	}
	m := map[string]reflect.Type{}
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		if t.Name() != "" && t.PkgPath() != e.table.Path {
			return // another package, or a basic type
		}
		if n := t.Name(); n != "" && !strings.Contains(n, "[") {
			if _, ok := m[n]; !ok {
				m[n] = t
			}
			for i := range t.NumMethod() {
				walk(t.Method(i).Type)
			}
			if t.Kind() != reflect.Interface {
				p := reflect.PointerTo(t)
				for i := range p.NumMethod() {
					walk(p.Method(i).Type)
				}
			}
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			walk(t.Elem())
		case reflect.Map:
			walk(t.Key())
			walk(t.Elem())
		case reflect.Func:
			for i := range t.NumIn() {
				walk(t.In(i))
			}
			for i := range t.NumOut() {
				walk(t.Out(i))
			}
		case reflect.Struct:
			for i := range t.NumField() {
				walk(t.Field(i).Type)
			}
		}
	}
	for _, list := range [][]table.Symbol{e.table.Types, e.table.Funcs, e.table.Vars} {
		for _, s := range list {
			walk(reflect.TypeOf(s.Value))
			if v := reflect.ValueOf(s.Value); v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Interface && !v.Elem().IsNil() {
				walk(v.Elem().Elem().Type()) // the type behind a variable such as io.Discard
			}
		}
	}
	hiddenTypes[e] = m
	return m
}
