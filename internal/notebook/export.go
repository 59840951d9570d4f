package notebook

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// ExportOptions say how a notebook becomes HTML.
type ExportOptions struct {
	// Title of the page; empty means the first heading, or "Notebook".
	Title string
	// Dir is the folder against which pictures in Markdown are resolved; they
	// are put into the page. Empty means that none are read.
	Dir string
	// HideCode leaves the source of code cells out.
	HideCode bool
}

//go:embed export.html
var pageTemplate string

//go:embed export.css
var pageCSS string

var page = template.Must(template.New("page").Parse(pageTemplate))

// WriteHTML writes the notebook as one HTML file; see [Notebook.HTML].
func (nb *Notebook) WriteHTML(path string, o ExportOptions) error {
	b, err := nb.HTML(o)
	if err != nil {
		return err
	}
	return writeAtomic(path, b)
}

// HTML returns the notebook as a page that stands alone: styles and pictures
// inside, light and dark by the reader's preference, no script and no network
// (a content security policy holds outputs to that too).
func (nb *Notebook) HTML(o ExportOptions) ([]byte, error) {
	x := &exporter{options: o, language: cmpOr(nb.Language(), "go")}
	data := struct {
		Title string
		CSS   template.CSS
		Cells []pageCell
	}{Title: cmpOr(o.Title, nb.title()), CSS: template.CSS(pageCSS)}
	for _, c := range nb.Cells {
		pc, err := x.cell(c)
		if err != nil {
			return nil, fmt.Errorf("export cell %s: %w", c.ID, err)
		}
		data.Cells = append(data.Cells, pc)
	}
	var w bytes.Buffer
	if err := page.Execute(&w, data); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return w.Bytes(), nil
}

// title is the first heading of the Markdown.
func (nb *Notebook) title() string {
	for _, c := range nb.Cells {
		if c.Type != Markdown {
			continue
		}
		for line := range strings.Lines(c.Source) {
			if t, ok := strings.CutPrefix(line, "# "); ok {
				return strings.TrimSpace(t)
			}
		}
	}
	return "Notebook"
}

type pageCell struct {
	ID, Type, Count string
	Body            template.HTML // Markdown, or highlighted source
	Outputs         []pageOutput
	HideCode        bool
}

type pageOutput struct {
	Class string
	Count string
	Body  template.HTML
}

type exporter struct {
	options  ExportOptions
	language string
}

func (x *exporter) cell(c *Cell) (pageCell, error) {
	pc := pageCell{ID: c.ID, Type: c.Type, HideCode: x.options.HideCode}
	switch c.Type {
	case Markdown:
		body, err := x.markdown(c.Source, c.Attachments)
		pc.Body = template.HTML(body)
		return pc, err
	case Raw:
		pc.Body = template.HTML("<pre>" + html.EscapeString(c.Source) + "</pre>")
		return pc, nil
	}
	if c.ExecutionCount > 0 {
		pc.Count = fmt.Sprint(c.ExecutionCount)
	}
	pc.Body = template.HTML(code(x.language, c.Source))
	for _, o := range c.Outputs {
		po, err := x.output(o)
		if err != nil {
			return pc, err
		}
		pc.Outputs = append(pc.Outputs, po)
	}
	return pc, nil
}

// code is source as HTML, highlighted if it is Go.
func code(language, source string) string {
	if strings.EqualFold(language, "go") || strings.EqualFold(language, "golang") {
		return highlight(source)
	}
	return "<pre><code>" + html.EscapeString(source) + "</code></pre>"
}

func (x *exporter) output(o *Output) (pageOutput, error) {
	switch o.Type {
	case Stream:
		return pageOutput{Class: "stream " + map[bool]string{true: "stderr", false: "stdout"}[o.Name == "stderr"], Body: template.HTML("<pre>" + ansiToHTML(o.Text) + "</pre>")}, nil
	case Error:
		trace := strings.Join(o.Traceback, "\n")
		if trace == "" {
			trace = o.EName + ": " + o.EValue
		}
		return pageOutput{Class: "error", Body: template.HTML("<pre>" + ansiToHTML(trace) + "</pre>")}, nil
	}
	body, err := x.rich(o.Data)
	po := pageOutput{Class: "rich", Body: template.HTML(body)}
	if o.Type == ExecuteResult && o.ExecutionCount > 0 {
		po.Count = fmt.Sprint(o.ExecutionCount)
	}
	return po, err
}

// richest is the order in which MIME types are taken: what a page can show
// best without scripts comes first. Vega-Lite needs a script, so a chart shows
// by the static form beside it.
var richest = []string{"text/html", "image/svg+xml", "text/markdown", "image/png", "image/jpeg", "image/gif", "image/webp", "text/latex", "application/json", "text/plain"}

func (x *exporter) rich(data map[string]any) (string, error) {
	for _, mime := range richest {
		content, ok := data[mime]
		if !ok {
			continue
		}
		s, _ := content.(string)
		switch mime {
		case "text/html":
			return s, nil
		case "image/svg+xml":
			return `<img alt="" src="data:image/svg+xml;base64,` + base64.StdEncoding.EncodeToString([]byte(s)) + `">`, nil
		case "text/markdown":
			return x.markdown(s, nil)
		case "text/latex":
			block := strings.HasPrefix(strings.TrimSpace(s), "$$")
			return formula(strings.Trim(strings.TrimSpace(s), "$"), block), nil
		case "application/json":
			b, err := json.MarshalIndent(content, "", "  ")
			return "<pre>" + html.EscapeString(string(b)) + "</pre>", err
		case "text/plain":
			return "<pre>" + ansiToHTML(s) + "</pre>", nil
		}
		return `<img alt="" src="data:` + mime + `;base64,` + html.EscapeString(strings.Join(strings.Fields(s), "")) + `">`, nil
	}
	return `<pre class="none">(output without a form that a static page can show)</pre>`, nil
}

// largestPicture bounds a file that is put into a page.
const largestPicture = 16 << 20

// localPicture returns a file below the notebook's folder as a data URI, ""
// if it is not there or not a picture.
func (x *exporter) localPicture(ref string) string {
	if x.options.Dir == "" || !filepath.IsLocal(ref) {
		return ""
	}
	path := filepath.Join(x.options.Dir, ref)
	st, err := os.Stat(path)
	if err != nil || st.Size() > largestPicture || st.IsDir() {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	mime := http.DetectContentType(b)
	if strings.EqualFold(filepath.Ext(path), ".svg") {
		mime = "image/svg+xml"
	}
	if !strings.HasPrefix(mime, "image/") {
		return ""
	}
	return "data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(b)
}
