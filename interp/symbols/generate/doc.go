package main

import (
	"go/ast"
	"slices"
	"strings"

	"loris/interp/symbols/archive"
)

func sortedByPath(ls []*loaded) []*loaded {
	slices.SortFunc(ls, func(a, b *loaded) int { return strings.Compare(a.pkg.Path(), b.pkg.Path()) })
	return ls
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
