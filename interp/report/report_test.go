package report

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loris/interp/symbols"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with testdata/name, which shows plain text, ANSI and HTML.
func golden(t *testing.T, name string, r Report) {
	t.Helper()
	got := "ename: " + r.Name + "\nevalue: " + r.Value + "\n\n" + Plain(r.Traceback) +
		"\n\n" + strings.ReplaceAll(strings.Join(r.Traceback, "\n"), "\x1b", "␛") + "\n\n" + r.HTML + "\n"
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}

func sourceOf(cells map[string]string) Source {
	return func(name string) (string, bool) {
		s, ok := cells[name]
		return s, ok
	}
}

// diagnose checks a cell as a file and returns its diagnostics with hints.
func diagnose(src string) []Diagnostic {
	fset := token.NewFileSet()
	const name = "cell 3"
	f, err := parser.ParseFile(fset, name, src, parser.AllErrors)
	if err != nil {
		return FromError(fset, err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Scopes: map[ast.Node]*types.Scope{}}
	var errs []types.Error
	conf := types.Config{Importer: symbols.Importer(), Error: func(err error) { errs = append(errs, err.(types.Error)) }}
	pkg, _ := conf.Check("main", fset, []*ast.File{f}, info)
	return Hinted(errs, Scope{Package: pkg, Files: []*ast.File{f}, Info: info})
}

func TestCompile(t *testing.T) {
	for name, src := range map[string]string{
		"undefined": `package main

import "fmt"

func main() {
	total := 1
	fmt.Println(totl + 1)
	fmt.Printn("x")
	retrun
	Sprintf("x")
	var b strings.Builder
}
`,
		"members": `package main

import "bytes"

type Layer struct {
	Weight []float64
	bias   float64
}

func (l *Layer) Forward(x float64) float64 { return x }

func main() {
	l := &Layer{Wieght: nil}
	l.Forwrd(1)
	l.bais = 2
	var b bytes.Buffer
	b.WriteSting("x")
	b.buff = nil
}
`,
		"types": `package main

func f(a int, b string) (int, error) { return "x", nil }

func main() {
	var n int = "text" + "more"
	f(1)
	x := 1 + "s"
	f := func() int { }
	f := 2
	for i := range 3 { i := i }
}
`,
		"syntax": `package main

func main() {
	x := [3]int{1, 2
	if x {
}
`,
		"wide": "package main\n\nvar 世界 = \"こんにちは\" + undefinedName\nvar\tx\t=\tundefinedToo // <b>&amp;</b>\nvar long = []string{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", missingHere, \"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\", \"dddddddddddddddddddddddddddd\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, Compile(sourceOf(map[string]string{"cell 3": src}), diagnose(src)))
		})
	}
}

func TestManyErrors(t *testing.T) {
	src := "package main\n\nvar _ = []any{"
	for i := range 50 {
		src += fmt.Sprintf("missing%d, ", i)
	}
	src += "}\n"
	r := Compile(sourceOf(map[string]string{"cell 3": src}), diagnose(src))
	plain := Plain(r.Traceback)
	if !strings.Contains(plain, "missing19") || strings.Contains(plain, "undefined: missing20") || !strings.Contains(plain, "30 more errors") {
		t.Errorf("got:\n%s", plain)
	}
	if r.Value != "undefined: missing0 (and 49 more errors)" {
		t.Errorf("value %q", r.Value)
	}
}

type fault struct {
	code int
	why  string
}

type level int

type rich struct{}

func (rich) Error() string { return "MatMul: inner dimensions differ: [8 32] @ [64 32]" }
func (rich) Detail() string {
	return rich{}.Error() + "\n  cell 7, line 2\n  x  f32[8 32]   lt.Zeros  cell 7, line 2\n  w  f32[64 32]  lt.Zeros  cell 7, line 1\n  hint: did you mean x.MatMul(w.T())?"
}

type broken struct{}

func (*broken) Error() string { panic("no text") }

func TestRender(t *testing.T) {
	cells := sourceOf(map[string]string{
		"cell 2": "func f(s []int) int {\n\treturn s[5]\n}\n\ntype T struct{}\n\nfunc (T) M(s []int) int { return f(s) }",
		"cell 7": "w := lt.Zeros(64, 32)\nq := lt.Zeros(8, 32).MatMul(w)",
		"cell 9": "go func() {\n\tpanic(\"<boom>\")\n}()",
	})
	at := func(cell string, line, col int) token.Position {
		return token.Position{Filename: cell, Line: line, Column: col}
	}
	matmul := Frame{Pos: at("cell 7", 2, 22), End: at("cell 7", 2, 28)}
	for name, p := range map[string]Panic{
		"panic_frames": {Value: errors.New("index out of range"), Frames: []Frame{
			{Func: "f", Pos: at("cell 2", 2, 9), End: at("cell 2", 2, 13)},
			{Func: "T.M", Pos: at("cell 2", 7, 34)},
			{Pos: at("cell 3", 1, 1)}, // the text of cell 3 is not known
		}},
		"panic_goroutine": {Value: "<boom>", Frames: []Frame{{Func: "func1", Pos: at("cell 9", 2, 2)}}, Started: at("cell 9", 1, 1)},
		"panic_recursion": {Value: "deep", More: 1234, Frames: []Frame{
			{Func: "f", Pos: at("cell 2", 2, 9), End: at("cell 2", 2, 13), Repeated: 5678},
			{Func: "T.M", Pos: at("cell 2", 7, 34), Repeated: 1},
		}},
		"panic_struct": {Value: fault{3, "disk <full>"}},
		"panic_level":  {Value: level(3)},
		"panic_int":    {Value: 42},
		"panic_error":  {Value: &fs.PathError{Op: "open", Path: "/no/such", Err: errors.New("no such file\nor directory")}},
		"panic_broken": {Value: &broken{}},
		"panic_rich":   {Value: rich{}, Frames: []Frame{matmul}},
		"panic_detail": {Value: rich{}, Frames: []Frame{matmul}, Detail: &Detail{
			Title: "MatMul: inner dimensions differ: [8 32] @ [64 32]", Pos: matmul.Pos, End: matmul.End,
			Notes: []Note{{at("cell 7", 2, 6), "x  f32[8 32]   lt.Zeros"}, {at("cell 7", 1, 6), "w  f32[64 32]  lt.Zeros"}},
			Hint:  "did you mean x.MatMul(w.T())?",
		}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, Render(cells, p)) })
	}
}

func TestDeepStack(t *testing.T) {
	p := Panic{Value: "deep"}
	for i := range 1000 {
		p.Frames = append(p.Frames, Frame{Func: fmt.Sprint("f", i), Pos: token.Position{Filename: "cell 1", Line: i + 1}})
	}
	plain := Plain(Render(nil, p).Traceback)
	for _, want := range []string{"in f0\n", "in f9\n", "… 980 more frames\n", "in f990\n", "in f999"} {
		if !strings.Contains(plain+"\n", want) {
			t.Errorf("missing %q in:\n%s", want, plain)
		}
	}
	if strings.Contains(plain, "in f10\n") {
		t.Error("too many frames")
	}
}

func TestFromError(t *testing.T) {
	fset := token.NewFileSet()
	pos := token.Position{Filename: "cell 1", Line: 1, Column: 2}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{scanner.ErrorList{{Pos: pos, Msg: "a"}, {Pos: pos, Msg: "b"}}, 1},
		{errors.Join(scanner.ErrorList{{Pos: pos, Msg: "a"}}, errors.New("y")), 2},
		{&scanner.Error{Pos: pos, Msg: "a"}, 1},
	} {
		if got := FromError(fset, c.err); len(got) != c.want {
			t.Errorf("FromError(%v) = %v", c.err, got)
		}
	}
}

// Bad positions must not panic.
func FuzzExcerpt(f *testing.F) {
	f.Add("a\tb\n世界 x", 1, 2, 1, 3)
	f.Add("", 1, 100, 2, 0)
	f.Add(strings.Repeat("日本", 100), 1, 33, 1, 400)
	f.Fuzz(func(t *testing.T, src string, line, col, endLine, endCol int) {
		pos := token.Position{Filename: "c", Line: line, Column: col}
		end := token.Position{Filename: "c", Line: endLine, Column: endCol}
		r := Compile(func(string) (string, bool) { return src, true }, []Diagnostic{{Pos: pos, End: end, Msg: "m"}})
		for _, l := range r.Traceback {
			if strings.Contains(l, "\n") {
				t.Errorf("a line of the traceback holds a line break: %q", l)
			}
		}
	})
}

// Whatever the source, its diagnostics can be made and shown.
func FuzzDiagnose(f *testing.F) {
	f.Add("package main\nfunc main() { x.y(Z{a: 1}) }")
	f.Add("package main\nvar _ = fmt.Printn + strings.\n")
	f.Add("package main\ntype T struct{ T }\nvar t T\nvar _ = t.tt.x")
	f.Fuzz(func(t *testing.T, src string) {
		ds := diagnose(src)
		r := Compile(sourceOf(map[string]string{"cell 3": src}), ds)
		if len(ds) > 0 && (r.Value == "" || len(r.Traceback) == 0) {
			t.Errorf("nothing is said about %q", src)
		}
	})
}

// Front ends show tracebacks on pink or on dark red; a colour would vanish on
// one of them.
func TestTracebacksHaveNoColours(t *testing.T) {
	for i, s := range styles {
		switch s.ansi {
		case "", "\x1b[1m", "\x1b[2m", "\x1b[3m":
		default:
			t.Errorf("style %d writes %q", i, s.ansi)
		}
	}
}
