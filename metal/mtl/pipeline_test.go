//go:build darwin || softmetal

package mtl

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// compiled counts pipelines that were not found in an archive; a real Metal does not tell.
func compiled() int {
	if f := soft("softmetal_compiled"); f != nil {
		return int(f())
	}
	return 0
}

func TestTheSecondRunFindsItsPipelinesOnDisk(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		d, err := Open(Options{CacheDir: dir})
		if err != nil {
			t.Skip(err)
		}
		before := compiled()
		for _, twice := range []bool{true, false} {
			if _, err := d.Pipeline(addSource, "add", Constant{0, twice}); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		if run == 0 {
			want = 2
		}
		if n := compiled() - before; n != want && soft("x") != nil {
			t.Errorf("run %d compiled %d pipelines, want %d", run, n, want)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if run == 1 { // a damaged archive is put aside
			files, _ := filepath.Glob(filepath.Join(dir, "*.archive"))
			if len(files) != 1 {
				t.Fatalf("%d archives in the folder", len(files))
			}
			if err := os.WriteFile(files[0], []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := open(t, Options{CacheDir: dir})
	if _, err := d.Pipeline(addSource, "add", Constant{0, true}); err != nil {
		t.Errorf("with a damaged archive: %v", err)
	}
}

// Programs are killed more often than they end, so the archive is written while they run.
func TestTheArchiveIsWrittenBeforeTheEnd(t *testing.T) {
	dir := t.TempDir()
	d := open(t, Options{CacheDir: dir})
	if _, err := d.Pipeline(addSource, "add", Constant{0, true}); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.archive")); len(files) == 1 {
			return
		}
		time.Sleep(archiveDelay / 20)
	}
	t.Error("no archive was written")
}

func TestPipelinesAreCompiledInTheBackground(t *testing.T) {
	d := open(t, Options{})
	before := compiled()
	d.Prepare([]Request{{Source: addSource, Entry: "add", Constants: []Constant{{0, true}}}, {Source: "nonsense", Entry: "add"}})
	d.Prepared()
	if n := compiled() - before; n != 1 && soft("x") != nil {
		t.Errorf("%d pipelines were compiled, want the one that can be", n)
	}
	if _, err := d.Pipeline(addSource, "add", Constant{0, true}); err != nil {
		t.Fatal(err)
	}
	if n := compiled() - before; n != 1 && soft("x") != nil {
		t.Errorf("a pipeline that was compiled in the background was compiled again")
	}
	if _, err := d.Pipeline("nonsense", "add"); err == nil {
		t.Error("the error of a source that was compiled in the background was lost")
	}
}

func TestCompileErrorsHavePositions(t *testing.T) {
	d := open(t, Options{})
	_, err := d.Pipeline("#include <metal_stdlib>\nkernel void f(device float* x [[buffer(0)]]) {\n  x[0] = nosuch(1);\n}", "f")
	var failure *CompileError
	if !errors.As(err, &failure) || len(failure.Diagnostics) == 0 {
		t.Fatalf("got %v", err)
	}
	if p := failure.Diagnostics[0]; p.Line != 3 || !strings.Contains(p.Message, "nosuch") {
		t.Errorf("diagnostic %+v, want line 3 about nosuch", p)
	}
	if _, err := d.Pipeline(addSource, "subtract", Constant{0, true}); err == nil || !strings.Contains(err.Error(), "subtract") {
		t.Errorf("missing function: %v", err)
	}
}
