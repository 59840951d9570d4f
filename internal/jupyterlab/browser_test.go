package jupyterlab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// page is a tab of headless Chromium.
type page struct {
	t   *testing.T
	ctx context.Context
}

const width = 1400

// patience is how long to wait for what must come: long, since a machine may be
// busy with much else.
const patience = 5 * time.Minute

// browse starts Chromium; it ends with the test.
func browse(t *testing.T, e environment) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(e.chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, 1800)))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the first call starts the browser and must have no deadline
		t.Fatal(err)
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, 20*time.Minute)
	t.Cleanup(cancelTimeout)
	return &page{t, ctx}
}

func (p *page) navigate(url string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatal(err)
	}
}

// run evaluates a JavaScript expression for its effect.
func (p *page) run(expression string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression+"; true")); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
}

// get evaluates a JavaScript expression.
func get[T any](p *page, expression string) T {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("JSON.stringify("+expression+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		p.t.Fatalf("%s = %s: %v", expression, text, err)
	}
	return v
}

// wait waits until a JavaScript expression is true.
func (p *page) wait(expression string, timeout time.Duration) {
	p.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		ok, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && ok {
			return
		}
		if p.ctx.Err() != nil || time.Now().After(deadline) {
			p.shoot("failed")
			p.t.Fatalf("still false after %v: %s (%v)", timeout, expression, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *page) resize(height int64) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		p.t.Fatal(err)
	}
}

// shoot writes a picture of the page, if LORIS_SCREENSHOTS names a folder.
func (p *page) shoot(name string) {
	dir := os.Getenv("LORIS_SCREENSHOTS")
	if dir == "" {
		return
	}
	p.run(`document.querySelectorAll('.jp-WindowedPanel-outer').forEach(e => { e.scrollTop = 0 })`)
	time.Sleep(time.Second) // for the page to have been painted
	p.write(name, chromedp.CaptureScreenshot())
}

// shootOutput writes a picture of the outputs of the n-th code cell, from 1, at
// twice the size, if LORIS_SCREENSHOTS names a folder.
func (p *page) shootOutput(n int, name string) {
	if os.Getenv("LORIS_SCREENSHOTS") == "" {
		return
	}
	p.run(fmt.Sprintf(`Array.from(document.querySelectorAll('.jp-CodeCell'))[%d].querySelector('.jp-OutputArea').id = 'picture'`, n-1))
	defer p.run(`document.getElementById('picture').removeAttribute('id')`)
	p.write(name, func(ctx context.Context, target *chromedp.Target) ([]byte, error) {
		b, err := chromedp.ScreenshotScale("#picture", 2)(ctx, target)
		if err != nil {
			return nil, err
		}
		return trim(b, 24)
	})
}

func (p *page) write(name string, picture chromedp.Action[[]byte]) {
	p.t.Helper()
	b, err := chromedp.Run(p.ctx, picture)
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("LORIS_SCREENSHOTS"), name+".png"), b, 0o644); err != nil {
		p.t.Error(err)
	}
}

// trim cuts the empty border of a PNG down to a margin.
func trim(b []byte, margin int) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	whole := picture.Bounds()
	paper := picture.At(whole.Max.X-1, whole.Max.Y-1)
	var inked image.Rectangle
	for y := whole.Min.Y; y < whole.Max.Y; y++ {
		for x := whole.Min.X; x < whole.Max.X; x++ {
			if picture.At(x, y) != paper {
				inked = inked.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	kept := inked.Inset(-margin).Intersect(whole)
	out := image.NewRGBA(image.Rectangle{Max: kept.Size()})
	draw.Draw(out, out.Bounds(), picture, kept.Min, draw.Src)
	var trimmed bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&trimmed, out)
	return trimmed.Bytes(), err
}

// JavaScript names of the open notebook and its kernel. The shell has no
// current widget while the browser's window lacks the focus.
const (
	panel  = `Array.from(window.jupyterapp.shell.widgets('main')).find(w => w.sessionContext)`
	kernel = panel + `.sessionContext.session.kernel`
	// A cell whose turn has not come or not passed shows [*].
	waiting = `Array.from(document.querySelectorAll('.jp-InputPrompt')).some(e => e.innerText.includes('*'))`
	idle    = `window.jupyterapp && ` + panel + `?.sessionContext.session?.kernel?.status === 'idle'`
)

// open opens a notebook in JupyterLab and waits for its kernel.
func (p *page) open(base, notebook string) {
	p.t.Helper()
	// A workspace of its own: JupyterLab opens again what the last one held.
	p.navigate(base + "/lab/workspaces/" + strings.TrimSuffix(notebook, ".ipynb") + "/tree/" + notebook + "?token=" + token)
	p.wait(idle, patience)
	p.run(`window.jupyterapp.shell.activateById(` + panel + `.id)`)
	p.resize(9000) // all cells in view, for pictures of the whole notebook
}

// start begins to run all cells.
func (p *page) start() {
	p.t.Helper()
	p.run(`window.lorisDone = false; window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.lorisDone = true })`)
}

// done is true when nothing that start began is left. JupyterLab's command
// returns early when a cell fails that may.
const done = `window.lorisDone && ` + idle + ` && !` + waiting

// finish waits until all cells have run.
func (p *page) finish() {
	p.t.Helper()
	p.wait(done, patience)
}

// theme switches JupyterLab's theme, "Light" or "Dark".
func (p *page) theme(name string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab %s'})`, name))
	p.wait(fmt.Sprintf(`document.body.dataset.jpThemeName === 'JupyterLab %s'`, name), patience)
	time.Sleep(500 * time.Millisecond) // for the new style sheet to apply
}

// cell is a code cell of the open notebook, read from its model.
type cell struct {
	Count   int      `json:"count"`
	Tags    []string `json:"tags"`
	Source  string   `json:"source"`
	Outputs []struct {
		Type   string         `json:"output_type"`
		Data   map[string]any `json:"data"`
		EName  string         `json:"ename"`
		EValue string         `json:"evalue"`
	} `json:"outputs"`
}

func (p *page) cells() []cell {
	p.t.Helper()
	return get[[]cell](p, `Array.from(`+panel+`.content.model.cells).filter(c => c.type === 'code').map(c => ({
  count: c.executionCount, tags: c.metadata.tags ?? [], source: c.sharedModel.getSource(), outputs: c.outputs.toJSON()}))`)
}
