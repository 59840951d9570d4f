// Package report renders what went wrong in a cell for people: diagnostics and
// panics in, a Jupyter error (name, value, ANSI traceback) and HTML out. It
// shows the source line with the place underlined, the cell lines of a panic's
// frames, and what an unknown name may have been meant to be; it knows nothing
// of how cells are checked or run.
//
// Positions are token.Positions whose Filename is the name of a cell as users
// know it ("cell 3"); columns count bytes, as in go/token.
package report

import (
	"go/token"
	"strings"
)

// Source returns the text of a cell by the Filename of its positions.
type Source func(name string) (text string, ok bool)

// Report is an error as a front end shows it.
type Report struct {
	Name      string   // ename: "CompileError" or "panic"
	Value     string   // evalue: the first message in one line
	Traceback []string // ANSI, a line each
	HTML      string
}

// Note adds a place or a remark to a diagnostic or panic. Pos may be invalid.
type Note struct {
	Pos token.Position
	Msg string
}

// Diagnostic is one thing that is wrong with the source of a cell.
type Diagnostic struct {
	Pos, End token.Position // End may be invalid: then a token is underlined
	Msg      string         // as the Go compiler says it
	Hint     string         // what to do about it: "did you mean Println?"
	Notes    []Note
}

// maxShown bounds the number of diagnostics shown in full.
const maxShown = 20

// Compile renders the diagnostics of one cell, in order of their places.
func Compile(src Source, ds []Diagnostic) Report {
	ds = sorted(ds)
	r := Report{Name: "CompileError"}
	if len(ds) == 0 {
		r.Value = "unknown error"
		return r
	}
	r.Value = firstLine(ds[0].Msg)
	if n := len(ds) - 1; n > 0 {
		r.Value += " (and " + count(n, "more error") + ")"
	}
	var p page
	for i, d := range ds {
		if i == maxShown {
			p.line(text(styleDim, "… and "+count(len(ds)-i, "more error")))
			break
		}
		if i > 0 {
			p.line()
		}
		p.diagnostic(src, d)
	}
	r.Traceback, r.HTML = p.ansi(), p.html()
	return r
}

func (p *page) diagnostic(src Source, d Diagnostic) {
	lines := strings.Split(strings.TrimRight(d.Msg, "\n"), "\n")
	var head []span
	if d.Pos.IsValid() {
		head = append(head, span{stylePlace, place(d.Pos) + ": "})
	}
	p.line(append(head, span{styleError, lines[0]})...)
	for _, l := range lines[1:] {
		p.line(text(stylePlain, l))
	}
	p.excerpt(src, d.Pos, d.End)
	p.notes(src, d.Notes)
	p.hint(d.Hint)
}

func (p *page) hint(hint string) {
	if hint != "" {
		p.line(text(styleHint, "  hint: "+hint))
	}
}

// notes are aligned: what each says, then where.
func (p *page) notes(src Source, notes []Note) {
	width := 0
	for _, n := range notes {
		width = max(width, displayWidth(n.Msg))
	}
	for _, n := range notes {
		spans := []span{{stylePlain, "  " + n.Msg}}
		if n.Pos.IsValid() {
			pad := strings.Repeat(" ", width-displayWidth(n.Msg)+2)
			spans = append(spans, span{stylePlace, pad + place(n.Pos)})
		}
		p.line(spans...)
	}
}

// place names a position in words: "cell 3, line 2".
func place(pos token.Position) string {
	if pos.Filename == "" {
		return "line " + itoa(pos.Line)
	}
	return pos.Filename + ", line " + itoa(pos.Line)
}
