package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// loaded is one package, type-checked from source without function bodies.
type loaded struct {
	pkg   *types.Package
	fset  *token.FileSet
	files []*ast.File
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string
	Error      *struct{ Err string }
}

// load type-checks the packages that match patterns, and all that they
// import, as they are on platform p. The result is in dependency order.
func load(p platform, patterns []string) ([]*loaded, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Error"}, patterns...)...)
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s: %w", p, err)
	}
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	var all []*loaded
	fset := token.NewFileSet()
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var l listed
		if err := dec.Decode(&l); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if l.Error != nil {
			return nil, fmt.Errorf("%s: %s", l.ImportPath, l.Error.Err)
		}
		if l.ImportPath == "unsafe" {
			continue
		}
		one, err := check(fset, p, l, done)
		if err != nil {
			return nil, err
		}
		done[l.ImportPath] = one.pkg
		all = append(all, one)
	}
}

type importMap struct {
	names map[string]string
	done  map[string]*types.Package
}

func (m importMap) Import(path string) (*types.Package, error) {
	if to, ok := m.names[path]; ok {
		path = to
	}
	if pkg := m.done[path]; pkg != nil {
		return pkg, nil
	}
	return nil, fmt.Errorf("package %s is not loaded", path)
}

func check(fset *token.FileSet, p platform, l listed, done map[string]*types.Package) (*loaded, error) {
	one := &loaded{fset: fset}
	for _, name := range l.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		one.files = append(one.files, f)
	}
	conf := types.Config{
		Importer:         importMap{l.ImportMap, done},
		IgnoreFuncBodies: true,
		Sizes:            types.SizesFor("gc", p.arch),
		FakeImportC:      true,
	}
	pkg, err := conf.Check(l.ImportPath, fset, one.files, nil)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", l.ImportPath, p, err)
	}
	one.pkg = pkg
	return one, nil
}
