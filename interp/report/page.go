package report

import (
	"cmp"
	"html"
	"slices"
	"strings"
)

// A style is what a piece of text means; each output decides on colours.
type style int

const (
	stylePlain style = iota
	styleError
	stylePlace
	styleGutter
	styleCaret
	styleHint
	styleDim
	styleStrong
)

// styles has a row for each style. A traceback stands on pink in JupyterLab's
// light theme and on dark red in its dark one: no ANSI colour is legible on
// both, so weight does what colour would. CSS colours follow the theme and have
// fallbacks that are legible on light and dark ground.
var styles = []struct{ ansi, css string }{
	stylePlain:  {},
	styleError:  {"\x1b[1m", "color:var(--jp-error-color1,#d32f2f);font-weight:bold"},
	stylePlace:  {"", "color:var(--jp-info-color1,#0a7ea4)"},
	styleGutter: {"\x1b[2m", "color:#808080"},
	styleCaret:  {"\x1b[1m", "color:var(--jp-error-color1,#d32f2f);font-weight:bold"},
	styleHint:   {"\x1b[3m", "color:var(--jp-success-color1,#2e7d32)"},
	styleDim:    {"\x1b[2m", "color:#808080"},
	styleStrong: {"\x1b[1m", "font-weight:bold"},
}

type span struct {
	style style
	text  string
}

func text(s style, t string) span { return span{s, t} }

// A page is styled lines.
type page struct{ lines [][]span }

func (p *page) line(spans ...span) { p.lines = append(p.lines, spans) }

func (p *page) ansi() []string {
	var out []string
	for _, l := range p.lines {
		var b strings.Builder
		for _, s := range l {
			code := styles[s.style].ansi
			if code == "" || s.text == "" {
				b.WriteString(s.text)
				continue
			}
			b.WriteString(code + s.text + "\x1b[0m")
		}
		out = append(out, b.String())
	}
	return out
}

func (p *page) html() string {
	var b strings.Builder
	b.WriteString(`<pre class="loris-error" style="line-height:1.35;overflow-x:auto">`)
	for i, l := range p.lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, s := range l {
			css := styles[s.style].css
			if css == "" {
				b.WriteString(html.EscapeString(s.text))
				continue
			}
			b.WriteString(`<span style="` + css + `">` + html.EscapeString(s.text) + `</span>`)
		}
	}
	b.WriteString("</pre>")
	return b.String()
}

// Plain strips the ANSI codes that this package writes.
func Plain(traceback []string) string {
	t := strings.Join(traceback, "\n")
	for _, s := range styles {
		if s.ansi != "" {
			t = strings.ReplaceAll(t, s.ansi, "")
		}
	}
	return strings.ReplaceAll(t, "\x1b[0m", "")
}

// sorted orders diagnostics by place and drops repetitions. Those without a
// place come last.
func sorted(ds []Diagnostic) []Diagnostic {
	ds = slices.Clone(ds)
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		if a.Pos.IsValid() != b.Pos.IsValid() {
			if a.Pos.IsValid() {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Pos.Filename, b.Pos.Filename), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
	return slices.CompactFunc(ds, func(a, b Diagnostic) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}
