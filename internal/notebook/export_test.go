package notebook

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestANSIBecomesHTML(t *testing.T) {
	for in, want := range map[string]string{
		"a<b":                              "a&lt;b",
		"\x1b[31mred\x1b[0m plain":         `<span class="ansi-1">red</span> plain`,
		"\x1b[1;92mx\x1b[22my\x1b[39mz":    `<span class="ansi-10 ansi-bold">x</span><span class="ansi-10">y</span>z`,
		"\x1b[38;5;196mr\x1b[48;2;1;2;3mb": `<span style="color:#ff0000">r</span><span style="color:#ff0000;background-color:#010203">b</span>`,
		"\x1b[7minv\x1b[m":                 `<span class="ansi-inverse-fg ansi-bg-inverse-bg">inv</span>`,
		"\x1b[2K\x1b[1Aup\x1b]0;title\x07": "up",
		"\x1b[38;5mcut":                    "cut",
		"\x1b":                             "",
		"\x1b[38;5;300m\x1b[999mx":         "x",
	} {
		if got := ansiToHTML(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	if got := stripANSI("\x1b[31mred\x1b[0m"); got != "red" {
		t.Error(got)
	}
}

func TestExportTakesTheRichestStaticForm(t *testing.T) {
	x := &exporter{}
	for _, c := range []struct {
		data map[string]any
		want string
	}{
		{map[string]any{"text/html": "<b>x</b>", "text/plain": "x", "application/vnd.vegalite.v5+json": map[string]any{}}, "<b>x</b>"},
		{map[string]any{"application/vnd.vegalite.v5+json": map[string]any{}, "image/svg+xml": "<svg/>", "text/plain": "x"}, `<img alt="" src="data:image/svg+xml;base64,PHN2Zy8+">`},
		{map[string]any{"image/png": "aGk=\n", "text/plain": "x"}, `<img alt="" src="data:image/png;base64,aGk=">`},
		{map[string]any{"application/json": map[string]any{"a": 1}}, "<pre>{\n  &#34;a&#34;: 1\n}</pre>"},
		{map[string]any{"text/plain": "\x1b[1m<x>\x1b[0m"}, `<pre><span class="ansi-bold">&lt;x&gt;</span></pre>`},
		{map[string]any{"text/latex": "$x<y$"}, `<math display="inline"><mrow><mi>x</mi><mo>&lt;</mo><mi>y</mi></mrow></math>`},
		{map[string]any{"application/x-unknown": "y"}, `<pre class="none">(output without a form that a static page can show)</pre>`},
	} {
		if got, err := x.rich(c.data); err != nil || got != c.want {
			t.Errorf("got %s, %v, want %s", got, err, c.want)
		}
	}
}

func TestMarkdownKeepsMathAndPictures(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p q.svg"), []byte("<svg/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	x := &exporter{options: ExportOptions{Dir: dir}}
	got, err := x.markdown("a $x_1 * y_2 * z$ b, $5 and $6\n\n$$\n\\frac{a_b}{c_d}\n$$\n\n![i](attachment:a.png) ![f](p%20q.svg) ![no](../secret.png)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
		map[string]any{"a.png": map[string]any{"image/png": "aGk="}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<msub><mi>x</mi><mn>1</mn></msub><mo>*</mo>`, "$5 and $6", `<math display="block"><mrow><mfrac><mrow><msub><mi>a</mi><mi>b</mi></msub></mrow>`, `src="data:image/png;base64,aGk="`, `src="data:image/svg+xml;base64,PHN2Zy8+"`, `src="../secret.png"`, "<table>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func TestExportedPageStandsAlone(t *testing.T) {
	b, err := parse(t, small).HTML(ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{"<title>Title</title>", "default-src 'none'", `id="cell-c1"`, "prefers-color-scheme:dark", `<span class="ansi-1">E</span>: v`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "<link"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
}

func TestFormulasBecomeMathML(t *testing.T) {
	for in, want := range map[string]string{
		`y = xW^\top`:              "<mi>y</mi><mo>=</mo><mi>x</mi><msup><mi>W</mi><mi>⊤</mi></msup>",
		`\frac{\alpha}{r}BA`:       "<mfrac><mrow><mi>α</mi></mrow><mrow><mi>r</mi></mrow></mfrac><mi>B</mi><mi>A</mi>",
		`x_i^2`:                    "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>",
		`\sum_{i=1}^n 1.5`:         "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><mn>1.5</mn>",
		`\left(a<b\right]`:         "<mrow><mo>(</mo><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow><mo>]</mo></mrow>",
		`\left(\hat y\right)^2`:    `<msup><mrow><mo>(</mo><mrow><mover accent="true"><mi>y</mi><mo>^</mo></mover></mrow><mo>)</mo></mrow><mn>2</mn></msup>`,
		`\text{a b}\mathbb{R}^{d}`: "<mtext>a b</mtext><msup><mi>ℝ</mi><mrow><mi>d</mi></mrow></msup>",
		`\sqrt{x}\hat y\,\exp(-1)`: `<msqrt><mrow><mi>x</mi></mrow></msqrt><mover accent="true"><mi>y</mi><mo>^</mo></mover><mspace width="0.17em"></mspace><mi>exp</mi><mo>(</mo><mo>−</mo><mn>1</mn><mo>)</mo>`,
	} {
		got, ok := mathML(in, false)
		if want = `<math display="inline"><mrow>` + want + "</mrow></math>"; !ok || got != want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", in, ok, got, want)
		}
	}
	for _, in := range []string{`\begin{matrix}a\end{matrix}`, `{`, `}`, `a^`, `\frac{a}`, `x_1_2`, `\left(a`, `a & b`, `\unknown`, strings.Repeat("{", 100), `\`, `\mathbf{`} {
		if got, ok := mathML(in, false); ok {
			t.Errorf("%s became %s", in, got)
		}
	}
}

func TestHighlightKeepsEveryByte(t *testing.T) {
	tags := regexp.MustCompile(`<[^>]*>`)
	for _, source := range []string{
		"", "x := 1", "for i := range 3 { // loop\n\tfmt.Println(\"a<b>\", `raw\n`, 'c')\n}", "/* open", "%help\n!ls -la",
		"\"unterminated\nx", "é := \"ü\" // ☃\r\ny", "a;b;\n;", "\x00\xff#?",
	} {
		got := html.UnescapeString(tags.ReplaceAllString(highlight(source), ""))
		if got != source {
			t.Errorf("%q became %q", source, got)
		}
	}
}

func TestFencedCodeIsHighlighted(t *testing.T) {
	x := &exporter{}
	got, err := x.markdown("```go\nx := 1\n```\n\n```\n<plain>\n```\n\n```nosuch\n<b>\n```\n", nil)
	if err != nil || !strings.Contains(got, `<span class="go-n">1</span>`) || !strings.Contains(got, "<pre><code>&lt;plain&gt;\n</code></pre>") || !strings.Contains(got, "<pre><code>&lt;b&gt;") {
		t.Error(got, err)
	}
}
