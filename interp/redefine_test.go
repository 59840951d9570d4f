package interp

import (
	"context"
	"strings"
	"testing"
)

// script runs cells and compares what each prints and shows.
func script(t *testing.T, cells ...[2]string) {
	t.Helper()
	s, r := newSession(t)
	for i, c := range cells {
		out, o := cell(t, s, r, c[0])
		got := out
		if o.Value != nil {
			text, _ := o.Value.Data["text/plain"].(string)
			got += text
		}
		if o.Err != nil {
			got += "ERROR " + o.Err.Value
		}
		if got != c[1] && !(strings.HasPrefix(c[1], "~") && strings.Contains(got, c[1][1:])) {
			t.Errorf("cell %d %q: got %q, want %q", i+1, c[0], got, c[1])
		}
	}
}

func TestRedefinedFunctionIsSeenByOldCallers(t *testing.T) {
	script(t,
		[2]string{"func g() int { return 1 }\nfunc f() int { return g() * 10 }\nh := g", ""},
		[2]string{"f(), h()", "10\n1"},
		[2]string{"func g() int { return 2 }", ""},
		[2]string{"f(), h()", "20\n2"},
	)
}

func TestRedefinedVariableOfTheSameTypeIsSeenByFunctions(t *testing.T) {
	script(t,
		[2]string{"x := 1\nfunc f() int { return x }", ""},
		[2]string{"x := 2", ""},
		[2]string{"f()", "2"},
		[2]string{"x := x + 40; f()", "42"},
	)
}

func TestFunctionFollowsAVariableOfAnotherType(t *testing.T) {
	script(t,
		[2]string{"x := 1\nfunc f() string { return fmt.Sprint(x) }\nfunc twice() int { return 2 * x }", ""},
		[2]string{`x := "s"`, "~twice (cell 1) still uses the old definition"},
		[2]string{"f()", "s"},
		[2]string{"twice()", "2"},
	)
}

func TestFunctionWithAnotherSignature(t *testing.T) {
	script(t,
		[2]string{"func g() int { return 1 }\nfunc f() string { return fmt.Sprint(g()) }\nfunc k() int { return g() + 1 }", ""},
		[2]string{`func g() string { return "one" }`, "~k (cell 1) still uses the old definition: "},
		[2]string{"f()", "one"},
		[2]string{"k()", "2"},
	)
}

func TestRedefinedTypeKeepsItsMethodsAndFunctions(t *testing.T) {
	script(t,
		[2]string{"type P struct{ X int }\nfunc (p P) String() string { return fmt.Sprint(\"P\", p.X) }\nfunc show(p P) string { return p.String() }\np := P{1}", ""},
		[2]string{"show(p)", "P1"},
		[2]string{"type P struct{ X, Y int }", "note: p still holds a value of the old type: run the cell that sets it again\n"},
		[2]string{"show(P{3, 4})", "P3"},
		[2]string{"p", "P1"},
		[2]string{"p = P{5, 6}", "~cannot use P{…}"},
		[2]string{"p := P{5, 6}; p, p.Y", "P5\n6"},
	)
}

func TestMethodAddedInALaterCell(t *testing.T) {
	script(t,
		[2]string{"type T struct{ n int }\nvar v any = T{7}", ""},
		[2]string{"fmt.Println(v)", "~{7}\n"},
		[2]string{"func (t T) String() string { return \"T!\" }", ""},
		[2]string{"fmt.Sprint(v, T{1}, &T{2})", "{7} T! T!"},
		[2]string{"func (t T) String() string { return \"again\" }", ""},
		[2]string{"v = T{8}; fmt.Sprint(v)", "again"},
		[2]string{"_, isT := v.(T); isT", "true"},
		[2]string{"func (t T) String(n int) string { return \"\" }", "~another signature"},
	)
}

func TestMethodsOfGenericTypesInLaterCells(t *testing.T) {
	script(t,
		[2]string{"type Stack[T any] struct{ xs []T }\nfunc (s *Stack[T]) Push(x T) { s.xs = append(s.xs, x) }\nvar st Stack[string]\nst.Push(\"a\")\nst", "{[a]}"},
		[2]string{"func (s *Stack[T]) Len() int { return len(s.xs) }\nst.Len()", "1"},
		[2]string{"func (s Stack[T]) String() string { return fmt.Sprint(\"stack\", s.xs) }\nst", "stack[a]"},
		[2]string{"func (s *Stack[T]) Len() int { return 10 + len(s.xs) }", ""},
		[2]string{"st.Len()", "11"},
		[2]string{"var other Stack[int]; other.Push(3); other", "stack[3]"},
		[2]string{"func Twice[T ~int | ~string](x T) T { return x + x }\ntw := Twice[int]\ntw(4)", "8"},
		[2]string{"func Twice[T ~int | ~string](x T) T { return x + x + x }\ntw(4)", "12"},
	)
}

func TestFailedCellLeavesNothingBehind(t *testing.T) {
	script(t,
		[2]string{"x := 1\nfunc f() int { return x }", ""},
		[2]string{"x := \"a\"\nfunc f() string { return x }\ntype T int\nundefined", "~undefined: undefined"},
		[2]string{"f(), x", "1\n1"},
		[2]string{"T(1)", "~undefined: T"},
	)
}

func TestCellScope(t *testing.T) {
	script(t,
		[2]string{"a, err := strconv.Atoi(\"1\")\nb, err := strconv.Atoi(\"x\")\na, b, err != nil", "1\n0\ntrue"},
		[2]string{"var v, ok = map[string]int{\"k\": 3}[\"k\"]; v, ok", "~3"},
		[2]string{"fmt.Println(late); late := 1", "~undefined: late"},
		[2]string{"func() { fmt.Print(\"lit\") }()", "lit"},
		[2]string{"import \"strings\"\nstrings.ToUpper(\"x\")", "X"},
		[2]string{"import str \"strings\"", ""},
		[2]string{"str.Repeat(\"ab\", 2);", ""},
		[2]string{"str.Repeat(\"ab\", 2)", "abab"},
		[2]string{"if true { goto end }\nfmt.Print(\"skipped\")\nend: fmt.Print(\"end\")", "end"},
		[2]string{"1 << 70", "~overflows"},
		[2]string{"'a', 1e3, 1<<62", "97\n1000\n4611686018427387904"},
		[2]string{"return\nfmt.Print(\"no\")", ""},
		[2]string{"type Tree[T any] struct { l, r *Tree[T]; v T }\nfunc (t *Tree[T]) add(v T) *Tree[T] { if t == nil { return &Tree[T]{v: v} }; t.r = t.r.add(v); return t }", ""},
		[2]string{"var tr *Tree[string]; tr = tr.add(\"a\").add(\"b\"); tr.r.v", "b"},
		[2]string{"package main\nfunc main() { println(\"main\") }", "main\n"},
	)
}

func TestMagics(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "x := 2")
	for _, c := range []struct{ code, want string }{
		{"%whos", "int"},
		{"%time x * 21", "wall time"},
		{"%timeit -n 10 -r 2 x * 21", "loop"},
		{"%limit time=50ms", "time=50ms"},
		{"%nosuch", "unknown magic"},
	} {
		out, o := cell(t, s, r, c.code)
		if o.Err != nil {
			out += o.Err.Value
		}
		if !strings.Contains(out, c.want) {
			t.Errorf("%s: %q lacks %q", c.code, out, c.want)
		}
	}
	if _, o := cell(t, s, r, "for {}"); o.Err == nil || o.Err.Name != "LimitExceeded" {
		t.Errorf("the time limit does not hold: %v", o.Err)
	}
	cell(t, s, r, "%limit off mem=200M")
	if _, o := cell(t, s, r, "var hog [][]byte; for { hog = append(hog, make([]byte, 1<<20)) }"); o.Err == nil || o.Err.Name != "LimitExceeded" {
		t.Errorf("the memory limit does not hold: %v", o.Err)
	}
	cell(t, s, r, "%limit off")
	s.Run(context.Background(), Cell{ID: "one", Code: "y := x * 2"})
	s.Run(context.Background(), Cell{ID: "two", Code: "x = 3"})
	if out, _ := cell(t, s, r, "%stale"); !strings.Contains(out, "x changed in") {
		t.Errorf("%%stale says %q", out)
	}
	cell(t, s, r, "%reset -f")
	if _, o := cell(t, s, r, "x"); o.Err == nil {
		t.Error("%reset left x")
	}
}

func TestAssistance(t *testing.T) {
	s, r := newSession(t)
	cell(t, s, r, "// Answer is what was asked.\nfunc Answer(question string) int { return 42 }\ncount := 3")
	if c := s.Complete("Ans", 3); len(c.Items) == 0 || c.Items[0].Text != "Answer" {
		t.Errorf("completion of Ans: %v", c)
	}
	if b, ok := s.Inspect("Answer", 3, 1); !ok || !strings.Contains(b.Data["text/plain"].(string), "Answer is what was asked") {
		t.Errorf("inspection: %v", b.Data)
	}
	if st, _ := s.IsComplete("for {"); st != "incomplete" {
		t.Error(st)
	}
	vars := s.Variables()
	if len(vars) != 1 || vars[0].Name != "count" || vars[0].Type != "int" || vars[0].Summary != "3" {
		t.Errorf("%+v", vars)
	}
	o := s.Run(context.Background(), Cell{Code: "1", UserExpressions: map[string]string{"a": "count + 1", "b": "nope"}})
	if o.UserExpressions["a"].(map[string]any)["status"] != "ok" || o.UserExpressions["b"].(map[string]any)["status"] != "error" {
		t.Error(o.UserExpressions)
	}
}

func TestRedefinedConstantIsSeenByWhatUsesIt(t *testing.T) {
	script(t,
		[2]string{"const N = 3\nconst M = N * 2\ntype Row [N]int\nfunc f() int { return N + M + len(Row{}) }\nf()", "12"},
		[2]string{"const N = 5", ""},
		[2]string{"f()", "20"},
		[2]string{"const N = 5", ""},
		[2]string{"type E int\nconst (\n\tA E = iota\n\tB\n)\nfunc (e E) String() string { return \"E\" + strconv.Itoa(int(e)) }\nfunc pick() E { return B }\npick()", "E1"},
		[2]string{"type E int8\nfunc (e E) Size() uintptr { return reflect.TypeOf(e).Size() }", ""},
		[2]string{"pick().Size(), B", "1\nE1"},
		[2]string{"const B = 1.5", "~pick (cell 5) still uses"},
		[2]string{"var N = 4.5", "~M (cell 1) still uses the old definition"},
	)
}

func TestNameOfAnotherKindIsFollowed(t *testing.T) {
	script(t,
		[2]string{"x := 1\nfunc f() int { return x }\nfunc g() int { return h() }\nfunc h() int { return 1 }", ""},
		[2]string{"const x = 7", ""},
		[2]string{"f()", "7"},
		[2]string{"h := func() int { return 2 }\ng()", "2"},
	)
}
