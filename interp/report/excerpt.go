package report

import (
	"go/scanner"
	"go/token"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const tabWidth = 4

// maxLine bounds the part of a source line that is shown, in columns.
const maxLine = 120

// excerpt shows the source line of pos with the part up to end underlined.
func (p *page) excerpt(src Source, pos, end token.Position) {
	line, ok := sourceLine(src, pos)
	if !ok {
		return
	}
	from := min(max(pos.Column-1, 0), len(line))
	to := underlineEnd(line, from, pos, end)
	shown, before, marked := window(line, from, to)
	number := itoa(pos.Line)
	gutter := strings.Repeat(" ", len(number))
	p.line(text(styleGutter, "  "+number+" │ "), text(stylePlain, shown))
	p.line(text(styleGutter, "  "+gutter+" │ "), text(styleCaret, strings.Repeat(" ", before)+strings.Repeat("^", max(marked, 1))))
}

func sourceLine(src Source, pos token.Position) (string, bool) {
	if src == nil || pos.Line <= 0 {
		return "", false
	}
	all, ok := src(pos.Filename)
	if !ok {
		return "", false
	}
	for n := 1; ; n++ {
		line, rest, more := strings.Cut(all, "\n")
		if n == pos.Line {
			return strings.TrimSuffix(line, "\r"), true
		}
		if !more {
			return "", false
		}
		all = rest
	}
}

// underlineEnd is the byte column where the underline stops: the given end, or
// the end of the token at from.
func underlineEnd(line string, from int, pos, end token.Position) int {
	switch {
	case end.IsValid() && end.Line == pos.Line && end.Column > pos.Column:
		return min(end.Column-1, len(line))
	case end.IsValid() && end.Line > pos.Line:
		return len(strings.TrimRight(line, " \t"))
	}
	return from + tokenLength(line[from:])
}

func tokenLength(s string) int {
	if s == "" {
		return 0
	}
	var sc scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(s))
	sc.Init(file, []byte(s), func(token.Position, string) {}, 0)
	_, tok, lit := sc.Scan()
	if lit == "" {
		lit = tok.String()
	}
	if lit != "\n" && strings.HasPrefix(s, lit) {
		return len(firstLine(lit))
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// window expands tabs and cuts long lines around the marked part. It returns
// the text to show, the columns before the mark and those of the mark.
func window(line string, from, to int) (shown string, before, marked int) {
	if to < from {
		to = from
	}
	head, mark, tail := expand(line[:from], 0), "", ""
	mark = expand(line[from:to], displayWidth(head))
	tail = expand(line[to:], displayWidth(head)+displayWidth(mark))
	before, marked = displayWidth(head), displayWidth(mark)
	if before+marked+displayWidth(tail) <= maxLine {
		return head + mark + tail, before, marked
	}
	if before > maxLine/2 {
		head = "…" + lastColumns(head, maxLine/2-1)
		before = displayWidth(head)
	}
	if room := maxLine - before; marked > room {
		mark = firstColumns(mark, room)
		marked = displayWidth(mark)
		return head + mark + "…", before, marked
	}
	if room := maxLine - before - marked; displayWidth(tail) > room {
		tail = firstColumns(tail, max(room-1, 0)) + "…"
	}
	return head + mark + tail, before, marked
}

// expand replaces tabs and other control characters; column is where s starts.
func expand(s string, column int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			n := tabWidth - column%tabWidth
			b.WriteString(strings.Repeat(" ", n))
			column += n
			continue
		case unicode.IsControl(r):
			r = '·'
		}
		b.WriteRune(r)
		column += runeWidth(r)
	}
	return b.String()
}

func displayWidth(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is the number of columns of a terminal cell grid that r takes.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x1F300 && r <= 0x1FAFF, r >= 0xFF01 && r <= 0xFF60:
		return 2
	}
	return 1
}

func firstColumns(s string, n int) string {
	for i, r := range s {
		if n -= runeWidth(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

func lastColumns(s string, n int) string {
	for i := len(s); i > 0; {
		r, size := utf8.DecodeLastRuneInString(s[:i])
		if n -= runeWidth(r); n < 0 {
			return s[i:]
		}
		i -= size
	}
	return s
}

func itoa(n int) string { return strconv.Itoa(n) }

// count says "1 thing" or "2 things".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return itoa(n) + " " + what + "s"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
