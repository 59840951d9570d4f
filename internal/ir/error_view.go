package ir

import (
	"fmt"
	"html"
	"strings"

	"loris/display"
)

// MIME shows the error with its place, operands and hint. Who has the source
// of the cell shows the line and a caret beside it.
func (e *Error) MIME() map[string]any {
	var b strings.Builder
	b.WriteString(`<div style="border-left:3px solid #c62828;padding-left:8px"><b>` + html.EscapeString(e.Error()) + `</b>`)
	if e.Pos.Line > 0 {
		fmt.Fprintf(&b, `<div>%s, line %d</div>`, html.EscapeString(e.Pos.Cell), e.Pos.Line)
	}
	if len(e.Notes) > 0 {
		b.WriteString("<pre>")
		for _, n := range e.Notes {
			b.WriteString(html.EscapeString(n.Msg))
			if n.Pos.Line > 0 {
				fmt.Fprintf(&b, "  %s, line %d", html.EscapeString(n.Pos.Cell), n.Pos.Line)
			}
			b.WriteByte('\n')
		}
		b.WriteString("</pre>")
	}
	if e.Hint != "" {
		b.WriteString(`<div>hint: <code>` + html.EscapeString(e.Hint) + `</code></div>`)
	}
	b.WriteString("</div>")
	return display.Output{Part: display.Fragment(b.String(), e.Detail())}.MIME()
}
