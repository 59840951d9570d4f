// Package symbols gives cells their packages: import path in, symbols out. The
// standard library of Go and our own library are linked into the program and
// described by generated tables (functions, variables, types) and an embedded
// archive (export data for the type checker, doc comments); no Go toolchain is
// needed at run time. Everything is read lazily, package by package.
//
// Four doors:
//
//   - [Importer] for go/types, [Package] for the interpreter's binary symbols,
//     [Type] for the run-time type behind a go/types name.
//   - Package generic for generic functions and types of the standard library.
//   - [Resolve] and [Paths] for automatic imports and for hints.
//   - [Doc] for inspection.
//
// Regenerate with "go generate ./interp/symbols".
package symbols

//go:generate go run ./generate -kind std
//go:generate go run ./generate -kind library

import (
	"fmt"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"sync"

	"loris/interp/symbols/archive"
	"loris/interp/symbols/library"
	"loris/interp/symbols/std"
	"loris/interp/symbols/table"
)

// A source is a set of tables with the archive that belongs to them.
type source struct {
	base, delta *archive.Archive
}

type packageEntry struct {
	table *table.Package
	from  *source

	once    sync.Once
	symbols map[string]reflect.Value
	err     error
}

var (
	packages = map[string]*packageEntry{}
	paths    []string

	// docs finds documentation, which exists for more packages than tables do:
	// "builtin", and internal packages whose types others show by an alias.
	docs = map[string]*source{}
)

func init() {
	add(std.Packages, std.Archive, std.Delta)
	add(library.Packages, library.Archive, "")
	slices.Sort(paths)
}

// add makes packages known. delta may be empty.
func add(tables []*table.Package, base, delta string) {
	from := &source{base: open(base)}
	if delta != "" {
		from.delta = open(delta)
	}
	for _, t := range tables {
		packages[t.Path] = &packageEntry{table: t, from: from}
		paths = append(paths, t.Path)
	}
	for _, path := range from.base.Paths(archive.Doc) {
		docs[path] = from
	}
}

// open reads the index of an archive that is part of the program.
func open(data string) *archive.Archive {
	a, err := archive.Open(data)
	if err != nil {
		panic(err)
	}
	return a
}

func (s *source) export(path string) ([]byte, error) {
	data, err := s.base.Read(archive.Export, path, nil)
	if err != nil || s.delta == nil || !s.delta.Has(archive.Export, path) {
		return data, err
	}
	return s.delta.Read(archive.Export, path, data)
}

// Paths lists the import paths of all packages, sorted.
func Paths() []string { return slices.Clone(paths) }

// Name is the name of the package with the given import path.
func Name(path string) (name string, ok bool) {
	if path == "unsafe" {
		return "unsafe", true
	}
	e, ok := packages[path]
	if !ok {
		return "", false
	}
	return e.table.Name, true
}

// Package returns the non-generic exported symbols of a package as yaegi wants
// them in an interp.Exports: functions as they are, variables addressable,
// types as typed nil pointers, typed constants as values of their type and
// untyped ones as constant.Value with their exact value. The map is shared:
// do not write to it.
func Package(path string) (map[string]reflect.Value, error) {
	e, ok := packages[path]
	if !ok {
		return nil, &UnknownError{Path: path}
	}
	e.once.Do(func() { e.symbols, e.err = e.load() })
	return e.symbols, e.err
}

func (e *packageEntry) load() (map[string]reflect.Value, error) {
	if err := importEffect(e.table.Path); err != nil {
		return nil, err
	}
	m := make(map[string]reflect.Value, len(e.table.Funcs)+len(e.table.Vars)+len(e.table.Types))
	for _, s := range e.table.Funcs {
		m[s.Name] = reflect.ValueOf(s.Value)
	}
	for _, s := range e.table.Vars {
		m[s.Name] = reflect.ValueOf(s.Value).Elem()
	}
	for _, s := range e.table.Types {
		m[s.Name] = reflect.ValueOf(s.Value)
	}
	pkg, err := imports.Import(e.table.Path)
	if err != nil {
		return nil, err
	}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || !c.Exported() {
			continue
		}
		v, err := constValue(c)
		if err != nil {
			return nil, fmt.Errorf("constant %s.%s: %w", pkg.Path(), name, err)
		}
		m[name] = v
	}
	return m, nil
}

// UnknownError reports an import path without a table.
type UnknownError struct{ Path string }

func (e *UnknownError) Error() string {
	if e.Path == "C" {
		return "cgo cannot be used in a cell: it needs a C compiler"
	}
	if why, ok := table.LeftOut[e.Path]; ok {
		return fmt.Sprintf("package %s cannot be used in a cell: it %s", e.Path, why)
	}
	text := fmt.Sprintf("package %s is not part of this kernel", e.Path)
	if near := nearestPath(e.Path); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	} else if strings.Contains(strings.Split(e.Path, "/")[0], ".") {
		text += ": only the standard library and Loris's own packages can be imported (%packages lists them); code of other modules can be pasted into a cell"
	}
	return text
}
