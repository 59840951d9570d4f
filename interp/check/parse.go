package check

import (
	"bytes"
	"fmt"
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
	list       bool // the last statement holds a list of values to show
	silent     bool // it ends in a semicolon: no value to show
}

// parse splits and parses a cell. Errors are at the cell's lines.
func parse(fset *token.FileSet, name string, src []byte) (*parsed, scanner.ErrorList) {
	chunks, ended := split(src)
	p := &parsed{silent: ended}
	if len(chunks) > 0 && chunks[0].pkg {
		p.pkg = true
		file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return nil, errorList(err)
		}
		p.decls = file.Decls
		return p, nil
	}
	var errs scanner.ErrorList
	text := blanked(src, chunks, false)
	if n := len(chunks); n > 0 && chunks[n-1].list && !chunks[n-1].decl && !ended {
		p.list = true
		text = listed(name, src, text, chunks[n-1].start)
	}
	directive := "//line " + name + ":1:1\n"
	file, err := parser.ParseFile(fset, name, append([]byte("package main\n"+directive), blanked(src, chunks, true)...), parser.ParseComments)
	errs = append(errs, errorList(err)...)
	body, err := parser.ParseFile(fset, name, append(append([]byte("package main\nfunc _() {\n"+directive), text...), "\n}"...), 0)
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

// listed makes a list of expressions at the end of a cell parse, at its place.
func listed(name string, src, text []byte, start int) []byte {
	line := 1 + bytes.Count(src[:start], []byte("\n"))
	col := start - bytes.LastIndexByte(src[:start], '\n')
	out := append([]byte{}, text[:start]...)
	out = append(out, fmt.Sprintf("_ = []any{/*line %s:%d:%d*/", name, line, col)...)
	return append(append(out, text[start:]...), '}')
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
