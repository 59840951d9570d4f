package assist

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"strings"

	"loris/interp/symbols"
)

// mark ends the identifier at the cursor. It is a letter that nobody types.
const mark = "ʗ"

// The declarations and the statements of a cell are parsed apart, each in the
// layout of the cell behind a head of the same length.
const (
	bodyHead = "package main;func _() {"
	declHead = "package main;          "
)

// analysis is a cell, parsed and type-checked as far as it goes.
type analysis struct {
	fset *token.FileSet
	pkg  *types.Package
	info *types.Info
	file *ast.File
}

// offset is the place of a node in the cell.
func (a *analysis) offset(pos token.Pos) int {
	f := a.fset.File(pos)
	if f == nil {
		return -1
	}
	return f.Offset(pos) - len(bodyHead)
}

// analyse checks a cell against the session. Errors are of no interest here.
func analyse(v View, code string) *analysis {
	a := &analysis{fset: token.NewFileSet()}
	decls, stmts := split(code)
	const mode = parser.AllErrors | parser.SkipObjectResolution
	declFile, _ := parser.ParseFile(a.fset, "", declHead+decls, mode|parser.ParseComments)
	bodyFile, _ := parser.ParseFile(a.fset, "", bodyHead+stmts+"\n}", mode)
	if declFile == nil || bodyFile == nil {
		return nil
	}
	return a.check(v, declFile, bodyFile)
}

// split separates the declarations of a cell from its statements and returns
// both in the layout of the cell, the other part blanked. It works on tokens.
func split(code string) (decls, stmts string) {
	d, s := []byte(blank(code)), []byte(blank(code))
	for _, c := range chunks(code) {
		switch {
		case strings.HasPrefix(code[c.start:c.end], "package "):
			// a program: its package clause is ours
		case c.decl:
			copy(d[c.start:c.end], code[c.start:c.end])
		default:
			copy(s[c.start:c.end], code[c.start:c.end])
		}
	}
	return string(d), string(s)
}

func blank(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

type chunk struct {
	start, end int
	decl       bool
}

// A lexeme is a token with its place.
type lexeme struct {
	tok        token.Token
	lit        string
	start, end int
}

// lex scans code; comments are kept, the semicolon that the scanner puts at the
// end is not.
func lex(code string) (list []lexeme) {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(code))
	s.Init(file, []byte(code), func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return list
		}
		start := file.Offset(pos)
		text := lit
		if text == "" {
			text = tok.String()
		}
		if tok == token.SEMICOLON && lit == "\n" {
			if start >= len(code) {
				continue
			}
			text = ""
		}
		list = append(list, lexeme{tok, lit, start, min(start+len(text), len(code))})
	}
}

// chunks cuts code at the semicolons of the top level.
func chunks(code string) (out []chunk) {
	var toks []token.Token
	depth, start := 0, -1
	flush := func(end int) {
		if start >= 0 {
			out = append(out, chunk{start, end, isDecl(toks)})
		}
		start, toks = -1, nil
	}
	for _, l := range lex(code) {
		if l.tok == token.COMMENT {
			continue
		}
		// The semicolons of a for header come before its brace.
		header := len(toks) > 0 && l.lit == ";" && (toks[0] == token.FOR || toks[0] == token.IF || toks[0] == token.SWITCH) && !hasBrace(toks)
		if l.tok == token.SEMICOLON && depth == 0 && !header {
			flush(l.end)
			continue
		}
		if start < 0 {
			start = l.start
		}
		toks = append(toks, l.tok)
		switch l.tok {
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth = max(depth-1, 0)
		}
	}
	flush(len(code))
	return out
}

func hasBrace(toks []token.Token) bool {
	for _, t := range toks {
		if t == token.LBRACE {
			return true
		}
	}
	return false
}

// isDecl reports whether a chunk must stand at the level of a package.
func isDecl(toks []token.Token) bool {
	switch toks[0] {
	case token.IMPORT, token.TYPE, token.CONST, token.VAR, token.PACKAGE:
		return true
	case token.FUNC:
		if len(toks) > 1 && toks[1] == token.IDENT {
			return true
		}
		depth := 0
		for i, t := range toks[1:] {
			switch t {
			case token.LPAREN:
				depth++
			case token.RPAREN:
				if depth--; depth == 0 { // "func (r T) name" is a method
					return i+2 < len(toks) && toks[i+2] == token.IDENT
				}
			}
		}
	}
	return false
}

// check type-checks both files as one package that starts with the objects of
// the session.
func (a *analysis) check(v View, decls, body *ast.File) *analysis {
	path, name := "main", "main"
	if v.Package != nil {
		path, name = v.Package.Path(), v.Package.Name()
	}
	a.pkg = types.NewPackage(path, name)
	a.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Scopes: map[ast.Node]*types.Scope{},
	}
	a.file = merge(decls, body)
	declared := declaredNames(a.file)
	for _, d := range a.file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
			flattenMethod(fn, declared)
		}
	}
	for _, obj := range v.Objects {
		if !declared[obj.Name()] && token.IsIdentifier(obj.Name()) {
			a.pkg.Scope().Insert(obj)
		}
	}
	a.addImports(v, declared)
	conf := types.Config{Importer: symbols.Importer(), Error: func(error) {}, DisableUnusedImportCheck: true}
	func() {
		// The checker may stumble over what the parser could not make sense of.
		defer func() { _ = recover() }()
		_ = types.NewChecker(&conf, a.fset, a.pkg, a.info).Files([]*ast.File{a.file})
	}()
	return a
}

// merge makes one file of the two. Definitions at the top level of the body
// become package variables, as they are in a session; a name that is defined
// again stays a local one, which shadows the first from there on.
func merge(decls, body *ast.File) *ast.File {
	file := &ast.File{Package: decls.Package, Name: decls.Name, FileStart: decls.FileStart, FileEnd: body.FileEnd, Comments: decls.Comments}
	file.Decls = append(file.Decls, decls.Decls...)
	seen := declaredNames(decls)
	for _, d := range body.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || fn.Name.Name != "_" {
			file.Decls = append(file.Decls, d)
			continue
		}
		var rest []ast.Stmt
		for _, s := range fn.Body.List {
			if spec := definition(s, seen); spec != nil {
				file.Decls = append(file.Decls, &ast.GenDecl{TokPos: s.Pos(), Tok: token.VAR, Specs: []ast.Spec{spec}})
				for _, n := range spec.Names {
					seen[n.Name] = true
				}
				continue
			}
			rest = append(rest, s)
		}
		fn.Body.List = rest
		file.Decls = append(file.Decls, fn)
	}
	return file
}

// definition turns a := of new names into a variable specification.
func definition(s ast.Stmt, seen map[string]bool) *ast.ValueSpec {
	as, ok := s.(*ast.AssignStmt)
	if !ok || as.Tok != token.DEFINE {
		return nil
	}
	spec := &ast.ValueSpec{Values: as.Rhs}
	for _, l := range as.Lhs {
		id, ok := l.(*ast.Ident)
		if !ok || seen[id.Name] {
			return nil
		}
		spec.Names = append(spec.Names, id)
	}
	return spec
}

// declaredNames are the names that a file declares at package level.
func declaredNames(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name != nil {
				names[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	delete(names, "_")
	return names
}

// flattenMethod makes a method of a type from an earlier cell a function whose
// first parameter is the receiver: the checker takes methods only beside the
// declaration of their type.
func flattenMethod(fn *ast.FuncDecl, declared map[string]bool) {
	if len(fn.Recv.List) == 0 {
		return
	}
	t := fn.Recv.List[0].Type
	var params []*ast.Ident
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
			continue
		case *ast.ParenExpr:
			t = x.X
			continue
		case *ast.IndexExpr:
			params = identifiers(x.Index)
			t = x.X
			continue
		case *ast.IndexListExpr:
			params = identifiers(x.Indices...)
			t = x.X
			continue
		case *ast.Ident:
			if declared[x.Name] {
				return
			}
		}
		break
	}
	if len(params) > 0 {
		fn.Type.TypeParams = &ast.FieldList{List: []*ast.Field{{Names: params, Type: &ast.Ident{NamePos: fn.Pos(), Name: "any"}}}}
	}
	fn.Type.Params.List = append(fn.Recv.List[:1:1], fn.Type.Params.List...)
	fn.Recv = nil
	fn.Name = &ast.Ident{NamePos: fn.Name.Pos(), Name: "_"}
}

func identifiers(list ...ast.Expr) (ids []*ast.Ident) {
	for _, e := range list {
		if id, ok := e.(*ast.Ident); ok {
			ids = append(ids, &ast.Ident{NamePos: id.Pos(), Name: id.Name})
		}
	}
	return ids
}

// addImports imports what the cell uses: packages that earlier cells imported,
// and packages that an undeclared name means by itself.
func (a *analysis) addImports(v View, declared map[string]bool) {
	imported := map[string]bool{}
	for _, d := range a.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			for _, s := range g.Specs {
				spec := s.(*ast.ImportSpec)
				a.file.Imports = append(a.file.Imports, spec)
				imported[importName(spec)] = true
			}
		}
	}
	members := map[string][]string{}
	ast.Inspect(a.file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok {
				member := strings.TrimSuffix(s.Sel.Name, mark)
				if member == s.Sel.Name && member != "" {
					members[id.Name] = append(members[id.Name], member)
				} else if members[id.Name] == nil {
					members[id.Name] = []string{}
				}
			}
		}
		return true
	})
	var specs []ast.Spec
	for name, used := range members {
		if imported[name] || declared[name] || a.pkg.Scope().Lookup(name) != nil {
			continue
		}
		path, ok := v.Imports[name]
		if !ok {
			if path, ok = symbols.Resolve(name, used...); !ok {
				continue
			}
		}
		specs = append(specs, &ast.ImportSpec{Name: ast.NewIdent(name), Path: &ast.BasicLit{Kind: token.STRING, Value: `"` + path + `"`}})
	}
	if len(specs) > 0 {
		a.file.Decls = append([]ast.Decl{&ast.GenDecl{Tok: token.IMPORT, Lparen: 1, Specs: specs}}, a.file.Decls...)
		for _, s := range specs {
			a.file.Imports = append(a.file.Imports, s.(*ast.ImportSpec))
		}
	}
}

func importName(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name
	}
	path := strings.Trim(s.Path.Value, "\"`")
	if name, ok := symbols.Name(path); ok {
		return name
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}
