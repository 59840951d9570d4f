package magic

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// steps writes steps down: Go code in brackets, calls with their parts.
func steps(t *testing.T, cell string) string {
	t.Helper()
	list, err := Parse(cell)
	if err != nil {
		t.Fatalf("Parse(%q): %v", cell, err)
	}
	var out []string
	for _, s := range list {
		if s.Call == nil {
			out = append(out, "["+strings.TrimSpace(s.Code)+"]")
			continue
		}
		c := s.Call
		text := c.Name
		if c.Args != "" {
			text += "(" + c.Args + ")"
		}
		if c.Body != "" {
			text += "{" + strings.TrimSpace(c.Body) + "}"
		}
		if c.Go != "" {
			text += "<" + strings.TrimSpace(c.Go) + ">"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ cell, want string }{
		{"x := 1", "[x := 1]"},
		{"", "[]"},
		{"%who", "%who"},
		{"  %who  int []string ", "%who(int []string)"},
		{"x := 1\n%time f(x)\ny := 2", "[x := 1] %time(f(x))<f(x)> [y := 2]"},
		{"%limit mem=4G\nx := 1\n!ls -l 'it''s'\ny", "%limit(mem=4G) [x := 1] !(ls -l 'it''s') [y]"},
		{"!echo \"unbalanced ` and ' and (\nx := `\n%who\n`\nx", "!(echo \"unbalanced ` and ' and () [x := `\n%who\n`\nx]"},
		{"/*\n%who\n*/", "[/*\n%who\n*/]"},
		{"// %who\n%who", "[// %who] %who"},
		{"x := a %\n  b", "[x := a %\n  b]"},
		{"ok := a &&\n  !b", "[ok := a &&\n  !b]"},
		{"if x {\n!y\n}", "[if x {\n!y\n}]"},
		{"f(\n  !b,\n)", "[f(\n  !b,\n)]"},
		{"!ok", "!(ok)"},
		{"(!ok)", "[(!ok)]"},
		{"fmt.Println?", "?(fmt.Println)"},
		{"fmt.Println??", "??(fmt.Println)"},
		{"?x", "?(x)"},
		{"x := 1\nx?\ny", "[x := 1] ?(x) [y]"},
		{"%time?", "?(%time)"},
		{"%%bash?", "?(%%bash)"},
		{"%timeit -n 100 -r 3 f(x)", "%timeit(-n 100 -r 3 f(x))<f(x)>"},
		{"%timeit f(x)", "%timeit(f(x))<f(x)>"},
		{"%%bash\necho $HOME\n%who", "%%bash{echo $HOME\n%who}"},
		{"\n\n %%time\nx := 1\nx", "%%time{x := 1\nx}<x := 1\nx>"},
		{"%%script python3 -u\nprint(1)", "%%script(python3 -u){print(1)}"},
		{"%%html", "%%html"},
		{"x := '%'\n%pwd\r\ny := 1\r\n", "[x := '%'] %pwd [y := 1]"},
		{"x %= 3", "[x %= 3]"},
		{"var 世界 = 1\n世界?", "[var 世界 = 1] ?(世界)"},
	} {
		if got := steps(t, c.cell); got != c.want {
			t.Errorf("Parse(%q)\n got %s\nwant %s", c.cell, got, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		cell      string
		line, col int
		want      string
	}{
		{"%tiem f()", 1, 1, "did you mean %time?"},
		{"x\n  %load_ext y", 2, 3, "there are no extensions"},
		{"%bash", 1, 1, "there is %%bash, which must be the first line"},
		{"%%who", 1, 1, "there is %who"},
		{"x\n%%bash\nls", 2, 1, "first line of the cell"},
		{"%%nothing at all", 1, 1, "%help lists all magics"},
		{"%% bash", 1, 1, "without a space"},
		{"% who", 1, 1, "without a space"},
		{"!", 1, 1, "needs a command"},
		{"func f() {\n\t%time g()\n}", 2, 2, "top level"},
	} {
		_, err := Parse(c.cell)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Line != c.line || e.Col != c.col {
			t.Errorf("Parse(%q): %+v, want %d:%d %q", c.cell, err, c.line, c.col, c.want)
		}
	}
}

// Positions of code stay those of the cell.
func TestLayout(t *testing.T) {
	cell := "a := 1\n  %timeit -n 3 f(a)\nb := 2\n!ls\nc"
	list, err := Parse(cell)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		code := s.Code
		if s.Call != nil {
			code = s.Call.Go
		}
		for i := range len(code) {
			if code[i] != ' ' && code[i] != cell[i] {
				t.Fatalf("byte %d of %q is not that of the cell", i, code)
			}
		}
	}
	if got, want := Code(cell), "a := 1\n               f(a)\nb := 2\n   \nc"; got != want {
		t.Errorf("Code = %q, want %q", got, want)
	}
}

// No line of real Go is taken for a magic.
func TestGoIsNotMagic(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("the go command is not here")
	}
	for _, dir := range []string{"fmt", "strings", "go/types", "math/big", "crypto/md5", "text/template"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Skip("the source of Go is not here")
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			list, err := Parse(string(text))
			if err != nil || len(list) != 1 || list[0].Code != string(text) {
				t.Errorf("%s: %v, %d steps", f, err, len(list))
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"%time f(x)", "x\n!ls\ny?", "%%bash\nls", "x := `\n%who\n`", "f(\n%who\n)", "?x", "!", "%", "x % y\n% z", "/* %who"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		code := Code(cell)
		if len(code) != len(cell) || strings.Count(code, "\n") != strings.Count(cell, "\n") {
			t.Errorf("Code(%q) = %q has another layout", cell, code)
		}
		list, err := Parse(cell)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > 1+strings.Count(cell, "\n") || e.Col < 1 {
				t.Errorf("Parse(%q): bad error %+v", cell, err)
			}
			return
		}
		// What Go accepts is Go, shell lines apart.
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {\n"+cell+"\n}", 0); err == nil && !strings.Contains(cell, "!") {
			for _, s := range list {
				if s.Call != nil {
					t.Errorf("%q is Go but has the magic %s", cell, s.Call.Name)
				}
			}
		}
	})
}
