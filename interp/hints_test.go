package interp

import (
	"strings"
	"testing"

	"loris/interp/report"
)

// Compile errors say every mistake of a cell, at its line, with the place
// marked and what an unknown name may have been meant to be.
func TestCompileErrorsOfCells(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "total := 1\ntype Point struct{ Xpos, Ypos int }\nfunc (p Point) Length() int { return p.Xpos }\nvar pt Point")
	for _, c := range []struct {
		name, code string
		want       []string
	}{
		{"variable of an earlier cell", "x := 1\ny := x + totl", []string{"line 2: undefined: totl", "2 │ y := x + totl", "│          ^^^^", "hint: did you mean total?"}},
		{"function of the same cell", "func average(a ...int) int { return len(a) }\navrage(1, 2)", []string{"undefined: avrage", "did you mean average?"}},
		{"local variable", "func f() int {\n\tcounter := 1\n\treturn conter\n}", []string{"line 3: undefined: conter", "did you mean counter?"}},
		{"package member", `fmt.Printn("x")`, []string{"undefined: fmt.Printn", "did you mean fmt.Print, fmt.Printf or fmt.Println?"}},
		{"name without its package", `Println("x")`, []string{"undefined: Println", "fmt.Println"}},
		{"field", "pt.Xpoz", []string{"pt.Xpoz undefined", "did you mean Xpos?"}},
		{"method", "pt.Lenght()", []string{"pt.Lenght undefined", "did you mean Length?"}},
		{"field of a literal", "Point{Xpoz: 1}", []string{"unknown field Xpoz", "did you mean Xpos?"}},
		{"method of a tensor", "lt.Ones(2).Matmul(lt.Ones(2))", []string{"MatMul"}},
		{"keyword", "func g() int { retrun 1 }", []string{"line 1: "}},
		{"all at once", "a := nope1\nb := \"s\" + 1\nfunc h() int { return \"x\" }\nc := nope2", []string{"line 1: undefined: nope1", "line 2: ", "line 3: cannot use \"x\"", "line 4: undefined: nope2", "and 3 more errors"}},
		{"type of the library", "var n int = lt.Ones(2)", []string{"cannot use lt.Ones(2) (value of type *lt.Tensor) as int value"}},
		{"embedded files", "//go:embed x.txt\nvar data string", []string{"line 1: //go:embed cannot be used in a cell", "os.ReadFile"}},
		{"cgo", `import "C"`, []string{"cgo cannot be used in a cell"}},
		{"another module", `import "github.com/a/b"`, []string{"only the standard library", "pasted into a cell"}},
		{"value of an earlier type", "type Point struct{ X int }\nvar q Point = pt", []string{"cannot use pt", "that an earlier cell declared"}},
		{"syntax", "x := 1\nfor i := 0; i < 3; i++ {\n\tfmt.Println(i\n}\n", []string{"line 3: syntax error"}},
		{"operand missing at the end", "x := 1\ny := 5 +\n\n", []string{"line 2: syntax error: expected operand, found the end of the cell", "  2 │ y := 5 +\n    │         ^"}},
		{"brace missing", "for {\n\tx := f(", []string{"line 2: syntax error", "found the end of the cell"}},
		{"two braces missing", "func f() {\n\tif true {\n", []string{"line 2: syntax error: ", "found the end of the cell"}},
		{"brace too many", "x := 1\n}", []string{"line 2: syntax error: there is a } too many", "  2 │ }\n    │ ^"}},
	} {
		_, o := cell(t, s, r, c.code)
		if o.Err == nil || !o.Err.Refused {
			t.Errorf("%s: no compile error: %v", c.name, o.Err)
			continue
		}
		text := o.Err.Value + "\n" + report.Plain(o.Err.Traceback)
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", c.name, w, text)
			}
		}
	}
}

// What parse puts around a cell is not spoken of.
func TestSyntaxErrorsAreOfTheCell(t *testing.T) {
	s, r := newSession(t)
	_, o := cell(t, s, r, `fmt.Println("unclosed`)
	if o.Err == nil || strings.Contains(o.Err.Value, "more error") || strings.Contains(report.Plain(o.Err.Traceback), "line 2") {
		t.Errorf("%v", o.Err)
	}
}

func TestDotImportLasts(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, `import . "strings"`)
	if _, o := cell(t, s, r, `ToUpper("x")`); o.Err != nil || o.Value.Data["text/plain"] != "X" {
		t.Error(o.Err)
	}
	cell(t, s, r, `func Fields() int { return 1 }`)
	if _, o := cell(t, s, r, `Fields()`); o.Err != nil || o.Value.Data["text/plain"] != "1" {
		t.Error(o.Err)
	}
}

func TestWhosSaysWhatTensorsAre(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "w := lt.Ones(3, 4)\ntype P struct{ X int; Name string; L []int }\np := P{1, \"n\", nil}\nvar zero lt.Tensor\nz := &zero")
	out, _ := cell(t, s, r, "%whos")
	for _, want := range []string{"*lt.Tensor", "f32[3 4]", `{X: 1, Name: "n", L: …}`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
