package check

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// oldSuffix marks names under which a cell sees what it is about to redeclare.
// It is made of letters, since go/types does not report other names.
const oldSuffix = "ǃold"

// builder makes the file that is checked for a cell: its declarations, its
// top-level variables as package variables, and its statements in a function.
type builder struct {
	s        *Session
	p        *parsed
	file     *ast.File
	cell     *Cell
	imported map[string]string
	dots     []string // packages whose names need no qualifier
	declared map[string]bool
	vars     []*ast.ValueSpec
	names    map[*ast.Ident]bool // identifiers that declare the cell's variables
	topLevel map[token.Pos]bool  // of expression statements
	oldFuncs map[string]*types.Func
	errs     []types.Error // that only a notebook has
}

func newBuilder(s *Session, p *parsed) *builder {
	return &builder{
		s: s, p: p, cell: &Cell{Replaced: map[string]types.Object{}, Redefined: map[*types.Func]*types.Func{}, Program: p.pkg},
		imported: map[string]string{}, declared: map[string]bool{}, names: map[*ast.Ident]bool{}, topLevel: map[token.Pos]bool{},
		oldFuncs: map[string]*types.Func{},
	}
}

func (b *builder) declare(name string) {
	if name != "_" && name != "init" {
		b.declared[name] = true
	}
}

// build makes the file.
func (b *builder) build() {
	b.cell.Decls = b.p.decls
	b.file = &ast.File{Name: ast.NewIdent("main")}
	var imports, others []ast.Decl
	for _, d := range b.p.decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				imports = append(imports, d)
				for _, spec := range d.Specs {
					b.noteImport(spec.(*ast.ImportSpec))
				}
				continue
			}
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					b.declare(spec.Name.Name)
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						b.declare(n.Name)
						b.names[n] = true
					}
				}
			}
		case *ast.FuncDecl:
			if d.Recv == nil {
				b.declare(d.Name.Name)
			}
			b.cell.Funcs = append(b.cell.Funcs, d)
		}
		others = append(others, d)
	}
	if !b.p.pkg {
		b.statements()
	}
	if len(b.vars) > 0 {
		specs := make([]ast.Spec, len(b.vars))
		for i, v := range b.vars {
			specs[i] = v
		}
		others = append(others, &ast.GenDecl{TokPos: b.vars[0].Pos(), Tok: token.VAR, Lparen: 1, Specs: specs})
	}
	if b.p.body != nil {
		others = append(others, b.p.body)
	}
	imports = append(b.neededImports(), imports...)
	b.file.Decls = append(imports, others...)
	for _, d := range imports {
		for _, spec := range d.(*ast.GenDecl).Specs {
			b.file.Imports = append(b.file.Imports, spec.(*ast.ImportSpec))
		}
	}
	b.cell.Declared = slices.Sorted(maps.Keys(b.declared))
}

func (b *builder) noteImport(spec *ast.ImportSpec) {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if pkg, err := b.importPackage(path); err == nil {
		name = pkg.Name()
	}
	if spec.Name != nil {
		name = spec.Name.Name
	}
	switch name {
	case "_":
	case ".":
		b.dots = append(b.dots, path)
	default:
		b.imported[name] = path
	}
}

func (b *builder) importPackage(path string) (*types.Package, error) {
	return b.s.Importer().Import(path)
}

// statements turns top-level definitions into package variables and collects
// the steps of the cell.
func (b *builder) statements() {
	var rest []ast.Stmt
	defined := map[string]bool{}
	for i, s := range b.p.stmts {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				if more, ok := b.defineStmt(s, defined); ok {
					rest = append(rest, more...)
					continue
				}
			}
		case *ast.DeclStmt:
			d := s.Decl.(*ast.GenDecl)
			if d.Tok == token.VAR {
				for _, spec := range d.Specs {
					vs := spec.(*ast.ValueSpec)
					for _, n := range vs.Names {
						b.names[n] = true
						defined[n.Name] = true
						b.declare(n.Name)
					}
					b.vars = append(b.vars, vs)
					b.addItem(Item{Lhs: identExprs(vs.Names), Rhs: vs.Values})
				}
				continue
			}
		case *ast.ExprStmt:
			b.topLevel[s.X.Pos()] = true
			b.topLevel[ast.Unparen(s.X).Pos()] = true
			if bin, ok := s.X.(*ast.BinaryExpr); ok {
				b.topLevel[bin.OpPos] = true
				for l, ok := bin, true; ok; l, ok = l.X.(*ast.BinaryExpr) {
					b.topLevel[l.Pos()] = true
				}
			}
			if i == len(b.p.stmts)-1 && !b.p.silent {
				b.cell.Value = s.X
			}
		case *ast.EmptyStmt:
			continue
		}
		if a, ok := s.(*ast.AssignStmt); ok && b.p.list && i == len(b.p.stmts)-1 {
			b.cell.Values = a.Rhs[0].(*ast.CompositeLit).Elts
			rest = append(rest, s)
			continue
		}
		rest = append(rest, s)
		b.addItem(Item{Stmt: s})
	}
	if b.p.body != nil {
		b.p.body.Body.List = rest
	}
	b.bindOld()
}

func (b *builder) addItem(i Item) { b.cell.Items = append(b.cell.Items, i) }

func identExprs(ids []*ast.Ident) []ast.Expr {
	out := make([]ast.Expr, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// defineStmt handles x, y := … at the top level. Names that the cell has
// defined before are assigned to, as in a function.
func (b *builder) defineStmt(s *ast.AssignStmt, defined map[string]bool) (rest []ast.Stmt, ok bool) {
	fresh := false
	for _, x := range s.Lhs {
		id, isIdent := x.(*ast.Ident)
		if !isIdent {
			return nil, false
		}
		fresh = fresh || id.Name != "_" && !defined[id.Name]
	}
	if !fresh {
		b.errs = append(b.errs, types.Error{Fset: b.s.Fset, Pos: s.TokPos, Msg: "no new variables on left side of :="})
		return nil, false
	}
	spec := &ast.ValueSpec{Values: s.Rhs}
	var late []ast.Stmt
	for _, x := range s.Lhs {
		id := x.(*ast.Ident)
		if id.Name != "_" && defined[id.Name] {
			b.s.serial++
			tmp := &ast.Ident{NamePos: id.Pos(), Name: "·" + strconv.Itoa(b.s.serial)}
			use := &ast.Ident{NamePos: id.Pos(), Name: tmp.Name}
			b.names[tmp] = true
			spec.Names = append(spec.Names, tmp)
			late = append(late, &ast.AssignStmt{Lhs: []ast.Expr{id}, TokPos: s.TokPos, Tok: token.ASSIGN, Rhs: []ast.Expr{use}})
			continue
		}
		b.names[id] = true
		defined[id.Name] = true
		b.declare(id.Name)
		spec.Names = append(spec.Names, id)
	}
	b.vars = append(b.vars, spec)
	b.addItem(Item{Lhs: identExprs(spec.Names), Rhs: s.Rhs})
	for _, l := range late {
		b.addItem(Item{Stmt: l})
	}
	return late, true
}

// bindOld makes names that a statement uses before it or a later one declares
// them anew mean what earlier cells declared.
func (b *builder) bindOld() {
	if b.p.body == nil {
		return
	}
	own := map[string]bool{} // declared by the cell's functions and types
	for _, d := range b.p.decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil { // a method may have the name of a type
				own[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					own[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						own[n.Name] = true
					}
				}
			}
		}
	}
	body := b.p.body
	for _, id := range b.p.unresolved {
		if id.Pos() >= body.Pos() && id.Pos() <= body.End() && b.declared[id.Name] && !own[id.Name] {
			id.Name += oldSuffix
		}
	}
}

// neededImports imports what the cell uses of earlier imports and of packages
// that need no import.
func (b *builder) neededImports() []ast.Decl {
	if b.p.pkg {
		return nil
	}
	used := map[string][]string{}
	members := map[*ast.Ident]string{}
	note := func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				members[id] = sel.Sel.Name
			}
		}
		return true
	}
	for _, d := range b.p.decls {
		ast.Inspect(d, note)
	}
	for _, v := range b.vars {
		ast.Inspect(v, note)
	}
	if b.p.body != nil {
		ast.Inspect(b.p.body, note)
	}
	for _, id := range b.p.unresolved {
		if m, ok := members[id]; ok {
			used[id.Name] = append(used[id.Name], m)
		}
	}
	var decls []ast.Decl
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if b.declared[name] || b.imported[name] != "" {
			continue
		}
		path, known := b.s.imports[name]
		if !known {
			if b.s.Pkg.Scope().Lookup(name) != nil || types.Universe.Lookup(name) != nil {
				continue
			}
			if path, known = b.s.Resolve(name, used[name]); !known {
				continue
			}
		}
		decls = append(decls, importAs(name, path))
		b.imported[name] = path
	}
	for _, path := range b.s.dots {
		if !slices.Contains(b.dots, path) && b.needsDot(path) {
			decls = append(decls, importAs(".", path))
		}
	}
	return decls
}

func importAs(name, path string) ast.Decl {
	spec := &ast.ImportSpec{Name: ast.NewIdent(name), Path: &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(path)}}
	return &ast.GenDecl{Tok: token.IMPORT, Specs: []ast.Spec{spec}}
}

// needsDot reports whether the cell uses a name that an earlier cell imported
// with a dot. The language forbids it beside declarations of the same names.
func (b *builder) needsDot(path string) bool {
	pkg, err := b.importPackage(path)
	if err != nil {
		return false
	}
	ours := b.s.Pkg.Scope()
	for _, name := range pkg.Scope().Names() {
		if token.IsExported(name) && (b.declared[name] || ours.Lookup(name) != nil) {
			return false
		}
	}
	return slices.ContainsFunc(b.p.unresolved, func(id *ast.Ident) bool {
		return token.IsExported(id.Name) && pkg.Scope().Lookup(id.Name) != nil
	})
}

// makeRoom takes the earlier objects of redeclared names out of the scope, and
// returns what puts everything back.
func (b *builder) makeRoom() (undo func()) {
	scope := b.s.Pkg.Scope()
	before := maps.Clone(elems(scope))
	methodsBefore := map[*types.Named][]*types.Func{}
	for _, o := range before {
		if tn, ok := o.(*types.TypeName); ok && !tn.IsAlias() {
			if n, ok := tn.Type().(*types.Named); ok {
				methodsBefore[n] = slices.Clone(*methods(n))
			}
		}
	}
	for name := range b.declared {
		if old := before[name]; old != nil {
			b.cell.Replaced[name] = old
			delete(elems(scope), name)
			elems(scope)[name+oldSuffix] = old
		}
	}
	// Imports of this cell hide variables of earlier ones.
	for name := range b.imported {
		if old := before[name]; old != nil && !b.declared[name] {
			b.cell.Replaced[name] = old
			delete(elems(scope), name)
		}
	}
	b.dropMethods(before)
	return func() {
		m := elems(scope)
		clear(m)
		maps.Copy(m, before)
		for n, list := range methodsBefore {
			*methods(n) = list
			if n.TypeParams().Len() > 0 {
				resetInstances(b.s.Context, n)
			}
		}
	}
}

// dropMethods removes the methods that the cell declares again from types of
// earlier cells.
func (b *builder) dropMethods(before map[string]types.Object) {
	for _, d := range b.cell.Funcs {
		if d.Recv == nil || len(d.Recv.List) == 0 {
			continue
		}
		base := receiverName(d.Recv.List[0].Type)
		if base == "" || b.declared[base] {
			continue
		}
		tn, ok := before[base].(*types.TypeName)
		if !ok {
			continue
		}
		n, ok := tn.Type().(*types.Named)
		if !ok {
			continue
		}
		b.cell.Methods = true
		b.cell.Extended = append(b.cell.Extended, tn)
		if n.TypeParams().Len() > 0 {
			resetInstances(b.s.Context, n)
		}
		list := methods(n)
		for i, m := range *list {
			if m.Name() == d.Name.Name {
				b.oldFuncs[base+"."+m.Name()] = m
				*list = slices.Delete(slices.Clone(*list), i, i+1)
				break
			}
		}
	}
}

func receiverName(e ast.Expr) string {
	switch e := ast.Unparen(e).(type) {
	case *ast.StarExpr:
		return receiverName(e.X)
	case *ast.IndexExpr:
		return receiverName(e.X)
	case *ast.IndexListExpr:
		return receiverName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// redefineMethods pairs methods with the ones they replace.
func (b *builder) redefineMethods() *Error {
	for _, d := range b.cell.Funcs {
		if d.Recv == nil {
			continue
		}
		old := b.oldFuncs[receiverName(d.Recv.List[0].Type)+"."+d.Name.Name]
		if old == nil {
			continue
		}
		now := b.cell.Info.Defs[d.Name].(*types.Func)
		if !sameSignature(now.Signature(), old.Signature()) || isPointerRecv(now) != isPointerRecv(old) {
			return &Error{Types: []types.Error{{Fset: b.s.Fset, Pos: d.Name.Pos(), Msg: "method " + d.Name.Name + " was declared with another signature in an earlier cell: declare its type again as well"}}}
		}
		b.cell.Redefined[now] = old
	}
	return nil
}

// TakesPlace reports whether what a cell declares can take the place of what an
// earlier one declared under the same name, unnoticed by the code that uses it.
func TakesPlace(now, old types.Object) bool {
	if reflect.TypeOf(now) != reflect.TypeOf(old) {
		return false
	}
	switch now := now.(type) {
	case *types.Const:
		if now.Val().ExactString() != old.(*types.Const).Val().ExactString() {
			return false
		}
	case *types.Func:
		f, g := now.Signature(), old.(*types.Func).Signature()
		if f.TypeParams().Len() > 0 {
			return f.TypeParams().Len() == g.TypeParams().Len() && types.TypeString(f, nil) == types.TypeString(g, nil)
		}
	}
	return types.Identical(now.Type(), old.Type())
}

// sameSignature compares the signatures of two methods. Type parameters of
// their receivers are the same if they are called the same.
func sameSignature(a, b *types.Signature) bool {
	if a.RecvTypeParams().Len() == 0 || a.RecvTypeParams().Len() != b.RecvTypeParams().Len() {
		return types.Identical(a, b)
	}
	return types.TypeString(a, nil) == types.TypeString(b, nil)
}

func isPointerRecv(f *types.Func) bool {
	_, ok := f.Signature().Recv().Type().(*types.Pointer)
	return ok
}

// owns reports whether an initializer is of this cell.
func (b *builder) owns(init *types.Initializer) bool {
	for _, v := range init.Lhs {
		if b.s.Pkg.Scope().Lookup(v.Name()) == v || v.Name() == "_" {
			for id := range b.names {
				if b.cell.Info.Defs[id] == v {
					return true
				}
			}
		}
	}
	return false
}
