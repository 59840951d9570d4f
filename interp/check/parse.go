package check

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
	"sort"
	"strings"
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
		return nil, atEnd(name, src, within(errs, 1+bytes.Count(src, []byte("\n"))))
	}
	p.decls = file.Decls
	for _, d := range body.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Name.Name != "_" || p.body != nil {
			return nil, scanner.ErrorList{{Pos: fset.Position(d.Pos()), Msg: "unexpected declaration; is there a } too many before it?"}}
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

// atEnd rewords what the parser says of the end of the source, or of the brace
// that ends the function around the statements and is not the cell's own.
func atEnd(name string, src []byte, errs scanner.ErrorList) scanner.ErrorList {
	text := bytes.TrimRight(src, " \t\r\n")
	last := 1 + bytes.Count(src, []byte("\n"))
	at := func(offset int) token.Position {
		return token.Position{Filename: name, Offset: offset, Line: 1 + bytes.Count(text[:offset], []byte("\n")), Column: offset - bytes.LastIndexByte(text[:offset], '\n')}
	}
	for _, e := range errs {
		outside := e.Pos.Filename != name || e.Pos.Line > last
		if brace := bytes.LastIndexByte(text, '}'); outside && brace >= 0 && strings.HasPrefix(e.Msg, "expected declaration") {
			e.Pos, e.Msg = at(brace), "there is a } too many"
			continue
		}
		if outside {
			e.Pos = at(len(text))
			e.Msg = strings.Replace(e.Msg, "found '}'", "found the end of the cell", 1)
		}
		e.Msg = strings.Replace(e.Msg, "found 'EOF'", "found the end of the cell", 1)
	}
	return errs
}

// within drops errors past the last line, which are about what parse puts
// around the cell and follow from an error in it.
func within(errs scanner.ErrorList, lines int) scanner.ErrorList {
	if errs[0].Pos.Line > lines {
		return errs
	}
	return slices.DeleteFunc(errs, func(e *scanner.Error) bool { return e.Pos.Line > lines })
}

// directives refuses comments that change what a compiled program means and
// can have no effect in a cell.
func directives(name string, src []byte) (errs scanner.ErrorList) {
	if !bytes.Contains(src, []byte("//go:")) {
		return nil
	}
	var sc scanner.Scanner
	file := token.NewFileSet().AddFile(name, -1, len(src))
	sc.Init(file, src, func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, text := sc.Scan()
		if tok == token.EOF {
			return errs
		}
		directive, _, _ := strings.Cut(text, " ")
		if why, refused := refusedDirectives[directive]; tok == token.COMMENT && refused {
			at := file.Position(pos)
			at.Filename = name
			errs = append(errs, &scanner.Error{Pos: at, Msg: directive + " cannot be used in a cell: " + why})
		}
	}
}

var refusedDirectives = map[string]string{
	"//go:embed":              "there is no build that could embed files; read them with os.ReadFile or os.DirFS",
	"//go:linkname":           "there is no linker; only exported names of packages can be used",
	"//go:wasmimport":         "there is no linker",
	"//go:wasmexport":         "there is no linker",
	"//go:cgo_import_dynamic": "there is no linker",
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
