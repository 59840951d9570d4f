package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// testCase is a program with the output it must have.
type testCase struct {
	suite, name, path string
	want              string
}

func smallPrograms(dir string) ([]testCase, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no programs in %s", dir)
	}
	var cases []testCase
	for _, f := range files {
		want, err := os.ReadFile(strings.TrimSuffix(f, ".go") + ".out")
		if err != nil {
			return nil, err
		}
		cases = append(cases, testCase{"programs", strings.TrimSuffix(filepath.Base(f), ".go"), f, string(want)})
	}
	return cases, nil
}

// goTests selects, from the test folder of the installed Go, every program of
// one file that is marked exactly "// run", has no build constraint and imports
// nothing of the machine below the language; see forbidden and excluded.
func goTests() ([]testCase, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("finding GOROOT: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "test")
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the installed Go has no test folder (a fetched toolchain lacks it): %w", err)
	}
	var cases []testCase
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if !selected(string(src)) || excluded[name] != "" {
			return nil
		}
		want, err := os.ReadFile(strings.TrimSuffix(path, ".go") + ".out")
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		cases = append(cases, testCase{"go", filepath.ToSlash(name), path, string(want)})
		return nil
	})
	sort.Slice(cases, func(i, j int) bool { return cases[i].name < cases[j].name })
	return cases, err
}

// forbidden are the imports that put a test out of scope.
var forbidden = map[string]bool{
	"unsafe": true, "runtime": true, "testing": true, "os/exec": true, "syscall": true, "plugin": true, "C": true,
}

func selected(src string) bool {
	first, _, _ := strings.Cut(src, "\n")
	if strings.TrimRight(first, " \t\r") != "// run" {
		return false
	}
	for line := range strings.Lines(src) {
		if strings.HasPrefix(line, "package ") {
			break
		}
		if strings.HasPrefix(line, "//go:build") || strings.HasPrefix(line, "// +build") {
			return false
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", src, parser.ImportsOnly)
	if err != nil {
		return false
	}
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if forbidden[path] || strings.HasPrefix(path, "runtime/") {
			return false
		}
	}
	return true
}

// excluded names tests that pass the rule but cannot mean anything here, with
// the reason. At most 40.
var excluded = map[string]string{
	"fixedbugs/issue15071.dir/main.go": "one file of a test of several packages",
	"fixedbugs/issue29612.dir/main.go": "one file of a test of several packages",
	"fixedbugs/issue31959.dir/main.go": "one file of a test of several packages",
}
