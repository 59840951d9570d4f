package display

import (
	"html"
	"math"
	"strconv"
	"strings"
)

const svgCSS = `.loris .l-svg{display:block;font-family:var(--jp-ui-font-family,system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif);height:auto}` +
	`.loris .l-svg text{fill:var(--l-fg);font-size:11px}.loris .l-svg .d{fill:var(--l-dim)}.loris .l-svg .m{font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace);font-size:10.5px}` +
	`.loris .l-svg .b{font-weight:600}.loris .l-svg .e{text-anchor:end}.loris .l-svg .c{text-anchor:middle}` +
	`.loris .l-svg .g{stroke:var(--l-line);stroke-width:1;fill:none;shape-rendering:crispEdges}.loris .l-svg .ax{stroke:var(--l-dim);stroke-width:1;fill:none;shape-rendering:crispEdges}`

// svgWriter writes one <svg> element.
type svgWriter struct{ strings.Builder }

// num prints a coordinate with at most one decimal.
func num(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	s := strconv.FormatFloat(f, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// open starts the element, at its natural size: text keeps its size, and wide
// pictures scroll.
func (w *svgWriter) open(class string, width, height float64, label string) {
	w.WriteString(`<svg class="l-svg` + class + `" role="img" aria-label="` + html.EscapeString(label) + `" width="` + num(width) + `" height="` + num(height) +
		`" viewBox="0 0 ` + num(width) + ` ` + num(height) + `">`)
}

func (w *svgWriter) close() { w.WriteString(`</svg>`) }

func (w *svgWriter) text(x, y float64, class, s string) {
	w.WriteString(`<text x="` + num(x) + `" y="` + num(y) + `"`)
	if class != "" {
		w.WriteString(` class="` + class + `"`)
	}
	w.WriteString(`>` + html.EscapeString(validXML(s)) + `</text>`)
}

func (w *svgWriter) line(x1, y1, x2, y2 float64, class string) {
	w.WriteString(`<path class="` + class + `" d="M` + num(x1) + ` ` + num(y1) + `L` + num(x2) + ` ` + num(y2) + `"/>`)
}

// rect writes a box; attrs go into the tag as they are, tip becomes its
// tooltip.
func (w *svgWriter) rect(x, y, width, height float64, attrs, tip string) {
	w.WriteString(`<rect x="` + num(x) + `" y="` + num(y) + `" width="` + num(max(width, 0)) + `" height="` + num(max(height, 0)) + `" ` + attrs)
	if tip == "" {
		w.WriteString(`/>`)
		return
	}
	w.WriteString(`>` + tooltip(tip) + `</rect>`)
}

func tooltip(s string) string {
	if s == "" {
		return ""
	}
	return `<title>` + html.EscapeString(validXML(s)) + `</title>`
}

// validXML drops what XML forbids even when escaped: one control character
// would make the whole picture unreadable.
func validXML(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\uFFFD'
		}
		return r
	}, validText(s))
}

// svgDocument makes an inline <svg> a picture of its own: with the namespace,
// the style sheet and a background, since a page's variables do not reach
// inside an <img>.
func svgDocument(inline string) string {
	css := themeCSS + svgCSS
	if strings.Contains(inline, `class="l-svg l-graph"`) {
		css += graphCSS
	}
	end := strings.IndexByte(inline, '>')
	if end < 0 {
		return inline
	}
	return `<svg xmlns="http://www.w3.org/2000/svg" class="loris" style="background:var(--l-bg)"` +
		sizeOf(inline[:end]) + `><style>` + html.EscapeString(css) + `</style>` + inline + `</svg>`
}

// sizeOf returns the width and height attributes of an <svg> tag.
func sizeOf(tag string) string {
	i, j := strings.Index(tag, ` width="`), strings.Index(tag, ` viewBox="`)
	if i < 0 || j < i {
		return ""
	}
	return tag[i:]
}

// textPixels estimates the width of s in the fonts used, on the generous side;
// there is no font to measure in a kernel.
func textPixels(s string, size float64, mono bool) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case r >= 0x1100 && textWidth(string(r)) == 2:
			w += 1
		case mono:
			w += 0.61
		case strings.ContainsRune("iljtfI.,:;|!'()[] /", r):
			w += 0.36
		case strings.ContainsRune("mwMW@%", r):
			w += 0.90
		case r >= 'A' && r <= 'Z':
			w += 0.70
		default:
			w += 0.58
		}
	}
	return w * size
}

// centredEnd is how far to the right a label of an axis reaches that is centred
// at x, with a little room.
func centredEnd(x float64, label string) float64 {
	return x + labelPixels(label)/2 + 4
}

// labelPixels is the room that a label needs, in the size of labels.
func labelPixels(label string) float64 { return textPixels(label, 11, false) * 1.05 }

// shorten cuts s in the middle to at most n runes.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}
