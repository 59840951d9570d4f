package main

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"loris/interp/symbols/archive"
)

func sortedByPath(ls []*loaded) []*loaded {
	slices.SortFunc(ls, func(a, b *loaded) int { return strings.Compare(a.pkg.Path(), b.pkg.Path()) })
	return ls
}

// builtinDocumentation reads what Go's source tree says about the identifiers
// that are built into the language.
func builtinDocumentation() ([]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(strings.TrimSpace(string(root)), "src", "builtin", "builtin.go")
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	// These names are lower case, so all of them count as exported.
	docs := map[string]string{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			docs[d.Name.Name] = strings.TrimSpace(d.Doc.Text())
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					docs[s.Name.Name] = strings.TrimSpace(firstOf(s.Doc, d.Doc).Text())
				case *ast.ValueSpec:
					docs[s.Names[0].Name] = strings.TrimSpace(firstOf(s.Doc, d.Doc).Text())
				}
			}
		}
	}
	return archive.EncodeDoc(docs), nil
}

func firstOf(a, b *ast.CommentGroup) *ast.CommentGroup {
	if a != nil {
		return a
	}
	return b
}

// documentation collects the doc comments of a package, of its exported
// symbols, and of their exported methods and fields.
func documentation(l *loaded) []byte {
	docs := map[string]string{}
	add := func(name string, groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if text := strings.TrimSpace(g.Text()); text != "" && docs[name] == "" {
				docs[name] = text
			}
		}
	}
	for _, f := range l.files {
		add("", f.Doc)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name, ok := funcName(d); ok {
					add(name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							add(s.Name.Name, s.Doc, d.Doc)
							members(s, add)
						}
					case *ast.ValueSpec:
						for _, n := range s.Names {
							if n.IsExported() {
								add(n.Name, s.Doc, s.Comment)
								if !d.Lparen.IsValid() {
									add(n.Name, d.Doc)
								}
							}
						}
					}
				}
			}
		}
	}
	return archive.EncodeDoc(docs)
}

// funcName is "F" or "T.M"; ok only if all of it is exported.
func funcName(d *ast.FuncDecl) (name string, ok bool) {
	if !d.Name.IsExported() {
		return "", false
	}
	if d.Recv == nil {
		return d.Name.Name, true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + d.Name.Name, x.IsExported()
		default:
			return "", false
		}
	}
}

func members(s *ast.TypeSpec, add func(string, ...*ast.CommentGroup)) {
	var fields *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			if n.IsExported() {
				add(s.Name.Name+"."+n.Name, f.Doc, f.Comment)
			}
		}
	}
}

// sources collects the text of the exported functions, methods and types of a
// package, with their doc comments.
func sources(l *loaded) ([]byte, error) {
	texts := map[string]string{}
	add := func(name string, n ast.Node) error {
		var b strings.Builder
		err := format.Node(&b, l.fset, n)
		texts[name] = b.String()
		return err
	}
	for _, f := range l.files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name, ok := funcName(d); ok {
					if err := add(name, d); err != nil {
						return nil, err
					}
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if t, ok := s.(*ast.TypeSpec); ok && t.Name.IsExported() {
						var n ast.Node = d
						if len(d.Specs) > 1 {
							n = t
						}
						if err := add(t.Name.Name, n); err != nil {
							return nil, err
						}
					}
				}
			}
		}
	}
	return archive.EncodeDoc(texts), nil
}
