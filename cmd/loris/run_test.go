package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loris/internal/notebook"
)

// write puts a notebook of code cells into a folder. A cell may begin with a tag
// and "|".
func write(t *testing.T, dir, name string, sources ...string) string {
	t.Helper()
	nb := &notebook.Notebook{Minor: 5, Metadata: map[string]any{}}
	for _, s := range sources {
		c := &notebook.Cell{ID: "cell" + string(rune('a'+len(nb.Cells))), Type: notebook.Code, Source: s, Metadata: map[string]any{}}
		if tag, rest, ok := strings.Cut(s, "|"); ok {
			c.Source, c.Metadata = rest, map[string]any{"tags": []any{tag}}
		}
		nb.Cells = append(nb.Cells, c)
	}
	path := filepath.Join(dir, name)
	if err := nb.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) *notebook.Notebook {
	t.Helper()
	nb, err := notebook.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return nb
}

func TestRunWritesNotebookAndPage(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ipynb", "x := lt.Arange(4).Add(1)", `fmt.Println("sum", x.Sum().Item())`, "lt.Graph(x)")
	r := loris(t, dir, "run", "a.ipynb", "-o", "out.ipynb", "--html", "out.html", "--print")
	if r.code != 0 || !strings.Contains(r.stdout, "sum 10\n") || !strings.Contains(r.stdout, "a.ipynb: all cells ran") {
		t.Fatalf("%+v", r)
	}
	out := read(t, filepath.Join(dir, "out.ipynb"))
	if out.Cells[1].Outputs[0].Text != "sum 10\n" || out.Cells[2].ExecutionCount != 3 || out.Cells[2].Outputs[0].Data["text/html"] == nil || out.Language() != "go" {
		t.Errorf("outputs %+v", out.Cells[2])
	}
	page, err := os.ReadFile(filepath.Join(dir, "out.html"))
	if err != nil || !strings.Contains(string(page), "sum 10") || !strings.Contains(string(page), "<svg") {
		t.Errorf("page of %d bytes, %v", len(page), err)
	}
	if read(t, filepath.Join(dir, "a.ipynb")).Cells[1].Outputs != nil {
		t.Error("the notebook itself was changed")
	}
}

func TestNotebooksThatCannotBeRun(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		content string
		wants   []string
	}{
		"damaged.ipynb":  {"{\n \"cells\": [\n  {,\n", []string{"damaged.ipynb:3:4", "damaged JSON"}},
		"cut.ipynb":      {`{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_ty`, []string{"cut.ipynb:1:", "damaged JSON"}},
		"empty.ipynb":    {"", []string{"empty.ipynb:1:1", "empty"}},
		"text.ipynb":     {"# A title\n", []string{"text.ipynb:1:1", "damaged JSON"}},
		"binary.ipynb":   {"\x89PNG\r\n\x1a\n\x00\xff", []string{"binary.ipynb:1:1", "not UTF-8"}},
		"list.ipynb":     {"[]", []string{"not a notebook"}},
		"package.ipynb":  {`{"name": "x", "version": 1}`, []string{"package.ipynb", "not a notebook", "nbformat"}},
		"old.ipynb":      {`{"nbformat": 3, "worksheets": []}`, []string{"old.ipynb:1:2", "format 3", "nbconvert"}},
		"newer.ipynb":    {`{"nbformat": 5}`, []string{"format 5 is newer"}},
		"cell.ipynb":     {`{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"cell_type":"code","source":7}]}`, []string{"cell.ipynb", "cells[0].source"}},
		"language.ipynb": {`{"nbformat":4,"nbformat_minor":5,"metadata":{"language_info":{"name":"python"}},"cells":[]}`, []string{"python notebook", "loris runs Go"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
			loris(t, dir, "run", name).wants(t, c.wants...)
		})
	}
	loris(t, dir, "run", "missing.ipynb").wants(t, "missing.ipynb", "there is no notebook")
	loris(t, dir, "run", ".").wants(t, "is a folder")
}

// Every kind of mistake is an error of its cell, and the next cell runs.
func TestCellsThatFail(t *testing.T) {
	dir := t.TempDir()
	cases := []struct{ what, code, want string }{
		{"syntax error", "x := (1 +\n", "expected operand"},
		{"type error", `var n int = "text"`, "cannot use"},
		{"two type errors", "a := undefinedOne\nb := undefinedTwo", "undefinedTwo"},
		{"panic", "m := map[string]int(nil)\nm[\"k\"] = 1", "assignment to entry in nil map"},
		{"panic of our own", `panic("boom")`, "boom"},
		{"goroutine panic", "done := make(chan int)\ngo func() { defer close(done); panic(\"far away\") }()\n<-done\ntime.Sleep(50 * time.Millisecond)", "far away"},
		{"infinite recursion", "func deep(n int) int { return deep(n+1) + 1 }\ndeep(0)", "stack overflow"},
		{"shape mismatch", "lt.Zeros(2, 3).MatMul(lt.Zeros(4, 5))", "[2 3]"},
		{"end of the process", "os.Exit(3)", "3"},
		{"input without a user", "var s string\nfmt.Scanln(&s)\nif s == \"\" { panic(\"no input\") }", "input"},
		{"division by zero", "zero := 0\n1 / zero", "divide by zero"},
		{"index", "s := []int{1}\ni := 5\ns[i]", "index out of range"},
		{"nil", "var p *struct{ X int }\np.X", "nil pointer"},
	}
	var sources []string
	for _, c := range cases {
		sources = append(sources, c.code, `fmt.Println("alive")`)
	}
	write(t, dir, "bad.ipynb", sources...)
	if r := loris(t, dir, "run", "--allow-errors", "bad.ipynb", "-o", "out.ipynb"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	out := read(t, filepath.Join(dir, "out.ipynb"))
	for i, c := range cases {
		var failure *notebook.Output
		for _, o := range out.Cells[2*i].Outputs {
			if o.Type == notebook.Error {
				failure = o
			}
		}
		if failure == nil || len(failure.Traceback) == 0 || !strings.Contains(failure.EName+" "+failure.EValue+strings.Join(failure.Traceback, "\n"), c.want) {
			t.Errorf("%s: want %q, got %+v", c.what, c.want, failure)
		}
		if next := out.Cells[2*i+1].Outputs; len(next) != 1 || next[0].Text != "alive\n" {
			t.Errorf("%s: the next cell gave %+v", c.what, next)
		}
	}
}

func TestRunEndsAtACellThatFails(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ipynb", "1", `panic("boom")`, `fmt.Println("after")`)
	r := loris(t, dir, "run", "a.ipynb", "--print", "-o", "out.ipynb")
	r.wants(t, "a.ipynb: cell 2 (id cellb)", "boom")
	if strings.Contains(r.stdout, "after") || read(t, filepath.Join(dir, "out.ipynb")).Cells[1].Outputs[0].Type != notebook.Error {
		t.Errorf("%+v: what ran must be written, and nothing run after it", r)
	}
	if r := loris(t, dir, "run", "--allow-errors", "--print", "a.ipynb"); r.code != 0 || !strings.Contains(r.stdout, "after") {
		t.Errorf("--allow-errors: %+v", r)
	}
	write(t, dir, "tagged.ipynb", `raises-exception|panic("boom")`, `fmt.Println("after")`)
	if r := loris(t, dir, "run", "--print", "tagged.ipynb"); r.code != 0 || !strings.Contains(r.stdout, "after") {
		t.Errorf("a cell that may fail: %+v", r)
	}
	write(t, dir, "good.ipynb", "1")
	r = loris(t, dir, "run", "a.ipynb", "missing.ipynb", "good.ipynb")
	r.wants(t, "2 of 3 notebooks failed")
	for _, want := range []string{"a.ipynb: cell 2", "there is no notebook missing.ipynb", "good.ipynb: all cells ran"} {
		if strings.Count(r.stdout, want) != 1 {
			t.Errorf("each notebook must be run and told of: %+v", r)
		}
	}
}

func TestTimeoutInterruptsTheCell(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "long.ipynb", "for {\n}")
	loris(t, dir, "run", "--timeout", "500ms", "long.ipynb").wants(t, "cell 1", "limit 500ms")
}

func TestRunWithALongTemporaryFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ipynb", "1")
	long := filepath.Join(dir, strings.Repeat("long", 30)) // longer than the path of a socket may be
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := lorisWith(t, dir, []string{"TMPDIR=" + long}, "run", "a.ipynb"); r.code != 0 {
		t.Errorf("%+v", r)
	}
}

func TestOutputFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ipynb", "1")
	loris(t, dir, "run", "a.ipynb", "-o", "nowhere/out.ipynb").wants(t, "nowhere/out.ipynb")
	loris(t, dir, "run", "a.ipynb", "--html", "nowhere/out.html").wants(t, "nowhere/out.html")
}

// A stored value that the code does not give must fail the check, by name.
func TestCheckFindsAPlantedValue(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.ipynb", "lt.Arange(3)", `fmt.Println("loss", 0.25)`, `loris:measured|fmt.Println(time.Now().UnixNano())`)
	if r := loris(t, dir, "run", "a.ipynb", "-o", "a.ipynb"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := loris(t, dir, "run", "--check", "a.ipynb"); r.code != 0 || !strings.Contains(r.stdout, "a.ipynb: ") {
		t.Fatalf("an honest notebook: %+v", r)
	}
	good, err := os.ReadFile(filepath.Join(dir, "a.ipynb"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		plant func(nb *notebook.Notebook)
		wants []string
	}{
		"text":   {func(nb *notebook.Notebook) { nb.Cells[1].Outputs[0].Text = "loss 0.26\n" }, []string{"cellb", "0.26", "0.25"}},
		"values": {func(nb *notebook.Notebook) { plant(t, nb.Cells[0].Outputs[0]) }, []string{"cella", "values", "77"}},
		"gone":   {func(nb *notebook.Notebook) { nb.Cells[1].Outputs = nil }, []string{"cellb", "loss 0.25"}},
	} {
		t.Run(name, func(t *testing.T) {
			nb, err := notebook.Parse(good)
			if err != nil {
				t.Fatal(err)
			}
			c.plant(nb)
			if err := nb.WriteFile(filepath.Join(dir, "planted.ipynb")); err != nil {
				t.Fatal(err)
			}
			r := loris(t, dir, "run", "--check", "planted.ipynb")
			r.wants(t, "planted.ipynb", "differ")
			for _, want := range c.wants {
				if !strings.Contains(r.stdout, want) {
					t.Errorf("the table lacks %q:\n%s", want, r.stdout)
				}
			}
		})
	}
}

// plant changes one number of an output's values.
func plant(t *testing.T, o *notebook.Output) {
	t.Helper()
	found := false
	var change func(v any) any
	change = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = change(v[k])
			}
		case []any:
			for i := range v {
				v[i] = change(v[i])
			}
		case json.Number:
			if !found && v == "2" {
				found = true
				return json.Number("77")
			}
		}
		return v
	}
	result := o.Data["application/vnd.loris+json"].(map[string]any)
	result["values"] = change(result["values"])
	if !found {
		t.Fatalf("no 2 among the values %v", result["values"])
	}
}

func TestKernelOnAPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		content string
		wants   []string
	}{
		"taken.json": {`{"transport":"tcp","ip":"127.0.0.1","key":"k","shell_port":` + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:") +
			`,"iopub_port":0,"stdin_port":0,"control_port":0,"hb_port":0}`, []string{"shell_port", "already in use"}},
		"damaged.json": {`{"shell_port":`, []string{"damaged.json", "JSON"}},
		"list.json":    {`[]`, []string{"list.json", "not a JSON object"}},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		loris(t, dir, "kernel", "-f", name).wants(t, c.wants...)
	}
}
