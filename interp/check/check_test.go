package check

import (
	"go/token"
	"go/types"
	"strings"
	"testing"

	"loris/interp/symbols"
)

func newTestSession() *Session {
	return New(token.NewFileSet(), symbols.Importer(), func(name string, members []string) (string, bool) {
		return symbols.Resolve(name, members...)
	})
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"fmt.Println(late); late := 1", "cell:1:13: undefined: late"},
		{"x := 1\nx := 2", "cell:2:3: no new variables on left side of :="},
		{"x := nope\ny := 1 + \"a\"", "cell:1:6: undefined: nope\ncell:2:6: "},
		{"func f( {", "cell:1:9: "},
		{"}", "there is a } too many"},
		{"f := func() { f() }", "cell:1:15: undefined: f"},
		{"type T struct{}\nT{}.m()", "cell:2:5: T{}.m undefined"},
		{"for {", "expected '}'"},
	} {
		_, err := newTestSession().Check("cell", []byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.src, err, c.want)
		}
	}
}

// The offsets into go/types by which names are taken out of scopes are right.
func TestScopeAccess(t *testing.T) {
	s := newTestSession()
	if _, err := s.Check("cell", []byte("type T int\nfunc (T) M() {}\nx := 1")); err != nil {
		t.Fatal(err)
	}
	scope := s.Pkg.Scope()
	if elems(scope)["x"] == nil || scope.Lookup("x") == nil {
		t.Fatal("the map of a scope is elsewhere")
	}
	n := scope.Lookup("T").Type().(*types.Named)
	if m := *methods(n); len(m) != 1 || m[0].Name() != "M" {
		t.Fatal("the methods of a type are elsewhere")
	}
	delete(elems(scope), "x")
	if scope.Lookup("x") != nil {
		t.Fatal("a deleted name is still found")
	}
}

func TestMethodOfInstantiatedType(t *testing.T) {
	s := newTestSession()
	for _, src := range []string{
		"type G[T any] struct{ v T }\nfunc (g G[T]) A() T { return g.v }\nvar g G[int]\ng.A()",
		"func (g *G[T]) B(x T) { g.v = x }\ng.B(3); g.A()",
		"func (g G[T]) A() T { return g.v }\ng.A()",
		"var h G[string]; h.B(h.A())",
	} {
		if _, err := s.Check("cell", []byte(src)); err != nil {
			t.Fatalf("%s: %v", src, err)
		}
	}
	if _, err := s.Check("cell", []byte("func (g G[T]) C() {}\ng.C(1)")); err == nil {
		t.Fatal("no error")
	}
	if _, err := s.Check("cell", []byte("g.C()")); err == nil {
		t.Fatal("a failed cell left a method")
	}
	if _, err := s.Check("cell", []byte("g.A(); g.B(1)")); err != nil {
		t.Fatal(err)
	}
}

func FuzzSplit(f *testing.F) {
	for _, src := range []string{
		"x := 1\nfunc f() {}\nf()", "func() {}()", "for i := 0; i < 3; i++ {}", "if x := 1; x > 0 {} else if y := 2; y > 0 {}",
		"switch x := 1; {\ncase x > 0:\n}", "a, b", "type T struct {", ")))", "`", "func (a) b(", "import \"fmt\"; fmt.Println()", "L: for ; ; {}",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		chunks, _ := split([]byte(src))
		last := 0
		for _, c := range chunks {
			if c.start < last || c.end < c.start || c.end > len(src) {
				t.Fatalf("chunk %v of %q overlaps another or is outside", c, src)
			}
			last = c.end
		}
		newTestSession().Check("cell", []byte(src)) // must not panic
	})
}
