package assist

import (
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// selector completes x.‸: the exports of a package, the fields and methods of
// a value, the methods of a type.
func (c *completer) selector(a *analysis, s *ast.SelectorExpr) bool {
	if id, ok := s.X.(*ast.Ident); ok {
		if p, ok := a.info.Uses[id].(*types.PkgName); ok {
			scope := p.Imported().Scope()
			for _, name := range scope.Names() {
				if obj := scope.Lookup(name); obj.Exported() {
					c.object(a, obj)
				}
			}
			return true
		}
	}
	tv, ok := a.info.Types[s.X]
	if !ok || tv.Type == nil || tv.Type == types.Typ[types.Invalid] {
		return false
	}
	if tuple, ok := tv.Type.(*types.Tuple); ok {
		if tuple.Len() != 1 {
			return true
		}
		tv.Type = tuple.At(0).Type()
	}
	for _, m := range membersOf(tv.Type, a.pkg) {
		if tv.IsType() && !m.method {
			continue
		}
		c.add(m.obj.Name(), kindOf(m.obj), signature(m.obj, a.pkg))
	}
	return true
}

// Members lists the fields and methods that code of package from can select on
// a variable of type t, sorted by name, those of embedded types included.
func Members(t types.Type, from *types.Package) (out []types.Object) {
	for _, m := range membersOf(t, from) {
		out = append(out, m.obj)
	}
	slices.SortFunc(out, func(a, b types.Object) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

type member struct {
	obj    types.Object
	method bool
	depth  int
}

// membersOf lists the fields and methods that a selector on a variable of type
// t can name, those of embedded types included.
func membersOf(t types.Type, from *types.Package) (out []member) {
	if p, ok := t.(*types.TypeParam); ok {
		t = p.Constraint()
	}
	base := t
	if p, ok := t.Underlying().(*types.Pointer); ok {
		if _, named := types.Unalias(t).(*types.Named); !named {
			base = p.Elem()
		}
	}
	visible := func(obj types.Object) bool { return obj.Exported() || samePackage(obj.Pkg(), from) }
	set := types.NewMethodSet(t)
	if !types.IsInterface(base) {
		set = types.NewMethodSet(types.NewPointer(base))
	}
	for sel := range set.Methods() {
		if visible(sel.Obj()) {
			out = append(out, member{sel.Obj(), true, len(sel.Index()) - 1})
		}
	}
	depths := map[string]int{}
	fields(base, 0, map[types.Type]bool{}, func(f *types.Var, depth int) {
		if d, ok := depths[f.Name()]; !visible(f) || f.Name() == "_" || ok && d <= depth {
			return
		}
		// What is ambiguous or hidden by a method cannot be selected.
		if obj, _, _ := types.LookupFieldOrMethod(t, true, f.Pkg(), f.Name()); obj != nil {
			if v, ok := obj.(*types.Var); ok {
				depths[f.Name()] = depth
				out = append(out, member{v, false, depth})
			}
		}
	})
	return out
}

func samePackage(a, b *types.Package) bool {
	return a == b || a != nil && b != nil && a.Path() == b.Path()
}

// fields visits the fields of a struct and of what it embeds.
func fields(t types.Type, depth int, seen map[types.Type]bool, visit func(f *types.Var, depth int)) {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok || seen[t] {
		return
	}
	seen[t] = true
	for f := range s.Fields() {
		visit(f, depth)
	}
	for f := range s.Fields() {
		if f.Embedded() {
			fields(f.Type(), depth+1, seen, visit)
		}
	}
}

// literalKey finds the composite literal of which the marked identifier may be
// a key. keyed says that the literal has keys, so that it must be one.
func literalKey(path []ast.Node) (lit *ast.CompositeLit, keyed bool) {
	if len(path) < 2 {
		return nil, false
	}
	i := 1
	if kv, ok := path[1].(*ast.KeyValueExpr); ok {
		if kv.Key != path[0] || len(path) < 3 {
			return nil, false
		}
		i, keyed = 2, true
	}
	lit, ok := path[i].(*ast.CompositeLit)
	if !ok || lit.Type == path[0] {
		return nil, false
	}
	for _, e := range lit.Elts {
		if _, ok := e.(*ast.KeyValueExpr); ok {
			keyed = true
		}
	}
	return lit, keyed
}

// fields proposes the fields of a struct literal that it does not have yet.
func (c *completer) fields(a *analysis, lit *ast.CompositeLit) bool {
	tv, ok := a.info.Types[lit]
	if !ok || tv.Type == nil {
		return false
	}
	t := tv.Type
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	used := map[string]bool{}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
	}
	for f := range s.Fields() {
		if (f.Exported() || samePackage(f.Pkg(), a.pkg)) && !used[f.Name()] {
			c.add(f.Name(), "field", signature(f, a.pkg))
		}
	}
	return true
}

// paths completes the name of a file at the end of the arguments of a magic.
func (c *completer) paths(args string) {
	word := args[strings.LastIndexAny(args, " \t=")+1:]
	word = strings.TrimLeft(word, `"'`)
	dir, base := filepath.Split(word)
	c.start = c.at - len(base)
	look := dir
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			look = filepath.Join(home, rest)
		}
	}
	if look == "" {
		look = "."
	}
	entries, err := os.ReadDir(look)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		c.add(name, "path", "")
	}
}
