package notebook

import (
	"bytes"
	"html"
	"net/url"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	gmhtml "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"loris/internal/lazy"
)

// HTML inside Markdown is kept, as all notebook programs do; the page's
// content security policy keeps scripts in it from running.
var markdownConverter = goldmark.New(
	goldmark.WithExtensions(extension.GFM, extension.Footnote),
	goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithInlineParsers(util.Prioritized(mathParser{}, 150))),
	goldmark.WithRendererOptions(gmhtml.WithUnsafe(), renderer.WithNodeRenderers(util.Prioritized(notebookRenderer{}, 500))),
)

// mathBlock is a formula over several lines; the parser takes it as one.
var mathBlock = lazy.Regexp(`(?m)^\$\$[^$]*\n[^$]*\$\$[ \t]*$`)

func (x *exporter) markdown(source string, attachments map[string]any) (string, error) {
	src := []byte(mathBlock().ReplaceAllStringFunc(source, func(s string) string { return strings.ReplaceAll(s, "\n", " ") }))
	doc := markdownConverter.Parser().Parse(text.NewReader(src))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if img, ok := n.(*ast.Image); ok && entering {
			if data := x.picture(string(img.Destination), attachments); data != "" {
				img.Destination = []byte(data)
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", err
	}
	var w bytes.Buffer
	if err := markdownConverter.Renderer().Render(&w, src, doc); err != nil {
		return "", err
	}
	return w.String(), nil
}

// picture is what an image's reference stands for, as a data URI.
func (x *exporter) picture(ref string, attachments map[string]any) string {
	name, attached := strings.CutPrefix(ref, "attachment:")
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	if !attached {
		return x.localPicture(name)
	}
	bundle, _ := attachments[name].(map[string]any)
	for mime, content := range bundle {
		if s, ok := joined(content); ok && strings.HasPrefix(mime, "image/") {
			return "data:" + mime + ";base64," + strings.Join(strings.Fields(s), "")
		}
	}
	return ""
}

// mathNode is a formula between dollar signs, kept from being read as Markdown.
type mathNode struct {
	ast.BaseInline
	source string
	block  bool
}

var kindMath = ast.NewNodeKind("Math")

func (*mathNode) Kind() ast.NodeKind              { return kindMath }
func (n *mathNode) Dump(source []byte, level int) { ast.DumpHelper(n, source, level, nil, nil) }

type mathParser struct{}

func (mathParser) Trigger() []byte { return []byte{'$'} }

func (mathParser) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, _ := block.PeekLine()
	mark := "$"
	if bytes.HasPrefix(line, []byte("$$")) {
		mark = "$$"
	}
	rest := line[len(mark):]
	end := bytes.Index(rest, []byte(mark))
	// As in Pandoc: no space inside the dollars and no digit behind, so that
	// prices stay prices.
	if end <= 0 || mark == "$" && (rest[0] == ' ' || rest[end-1] == ' ' || end+1 < len(rest) && rest[end+1] >= '0' && rest[end+1] <= '9') {
		return nil
	}
	block.Advance(2*len(mark) + end)
	return &mathNode{source: string(rest[:end]), block: mark == "$$"}
}

// notebookRenderer draws formulas and highlights fenced code.
type notebookRenderer struct{}

func (notebookRenderer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(kindMath, renderMath)
	r.Register(ast.KindFencedCodeBlock, renderCode)
}

func renderMath(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		_, _ = w.WriteString(formula(n.(*mathNode).source, n.(*mathNode).block)) // its error comes back at the end
	}
	return ast.WalkSkipChildren, nil
}

// formula is TeX as MathML, or the TeX itself.
func formula(source string, block bool) string {
	if out, ok := mathML(source, block); ok {
		return out
	}
	return `<span class="math">` + html.EscapeString(source) + `</span>`
}

func renderCode(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	block := n.(*ast.FencedCodeBlock)
	var text strings.Builder
	for i := range block.Lines().Len() {
		line := block.Lines().At(i)
		text.Write(line.Value(source))
	}
	_, _ = w.WriteString(code(string(block.Language(source)), text.String()))
	return ast.WalkSkipChildren, nil
}
