package assist

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"loris/display"
	"loris/interp/symbols"
)

// session is a view after some cells.
func session(t testing.TB, src string) View {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "cell 1", "package main\n"+src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	conf := types.Config{Importer: symbols.Importer()}
	pkg, err := conf.Check("main", fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := View{Package: pkg, Imports: map[string]string{}}
	for _, name := range pkg.Scope().Names() {
		v.Objects = append(v.Objects, pkg.Scope().Lookup(name))
	}
	v.Value = func(name string) (string, bool) { return "<" + name + ">", true }
	v.Definition = func(obj types.Object) (Definition, bool) {
		if obj.Pkg() != pkg {
			return Definition{}, false
		}
		return Definition{Cell: "cell 1", Line: fset.Position(obj.Pos()).Line - 1, Source: "source of " + obj.Name(), Doc: "doc of " + obj.Name()}, true
	}
	return v
}

const earlier = `
import "strings"

type Point struct {
	X, Y   float64
	label  string
}

func (p Point) Norm() float64   { return p.X }
func (p *Point) Move(dx float64) { p.X += dx }

type Shape interface {
	Area() float64
	Name() string
}

type Circle struct {
	Point
	Radius float64
}

func (c Circle) Area() float64 { return c.Radius }

type Stack[T any] struct{ items []T }

func (s *Stack[T]) Push(x T) {}
func (s *Stack[T]) Pop() (x T) { return }

var origin Point
var builder strings.Builder
var circles []Circle
var byName map[string]*Circle
var 世界 = "world"

const answer = 42

func distance(a, b Point) float64 { return 0 }
`

// cut takes the cursor out of a text.
func cut(t testing.TB, marked string) (code string, cursor int) {
	t.Helper()
	before, after, ok := strings.Cut(marked, "‸")
	if !ok {
		t.Fatalf("no cursor in %q", marked)
	}
	return before + after, utf8.RuneCountInString(before)
}

func texts(c Completion) (list []string) {
	for _, i := range c.Items {
		list = append(list, i.Text)
	}
	return list
}

func TestComplete(t *testing.T) {
	v := session(t, earlier)
	v.Imports["b64"] = "encoding/base64"
	for _, c := range []struct {
		code string
		want string // all matches
	}{
		// members
		{"origin.‸", "Move Norm X Y label"},
		{"origin.‸\nx := 1\nfmt.Println(x)", "Move Norm X Y label"},
		{"origin.M‸", "Move"},
		{"origin.m‸", "Move"},
		{"(&origin).N‸orm()", "Norm"},
		{"circles[0].‸", "Area Move Norm Point Radius X Y label"},
		{"circles[0].Point.‸", "Move Norm X Y label"},
		{"byName[\"a\"].R‸", "Radius"},
		{"for _, c := range circles {\n\tc.‸\n}", "Area Move Norm Point Radius X Y label"},
		{"for _, c := range circles { c.R‸", "Radius"},
		{"for name, c := range byName {\n\tif c.Radius > 1 {\n\t\tname.‸", ""},
		{"var s Shape\ns.‸", "Area Name"},
		{"Circle.‸", "Area Move Norm"},
		{"(*Point).M‸", "Move"},
		{"func f(s Shape) {\n\ts.‸\n}", "Area Name"},
		{"func f[T Shape](x T) {\n\tx.‸\n}", "Area Name"},
		{"func (c *Circle) Grow() {\n\tc.Ra‸\n}", "Radius"},
		{"func (s *Stack[T]) Peek() {\n\ts.it‸\n}", "items"},
		{"type Own struct{ A int }\nfunc (o Own) M() { o.‸ }", "A M"},
		{"st := &Stack[int]{}\nst.‸", "Pop Push items"},
		{"st := &Stack[Circle]{}\nst.Pop().‸", "Area Move Norm Point Radius X Y label"},
		{"distance(origin, origin.‸", "Move Norm X Y label"},
		{"x := []Point{origin}\nfmt.Println(len(x), x[0].‸)", "Move Norm X Y label"},
		{"switch s := any(origin).(type) {\ncase Circle:\n\ts.Ra‸\n}", "Radius"},
		{"a, b := origin, circles\nb[0].Ra‸", "Radius"},
		{"nothing.‸", ""},
		{"origin.nothing.‸", ""},
		{"3.‸", ""},
		{"builder.Wr‸", "Write WriteByte WriteRune WriteString"},
		{"strings.NewReader(\"x\").ReadR‸", "ReadRune"},
		{"http.Get(\"x\").‸", ""},
		{"resp, err := http.Get(\"x\")\nresp.St‸", "Status StatusCode"},
		{"p := origin\np.‸\n)))}", "Move Norm X Y label"},

		// packages
		{"strings.ToU‸", "ToUpper ToUpperSpecial"},
		{"strings.HasP‸refix(\"a\", \"b\")", "HasPrefix"},
		{"b64.Std‸", "StdEncoding StdPadding"},
		{"import js \"encoding/json\"\njs.MarshalI‸", "MarshalIndent"},
		{"rand.IntN‸", "IntN"},
		{"filep‸", "filepath"},
		{"import \"enc‸\"", "encoding encoding/ascii85 encoding/asn1 encoding/base32 encoding/base64 encoding/binary encoding/csv encoding/gob encoding/hex encoding/json encoding/pem encoding/xml"},
		{"import (\n\t\"fmt\"\n\t\"math/r‸", "math/rand math/rand/v2"},
		{"x := \"math/r‸\"", ""},

		// names
		{"orig‸", "origin"},
		{"dist‸ance(", "distance"},
		{"x := 1\ny := answ‸", "answer"},
		{"longName := 1\nlongN‸", "longName"},
		{"longNa‸\nlongName := 1", "longName"},
		{"func f(longParam int) {\n\tlongLocal := 1\n\tlong‸\n\tlongLater := 2\n}", "longLocal longParam"},
		{"func f() { for longIndex := range 3 { fmt.Println(longI‸", "longIndex"},
		{"if longV := 3; longV‸ > 2 {", "longV"},
		{"func helperOne() {}\nhelper‸", "helperOne"},
		{"type helperType struct{}\nvar h helperT‸", "helperType"},
		{"世‸", "世界"},
		{"conti‸", "continue"},
		{"appen‸", "append"},
		{"fals‸", "false"},
		{"zzz‸", ""},
		{"Origi‸", "origin"},
		{"loop:\nfor {\n\tbreak lo‸\n}", "loop"},

		// struct literals
		{"Circle{‸}", "Area? Point Radius"},
		{"Circle{Radius: 1, ‸}", "Point"},
		{"Circle{Radius: 1, P‸", "Point"},
		{"&Circle{Rad‸: 2}", "Radius"},
		{"[]Point{{‸", "X Y label"},
		{"map[string]Point{\"a\": {X: 1, ‸}}", "Y label"},
		{"http.Client{Tim‸}", "Timeout"},
		{"c := Circle{\n\tRadius: dist‸\n}", "distance"},

		// where there is nothing to complete
		{"// orig‸", ""},
		{"/* orig‸ */", ""},
		{"s := \"orig‸", ""},
		{"s := `orig‸", ""},
		{"s := 'o‸'", ""},
		{"s := \"x\" + orig‸", "origin"},
		{"var orig‸", ""},
		{"func orig‸", ""},
		{"123‸", ""},

		// magics
		{"%ti‸", "%time %timeit"},
		{"%%ba‸", "%%bash"},
		{"x := 1\n%who‸", "%who %whos"},
		{"x := 1\n%%‸", ""},
		{"%time orig‸", "origin"},
		{"%timeit -n 10 origin.‸", "Move Norm X Y label"},
		{"%%time\norigin.‸", "Move Norm X Y label"},
		{"%%bash\norig‸", ""},
		{"!ls\norigin.‸", "Move Norm X Y label"},
		{"%reset orig‸", "origin"},
		{"%help %%ba‸", "%%bash"},
	} {
		code, cursor := cut(t, c.code)
		got := Complete(v, code, cursor)
		want := strings.Fields(c.want)
		if i := slices.Index(want, "Area?"); i >= 0 { // an empty first key may also be a value: fields are among the names
			for _, w := range append(want[:i:i], want[i+1:]...) {
				if !slices.Contains(texts(got), w) {
					t.Errorf("%q lacks %s: %q", c.code, w, texts(got))
				}
			}
			continue
		}
		if strings.HasPrefix(c.code, "[]Point{{") {
			for _, w := range want {
				if !slices.Contains(texts(got), w) {
					t.Errorf("%q lacks %s: %q", c.code, w, texts(got))
				}
			}
			continue
		}
		if !slices.Equal(texts(got), want) && len(texts(got))+len(want) > 0 {
			t.Errorf("%q:\n got %q\nwant %q", c.code, texts(got), want)
		}
		if !slices.IsSortedFunc(got.Items, func(a, b Item) int { return strings.Compare(a.Text, b.Text) }) {
			t.Errorf("%q: not sorted: %q", c.code, texts(got))
		}
		if runes := []rune(code); got.Start < 0 || got.Start > got.End || got.End != cursor || got.End > len(runes) {
			t.Errorf("%q: replaces %d to %d", c.code, got.Start, got.End)
		}
	}
}

func TestCompletionTypes(t *testing.T) {
	v := session(t, earlier)
	for _, c := range []struct{ code, text, kind, signature string }{
		{"origin.‸", "Move", "method", "func(dx float64)"},
		{"origin.‸", "X", "field", "float64"},
		{"dist‸", "distance", "function", "func(a Point, b Point) float64"},
		{"orig‸", "origin", "variable", "Point"},
		{"answ‸", "answer", "constant", "untyped int = 42"},
		{"Circ‸", "Circle", "struct", "struct"},
		{"Shap‸", "Shape", "interface", "interface"},
		{"strin‸", "strings", "module", "strings"},
		{"strin‸", "string", "class", "type"},
		{"ret‸", "return", "keyword", ""},
		{"len‸", "len", "function", "func(v T) int"},
		{"%tim‸", "%time", "magic", "CODE"},
		{"time.Dur‸", "Duration", "class", "int64"},
		{"time.Seco‸", "Second", "constant", "time.Duration = 1000000000"},
		{"os.Stdo‸", "Stdout", "variable", "*os.File"},
		{"lt.Zero‸", "Zeros", "function", "func(shape ...int) *lt.Tensor"},
		{"math.P‸", "Pi", "constant", "untyped float = 3.14159"},
	} {
		code, cursor := cut(t, c.code)
		items := Complete(v, code, cursor).Items
		i := slices.IndexFunc(items, func(i Item) bool { return i.Text == c.text })
		if i < 0 || items[i] != (Item{c.text, c.kind, c.signature}) {
			t.Errorf("%q: %+v, want %s %s %s", c.code, items, c.text, c.kind, c.signature)
		}
	}
}

func TestCursor(t *testing.T) {
	v := session(t, earlier)
	// code points before the cursor: 3; the emoji takes two UTF-16 units
	c := Complete(v, "/*😀*/ orig", 10)
	if c.Start != 6 || c.End != 10 || len(c.Items) != 1 {
		t.Errorf("code points: %+v", c)
	}
	c = Complete(v, "/*😀*/ orig", 11) // beyond the code points: UTF-16
	if c.Start != 6 || c.End != 10 || len(c.Items) != 1 {
		t.Errorf("UTF-16: %+v", c)
	}
	for _, cursor := range []int{-5, 0, 1000} {
		Complete(v, "orig", cursor)
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alpha.go", "alps.txt", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "alpine"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for code, want := range map[string][]string{
		"%run al‸":                 {"alpha.go", "alpine/", "alps.txt"},
		"!cat ./alph‸":             {"alpha.go"},
		"%cd " + dir + "/alpi‸":    {"alpine/"},
		"%%writefile .h‸":          {".hidden"},
		"!cat ‸":                   {"alpha.go", "alpine/", "alps.txt"},
		"%load no/such/directory‸": nil,
	} {
		code, cursor := cut(t, code)
		if got := texts(Complete(View{}, code, cursor)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

func TestInspect(t *testing.T) {
	v := session(t, earlier)
	for _, c := range []struct {
		code  string
		level int
		want  []string // parts of text/plain
		not   string
	}{
		{code: "fmt.Prin‸tln(1)", want: []string{"func fmt.Println(a ...any) (n int, err error)", "Println formats using the default formats"}},
		{code: "fmt.Println(‸", want: []string{"func fmt.Println("}},
		{code: "fmt.Println(1, strings.ToUpper(\"x\"), ‸", want: []string{"func fmt.Println("}},
		{code: "fm‸t.Println", want: []string{"package fmt // import \"fmt\"", "implements formatted I/O", "functions"}},
		{code: "http.Client‸", want: []string{"type Client struct {", "Timeout", "Transport", "RoundTripper", "func (*http.Client) Get(url string)", "A Client is an HTTP client"}},
		{code: "http.Client{}.Time‸out", want: []string{"field Timeout time.Duration", "Timeout specifies a time limit"}},
		{code: "io.Rea‸der", want: []string{"type Reader interface {", "Read(p []byte) (n int, err error)"}},
		{code: "math.P‸i", want: []string{"const math.Pi = 3.14159"}},
		{code: "time.Sec‸ond", want: []string{"const time.Second time.Duration = 1000000000"}},
		{code: "origi‸n", want: []string{"var origin Point", "value: <origin>", "type Point struct {", "    X     float64", "label string", "defined in cell 1, line 29", "doc of origin", "func (Point) Norm() float64"}, not: "source of"},
		{code: "origi‸n", level: 1, want: []string{"source of origin"}},
		{code: "origin.Mo‸ve(1)", want: []string{"func (*Point) Move(dx float64)", "doc of Move"}},
		{code: "distance‸", level: 1, want: []string{"func distance(a Point, b Point) float64", "source of distance"}},
		{code: "Stac‸k", want: []string{"type Stack[T any] struct {", "items []T", "func (*Stack[T]) Push(x T)"}},
		{code: "builder.WriteS‸tring", want: []string{"func (*strings.Builder) WriteString(s string) (int, error)", "WriteString appends the contents of s"}},
		{code: "appe‸nd", want: []string{"func append(slice []T, elems ...T) []T", "The append built-in function"}},
		{code: "erro‸r", want: []string{"type error interface {", "conventional interface"}},
		{code: "in‸t", want: []string{"type int", "signed integer type"}},
		{code: "slices.SortF‸unc", want: []string{"func slices.SortFunc[S ~[]E, E any](x S, cmp func(a E, b E) int)"}},
		{code: "ran‸ge", want: []string{"keyword"}},
		{code: "%tim‸eit f()", want: []string{"%timeit [-n LOOPS]", "time Go code over many runs"}},
		{code: "x := 1\nx‸", want: []string{"var x int"}, not: "value:"},
		{code: "func f(n int) { n‸ }", want: []string{"var n int"}},
		{code: "if origin.X‸ > ", want: []string{"field X float64"}},
	} {
		code, cursor := cut(t, c.code)
		b, ok := Inspect(v, code, cursor, c.level)
		text, _ := b.Data[display.MIMEText].(string)
		for _, w := range c.want {
			if !ok || !strings.Contains(text, w) {
				t.Errorf("%q: no %q in\n%s", c.code, w, text)
			}
		}
		if c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%q: %q in\n%s", c.code, c.not, text)
		}
		if html, _ := b.Data[display.MIMEHTML].(string); ok && !strings.Contains(html, "loris-inspect") {
			t.Errorf("%q: no HTML", c.code)
		}
	}
	for _, code := range []string{"", "‸", "nothing‸", "// fmt.Println‸", "\"fmt.Println‸\"", "3‸", "(‸)"} {
		code, cursor := cut(t, strings.TrimSuffix(code, "‸")+"‸")
		if b, ok := Inspect(v, code, cursor, 0); ok {
			t.Errorf("%q: found %v", code, b.Data[display.MIMEText])
		}
	}
	if _, ok := InspectName(v, "strings.Builder", 0); !ok {
		t.Error("InspectName found nothing")
	}
}

func TestHTMLIsEscaped(t *testing.T) {
	v := session(t, "var x = 1")
	v.Value = func(string) (string, bool) { return "<script>alert(1)</script>", true }
	b, _ := Inspect(v, "x", 1, 0)
	if s := b.Data[display.MIMEHTML].(string); strings.Contains(s, "<script>") {
		t.Errorf("not escaped: %s", s)
	}
}

func TestIsComplete(t *testing.T) {
	for _, c := range []struct{ code, status, indent string }{
		{"", "complete", ""},
		{"x := 1", "complete", ""},
		{"x := 1\ny := x\n", "complete", ""},
		{"func f() {", "incomplete", "\t"},
		{"func f() {\n\tif x {", "incomplete", "\t\t"},
		{"func f() {\n}", "complete", ""},
		{"fmt.Println(", "incomplete", "\t"},
		{"x := []int{\n\t1,", "incomplete", "\t"},
		{"x :=", "incomplete", ""},
		{"x +", "incomplete", ""},
		{"fmt.", "incomplete", ""},
		{"if x", "incomplete", ""},
		{"for i := 0; i < 3; i++", "incomplete", ""},
		{"switch x {\ncase 1:", "incomplete", "\t"},
		{"type T struct", "incomplete", ""},
		{"s := `raw", "incomplete", ""},
		{"s := `raw`", "complete", ""},
		{"/* open", "incomplete", ""},
		{"// done", "complete", ""},
		{"import (", "incomplete", "\t"},
		{"import \"fmt\"", "complete", ""},
		{")", "invalid", ""},
		{"f(]", "invalid", ""},
		{"x = = 1", "invalid", ""},
		{"s := \"unterminated", "invalid", ""},
		{"func f() int { return 1 }\nf()", "complete", ""},
		{"package main\nfunc main() {}", "complete", ""},
		{"%time f()", "complete", ""},
		{"%nothing", "complete", ""},
		{"!ls (", "complete", ""},
		{"%%bash\nls", "incomplete", ""},
		{"%%bash\nls\n", "complete", ""},
		{"%%time\nfor {", "incomplete", "\t"},
		{"%%time\nx := 1", "complete", ""},
		{"x?", "complete", ""},
		{"for {\n}\nelse", "incomplete", ""},
		{"L:", "complete", ""},
	} {
		status, indent := IsComplete(c.code)
		if status != c.status || indent != c.indent {
			t.Errorf("IsComplete(%q) = %s %q, want %s %q", c.code, status, indent, c.status, c.indent)
		}
	}
}

// Assistance must not change the session.
func TestViewIsUntouched(t *testing.T) {
	v := session(t, earlier)
	before := v.Package.Scope().Names()
	parents := map[types.Object]*types.Scope{}
	for _, o := range v.Objects {
		parents[o] = o.Parent()
	}
	for _, code := range []string{"type Point struct{ Z int }\norigin.", "func (p Point) New() {}\nPoint{}.", "origin := 3\norig"} {
		Complete(v, code, len([]rune(code)))
		Inspect(v, code, len([]rune(code)), 1)
	}
	if !slices.Equal(before, v.Package.Scope().Names()) {
		t.Error("the scope of the session changed")
	}
	for o, p := range parents {
		if o.Parent() != p {
			t.Errorf("%s has another parent", o.Name())
		}
	}
	code := "origin."
	if got := texts(Complete(v, code, len(code))); strings.Join(got, " ") != "Move Norm X Y label" {
		t.Errorf("members are now %q", got)
	}
}

func FuzzAssist(f *testing.F) {
	v := session(f, earlier)
	for _, s := range []string{"origin.", "func f(", "x := []int{1,", "type T struct{", "if x := 1; x", "import \"", "%time x", "for i := range", "switch x := any(1).(type) {", "var 世 = \"", "a[", "func (", "type T[", "L: goto L", "select{case <-"} {
		f.Add(s, len(s))
	}
	f.Fuzz(func(t *testing.T, code string, cursor int) {
		c := Complete(v, code, cursor)
		if n := utf8.RuneCountInString(code); c.Start < 0 || c.Start > c.End || c.End > n {
			t.Errorf("%q at %d: replaces %d to %d of %d", code, cursor, c.Start, c.End, n)
		}
		Inspect(v, code, cursor, 1)
		IsComplete(code)
	})
}

func BenchmarkComplete(b *testing.B) {
	v := session(b, earlier)
	for name, code := range map[string]string{
		"member":  "origin.‸",
		"name":    "x := 1\ny := strings.ToUpper(\"a\")\nori‸",
		"package": "http.Cli‸",
	} {
		b.Run(name, func(b *testing.B) {
			code, cursor := cut(b, code)
			for b.Loop() {
				Complete(v, code, cursor)
			}
		})
	}
	b.Run("100 lines", func(b *testing.B) {
		code, cursor := cut(b, strings.Repeat("func() { for i := range 10 { fmt.Println(i, origin.X, strings.Repeat(\"x\", i)) } }()\n", 100)+"origin.‸")
		for b.Loop() {
			Complete(v, code, cursor)
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	v := session(b, earlier)
	code, cursor := cut(b, "http.Client‸{}")
	for b.Loop() {
		Inspect(v, code, cursor, 0)
	}
}
