package check

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"sort"
)

// parsed is a cell after parsing: its declarations, and the statements in the
// order in which they run.
type parsed struct {
	pkg        bool // it has a package clause: a whole program
	decls      []ast.Decl
	stmts      []ast.Stmt
	unresolved []*ast.Ident
	body       *ast.FuncDecl
	silent     bool // it ends in a semicolon: no value to show
}

// parse splits and parses a cell. Errors are at the cell's lines.
func parse(fset *token.FileSet, name string, src []byte) (*parsed, scanner.ErrorList) {
	chunks, ended := split(src)
	p := &parsed{silent: ended}
	if len(chunks) > 0 && bytes.HasPrefix(src[chunks[0].start:], []byte("package")) {
		p.pkg = true
		file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return nil, errorList(err)
		}
		p.decls = file.Decls
		return p, nil
	}
	var errs scanner.ErrorList
	directive := "//line " + name + ":1:1\n"
	file, err := parser.ParseFile(fset, name, append([]byte("package main\n"+directive), blanked(src, chunks, true)...), 0)
	errs = append(errs, errorList(err)...)
	body, err := parser.ParseFile(fset, name, append(append([]byte("package main\nfunc _() {\n"+directive), blanked(src, chunks, false)...), "\n}"...), 0)
	errs = append(errs, errorList(err)...)
	if len(errs) > 0 {
		sort.Sort(errs)
		errs.RemoveMultiples()
		return nil, errs
	}
	p.decls = file.Decls
	for _, d := range body.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Name.Name != "_" || p.body != nil {
			return nil, scanner.ErrorList{{Pos: fset.Position(d.Pos()), Msg: "unexpected declaration; is there a } too many?"}}
		}
		p.body = fd
		p.stmts = fd.Body.List
	}
	p.unresolved = append(file.Unresolved, body.Unresolved...)
	return p, nil
}

func errorList(err error) scanner.ErrorList {
	switch err := err.(type) {
	case nil:
		return nil
	case scanner.ErrorList:
		return err
	default:
		return scanner.ErrorList{{Msg: err.Error()}}
	}
}
