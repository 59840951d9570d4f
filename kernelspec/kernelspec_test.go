package kernelspec

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstallWritesAKernelspecThatJupyterReads(t *testing.T) {
	p := Place{Prefix: t.TempDir()}
	for range 2 { // the second time replaces the first
		dir, err := Install(p, Options{Binary: "/opt/loris", DisplayName: DisplayName})
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(p.Prefix, "share", "jupyter", "kernels", "loris"); dir != want {
			t.Fatalf("installed in %s, want %s", dir, want)
		}
		b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s spec
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if strings.Join(s.Argv, " ") != "/opt/loris kernel -f {connection_file}" || s.Language != "go" || s.InterruptMode != "message" || s.DisplayName != "Go (Loris)" {
			t.Errorf("kernel.json %s", b)
		}
		if s.Metadata["debugger"] != false || s.Metadata["supported_encryption"].([]any)[0] != "curve" {
			t.Errorf("metadata %v", s.Metadata)
		}
	}
	entries, err := os.ReadDir(filepath.Join(p.Prefix, "share", "jupyter", "kernels"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	if _, err := Uninstall(p); err != nil {
		t.Fatal(err)
	}
	if _, err := Uninstall(p); err == nil || !strings.Contains(err.Error(), "jupyter kernelspec list") {
		t.Errorf("second uninstall: %v", err)
	}
}

func TestForeignDirectoriesAreLeftAlone(t *testing.T) {
	p := Place{Prefix: t.TempDir()}
	dir, err := p.Dir()
	if err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(dir, "thesis.txt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(p, Options{Binary: "/opt/loris"}); err == nil {
		t.Error("install replaced a directory that is no kernelspec")
	}
	if _, err := Uninstall(p); err == nil {
		t.Error("uninstall removed a directory that is no kernelspec")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestPlaces(t *testing.T) {
	t.Setenv("JUPYTER_DATA_DIR", "")
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/ada")
	t.Setenv("VIRTUAL_ENV", "/venv")
	dir := func(p Place) string {
		t.Helper()
		d, err := p.Dir()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if got := dir(Place{SysPrefix: true}); got != "/venv/share/jupyter/kernels/loris" {
		t.Errorf("sys-prefix: %s", got)
	}
	if got := dir(Place{Name: "go2"}); !strings.HasPrefix(got, "/home/ada/") || !strings.HasSuffix(got, "/kernels/go2") {
		t.Errorf("user: %s", got)
	}
	t.Setenv("JUPYTER_DATA_DIR", "/data")
	if got := dir(Place{User: true}); got != "/data/kernels/loris" {
		t.Errorf("JUPYTER_DATA_DIR: %s", got)
	}
}

func TestBadInputNamesTheFix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		place Place
		want  string
	}{
		{Place{Prefix: file}, "not a directory"},
		{Place{Prefix: t.TempDir(), Name: "../evil"}, "--name"},
		{Place{Prefix: t.TempDir(), Name: ".."}, "--name"},
		{Place{Prefix: t.TempDir(), Name: "Loris"}, "lower-case"},
		{Place{Prefix: "/proc/nowhere"}, "install:"},
	} {
		if _, err := Install(c.place, Options{Binary: "/opt/loris"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.place, err, c.want)
		}
	}
	if _, err := Install(Place{Prefix: t.TempDir()}, Options{Binary: "loris"}); err == nil {
		t.Error("a relative binary was accepted")
	}
}

func TestLogosAreWhatTheirNamesSay(t *testing.T) {
	for name, size := range map[string]int{"logo-32x32.png": 32, "logo-64x64.png": 64} {
		b, err := logos.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil || img.Bounds().Dx() != size || img.Bounds().Dy() != size {
			t.Errorf("%s: %v %v", name, img.Bounds(), err)
		}
	}
	b, err := logos.ReadFile("logo-svg.svg")
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(b, new(struct{})); err != nil {
		t.Errorf("logo-svg.svg: %v", err)
	}
}
