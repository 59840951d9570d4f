package display

import (
	"html"
	"strings"
)

// Colours are CSS variables, so that one output fits a light and a dark page.
// JupyterLab and VS Code say which theme they use on <body>; elsewhere the
// system's preference decides. Text, lines and backgrounds follow the page's
// own variables where it has them.
const (
	lightColours = `--l-fg:var(--jp-content-font-color1,var(--vscode-editor-foreground,#1f2328));` +
		`--l-dim:var(--jp-content-font-color2,var(--vscode-descriptionForeground,#636c76));` +
		`--l-line:var(--jp-border-color2,#d1d9e0);` +
		`--l-bg:var(--jp-layout-color0,var(--vscode-editor-background,#fff));` +
		`--l-soft:rgba(120,130,145,.10);` +
		`--l-0:#2f6fd0;--l-1:#d9730d;--l-2:#2a8c4a;--l-3:#c93a3a;--l-4:#8250c4;--l-5:#0f8a94;--l-6:#b5479c;--l-7:#7a6a3a;--l-n:#7d8590;--l-tint:14%`
	darkColours = `--l-fg:var(--jp-content-font-color1,var(--vscode-editor-foreground,#e6edf3));` +
		`--l-dim:var(--jp-content-font-color2,var(--vscode-descriptionForeground,#9198a1));` +
		`--l-line:var(--jp-border-color2,#3d444d);` +
		`--l-bg:var(--jp-layout-color0,var(--vscode-editor-background,#0d1117));` +
		`--l-soft:rgba(145,155,170,.14);` +
		`--l-0:#6ea8fe;--l-1:#f0a050;--l-2:#5cc47c;--l-3:#ff7b72;--l-4:#b892f0;--l-5:#4cc9d4;--l-6:#ea8fd2;--l-7:#c9b36a;--l-n:#8d96a0;--l-tint:20%`

	themeCSS = `.loris{` + lightColours + `;color:var(--l-fg);font:13px/1.45 var(--jp-ui-font-family,system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif)}` +
		`@media(prefers-color-scheme:dark){.loris{` + darkColours + `}}` +
		`[data-jp-theme-light=true] .loris,.vscode-light .loris{` + lightColours + `}` +
		`[data-jp-theme-light=false] .loris,.vscode-dark .loris,.vscode-high-contrast .loris{` + darkColours + `}`

	layoutCSS = `.loris .l-h{font-weight:600;margin:.5em 0 .3em}.loris .l-note{color:var(--l-dim);font-size:12px;margin:.3em 0}` +
		`.loris .l-scroll{overflow:auto;max-width:100%}.loris .l-row{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start}` +
		`.loris code,.loris pre,.loris .l-mono{font-family:var(--jp-code-font-family,ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace);font-size:12px}`
)

// Part is a piece of an output: views are composed from parts by [Stack],
// [Row] and [Toggle].
type Part interface {
	// HTML is a fragment that relies on the style sheet of [Page].
	HTML() string
	// Text is the same for terminals and logs.
	Text() string
}

// Page wraps fragments of parts into HTML that stands alone: one element with
// its style sheet, nothing fetched, no script.
func Page(parts ...Part) string {
	var body strings.Builder
	for _, p := range parts {
		body.WriteString(p.HTML())
	}
	return wrap(body.String())
}

func wrap(fragment string) string {
	css := themeCSS + layoutCSS
	for _, c := range componentCSS {
		if strings.Contains(fragment, c.marker) {
			css += c.css
		}
	}
	return `<div class="loris"><style>` + css + `</style>` + fragment + `</div>`
}

// componentCSS lists the rules of each kind of part; a page holds only those
// it needs.
var componentCSS = []struct{ marker, css string }{
	{`class="l-t"`, tableCSS},
	{`class="l-svg`, svgCSS},
	{`class="l-svg l-graph"`, graphCSS},
	{`class="l-tg"`, toggleCSS},
	{`class="l-pr"`, progressCSS},
	{`class="l-kv"`, factsCSS},
}

// render is the MIME form shared by all parts.
func render(p Part) map[string]any {
	return map[string]any{MIMEHTML: Page(p), MIMEText: p.Text()}
}

// Block is parts shown together; make it with [Stack], [Row] or [Toggle].
type Block struct {
	title  string
	parts  []Part
	layout blockLayout
	labels [2]string
	first  bool // a toggle opens with the first part
}

type blockLayout int

const (
	stacked blockLayout = iota
	inRow
	toggled
)

// Stack shows parts one below the other under a title, which may be empty.
func Stack(title string, parts ...Part) *Block { return &Block{title: title, parts: parts} }

// Row shows parts side by side as far as there is room.
func Row(parts ...Part) *Block { return &Block{parts: parts, layout: inRow} }

// Toggle shows one of two parts, the second first, with a switch between them
// that works without scripts, also in an exported page.
func Toggle(firstLabel string, first Part, secondLabel string, second Part) *Block {
	return &Block{parts: []Part{first, second}, layout: toggled, labels: [2]string{firstLabel, secondLabel}}
}

// FirstShown makes a toggle open with its first part. It returns b.
func (b *Block) FirstShown() *Block {
	b.first = true
	return b
}

// HTML implements [Part].
func (b *Block) HTML() string {
	var w strings.Builder
	if b.title != "" {
		w.WriteString(`<div class="l-h">` + html.EscapeString(b.title) + `</div>`)
	}
	switch b.layout {
	case toggled:
		// Two states need one check box and no names or ids, which would clash
		// when the same output stands twice on a page.
		checked := " checked"
		if b.first {
			checked = ""
		}
		w.WriteString(`<div class="l-tg"><label class="l-sw"><input type="checkbox"` + checked + `><span>` +
			html.EscapeString(b.labels[0]) + `</span><span>` + html.EscapeString(b.labels[1]) + `</span></label>`)
		w.WriteString(`<div class="l-a">` + b.parts[0].HTML() + `</div><div class="l-b">` + b.parts[1].HTML() + `</div></div>`)
		return w.String()
	case inRow:
		w.WriteString(`<div class="l-row">`)
		for _, p := range b.parts {
			w.WriteString(`<div>` + p.HTML() + `</div>`)
		}
		w.WriteString(`</div>`)
		return w.String()
	}
	for _, p := range b.parts {
		w.WriteString(p.HTML())
	}
	return w.String()
}

// Text implements [Part].
func (b *Block) Text() string {
	var lines []string
	if b.title != "" {
		lines = append(lines, b.title)
	}
	for i, p := range b.parts {
		if b.layout == toggled {
			lines = append(lines, b.labels[i]+":")
		}
		lines = append(lines, p.Text())
	}
	return strings.Join(lines, "\n")
}

// MIME implements [Rich].
func (b *Block) MIME() map[string]any { return render(b) }

func (b *Block) String() string { return b.Text() }

const toggleCSS = `.loris .l-sw{display:inline-flex;border:1px solid var(--l-line);border-radius:6px;overflow:hidden;cursor:pointer;font-size:12px;margin:4px 0 8px;user-select:none}` +
	`.loris .l-sw input{position:absolute;opacity:0;width:1px;height:1px}.loris .l-sw span{padding:2px 12px;color:var(--l-dim)}` +
	`.loris .l-sw:focus-within{outline:2px solid var(--l-0)}` +
	`.loris .l-sw:has(input:checked) span:last-child,.loris .l-sw:has(input:not(:checked)) span:nth-child(2){background:var(--l-0);color:var(--l-bg)}` +
	`.loris .l-tg:has(>.l-sw>input:checked)>.l-a,.loris .l-tg:has(>.l-sw>input:not(:checked))>.l-b{display:none}`

// Output is a part with what machines read beside what people see.
type Output struct {
	Part
	// Result is what a replay compares; see [Result].
	Result Result
	// Metadata is kept in the output's metadata, for example provenance.
	Metadata map[string]any
	// Extra holds further MIME types, such as image/svg+xml.
	Extra map[string]any
}

// MIME implements [Rich].
func (o Output) MIME() map[string]any {
	m := render(o.Part)
	for mime, content := range o.Extra {
		m[mime] = content
	}
	if r := o.Result.JSON(); len(r) > 0 {
		m[MIMEResult] = r
	}
	return m
}

// MIMEMetadata implements [RichMetadata].
func (o Output) MIMEMetadata() map[string]any { return o.Metadata }

func (o Output) String() string { return o.Text() }

// note is a line of small grey text.
type note string

// Note is a line of explanation under or between parts.
func Note(s string) Part { return note(s) }

func (n note) HTML() string { return `<div class="l-note">` + html.EscapeString(string(n)) + `</div>` }
func (n note) Text() string { return string(n) }

// raw is a fragment of HTML with its text.
type raw struct{ html, text string }

// Fragment is HTML made elsewhere, with its text form. The HTML is used as
// given; escape what comes from outside.
func Fragment(html, text string) Part { return raw{html, text} }

func (r raw) HTML() string { return r.html }
func (r raw) Text() string { return r.text }

// Facts is a short list of names and values, such as the properties of a
// tensor, in one line each.
type Facts [][2]string

const factsCSS = `.loris .l-kv{display:grid;grid-template-columns:max-content auto;gap:1px 14px;margin:4px 0}` +
	`.loris .l-kv>span:nth-child(odd){color:var(--l-dim)}.loris .l-kv>span:nth-child(even){font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px}`

// HTML implements [Part].
func (f Facts) HTML() string {
	var w strings.Builder
	w.WriteString(`<div class="l-kv">`)
	for _, kv := range f {
		w.WriteString(`<span>` + html.EscapeString(kv[0]) + `</span><span>` + html.EscapeString(kv[1]) + `</span>`)
	}
	w.WriteString(`</div>`)
	return w.String()
}

// Text implements [Part].
func (f Facts) Text() string {
	width := 0
	for _, kv := range f {
		width = max(width, textWidth(kv[0]))
	}
	lines := make([]string, len(f))
	for i, kv := range f {
		lines[i] = padRight(kv[0], width) + "  " + kv[1]
	}
	return strings.Join(lines, "\n")
}

// MIME implements [Rich].
func (f Facts) MIME() map[string]any { return render(f) }
