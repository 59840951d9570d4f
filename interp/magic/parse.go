package magic

import (
	"go/scanner"
	"go/token"
	"strings"

	"loris/internal/lazy"
)

// A Step is a part of a cell: Go code, or a call of a magic.
type Step struct {
	// Code is Go source with everything else replaced by spaces, so that
	// positions are those of the cell. It is "" if Call is set.
	Code string
	Call *Call
}

var (
	lineMagic = lazy.Regexp(`^[ \t]*(%[A-Za-z_]\w*)(?:[ \t]+(.*?))?[ \t\r]*$`)
	cellMagic = lazy.Regexp(`^[ \t]*(%%[A-Za-z!_]\w*)(?:[ \t]+(.*?))?[ \t\r]*$`)
	shellLine = lazy.Regexp(`^[ \t]*!(.*?)[ \t\r]*$`)
	question  = lazy.Regexp(`^[ \t]*(\??)[ \t]*(%{0,2}[\pL_][\pL\p{Nd}_]*(?:\.[\pL_][\pL\p{Nd}_]*)*|!)(\?{0,2})[ \t\r]*$`)
)

// Parse splits a cell into its steps. Unknown and misplaced magics are errors
// of type *Error, found before anything runs.
func Parse(cell string) ([]Step, error) {
	if step, ok, err := parseCellMagic(cell); ok || err != nil {
		return step, err
	}
	lines, err := findLines(cell)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return []Step{{Code: cell}}, nil
	}
	var steps []Step
	from := 0
	addCode := func(to int) {
		if strings.TrimSpace(cell[from:to]) != "" {
			steps = append(steps, Step{Code: blank(cell[:from]) + cell[from:to]})
		}
	}
	for _, l := range lines {
		addCode(l.start)
		call, err := parseLine(cell, l)
		if err != nil {
			return nil, err
		}
		steps = append(steps, Step{Call: call})
		from = l.end
	}
	addCode(len(cell))
	return steps, nil
}

// Code returns the Go code of a cell for completion and inspection: all else
// is replaced by spaces, byte by byte, wherever Parse would fail, too.
func Code(cell string) string {
	if calls, ok, _ := parseCellMagic(cell); ok {
		return pad(calls[0].Call.Go, cell)
	} else if strings.HasPrefix(strings.TrimSpace(cell), "%%") && !isQuestion(strings.TrimSpace(firstLine(cell))) {
		return blank(cell)
	}
	lines, _ := findLines(cell)
	out := []byte(cell)
	for _, l := range lines {
		copy(out[l.start:l.end], blank(cell[l.start:l.end]))
		if m := lineMagic().FindStringSubmatchIndex(cell[l.start:l.end]); m != nil && m[4] >= 0 {
			if magic, ok := Find(cell[l.start+m[2] : l.start+m[3]]); ok && magic.Code {
				at := l.start + codeStart(magic.Name, cell[l.start:l.end], m[4])
				copy(out[at:l.end], cell[at:l.end])
			}
		}
	}
	return string(out)
}

// pad gives code the length of the cell.
func pad(code, cell string) string {
	if len(code) < len(cell) {
		return code + blank(cell[len(code):])
	}
	return code
}

// blank replaces everything but line breaks by spaces.
func blank(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// parseCellMagic reads a cell whose first line that is not empty starts with
// %%.
func parseCellMagic(cell string) (steps []Step, ok bool, err error) {
	start, line := 0, 1
	for {
		end := lineEnd(cell, start)
		if strings.TrimSpace(cell[start:end]) != "" {
			break
		}
		if end == len(cell) {
			return nil, false, nil
		}
		start, line = end+1, line+1
	}
	end := lineEnd(cell, start)
	text := cell[start:end]
	if !strings.HasPrefix(strings.TrimSpace(text), "%%") || isQuestion(text) {
		return nil, false, nil
	}
	col := 1 + strings.Index(text, "%")
	m := cellMagic().FindStringSubmatchIndex(text)
	if m == nil {
		return nil, false, &Error{Line: line, Col: col, Msg: "a cell magic is written %%name, without a space"}
	}
	c := &Call{Name: text[m[2]:m[3]], Line: line, Col: col}
	if m[4] >= 0 {
		c.Args = text[m[4]:m[5]]
	}
	if c.Name == "%%!" {
		c.Name = "%%bash"
	}
	magic, err := find(c.Name, line, col)
	if err != nil {
		return nil, false, err
	}
	if end < len(cell) {
		c.Body = cell[end+1:]
		if magic.Code {
			c.Go = blank(cell[:end+1]) + c.Body
		}
	}
	return []Step{{Call: c}}, true, nil
}

// magicLine is a line of a cell that is not Go.
type magicLine struct{ start, end, number int }

// findLines finds the lines that are magics. It scans the cell as Go up to
// such a line, skips it and goes on behind it.
func findLines(cell string) (lines []magicLine, err error) {
	f := finder{cell: cell, number: 1}
	for f.next() {
		lines = append(lines, f.found)
	}
	return lines, f.err
}

type finder struct {
	cell   string
	at     int // where the scanner goes on
	number int // line number of at
	found  magicLine
	err    error
}

// next looks for the first line from f.at on that starts a statement at the
// outermost level and is a magic.
func (f *finder) next() bool {
	rest := f.cell[f.at:]
	file := token.NewFileSet().AddFile("", -1, len(rest))
	var s scanner.Scanner
	s.Init(file, []byte(rest), func(token.Position, string) {}, 0)
	depth := 0
	statement := true // a statement may start at the next token
	lastLine := 0     // of the last token, in rest
	for {
		pos, tok, lit := s.Scan()
		offset := file.Offset(pos)
		line := file.Line(pos)
		if statement && depth == 0 || tok == token.REM || tok == token.REM_ASSIGN || tok == token.ILLEGAL {
			if start, end, ok := f.candidate(rest, offset, line > lastLine); ok {
				if statement && depth == 0 {
					return f.take(start, end, strings.Count(rest[:start], "\n"))
				}
				if tok == token.REM && depth > 0 && lineMagic().MatchString(rest[start:end]) && line > lastLine {
					number := f.number + strings.Count(rest[:start], "\n")
					f.err = &Error{Line: number, Col: offset - start + 1, Msg: "a magic can only stand at the top level of a cell, not inside brackets"}
					return false
				}
			}
		}
		switch tok {
		case token.EOF:
			return false
		case token.LPAREN, token.LBRACK, token.LBRACE:
			depth++
		case token.RPAREN, token.RBRACK, token.RBRACE:
			depth = max(depth-1, 0)
		}
		statement = tok == token.SEMICOLON
		if tok != token.SEMICOLON || lit == ";" {
			lastLine = line + strings.Count(lit, "\n")
		}
	}
}

func (f *finder) take(start, end, before int) bool {
	f.number += before
	f.found = magicLine{f.at + start, f.at + end, f.number}
	f.at += end
	if f.at < len(f.cell) {
		f.at++ // the line break
		f.number++
	}
	return true
}

// candidate reports whether the line with the token at offset is written like
// a magic, with that token as its first.
func (f *finder) candidate(s string, offset int, firstOnLine bool) (start, end int, ok bool) {
	if offset >= len(s) || !firstOnLine {
		return 0, 0, false
	}
	start = strings.LastIndexByte(s[:offset], '\n') + 1
	end = lineEnd(s, start)
	if strings.TrimSpace(s[start:offset]) != "" {
		return 0, 0, false
	}
	text := s[start:end]
	switch s[offset] {
	case '%', '!':
		return start, end, true
	}
	return start, end, isQuestion(text)
}

func isQuestion(line string) bool {
	m := question().FindStringSubmatch(line)
	return m != nil && (m[1] != "" || m[3] != "")
}

// firstLine is the first line that is not empty.
func firstLine(cell string) string {
	cell = strings.TrimLeft(cell, " \t\r\n")
	return cell[:lineEnd(cell, 0)]
}

func lineEnd(s string, start int) int {
	if i := strings.IndexByte(s[start:], '\n'); i >= 0 {
		return start + i
	}
	return len(s)
}

// parseLine reads a line that findLines found.
func parseLine(cell string, l magicLine) (*Call, error) {
	text := cell[l.start:l.end]
	col := 1 + len(text) - len(strings.TrimLeft(text, " \t"))
	c := &Call{Line: l.number, Col: col}
	if isQuestion(text) {
		m := question().FindStringSubmatch(text)
		c.Name, c.Args = "?", m[2]
		if m[3] == "??" {
			c.Name = "??"
		}
		return c, nil
	}
	if m := shellLine().FindStringSubmatch(text); m != nil {
		c.Name, c.Args = "!", strings.TrimSpace(m[1])
		if c.Args == "" {
			return nil, &Error{Line: l.number, Col: col, Msg: "a shell line needs a command: !ls"}
		}
		return c, nil
	}
	if strings.HasPrefix(text[col-1:], "%%") {
		return nil, &Error{Line: l.number, Col: col, Msg: "a cell magic must be on the first line of the cell"}
	}
	m := lineMagic().FindStringSubmatchIndex(text)
	if m == nil {
		return nil, &Error{Line: l.number, Col: col, Msg: "a magic is written %name, without a space", Hint: "a Go expression cannot start with %"}
	}
	c.Name = text[m[2]:m[3]]
	magic, err := find(c.Name, l.number, col)
	if err != nil {
		return nil, err
	}
	if m[4] >= 0 {
		c.Args = text[m[4]:m[5]]
		if magic.Code {
			at := codeStart(magic.Name, text, m[4])
			c.Go = blank(cell[:l.start+at]) + text[at:]
		}
	}
	return c, nil
}

// codeStart is where the Go code of a line magic starts: behind its options.
func codeStart(name, text string, args int) int {
	if name != "%timeit" {
		return args
	}
	rest := text[args:]
	for {
		m := timeitOption().FindString(rest)
		if m == "" {
			return len(text) - len(rest)
		}
		rest = rest[len(m):]
	}
}

var timeitOption = lazy.Regexp(`^-[nr][ \t]*\d+(?:[ \t]+|$)`)
