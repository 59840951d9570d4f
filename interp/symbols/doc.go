package symbols

import (
	"sync"

	"loris/interp/symbols/archive"
)

// Doc returns the doc comment of a symbol of a package: "" is the package
// itself, "Builder" a symbol, "Builder.Len" a method or field of a type. The
// built-in identifiers are those of package "builtin".
func Doc(path, name string) string { return texts(archive.Doc, path)[name] }

// Source returns the source text of a function, method ("Builder.Len") or type
// of one of our own packages, and "" for others.
func Source(path, name string) string { return texts(archive.Source, path)[name] }

type textKey struct {
	kind archive.Kind
	path string
}

var textCache sync.Map // textKey -> map[string]string

func texts(kind archive.Kind, path string) map[string]string {
	if m, ok := textCache.Load(textKey{kind, path}); ok {
		return m.(map[string]string)
	}
	from, ok := docs[path]
	if !ok || !from.base.Has(kind, path) {
		return nil
	}
	data, err := from.base.Read(kind, path, nil)
	if err != nil {
		return nil
	}
	m, _ := textCache.LoadOrStore(textKey{kind, path}, archive.DecodeDoc(data))
	return m.(map[string]string)
}
