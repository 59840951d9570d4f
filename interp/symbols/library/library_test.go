package library_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"loris/interp/symbols"
	"loris/interp/symbols/archive"
	"loris/interp/symbols/library"
)

// The tables and export data describe the API of the library as it is now. The
// texts beside them may lag behind until they are generated again.
func TestTablesAreCurrent(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "library")
	if out, err := exec.Command("go", "run", "../generate", "-kind", "library", "-out", fresh).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(fresh, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("nothing was generated", err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Base(f))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is out of date: run go generate ./interp/symbols", filepath.Base(f))
		}
	}
	data, err := os.ReadFile(filepath.Join(fresh, "library.bin"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := exports(t, string(data)), exports(t, library.Archive)
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("the export data of %s is out of date: run go generate ./interp/symbols", path)
		}
	}
}

func exports(t *testing.T, data string) map[string]string {
	a, err := archive.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, path := range a.Paths(archive.Export) {
		text, err := a.Read(archive.Export, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		m[path] = string(text)
	}
	return m
}

func TestEveryPackageLoads(t *testing.T) {
	if len(library.Packages) == 0 {
		t.Fatal("no packages")
	}
	for _, p := range library.Packages {
		m, err := symbols.Package(p.Path)
		if err != nil {
			t.Errorf("%s: %v", p.Path, err)
		}
		pkg, err := symbols.Importer().Import(p.Path)
		if err != nil {
			t.Errorf("%s: %v", p.Path, err)
			continue
		}
		for _, name := range pkg.Scope().Names() {
			if obj := pkg.Scope().Lookup(name); obj.Exported() && !m[name].IsValid() {
				t.Errorf("%s.%s has no symbol: cells cannot use it (exported generics are not provided)", p.Path, name)
			}
		}
		if p.Path == "loris/tensorlib" && (symbols.Source(p.Path, "Zeros") == "" || symbols.Doc("loris/internal/ir", "Error.Detail") == "") {
			t.Error("the sources, or the documentation behind aliases, are not there")
		}
		if symbols.Doc(p.Path, "") == "" {
			t.Errorf("%s has no package comment", p.Path)
		}
	}
}

// Cells call the packages by these names without importing them.
func TestShortNames(t *testing.T) {
	for name, path := range map[string]string{"lt": "loris/tensorlib", "nn": "loris/tensorlib/nn", "lora": "loris/tensorlib/lora", "bench": "loris/tensorlib/bench", "display": "loris/display"} {
		if got, ok := symbols.Resolve(name); !ok || got != path {
			t.Errorf("%s means %q, want %s", name, got, path)
		}
	}
}
