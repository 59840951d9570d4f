package display

import (
	"bytes"
	"fmt"
	"html"
	"image"
	_ "image/jpeg" // Image accepts JPEG
	_ "image/png"
	"strings"

	"loris/internal/lazy"
)

// value is the Rich form of the functions below: a fixed bundle.
type value struct {
	data, metadata map[string]any
}

func (v value) MIME() map[string]any         { return v.data }
func (v value) MIMEMetadata() map[string]any { return v.metadata }
func (v value) String() string {
	s, _ := v.data[MIMEText].(string)
	return s
}

// HTML shows s as HTML, exactly as given: escape what comes from outside with
// html.EscapeString.
func HTML(s string) any {
	return value{data: map[string]any{MIMEHTML: s, MIMEText: textOfHTML(s)}}
}

// SVG shows s, a complete <svg> element. It is put into the page itself, so
// that its tooltips work, beside the picture form for front ends that need one.
func SVG(s string) any {
	return value{data: map[string]any{MIMEHTML: s, MIMESVG: withNamespace(s), MIMEText: "<SVG picture>"}}
}

// Markdown shows s as Markdown; front ends render maths between dollar signs.
func Markdown(s string) any {
	return value{data: map[string]any{MIMEMarkdown: s, MIMEText: s}}
}

// Latex shows s as mathematics. Without any of the delimiters $, \( or \[ it
// is set as a displayed formula.
func Latex(s string) any {
	if !strings.Contains(s, "$") && !strings.Contains(s, `\(`) && !strings.Contains(s, `\[`) && !strings.Contains(s, `\begin`) {
		s = "$$" + s + "$$"
	}
	return value{data: map[string]any{MIMELatex: s, MIMEText: s}}
}

// JSON shows v as a tree that folds. NaN and infinities, which JSON lacks, are
// written as the strings "NaN", "Infinity" and "-Infinity".
func JSON(v any) any {
	text, err := MarshalJSON(v)
	if err != nil {
		return value{data: map[string]any{MIMEText: fmt.Sprintf("cannot encode %T as JSON: %v", v, err)}}
	}
	return value{data: map[string]any{MIMEJSON: rawJSON(text), MIMEText: indentJSON(text)}}
}

// Image shows an encoded PNG or JPEG picture.
func Image(encoded []byte) any {
	config, format, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return value{data: map[string]any{MIMEText: fmt.Sprintf("<not a PNG or JPEG picture, %d bytes: %v>", len(encoded), err)}}
	}
	mime := "image/" + format
	return value{
		data: map[string]any{
			mime:     encoded,
			MIMEText: fmt.Sprintf("<%s picture %d×%d>", strings.ToUpper(format), config.Width, config.Height),
		},
		metadata: map[string]any{mime: map[string]any{"width": config.Width, "height": config.Height}},
	}
}

var (
	htmlHidden = lazy.Regexp(`(?is)<(style|script|title)\b.*?</(style|script|title)\s*>|<!--.*?-->`)
	htmlBreak  = lazy.Regexp(`(?i)<br\s*/?>|</(p|div|tr|li|h[1-6]|pre|table)\s*>`)
	htmlCell   = lazy.Regexp(`(?i)</t[dh]\s*>`)
	htmlTag    = lazy.Regexp(`(?s)<[^>]*>`)
)

// textOfHTML is a readable text of HTML for terminals and logs.
func textOfHTML(s string) string {
	s = htmlHidden().ReplaceAllString(s, "")
	s = htmlBreak().ReplaceAllString(s, "\n")
	s = htmlCell().ReplaceAllString(s, "  ")
	s = html.UnescapeString(htmlTag().ReplaceAllString(s, ""))
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "<HTML>"
	}
	return strings.Join(lines, "\n")
}

// withNamespace makes an inline <svg> a standalone document: an <img> shows
// nothing without the namespace.
func withNamespace(s string) string {
	if strings.Contains(s, "xmlns=") {
		return s
	}
	return strings.Replace(s, "<svg", `<svg xmlns="http://www.w3.org/2000/svg"`, 1)
}
