package symbols

import (
	"sync"

	"loris/interp/symbols/archive"
)

var docCache sync.Map // path -> map[string]string

// Doc returns the doc comment of a symbol of a package: "" is the package
// itself, "Builder" a symbol, "Builder.Len" a method or field of a type. The
// built-in identifiers are those of package "builtin".
func Doc(path, name string) string {
	if m, ok := docCache.Load(path); ok {
		return m.(map[string]string)[name]
	}
	from := builtinSource
	if e, ok := packages[path]; ok {
		from = e.from
	} else if path != "builtin" {
		return ""
	}
	data, err := from.base.Read(archive.Doc, path, nil)
	if err != nil {
		return ""
	}
	m, _ := docCache.LoadOrStore(path, archive.DecodeDoc(data))
	return m.(map[string]string)[name]
}
