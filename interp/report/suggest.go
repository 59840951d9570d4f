package report

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"loris/interp/assist"
	"loris/interp/symbols"
	"loris/interp/symbols/nearest"
)

// Scope is what Suggest looks names up in.
type Scope struct {
	Package *types.Package
	Files   []*ast.File // of the cell
	Info    *types.Info // with Types, Uses and Scopes as far as checking got
	// Names lists the names of the session that the package scope does not
	// hold under their own name; nil if it holds all. Names that contain a
	// character which no identifier has are left out by themselves.
	Names func() []string
}

// Suggest finds what the unknown name in an error was meant to be and returns
// a hint such as "did you mean Println?", or "".
func Suggest(e types.Error, in Scope) string {
	msg := firstLine(e.Msg)
	switch {
	case strings.HasPrefix(msg, "undefined: "):
		name := strings.TrimPrefix(msg, "undefined: ")
		if pkg, member, ok := strings.Cut(name, "."); ok {
			return in.packageMember(e.Pos, pkg, member)
		}
		return in.undefined(e.Pos, name)
	case strings.Contains(msg, " undefined (type ") && !strings.Contains(msg, ", but does have "):
		return in.member(e.Pos)
	case strings.HasPrefix(msg, "unknown field "):
		return in.field(e.Pos)
	case strings.HasPrefix(msg, "name ") && strings.HasSuffix(msg, " not exported by package"):
		return ""
	case strings.Contains(msg, "not exported by package "):
		return in.packageMember(e.Pos, "", "")
	}
	if m := twoVersions.FindStringSubmatch(msg); m != nil && m[2] == m[3] {
		return m[1] + " is of the type " + m[2] + " that an earlier cell declared: run what makes it again"
	}
	return ""
}

// twoVersions matches an error about types of the same name, which only a type
// that was declared again gives.
var twoVersions = regexp.MustCompile(`^cannot use (.+) \((?:variable|value|constant) .*?(?:of |of struct |of \w+ )type ([^ ]+)\) as ([^ ]+) value`)

func didYouMean(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "did you mean " + names[0] + "?"
	}
	last := len(names) - 1
	return "did you mean " + strings.Join(names[:last], ", ") + " or " + names[last] + "?"
}

func (in Scope) undefined(pos token.Pos, name string) string {
	if paths := symbols.Candidates(name); len(paths) > 0 {
		return "import " + quoted(paths)
	}
	if hint := exporters(name); hint != "" {
		return hint
	}
	var names []string
	for s := in.inner(pos); s != nil; s = s.Parent() {
		for _, n := range s.Names() {
			if token.IsIdentifier(n) {
				names = append(names, n)
			}
		}
	}
	if in.Names != nil {
		names = append(names, in.Names()...)
	}
	for k := token.BREAK; k <= token.VAR; k++ {
		names = append(names, k.String())
	}
	if found := nearest.Names(name, names); len(found) > 0 {
		return didYouMean(found)
	}
	var packages []string
	for _, p := range symbols.Preloaded() {
		packages = append(packages, p.Name)
	}
	return didYouMean(nearest.Names(name, packages))
}

// exporters names the usual packages that export a name: Println is
// fmt.Println.
func exporters(name string) string {
	if !token.IsExported(name) {
		return ""
	}
	var found []string
	for _, p := range []string{"fmt", "strings", "math", "sort", "slices", "maps", "strconv", "errors", "os", "time", "loris/tensorlib", "loris/tensorlib/nn", "loris/tensorlib/lora", "loris/tensorlib/bench", "loris/display"} {
		pkg, err := symbols.Importer().Import(p)
		if err == nil && pkg.Scope().Lookup(name) != nil {
			found = append(found, symbols.ShortName(p, pkg.Name())+"."+name)
		}
	}
	if len(found) > 3 {
		found = found[:3]
	}
	return didYouMean(found)
}

func quoted(paths []string) string {
	var q []string
	for _, p := range paths {
		q = append(q, `"`+p+`"`)
	}
	return strings.Join(q, " or ")
}

// inner is the innermost scope around pos.
func (in Scope) inner(pos token.Pos) *types.Scope {
	if in.Package == nil {
		return types.Universe
	}
	best := in.Package.Scope()
	if in.Info == nil {
		return best
	}
	size := token.Pos(1 << 62)
	for _, s := range in.Info.Scopes {
		if s.Contains(pos) && s.End()-s.Pos() < size {
			best, size = s, s.End()-s.Pos()
		}
	}
	return best
}

func (in Scope) selector(pos token.Pos) (found *ast.SelectorExpr) {
	for _, f := range in.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Pos() == pos || s.Pos() == pos) && (found == nil || s.Sel.Pos() == pos) {
				found = s
			}
			return true
		})
	}
	return found
}

func (in Scope) packageMember(pos token.Pos, name, member string) string {
	sel := in.selector(pos)
	path := ""
	if sel != nil {
		member = sel.Sel.Name
		if id, ok := sel.X.(*ast.Ident); ok {
			name = id.Name
			if in.Info != nil {
				if p, ok := in.Info.Uses[id].(*types.PkgName); ok {
					path = p.Imported().Path()
				}
			}
		}
	}
	if path == "" {
		if c := symbols.Candidates(name); len(c) > 0 {
			path = c[0]
		}
	}
	pkg, err := symbols.Importer().Import(path)
	if err != nil {
		return ""
	}
	var names []string
	for _, n := range pkg.Scope().Names() {
		if token.IsExported(n) {
			names = append(names, n)
		}
	}
	found := nearest.Names(member, names)
	for i := range found {
		found[i] = name + "." + found[i]
	}
	return didYouMean(found)
}

func (in Scope) member(pos token.Pos) string {
	sel := in.selector(pos)
	if sel == nil || in.Info == nil {
		return ""
	}
	tv, ok := in.Info.Types[sel.X]
	if !ok || tv.Type == nil {
		return ""
	}
	var names []string
	for _, m := range assist.Members(tv.Type, in.Package) {
		names = append(names, m.Name())
	}
	return didYouMean(nearest.Names(sel.Sel.Name, names))
}

// field suggests for an unknown field in a struct literal.
func (in Scope) field(pos token.Pos) string {
	var lit *ast.CompositeLit
	name := ""
	for _, f := range in.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			for _, e := range c.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && kv.Key.Pos() == pos {
					if id, ok := kv.Key.(*ast.Ident); ok {
						lit, name = c, id.Name
					}
				}
			}
			return true
		})
	}
	if lit == nil || in.Info == nil {
		return ""
	}
	tv, ok := in.Info.Types[lit]
	if !ok {
		return ""
	}
	t := tv.Type
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return ""
	}
	var names []string
	for f := range s.Fields() {
		if f.Exported() || f.Pkg() == in.Package {
			names = append(names, f.Name())
		}
	}
	return didYouMean(nearest.Names(name, names))
}
