package assist

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"loris/interp/magic"
	"loris/interp/symbols"
)

// Complete lists what may stand at the cursor.
func Complete(v View, code string, cursor int) Completion {
	at := byteOffset(code, cursor)
	c := completer{view: v, code: code, at: at, start: at - len(identifierBefore(code[:at]))}
	items := c.items()
	return Completion{cursorAt(code, c.start), cursorAt(code, at), items}
}

// identifierBefore is the part of an identifier that ends s.
func identifierBefore(s string) string {
	i := len(s)
	for i > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:i])
		if !isLetter(r) {
			break
		}
		i -= n
	}
	return s[i:]
}

func identifierAfter(s string) string {
	for i, r := range s {
		if !isLetter(r) {
			return s[:i]
		}
	}
	return s
}

func isLetter(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

type completer struct {
	view  View
	code  string
	at    int // the cursor, in bytes
	start int // of the text to replace
	found map[string]Item
}

func (c *completer) prefix() string { return c.code[c.start:c.at] }

func (c *completer) add(text, kind, signature string) {
	if c.found == nil {
		c.found = map[string]Item{}
	}
	if _, ok := c.found[text]; !ok {
		c.found[text] = Item{text, kind, signature}
	}
}

// items collects the candidates and keeps those with the prefix: in the case
// that was typed if there are any, else in any case.
func (c *completer) items() []Item {
	if !c.inMagic() {
		c.inCode()
	}
	prefix := c.prefix()
	pick := func(has func(text string) bool) (out []Item) {
		for _, text := range slices.Sorted(maps.Keys(c.found)) {
			if has(text) {
				out = append(out, c.found[text])
			}
		}
		return out
	}
	if exact := pick(func(text string) bool { return strings.HasPrefix(text, prefix) }); len(exact) > 0 {
		return exact
	}
	lower := strings.ToLower(prefix)
	return pick(func(text string) bool { return strings.HasPrefix(strings.ToLower(text), lower) })
}

// inCode completes Go.
func (c *completer) inCode() {
	code := magic.Code(c.code)
	before := lex(code[:c.at])
	if c.insideText(code, before) {
		return
	}
	if p := c.prefix(); p != "" && unicode.IsDigit([]rune(p)[0]) {
		return
	}
	marked := code[:c.at] + mark + code[c.at+len(identifierAfter(code[c.at:])):]
	for _, text := range []string{marked, code[:c.at] + mark + closers(before)} {
		a := analyse(c.view, text)
		if a == nil {
			continue
		}
		if path := a.cursorPath(); path != nil && c.atNode(a, path) {
			return
		}
	}
	if len(before) > 0 && c.afterPeriod(before) {
		return
	}
	c.names(nil, token.NoPos)
}

func (c *completer) afterPeriod(before []lexeme) bool {
	last := before[len(before)-1]
	if last.tok == token.IDENT && last.end == c.at && len(before) > 1 {
		last = before[len(before)-2]
	}
	return last.tok == token.PERIOD
}

// closers closes the brackets that are open before the cursor.
func closers(before []lexeme) string {
	var open []byte
	for _, l := range before {
		switch l.tok {
		case token.LPAREN:
			open = append(open, ')')
		case token.LBRACK:
			open = append(open, ']')
		case token.LBRACE:
			open = append(open, '}')
		case token.RPAREN, token.RBRACK, token.RBRACE:
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	slices.Reverse(open)
	return string(open)
}

// insideText reports whether the cursor is in a comment, string, rune or
// number. In the string of an import it completes paths.
func (c *completer) insideText(code string, before []lexeme) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	text := code[last.start:min(last.end, c.at)]
	open := false
	switch last.tok {
	case token.INT, token.FLOAT, token.IMAG:
		return last.end == c.at
	case token.COMMENT:
		open = strings.HasPrefix(text, "//") && !strings.Contains(code[last.start:c.at], "\n") || strings.HasPrefix(text, "/*") && (len(text) < 4 || !strings.HasSuffix(text, "*/"))
	case token.STRING:
		open = len(text) < 2 || text[len(text)-1] != text[0] || text[0] == '"' && endsEscaped(text)
	case token.CHAR:
		open = len(text) < 2 || text[len(text)-1] != '\''
	}
	if !open {
		return false
	}
	if last.tok == token.STRING && inImport(before[:len(before)-1]) {
		c.start = last.start + 1
		for _, path := range symbols.Paths() {
			c.add(path, "module", "")
		}
	}
	return true
}

func endsEscaped(text string) bool {
	n := 0
	for i := len(text) - 2; i > 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// inImport reports whether a string after these tokens is an import path.
func inImport(before []lexeme) bool {
	for i := len(before) - 1; i >= 0; i-- {
		switch l := before[i]; l.tok {
		case token.IMPORT:
			return true
		case token.SEMICOLON, token.STRING, token.IDENT, token.PERIOD, token.LPAREN, token.COMMENT:
			if l.tok == token.LPAREN && (i == 0 || before[i-1].tok != token.IMPORT) {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// cursorPath is the way from the file to the marked identifier, innermost
// first.
func (a *analysis) cursorPath() (path []ast.Node) {
	return a.pathTo(func(id *ast.Ident) bool { return strings.HasSuffix(id.Name, mark) })
}

func (a *analysis) pathTo(is func(*ast.Ident) bool) (path []ast.Node) {
	var stack []ast.Node
	ast.Inspect(a.file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if path != nil {
			return false
		}
		stack = append(stack, n)
		if id, ok := n.(*ast.Ident); ok && is(id) {
			path = slices.Clone(stack)
			slices.Reverse(path)
		}
		return true
	})
	return path
}

// atNode completes the identifier that path[0] marks. It reports whether it
// could make sense of the place.
func (c *completer) atNode(a *analysis, path []ast.Node) bool {
	id := path[0].(*ast.Ident)
	var parent ast.Node
	if len(path) > 1 {
		parent = path[1]
	}
	if s, ok := parent.(*ast.SelectorExpr); ok && s.Sel == id {
		return c.selector(a, s)
	}
	if lit, keyed := literalKey(path); lit != nil {
		if c.fields(a, lit) && keyed {
			return true
		}
	}
	if declares(parent, id) {
		return true // a new name: nothing to propose
	}
	if b, ok := parent.(*ast.BranchStmt); ok && b.Label == id {
		return c.labels(path)
	}
	c.names(a, id.Pos())
	return true
}

// declares reports whether id is a name that parent introduces.
func declares(parent ast.Node, id *ast.Ident) bool {
	switch p := parent.(type) {
	case *ast.FuncDecl:
		return p.Name == id
	case *ast.TypeSpec:
		return p.Name == id
	case *ast.ValueSpec:
		return slices.Contains(p.Names, id)
	case *ast.Field:
		return slices.Contains(p.Names, id)
	case *ast.ImportSpec:
		return true
	}
	return false
}

func (c *completer) labels(path []ast.Node) bool {
	for _, n := range path {
		if fn, ok := n.(*ast.FuncDecl); ok {
			ast.Inspect(fn, func(n ast.Node) bool {
				if l, ok := n.(*ast.LabeledStmt); ok {
					c.add(l.Label.Name, "statement", "label")
				}
				return true
			})
		}
	}
	return true
}

// names proposes all that an identifier at pos may mean.
func (c *completer) names(a *analysis, pos token.Pos) {
	if a != nil {
		for s := a.innermost(pos); s != nil; s = s.Parent() {
			for _, name := range s.Names() {
				obj := s.Lookup(name)
				local := s.Parent() != nil && s != a.pkg.Scope() && s.Parent() != a.pkg.Scope() && s != types.Universe
				if local && obj.Pos() >= pos || name == "_" || strings.HasSuffix(name, mark) {
					continue
				}
				c.object(a, obj)
			}
		}
	} else {
		for _, name := range types.Universe.Names() {
			c.object(nil, types.Universe.Lookup(name))
		}
		for _, obj := range c.view.Objects {
			if token.IsIdentifier(obj.Name()) {
				c.object(nil, obj)
			}
		}
	}
	for name, path := range c.view.Imports {
		c.add(name, "module", path)
	}
	for k := token.BREAK; k <= token.VAR; k++ {
		c.add(k.String(), "keyword", "")
	}
	if c.prefix() != "" { // else there would be too many
		for _, p := range symbols.Preloaded() {
			c.add(p.Name, "module", p.Path)
		}
	}
}

// innermost is the smallest scope around pos.
func (a *analysis) innermost(pos token.Pos) *types.Scope {
	best, size := a.pkg.Scope(), token.Pos(1<<62)
	for n, s := range a.info.Scopes {
		if _, isFile := n.(*ast.File); isFile {
			if best == a.pkg.Scope() {
				best = s // it holds the imports
			}
			continue
		}
		if s.Contains(pos) && s.End()-s.Pos() < size {
			best, size = s, s.End()-s.Pos()
		}
	}
	return best
}

func (c *completer) object(a *analysis, obj types.Object) {
	var from *types.Package
	if a != nil {
		from = a.pkg
	}
	c.add(obj.Name(), kindOf(obj), signature(obj, from))
}

// inMagic completes names and arguments of magics. It reports whether the
// cursor is in one, in a part that is not Go.
func (c *completer) inMagic() bool {
	lineStart := strings.LastIndexByte(c.code[:c.at], '\n') + 1
	line := c.code[lineStart:c.at]
	text := strings.TrimLeft(line, " \t")
	first := strings.TrimSpace(c.code[:lineStart]) == ""
	if body := strings.TrimLeft(c.code, " \t\r\n"); strings.HasPrefix(body, "%%") && !first {
		name := body[:len(body)-len(strings.TrimLeft(body, "%"))] + identifierAfter(strings.TrimLeft(body, "%"))
		m, ok := magic.Find(name)
		return !ok || !m.Code
	}
	if !strings.HasPrefix(text, "%") && !strings.HasPrefix(text, "!") || !c.statementStart(lineStart) {
		return false
	}
	nameStart := lineStart + len(line) - len(text)
	word, args, hasArgs := strings.Cut(text, " ")
	if !hasArgs && strings.HasPrefix(word, "%") {
		c.start = nameStart
		for _, m := range magic.Table() {
			if strings.HasPrefix(m.Name, "%") && (first || !strings.HasPrefix(m.Name, "%%")) {
				c.add(m.Name, "magic", m.Args)
			}
		}
		return true
	}
	if m, ok := magic.Find(word); ok {
		if m.Code && !strings.HasPrefix(m.Name, "%%") {
			return false
		}
		if m.Name == "%help" {
			c.start = c.at - len(strings.TrimLeft(args, " "))
			for _, m := range magic.Table() {
				c.add(m.Name, "magic", m.Summary)
			}
			return true
		}
	}
	if word == "%reset" || word == "%who" || word == "%whos" {
		for _, obj := range c.view.Objects {
			c.object(nil, obj)
		}
		return true
	}
	c.paths(args)
	return true
}

// statementStart reports whether a line can be a magic: the code before it has
// no open brackets.
func (c *completer) statementStart(lineStart int) bool {
	before := lex(magic.Code(c.code[:lineStart]))
	return closers(before) == "" && (len(before) == 0 || before[len(before)-1].end < lineStart || before[len(before)-1].tok == token.SEMICOLON || before[len(before)-1].tok == token.COMMENT)
}
