package notebook

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"loris/internal/lazy"
)

// escapeSequence matches CSI and OSC sequences and the short escapes.
var escapeSequence = lazy.Regexp("\x1b(?:\\[([0-9;:?<=>]*)[ -/]*([@-~])|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])")

// ansiStyle is the state that SGR sequences change.
type ansiStyle struct {
	fg, bg                                          string // CSS class suffix or colour; empty for default
	bold, faint, italic, underline, inverse, strike bool
}

// ansiToHTML turns text with terminal colours into HTML. Sequences that do
// anything but colour are dropped.
func ansiToHTML(s string) string {
	var w strings.Builder
	var style ansiStyle
	emit := func(text string) {
		if text == "" {
			return
		}
		text = html.EscapeString(text)
		if attrs := style.attributes(); attrs != "" {
			text = "<span" + attrs + ">" + text + "</span>"
		}
		w.WriteString(text)
	}
	at := 0
	for _, loc := range escapeSequence().FindAllStringSubmatchIndex(s, -1) {
		emit(s[at:loc[0]])
		at = loc[1]
		if loc[4] >= 0 && s[loc[4]:loc[5]] == "m" {
			style.apply(s[loc[2]:loc[3]])
		}
	}
	emit(strings.ReplaceAll(s[at:], "\x1b", ""))
	return w.String()
}

// stripANSI removes all sequences.
func stripANSI(s string) string { return escapeSequence().ReplaceAllString(s, "") }

func (st *ansiStyle) attributes() string {
	fg, bg := st.fg, st.bg
	if st.inverse {
		fg, bg = cmpOr(bg, "inverse-fg"), cmpOr(fg, "inverse-bg")
	}
	var classes, css []string
	add := func(colour, property, prefix string) {
		switch {
		case colour == "":
		case strings.HasPrefix(colour, "#"):
			css = append(css, property+":"+colour)
		default:
			classes = append(classes, prefix+colour)
		}
	}
	add(fg, "color", "ansi-")
	add(bg, "background-color", "ansi-bg-")
	for _, f := range []struct {
		on   bool
		name string
	}{{st.bold, "ansi-bold"}, {st.faint, "ansi-faint"}, {st.italic, "ansi-italic"}, {st.underline, "ansi-underline"}, {st.strike, "ansi-strike"}} {
		if f.on {
			classes = append(classes, f.name)
		}
	}
	out := ""
	if len(classes) > 0 {
		out = ` class="` + strings.Join(classes, " ") + `"`
	}
	if len(css) > 0 {
		out += ` style="` + strings.Join(css, ";") + `"`
	}
	return out
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (st *ansiStyle) apply(params string) {
	fields := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(fields) == 0 {
		*st = ansiStyle{}
		return
	}
	codes := make([]int, len(fields))
	for i, f := range fields {
		codes[i], _ = strconv.Atoi(f)
	}
	for i := 0; i < len(codes); i++ {
		switch n := codes[i]; {
		case n == 0:
			*st = ansiStyle{}
		case n == 1:
			st.bold = true
		case n == 2:
			st.faint = true
		case n == 3:
			st.italic = true
		case n == 4:
			st.underline = true
		case n == 7:
			st.inverse = true
		case n == 9:
			st.strike = true
		case n == 22:
			st.bold, st.faint = false, false
		case n == 23:
			st.italic = false
		case n == 24:
			st.underline = false
		case n == 27:
			st.inverse = false
		case n == 29:
			st.strike = false
		case n >= 30 && n <= 37:
			st.fg = strconv.Itoa(n - 30)
		case n >= 90 && n <= 97:
			st.fg = strconv.Itoa(n - 90 + 8)
		case n >= 40 && n <= 47:
			st.bg = strconv.Itoa(n - 40)
		case n >= 100 && n <= 107:
			st.bg = strconv.Itoa(n - 100 + 8)
		case n == 39:
			st.fg = ""
		case n == 49:
			st.bg = ""
		case n == 38 || n == 48:
			colour, used := extendedColour(codes[i+1:])
			i += used
			if n == 38 {
				st.fg = colour
			} else {
				st.bg = colour
			}
		}
	}
}

// extendedColour reads 5;n or 2;r;g;b.
func extendedColour(codes []int) (colour string, used int) {
	switch {
	case len(codes) >= 2 && codes[0] == 5:
		return paletteColour(codes[1]), 2
	case len(codes) >= 4 && codes[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", codes[1]&255, codes[2]&255, codes[3]&255), 4
	}
	return "", len(codes)
}

// paletteColour is one of the 256 colours: 16 named, a cube of 6, 24 greys.
func paletteColour(n int) string {
	switch {
	case n < 0 || n > 255:
		return ""
	case n < 16:
		return strconv.Itoa(n)
	case n < 232:
		level := func(i int) int {
			if i == 0 {
				return 0
			}
			return 55 + 40*i
		}
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	g := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", g, g, g)
}
