package jupyterlab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const token = "loris-test"

// environment names what the tests need; make test sets all of it up.
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
	t.Skip("no Chromium on this machine: install the package chromium to run the browser tests")
	return e
}

// startLab starts JupyterLab in dir and returns its base URL.
func startLab(t *testing.T, e environment, dir string) string {
	t.Helper()
	data := t.TempDir()
	install := exec.Command(e.binary, "install", "--prefix", data)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("loris install: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(data, "lab.log"))
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command(e.python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
		"--ServerApp.ip=127.0.0.1", fmt.Sprintf("--ServerApp.port=%d", port),
		"--IdentityProvider.token="+token, "--ServerApp.root_dir="+dir)
	cmd.Env = append(os.Environ(),
		"JUPYTER_PATH="+filepath.Join(data, "share", "jupyter"),
		"JUPYTERLAB_SETTINGS_DIR="+settings(t),
		"JUPYTER_CONFIG_DIR="+t.TempDir(), "JUPYTER_RUNTIME_DIR="+t.TempDir(), "JUPYTER_DATA_DIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(cmd)
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

// stop ends JupyterLab, which asks for confirmation unless interrupted twice.
func stop(cmd *exec.Cmd) {
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
}

// settings returns a folder with the user settings of the tests: every cell is
// in the page, wherever it is scrolled to, and no news pops up.
func settings(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[string]string{
		"@jupyterlab/notebook-extension/tracker.jupyterlab-settings":      `{"windowingMode": "none"}`,
		"@jupyterlab/apputils-extension/notification.jupyterlab-settings": `{"fetchNews": "false", "checkForUpdates": false}`,
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func waitForServer(t *testing.T, base string) {
	t.Helper()
	deadline := time.Now().Add(patience)
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
	t.Fatalf("JupyterLab did not answer within %v", patience)
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
