package jupyterlab

import (
	"context"
	"encoding/json"
	"fmt"
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
	ctx, cancelTimeout := context.WithTimeout(ctx, 5*time.Minute)
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
			p.shoot("failed", 1800)
			p.t.Fatalf("still false after %v: %s (%v)", timeout, expression, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// shoot writes a picture of the page, if LORIS_SCREENSHOTS names a folder.
func (p *page) shoot(name string, height int64) {
	dir := os.Getenv("LORIS_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		p.t.Error(err)
		return
	}
	time.Sleep(time.Second) // for the page to lay itself out anew
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
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
	p.wait(idle, 90*time.Second)
	p.run(`window.jupyterapp.shell.activateById(` + panel + `.id)`)
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
	p.wait(done, 120*time.Second)
}

// theme switches JupyterLab's theme, "Light" or "Dark".
func (p *page) theme(name string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab %s'})`, name))
	p.wait(fmt.Sprintf(`document.body.dataset.jpThemeName === 'JupyterLab %s'`, name), 20*time.Second)
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
