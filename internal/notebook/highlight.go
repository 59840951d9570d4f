package notebook

import (
	"go/scanner"
	"go/token"
	"html"
	"strings"
)

// highlight is Go source as HTML. Go's own scanner tells the tokens apart: a
// general highlighter would add 15 ms to the start of every kernel, since the
// packages there set up hundreds of languages.
func highlight(source string) string {
	var w strings.Builder
	w.WriteString(`<pre class="go"><code>`)
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, []byte(source), nil, scanner.ScanComments)
	done := 0
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		start := file.Offset(pos)
		text := lit
		if text == "" || tok == token.SEMICOLON {
			text = tok.String()
		}
		if tok == token.SEMICOLON && lit == "\n" || start < done || start+len(text) > len(source) || source[start:start+len(text)] != text {
			continue // not written there: a semicolon that a line end stands for
		}
		w.WriteString(html.EscapeString(source[done:start]))
		writeToken(&w, tokenClass(tok, text), text)
		done = start + len(text)
	}
	w.WriteString(html.EscapeString(source[done:]))
	w.WriteString("</code></pre>")
	return w.String()
}

func writeToken(w *strings.Builder, class, text string) {
	if class == "" {
		w.WriteString(html.EscapeString(text))
		return
	}
	w.WriteString(`<span class="` + class + `">` + html.EscapeString(text) + `</span>`)
}

// tokenClass names the style of a token, "" for none.
func tokenClass(tok token.Token, text string) string {
	switch {
	case tok == token.COMMENT:
		return "go-c"
	case tok.IsKeyword():
		return "go-k"
	case tok == token.STRING || tok == token.CHAR:
		return "go-s"
	case tok == token.INT || tok == token.FLOAT || tok == token.IMAG:
		return "go-n"
	case tok == token.IDENT && predeclared[text]:
		return "go-b"
	}
	return ""
}

var predeclared = map[string]bool{}

func init() {
	for name := range strings.FieldsSeq(`any bool byte comparable complex64 complex128 error float32 float64
		int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr true false iota nil
		append cap clear close complex copy delete imag len make max min new panic print println real recover`) {
		predeclared[name] = true
	}
}
