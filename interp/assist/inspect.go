package assist

import (
	"go/ast"
	"go/doc/comment"
	"go/token"
	"go/types"
	"html"
	"slices"
	"strings"

	"loris/display"
	"loris/interp/magic"
	"loris/interp/symbols"
)

// Inspect describes what the cursor is on, or the function whose arguments it
// is in. Level 1 adds the source of what cells declared. found is false where
// there is nothing to say.
func Inspect(v View, code string, cursor, level int) (b display.Bundle, found bool) {
	at := byteOffset(code, cursor)
	if m, ok := magicAt(code, at); ok {
		return bundle(page{title: strings.TrimSpace(m.Name + " " + m.Args), text: join(m.Summary, m.Doc)}), true
	}
	source := magic.Code(code)
	before := lex(source[:at])
	a := analyse(v, source)
	if a == nil {
		return b, false
	}
	start, name := identifierAt(source, at)
	if name != "" && !insideLexeme(source, start) {
		if p, ok := a.describe(v, start, name, level); ok {
			return bundle(p), true
		}
	}
	if start, name := callee(source, before); name != "" {
		if p, ok := a.describe(v, start, name, level); ok {
			return bundle(p), true
		}
	}
	return b, false
}

// InspectName describes a name or a selector such as fmt.Println.
func InspectName(v View, name string, level int) (b display.Bundle, found bool) {
	return Inspect(v, name, len([]rune(name)), level)
}

func magicAt(code string, at int) (magic.Magic, bool) {
	start := strings.LastIndexByte(code[:at], '\n') + 1
	word := strings.TrimLeft(code[start:], " \t")
	signs := len(word) - len(strings.TrimLeft(word, "%"))
	if signs == 0 {
		return magic.Magic{}, false
	}
	name := word[:signs] + identifierAfter(word[signs:])
	if from := start + strings.Index(code[start:], name); at > from+len(name) {
		return magic.Magic{}, false
	}
	return magic.Find(name)
}

// identifierAt is the identifier around or just before an offset.
func identifierAt(code string, at int) (start int, name string) {
	start = at - len(identifierBefore(code[:at]))
	return start, code[start:at] + identifierAfter(code[at:])
}

// insideLexeme reports whether an offset is in a comment or literal.
func insideLexeme(code string, at int) bool {
	for _, l := range lex(code) {
		if l.start <= at && at < l.end && (l.tok == token.COMMENT || l.tok == token.STRING || l.tok == token.CHAR) {
			return true
		}
	}
	return false
}

// callee is the name of the function whose argument list is open.
func callee(code string, before []lexeme) (start int, name string) {
	depth := 0
	for i := len(before) - 1; i > 0; i-- {
		switch before[i].tok {
		case token.RPAREN, token.RBRACK, token.RBRACE:
			depth++
		case token.LBRACK, token.LBRACE:
			depth--
		case token.LPAREN:
			if depth--; depth < 0 {
				if l := before[i-1]; l.tok == token.IDENT {
					return l.start, code[l.start:l.end]
				}
				depth = 0
			}
		case token.SEMICOLON:
			if depth <= 0 {
				return 0, ""
			}
		}
	}
	return 0, ""
}

// A page is a description before it has a form.
type page struct {
	title   string // Go code
	remarks []string
	text    string // a doc comment
	methods []string
	source  string
	where   string
}

// describe finds the object that an identifier names.
func (a *analysis) describe(v View, start int, name string, level int) (p page, ok bool) {
	path := a.pathTo(func(id *ast.Ident) bool { return a.offset(id.Pos()) == start && id.Name == name })
	var obj types.Object
	if path != nil {
		id := path[0].(*ast.Ident)
		if obj = a.info.Uses[id]; obj == nil {
			if obj = a.info.Defs[id]; obj == nil && len(path) > 1 {
				if s, isSel := path[1].(*ast.SelectorExpr); isSel && s.Sel == id {
					if sel := a.info.Selections[s]; sel != nil {
						obj = sel.Obj()
					}
				}
			}
		}
	}
	if obj == nil {
		obj = a.lookup(v, name)
	}
	if obj == nil {
		if k := token.Lookup(name); k.IsKeyword() {
			return page{title: name, remarks: []string{"keyword: https://go.dev/ref/spec#Keywords"}}, true
		}
		return p, false
	}
	p = a.describeObject(v, obj, level)
	if len(path) > 1 {
		if s, isSel := path[1].(*ast.SelectorExpr); isSel {
			a.addOwnerDoc(&p, obj, s)
		}
	}
	return p, true
}

// lookup finds an object by name alone, for text that does not parse.
func (a *analysis) lookup(v View, name string) types.Object {
	for _, obj := range v.Objects {
		if obj.Name() == name {
			return obj
		}
	}
	if _, obj := types.Universe.LookupParent(name, token.NoPos); obj != nil {
		return obj
	}
	path, ok := v.Imports[name]
	if !ok {
		path, ok = symbols.Resolve(name)
	}
	if ok {
		if pkg, err := symbols.Importer().Import(path); err == nil {
			return types.NewPkgName(token.NoPos, a.pkg, name, pkg)
		}
	}
	return nil
}

func (a *analysis) describeObject(v View, obj types.Object, level int) (p page) {
	p.title = declaration(obj, a.pkg)
	p.text = docOf(obj)
	if level > 0 {
		p.source = symbols.Source(textKey(obj))
	}
	// Only what belongs to the session's own package was declared by its cells;
	// names of this cell belong to a package of the same path.
	if v.Definition != nil && obj.Pkg() != nil && obj.Pkg() == v.Package {
		if d, ok := v.Definition(obj); ok {
			p.where = d.Cell + ", line " + itoa(d.Line)
			p.text = d.Doc
			if level > 0 {
				p.source = d.Source
			}
		}
	}
	switch obj := obj.(type) {
	case *types.Var:
		a.describeVariable(v, obj, &p)
	case *types.TypeName:
		p.methods = a.methodLines(obj.Type())
	case *types.PkgName:
		p.remarks = append(p.remarks, exports(obj.Imported()))
	}
	return p
}

// describeVariable adds the value, and what its type is.
func (a *analysis) describeVariable(v View, obj *types.Var, p *page) {
	session := slices.ContainsFunc(v.Objects, func(o types.Object) bool { return o == types.Object(obj) })
	if v.Value != nil && session {
		if text, ok := v.Value(obj.Name()); ok {
			p.remarks = append(p.remarks, "value: "+text)
		}
	}
	t := obj.Type()
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil && !obj.IsField() {
		p.remarks = append(p.remarks, definitionOf(named.Obj(), a.pkg))
		if p.text == "" {
			p.text = docOf(named.Obj())
		}
		p.methods = a.methodLines(obj.Type())
	}
}

// docOf is the doc comment of a symbol of a package.
func docOf(obj types.Object) string { return symbols.Doc(textKey(obj)) }

// textKey is where package symbols keeps texts about an object.
func textKey(obj types.Object) (path, name string) {
	if p, ok := obj.(*types.PkgName); ok {
		return p.Imported().Path(), ""
	}
	if fn, ok := obj.(*types.Func); ok && fn.Signature().Recv() != nil && obj.Pkg() != nil {
		t := fn.Signature().Recv().Type()
		if ptr, ok := t.(*types.Pointer); ok {
			t = ptr.Elem()
		}
		if named, ok := types.Unalias(t).(*types.Named); ok {
			return obj.Pkg().Path(), named.Obj().Name() + "." + obj.Name()
		}
		return "", ""
	}
	switch {
	case obj.Pkg() == nil:
		return "builtin", obj.Name()
	case obj.Parent() == obj.Pkg().Scope():
		return obj.Pkg().Path(), obj.Name()
	}
	return "", ""
}

// addOwnerDoc finds the doc comment of a field, which is known under the name
// of its struct.
func (a *analysis) addOwnerDoc(p *page, obj types.Object, s *ast.SelectorExpr) {
	sel := a.info.Selections[s]
	if sel == nil || p.text != "" || obj.Pkg() == nil {
		return
	}
	t := sel.Recv()
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem()
	}
	if named, ok := types.Unalias(t).(*types.Named); ok && named.Obj().Pkg() != nil {
		p.text = symbols.Doc(named.Obj().Pkg().Path(), named.Obj().Name()+"."+obj.Name())
	}
}

// methodLines lists the methods of a type with their signatures.
func (a *analysis) methodLines(t types.Type) (lines []string) {
	if types.IsInterface(t) {
		return nil // the definition shows them
	}
	for _, m := range membersOf(t, a.pkg) {
		if m.method {
			lines = append(lines, declaration(m.obj, a.pkg))
		}
	}
	slices.Sort(lines)
	return lines
}

// exports counts what a package offers.
func exports(pkg *types.Package) string {
	counts := map[string]int{}
	for _, name := range pkg.Scope().Names() {
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			switch obj.(type) {
			case *types.Func:
				counts["functions"]++
			case *types.TypeName:
				counts["types"]++
			case *types.Var:
				counts["variables"]++
			case *types.Const:
				counts["constants"]++
			}
		}
	}
	var parts []string
	for _, what := range []string{"functions", "types", "variables", "constants"} {
		if n := counts[what]; n > 0 {
			parts = append(parts, itoa(n)+" "+what)
		}
	}
	return strings.Join(parts, ", ")
}

const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	reset = "\x1b[0m"
)

func bundle(p page) display.Bundle {
	return display.Bundle{Data: map[string]any{display.MIMEText: p.ansi(), display.MIMEHTML: p.html()}}
}

func (p page) ansi() string {
	var b strings.Builder
	b.WriteString(bold + p.title + reset + "\n")
	for _, r := range p.remarks {
		b.WriteString(r + "\n")
	}
	if p.where != "" {
		b.WriteString(dim + "defined in " + p.where + reset + "\n")
	}
	if p.text != "" {
		b.WriteString("\n" + p.text + "\n")
	}
	if len(p.methods) > 0 {
		b.WriteString("\n" + dim + "methods" + reset + "\n" + strings.Join(p.methods, "\n") + "\n")
	}
	if p.source != "" {
		b.WriteString("\n" + dim + "source" + reset + "\n" + strings.TrimRight(p.source, "\n") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func (p page) html() string {
	var b strings.Builder
	code := func(s string) {
		b.WriteString("<pre>" + html.EscapeString(s) + "</pre>\n")
	}
	b.WriteString(`<div class="loris-inspect">` + "\n<pre><b>" + html.EscapeString(p.title) + "</b></pre>\n")
	for _, r := range p.remarks {
		code(r)
	}
	if p.where != "" {
		b.WriteString("<p><i>defined in " + html.EscapeString(p.where) + "</i></p>\n")
	}
	if p.text != "" {
		var parser comment.Parser
		printer := comment.Printer{DocLinkBaseURL: "https://pkg.go.dev", HeadingLevel: 4}
		b.Write(printer.HTML(parser.Parse(p.text)))
	}
	if len(p.methods) > 0 {
		b.WriteString("<p><b>Methods</b></p>\n")
		code(strings.Join(p.methods, "\n"))
	}
	if p.source != "" {
		b.WriteString("<p><b>Source</b></p>\n")
		code(strings.TrimRight(p.source, "\n"))
	}
	b.WriteString("</div>")
	return b.String()
}

func join(parts ...string) string {
	return strings.TrimSpace(strings.Join(parts, "\n"))
}
