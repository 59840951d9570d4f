package interp

import (
	"strings"
	"testing"

	"loris/interp/report"
)

// A panic shows the failing part of the innermost frame and the cell lines of
// all others.
func TestPanicsShowTheFailingPart(t *testing.T) {
	for _, c := range []struct {
		name, code string
		want       []string
	}{
		{"index", "s := []int{1, 2}\nk := 5\nx := s[0] + s[k]", []string{"cell 1, line 3\n", "  3 │ x := s[0] + s[k]\n    │               ^\n"}},
		{"index assigned to", "s := []int{1, 2}\nk := 5\ns[0], s[k] = 1, 2", []string{"  3 │ s[0], s[k] = 1, 2\n    │         ^\n"}},
		{"string index", "s := \"ab\"; k := 9\ns[k]", []string{"  2 │ s[k]\n    │   ^\n"}},
		{"slice bounds", "s := []int{1}; k := 9\ns[:k]", []string{"  2 │ s[:k]\n    │  ^\n"}},
		{"second line of an expression", "z := 0\nx := 1 +\n\t2/z", []string{"cell 1, line 3\n", "  3 │     2/z\n    │      ^\n"}},
		{"division assigned", "x, z := 1, 0\nx /= z", []string{"  2 │ x /= z\n    │   ^^\n"}},
		{"field of nil", "type T struct{ v int }\nvar p *T\nprintln(1, p.v)", []string{"  3 │ println(1, p.v)\n    │              ^\n"}},
		{"dereference", "var p *int\n1 + *p", []string{"  2 │ 1 + *p\n    │     ^\n"}},
		{"nil map", "m := map[string]map[string]int{}\nm[\"a\"][\"b\"] = 1", []string{"  2 │ m[\"a\"][\"b\"] = 1\n    │ ^\n"}},
		{"assertion", "var a any = 1\nfmt.Sprint(1, a.(string))", []string{"  2 │ fmt.Sprint(1, a.(string))\n    │                 ^\n"}},
		{"nil func", "var f func()\nf()", []string{"  2 │ f()\n    │ ^\n"}},
		{"nil interface", "var e error\nfmt.Sprint(e.Error())", []string{"  2 │ fmt.Sprint(e.Error())\n    │              ^^^^^\n"}},
		{"panic", "if true {\n\tpanic(\"x\")\n}", []string{"  2 │     panic(\"x\")\n    │     ^^^^^\n"}},
		{"compiled function", "s := []string{\n\tstrings.Repeat(\"a\", 1),\n\tstrings.Repeat(\"a\", -1),\n}", []string{"cell 1, line 3\n", "    │             ^^^^^^\n"}},
		{"compiled function in a plain statement", "n := -1\ns := strings.Repeat(\"a\", n)", []string{"  2 │ s := strings.Repeat(\"a\", n)\n    │              ^^^^^^\n"}},
		{"a chain in a plain statement", "n := -1\ns := strings.ToUpper(\n\tstrings.Repeat(\"a\", n))", []string{"cell 1, line 3\n", "    │             ^^^^^^\n"}},
		{"make", "n := -1\ns := make([]int, n)", []string{"  2 │ s := make([]int, n)\n    │      ^^^^\n"}},
		{"frames", "func inner(n int) int {\n\treturn 10 / n\n}\nfunc outer(n int) int {\n\treturn 1 +\n\t\tinner(n)\n}\nx := 1\ny := outer(0)",
			[]string{"cell 1, line 2, in inner\n", "    │               ^\n", "cell 1, line 6, in outer\n", "cell 1, line 9\n"}},
		{"method and callback", "type L []int\nfunc (l L) Len() int { return 3 }\nfunc (l L) Swap(i, j int) {}\nfunc (l L) Less(i, j int) bool {\n\treturn l[i] < l[j]\n}\nsort.Sort(L{1})",
			[]string{"cell 1, line 5, in L.Less\n", "cell 1, line 7\n"}},
		{"recursion", "func fact(n int) int {\n\tif n == 0 {\n\t\tpanic(\"bottom\")\n\t}\n\treturn n * fact(n-1)\n}\nx := fact(30)",
			[]string{"cell 1, line 3, in fact\n", "return n * fact(n-1)\n    │                ^^^^\n  … and 29 more calls from the same place\ncell 1, line 7\n"}},
		{"recursion by two", "func f(n int) int { return g(n-1) }\nfunc g(n int) int {\n\tif n < 0 {\n\t\tpanic(n)\n\t}\n\treturn f(n)\n}\nx := f(1000)",
			[]string{"cell 1, line 4, in g\n", "cell 1, line 1, in f\n", "… 1983 more frames\n", "cell 1, line 8\n"}},
		{"endless recursion", "func f(n int) int { return f(n+1) + 1 }\nx := f(0)",
			[]string{"panic: stack overflow: f recurses without end", "more calls from the same place\ncell 1, line 2\n"}},
		{"deferred", "func f() {\n\tdefer func() {\n\t\tvar m map[int]int\n\t\tm[1]++\n\t}()\n}\nf()", []string{"cell 1, line 4, in f.func\n", "cell 1, line 7\n"}},
		{"goroutine", "done := make(chan bool)\ngo func() {\n\tdefer close(done)\n\tvar p *int\n\t*p = 1\n}()\n<-done\ntime.Sleep(20 * time.Millisecond)",
			[]string{"panic in a goroutine", "cell 1, line 5", "started at cell 1, line 2"}},
		{"tensor op", "a := lt.Ones(2, 3)\nb := lt.Ones(4, 5)\nc := a.Add(a).MatMul(\n\tb)", []string{"    │               ^^^^^^\n"}},
		{"tensor op in a callback", "b := lt.Ones(4, 5)\nlt.Eager(func() {\n\ta := lt.Ones(2, 3)\n\ta.MatMul(b)\n})", []string{"x  f32[2 3]  lt.Ones  cell 1, line 3", "cell 1, line 4", "    │       ^^^^^^\n", "cell 1, line 2"}},
	} {
		s, r := newSession(t)
		_, o := cell(t, s, r, c.code)
		if o.Err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		text := report.Plain(o.Err.Traceback) + "\n"
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", c.name, w, text)
			}
		}
	}
}
