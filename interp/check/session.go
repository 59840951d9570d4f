package check

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// Resolver knows which package an undeclared name means.
type Resolver func(name string, members []string) (path string, ok bool)

// Session is the scope that the cells of a session share.
type Session struct {
	Fset    *token.FileSet
	Pkg     *types.Package
	Resolve Resolver
	Context *types.Context // of all instances of generic types
	checker *types.Checker
	info    *types.Info
	imports map[string]string // name -> path, of earlier cells
	dots    []string          // paths that earlier cells imported with a dot
	errs    []types.Error
	serial  int
	imp     types.Importer
}

// Item is a step of a cell: a statement or the definition of variables.
type Item struct {
	Stmt ast.Stmt
	Lhs  []ast.Expr // of a definition
	Rhs  []ast.Expr
}

// Pos is where the item begins.
func (i Item) Pos() token.Pos {
	if i.Stmt != nil {
		return i.Stmt.Pos()
	}
	return i.Lhs[0].Pos()
}

// Cell is a checked cell.
type Cell struct {
	Info      *types.Info
	Decls     []ast.Decl // functions, types, constants
	Funcs     []*ast.FuncDecl
	Items     []Item
	Value     ast.Expr   // the last expression, if its value is to be shown
	Values    []ast.Expr // instead, the last expressions if they are several
	Program   bool       // a whole program: run its initialisation, then main
	Inits     []*types.Initializer
	Replaced  map[string]types.Object     // earlier objects of the names it declares
	Redefined map[*types.Func]*types.Func // methods declared again: new -> old
	Declared  []string
	Extended  []types.Object // types of earlier cells for which it declares methods
	Methods   bool           // it declares methods of types of earlier cells
	Undo      func()         // makes the session as it was before the cell
}

// Error is what is wrong with a cell.
type Error struct {
	Syntax scanner.ErrorList
	Types  []types.Error
	// What the checker knew when it found the errors, for suggestions.
	File     *ast.File
	Info     *types.Info
	Declared []string // by the cell itself
}

func (e *Error) Error() string {
	var lines []string
	for _, s := range e.Syntax {
		lines = append(lines, s.Error())
	}
	for _, t := range e.Types {
		lines = append(lines, t.Error())
	}
	return strings.Join(lines, "\n")
}

// New returns an empty session.
func New(fset *token.FileSet, imp types.Importer, resolve Resolver) *Session {
	s := &Session{Fset: fset, Pkg: types.NewPackage("main", "main"), Resolve: resolve, imports: map[string]string{}, imp: imp}
	s.info = new(types.Info)
	s.freshInfo()
	s.Context = types.NewContext()
	conf := &types.Config{Importer: imp, Context: s.Context, GoVersion: "go1.26", Error: func(err error) {
		if te, ok := err.(types.Error); ok {
			s.errs = append(s.errs, te)
		}
	}}
	s.checker = types.NewChecker(conf, fset, s.Pkg, s.info)
	return s
}

// freshInfo gives the checker new maps, so that each cell keeps its own.
func (s *Session) freshInfo() {
	*s.info = types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Instances:  map[*ast.Ident]types.Instance{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Implicits:  map[ast.Node]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
		Scopes:     map[ast.Node]*types.Scope{},
	}
}

// Importer is what finds packages.
func (s *Session) Importer() types.Importer { return s.imp }

// Objects returns what cells have declared, under their plain names.
func (s *Session) Objects() map[string]types.Object {
	return maps.Clone(elems(s.Pkg.Scope()))
}

// Forget removes names from the scope; none means all, with the imports.
func (s *Session) Forget(names []string) {
	m := elems(s.Pkg.Scope())
	if len(names) == 0 {
		clear(m)
		clear(s.imports)
		s.dots = nil
	}
	for _, n := range names {
		delete(m, n)
	}
}

// Imports returns the packages that cells have imported, by name.
func (s *Session) Imports() map[string]string { return maps.Clone(s.imports) }

// Check checks a cell. If it fails, the session is as before.
func (s *Session) Check(name string, src []byte) (cell *Cell, err error) {
	p, syntax := parse(s.Fset, name, src)
	if len(syntax) == 0 {
		syntax = directives(name, src)
	}
	if len(syntax) > 0 {
		return nil, &Error{Syntax: syntax}
	}
	b := newBuilder(s, p)
	b.build()
	undo := b.makeRoom()
	s.freshInfo()
	s.errs = nil
	func() {
		defer func() {
			if r := recover(); r != nil {
				s.errs = append(s.errs, types.Error{Fset: s.Fset, Pos: token.NoPos, Msg: fmt.Sprintf("internal error of the type checker: %v", r)})
			}
		}()
		keepContext(s.checker, s.Context)
		s.checker.Files([]*ast.File{b.file})
	}()
	forgetChecked(s.checker, s.Pkg.Scope())
	if errs := append(b.errs, b.relevant(s.errs)...); len(errs) > 0 {
		undo()
		info := *s.info
		return nil, &Error{Types: errs, File: b.file, Info: &info, Declared: b.cell.Declared}
	}
	info := *s.info
	b.cell.Info = &info
	for _, init := range info.InitOrder {
		if b.owns(init) {
			b.cell.Inits = append(b.cell.Inits, init)
		}
	}
	if e := b.redefineMethods(); e != nil {
		undo()
		return nil, e
	}
	imports, dots := maps.Clone(s.imports), slices.Clone(s.dots)
	b.cell.Undo = func() {
		undo()
		s.imports, s.dots = imports, dots
	}
	maps.Copy(s.imports, b.imported)
	for _, path := range b.dots {
		if !slices.Contains(s.dots, path) {
			s.dots = append(s.dots, path)
		}
	}
	for n := range elems(s.Pkg.Scope()) {
		if strings.HasSuffix(n, oldSuffix) {
			delete(elems(s.Pkg.Scope()), n)
		}
	}
	return b.cell, nil
}

// relevant drops what notebooks allow: unused variables and imports, and
// expressions at the top level whose value is not used.
func (b *builder) relevant(errs []types.Error) []types.Error {
	var out []types.Error
	for _, e := range errs {
		switch {
		case strings.HasPrefix(e.Msg, "declared and not used"), strings.Contains(e.Msg, "imported and not used"), strings.Contains(e.Msg, "imported as") && strings.HasSuffix(e.Msg, "not used"):
			continue
		case strings.HasSuffix(e.Msg, "is not used") && b.topLevel[e.Pos]:
			continue
		}
		e.Msg = strings.ReplaceAll(e.Msg, oldSuffix, "")
		out = append(out, e)
	}
	return slices.CompactFunc(out, func(a, b types.Error) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}
