package assist

import (
	"go/constant"
	"go/types"
	"strconv"
	"strings"

	"loris/interp/symbols"
)

// kindOf is the type of a completion, in words that front ends have icons for.
func kindOf(obj types.Object) string {
	switch obj := obj.(type) {
	case *types.PkgName:
		return "module"
	case *types.Const, *types.Nil:
		return "constant"
	case *types.Builtin:
		return "function"
	case *types.Func:
		if obj.Signature().Recv() != nil {
			return "method"
		}
		return "function"
	case *types.Var:
		if obj.IsField() {
			return "field"
		}
		return "variable"
	case *types.TypeName:
		switch obj.Type().Underlying().(type) {
		case *types.Struct:
			return "struct"
		case *types.Interface:
			return "interface"
		}
		return "class"
	}
	return "instance"
}

// qualifier leaves out the name of the package that cells are in.
func qualifier(from *types.Package) types.Qualifier {
	return func(p *types.Package) string {
		if samePackage(p, from) || p.Path() == "main" {
			return ""
		}
		return symbols.ShortName(p.Path(), p.Name())
	}
}

// signature says in short what an object is: "func(a int) string", "[]int".
func signature(obj types.Object, from *types.Package) string {
	q := qualifier(from)
	switch obj := obj.(type) {
	case *types.PkgName:
		return obj.Imported().Path()
	case *types.TypeName:
		if _, basic := obj.Type().(*types.Basic); basic {
			return "type"
		}
		switch t := obj.Type().Underlying().(type) {
		case *types.Struct:
			return "struct"
		case *types.Interface:
			return "interface"
		default:
			return types.TypeString(t, q)
		}
	case *types.Const:
		if obj.Pkg() == nil {
			return types.TypeString(obj.Type(), q)
		}
		return types.TypeString(obj.Type(), q) + " = " + shortConst(obj)
	case *types.Builtin:
		return builtinSignatures[obj.Name()]
	case *types.Nil:
		return ""
	}
	return types.TypeString(obj.Type(), q)
}

func shortConst(c *types.Const) string {
	s := c.Val().String()
	if r := []rune(s); len(r) > 40 {
		s = string(r[:39]) + "…"
	}
	return s
}

// constText writes a value as Go would: exactly, but for fractions that have no
// short decimal form.
func constText(v constant.Value) string {
	if v.Kind() == constant.Float {
		f, _ := constant.Float64Val(v)
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return v.ExactString()
}

// builtinSignatures says how the built-in functions are called; export data
// has no word on them.
var builtinSignatures = map[string]string{
	"append":  "func(slice []T, elems ...T) []T",
	"cap":     "func(v T) int",
	"clear":   "func(t T)",
	"close":   "func(c chan<- T)",
	"complex": "func(r, i F) C",
	"copy":    "func(dst, src []T) int",
	"delete":  "func(m map[K]V, key K)",
	"imag":    "func(c C) F",
	"len":     "func(v T) int",
	"make":    "func(t T, size ...int) T",
	"max":     "func(x T, y ...T) T",
	"min":     "func(x T, y ...T) T",
	"new":     "func(T) *T",
	"panic":   "func(v any)",
	"print":   "func(args ...T)",
	"println": "func(args ...T)",
	"real":    "func(c C) F",
	"recover": "func() any",
}

// definitionOf writes a type as its declaration does, with only the fields and
// methods that can be used from outside its package.
func definitionOf(t *types.TypeName, from *types.Package) string {
	q := qualifier(from)
	name := t.Name()
	if named, ok := t.Type().(*types.Named); ok && named.TypeParams().Len() > 0 {
		var ps []string
		for p := range named.TypeParams().TypeParams() {
			ps = append(ps, p.Obj().Name()+" "+types.TypeString(p.Constraint(), q))
		}
		name += "[" + strings.Join(ps, ", ") + "]"
	}
	if alias, ok := t.Type().(*types.Alias); ok {
		return "type " + name + " = " + types.TypeString(alias.Rhs(), q)
	}
	switch u := t.Type().Underlying().(type) {
	case *types.Struct:
		return "type " + name + " " + structBody(u, t.Pkg(), from)
	case *types.Interface:
		return "type " + name + " " + interfaceBody(u, q)
	default:
		return "type " + name + " " + types.TypeString(u, q)
	}
}

func structBody(s *types.Struct, of, from *types.Package) string {
	q := qualifier(from)
	var rows [][2]string
	hidden := false
	width := 0
	for i := range s.NumFields() {
		f := s.Field(i)
		if !f.Exported() && !samePackage(of, from) {
			hidden = true
			continue
		}
		name := f.Name()
		if f.Embedded() {
			name = ""
		}
		typ := types.TypeString(f.Type(), q)
		if tag := s.Tag(i); tag != "" {
			typ += " `" + tag + "`"
		}
		width = max(width, len([]rune(name)))
		rows = append(rows, [2]string{name, typ})
	}
	if len(rows) == 0 && !hidden {
		return "struct{}"
	}
	var b strings.Builder
	b.WriteString("struct {\n")
	for _, r := range rows {
		b.WriteString("    ")
		if r[0] != "" {
			b.WriteString(r[0] + strings.Repeat(" ", width-len([]rune(r[0]))+1))
		}
		b.WriteString(r[1] + "\n")
	}
	if hidden {
		b.WriteString("    // has unexported fields\n")
	}
	b.WriteString("}")
	return b.String()
}

func interfaceBody(t *types.Interface, q types.Qualifier) string {
	if t.NumEmbeddeds() == 0 && t.NumExplicitMethods() == 0 {
		return "interface{}"
	}
	var b strings.Builder
	b.WriteString("interface {\n")
	for e := range t.EmbeddedTypes() {
		b.WriteString("    " + types.TypeString(e, q) + "\n")
	}
	for m := range t.ExplicitMethods() {
		b.WriteString("    " + m.Name() + strings.TrimPrefix(types.TypeString(m.Type(), q), "func") + "\n")
	}
	b.WriteString("}")
	return b.String()
}

// declaration is the line that declares an object.
func declaration(obj types.Object, from *types.Package) string {
	q := qualifier(from)
	owner := ""
	if obj.Pkg() != nil && !samePackage(obj.Pkg(), from) && obj.Pkg().Path() != "main" {
		owner = symbols.ShortName(obj.Pkg().Path(), obj.Pkg().Name()) + "."
	}
	switch obj := obj.(type) {
	case *types.PkgName:
		return "package " + obj.Imported().Name() + " // import \"" + obj.Imported().Path() + "\""
	case *types.Const:
		typ := ""
		if b, ok := obj.Type().(*types.Basic); !ok || b.Info()&types.IsUntyped == 0 {
			typ = " " + types.TypeString(obj.Type(), q)
		}
		return "const " + owner + obj.Name() + typ + " = " + constText(obj.Val())
	case *types.Var:
		if obj.IsField() {
			return "field " + obj.Name() + " " + types.TypeString(obj.Type(), q)
		}
		return "var " + owner + obj.Name() + " " + types.TypeString(obj.Type(), q)
	case *types.Builtin:
		return "func " + obj.Name() + strings.TrimPrefix(builtinSignatures[obj.Name()], "func")
	case *types.Func:
		sig := strings.TrimPrefix(types.TypeString(obj.Type(), q), "func")
		if recv := obj.Signature().Recv(); recv != nil {
			return "func (" + types.TypeString(recv.Type(), q) + ") " + obj.Name() + sig
		}
		return "func " + owner + obj.Name() + sig
	case *types.TypeName:
		if _, basic := obj.Type().(*types.Basic); basic {
			return "type " + obj.Name()
		}
		return definitionOf(obj, from)
	}
	return obj.Name()
}
