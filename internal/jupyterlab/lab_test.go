// Package jupyterlab holds the test that opens our notebooks in a real
// JupyterLab, in headless Chromium, as a user would.
package jupyterlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const token = "loris-test"

// environment names what the test needs; make test sets all of it up.
type environment struct {
	python   string // virtual environment's Python with jupyterlab
	binary   string // the loris binary
	chromium string
}

func lookup(t *testing.T) environment {
	t.Helper()
	e := environment{python: os.Getenv("LORIS_PYTHON"), binary: os.Getenv("LORIS_BINARY")}
	if e.python == "" || e.binary == "" {
		t.Skip("LORIS_PYTHON and LORIS_BINARY are not set: run `make test-browser`")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			e.chromium = p
			return e
		}
	}
	t.Skip("no Chromium on this machine: install the package chromium to run the browser test")
	return e
}

// startLab starts JupyterLab on a copy of the notebooks and returns its base URL.
func startLab(t *testing.T, e environment, notebooks ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, nb := range notebooks {
		copyFile(t, filepath.Join("..", "..", "notebooks", nb), filepath.Join(dir, nb))
	}
	data := t.TempDir()
	install := exec.Command(e.binary, "install", "--prefix", data)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("loris install: %v\n%s", err, out)
	}
	port := freePort(t)
	cmd := exec.Command(e.python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
		"--ServerApp.ip=127.0.0.1", fmt.Sprintf("--ServerApp.port=%d", port),
		"--IdentityProvider.token="+token, "--ServerApp.root_dir="+dir,
		"--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
	cmd.Env = append(os.Environ(),
		"JUPYTER_PATH="+filepath.Join(data, "share", "jupyter"),
		"JUPYTER_CONFIG_DIR="+t.TempDir(), "JUPYTER_RUNTIME_DIR="+t.TempDir(), "JUPYTER_DATA_DIR="+t.TempDir())
	log, err := os.Create(filepath.Join(data, "lab.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("JupyterLab's log:\n%s", text)
		}
	})
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	waitForServer(t, base)
	return base
}

func waitForServer(t *testing.T, base string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		resp, err := http.Get(base + "/api/status?token=" + token)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("JupyterLab did not answer within 60 s")
}

// browse starts headless Chromium and returns its context.
func browse(t *testing.T, e environment) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(e.chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1400, 1800)))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the first call starts the browser and must have no deadline
		t.Fatal(err)
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancelTimeout)
	return ctx
}

// kernelIdle is true once the notebook's kernel has started and runs nothing.
const kernelIdle = `window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'`

// runAll opens a notebook, runs all its cells and waits until the kernel is idle.
func runAll(ctx context.Context, base, notebook string) error {
	const start = `window.lorisDone = false;
window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.lorisDone = true }); true`
	if err := chromedp.Do(ctx,
		chromedp.Navigate(base+"/lab/tree/"+notebook+"?token="+token),
		waitFor(kernelIdle, 90*time.Second)); err != nil {
		return err
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](start)); err != nil {
		return err
	}
	return chromedp.Do(ctx, waitFor(`window.lorisDone === true && `+kernelIdle, 120*time.Second))
}

// waitFor waits until a JavaScript expression is true.
func waitFor(expression string, timeout time.Duration) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		deadline := time.Now().Add(timeout)
		for {
			if ok, err := chromedp.Evaluate[bool](expression)(ctx, target); err == nil && ok {
				return nil
			}
			if time.Now().After(deadline) {
				return errors.New("still false after " + timeout.String() + ": " + expression)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// outputs describes every output of the notebook, read from its model: all of
// them, whatever the page has scrolled into view.
const outputs = `JSON.stringify(Array.from({length: window.jupyterapp.shell.currentWidget.content.model.cells.length}, (_, i) => {
  const c = window.jupyterapp.shell.currentWidget.content.model.cells.get(i);
  return c.type === 'code' ? c.outputs.toJSON() : [];
}))`

func TestQuickstartRunsInJupyterLab(t *testing.T) {
	e := lookup(t)
	base := startLab(t, e, "quickstart.ipynb")
	ctx := browse(t, e)
	if err := runAll(ctx, base, "quickstart.ipynb"); err != nil {
		t.Fatal(err)
	}
	model := evaluate[string](t, ctx, outputs)
	svgs := evaluate[int](t, ctx, `document.querySelectorAll('.jp-OutputArea-output svg').length`)
	tables := evaluate[int](t, ctx, `document.querySelectorAll('.jp-OutputArea-output table').length`)
	if svgs == 0 {
		t.Error("no SVG graph in the page")
	}
	if tables == 0 {
		t.Error("no table in the page")
	}
	if strings.Contains(model, `"output_type":"error"`) {
		t.Errorf("a cell failed:\n%s", model)
	}
	if dir := os.Getenv("LORIS_SCREENSHOTS"); dir != "" {
		screenshot(t, ctx, filepath.Join(dir, "quickstart.png"))
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// screenshot writes the whole notebook as one picture.
func screenshot(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1400, 6000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // the page lays out the cells that come into view
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
