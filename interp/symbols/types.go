package symbols

import (
	"reflect"
	"sort"
	"strings"
	"sync"

	"loris/interp/symbols/table"
)

// Type returns the run-time type of a non-generic named type. Unexported types
// and types of internal packages are found when the exported API of some
// package leads to them, as in the result of a function or the type of a field.
func Type(path, name string) (reflect.Type, bool) {
	if e, ok := packages[path]; ok {
		if s := find(e.table.Types, name); s != nil {
			return reflect.TypeOf(s.Value).Elem(), true
		}
	}
	t, ok := hiddenTypes()[typeName{path, name}]
	return t, ok
}

func find(list []table.Symbol, name string) *table.Symbol {
	i := sort.Search(len(list), func(i int) bool { return list[i].Name >= name })
	if i < len(list) && list[i].Name == name {
		return &list[i]
	}
	return nil
}

type typeName struct{ path, name string }

// hiddenTypes finds the named types that no table lists by walking over all
// that the tables mention. It takes some milliseconds, and few programs ask.
var hiddenTypes = sync.OnceValue(func() map[typeName]reflect.Type {
	w := typeWalk{found: map[typeName]reflect.Type{}, seen: map[reflect.Type]bool{}}
	for _, path := range paths {
		t := packages[path].table
		for _, list := range [][]table.Symbol{t.Types, t.Funcs, t.Vars} {
			for _, s := range list {
				w.walk(reflect.TypeOf(s.Value))
				w.behind(s.Value)
			}
		}
	}
	return w.found
})

type typeWalk struct {
	found map[typeName]reflect.Type
	seen  map[reflect.Type]bool
}

// behind walks the type of what an interface variable such as io.Discard holds.
func (w *typeWalk) behind(address any) {
	v := reflect.ValueOf(address)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if v = v.Elem(); v.Kind() == reflect.Interface && !v.IsNil() {
		w.walk(v.Elem().Type())
	}
}

func (w *typeWalk) walk(t reflect.Type) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	if t.PkgPath() != "" && !strings.Contains(t.Name(), "[") {
		w.found[typeName{t.PkgPath(), t.Name()}] = t
		w.methods(t)
		if t.Kind() != reflect.Interface {
			w.methods(reflect.PointerTo(t))
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		w.walk(t.Elem())
	case reflect.Map:
		w.walk(t.Key())
		w.walk(t.Elem())
	case reflect.Func:
		for i := range t.NumIn() {
			w.walk(t.In(i))
		}
		for i := range t.NumOut() {
			w.walk(t.Out(i))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			w.walk(t.Field(i).Type)
		}
	case reflect.Interface:
		w.methods(t)
	}
}

func (w *typeWalk) methods(t reflect.Type) {
	for i := range t.NumMethod() {
		w.walk(t.Method(i).Type)
	}
}
