package plain

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"reflect"
	"strings"
	"testing"

	"loris/interp/symbols"
)

// bench of names: variables of the session and the functions they may call.
type testNames struct {
	vars  map[string]reflect.Value
	funcs map[string]any
}

func (n testNames) Variable(v *types.Var) reflect.Value { return n.vars[v.Name()] }

func (n testNames) Running(int) {}

func (n testNames) Method(*types.Func) bool { return true }

func (n testNames) Function(f *types.Func) (reflect.Value, bool) {
	fn, ok := n.funcs[f.FullName()]
	return reflect.ValueOf(fn), ok
}

const declarations = `package main

import ("bytes"; "strings"; "errors")

type named int

var (
	n, m int
	u    uint8
	x    float64
	s    string
	ok   bool
	v    any
	k    named
	buf  *bytes.Buffer
	err  error
)

var _ = bytes.NewBufferString
var _ = strings.ToUpper
var _ = errors.New

func f() {
	%
}
`

func check(t *testing.T, body string) (*types.Package, *types.Info, []ast.Stmt) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "t.go", strings.Replace(declarations, "%", body, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
		Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	conf := types.Config{Importer: symbols.Importer()}
	pkg, err := conf.Check("main", fset, []*ast.File{file}, info)
	if err != nil {
		t.Fatal(err)
	}
	last := file.Decls[len(file.Decls)-1].(*ast.FuncDecl)
	return pkg, info, last.Body.List
}

func TestPlainStatementsRunAsCompiled(t *testing.T) {
	const body = `
	n = 40 + 2
	m = n * 3
	n += m
	n++
	x = 1.5
	x = -x * 4
	s = "a" + strings.ToUpper("b" + "c")
	s += strings.Repeat(s, 2)
	ok = n > m
	ok = !ok
	v = strings.Count("cheese", "e")
	buf = bytes.NewBufferString("plain")
	_, err = buf.WriteString(" statements")
	buf.Truncate(9)
	err = errors.New("told")`
	pkg, info, list := check(t, body)

	var (
		n, m int
		x    float64
		s    string
		ok   bool
		v    any
		buf  *bytes.Buffer
		err  error
	)
	names := testNames{
		vars: map[string]reflect.Value{
			"n": reflect.ValueOf(&n), "m": reflect.ValueOf(&m), "x": reflect.ValueOf(&x), "s": reflect.ValueOf(&s),
			"ok": reflect.ValueOf(&ok), "v": reflect.ValueOf(&v), "buf": reflect.ValueOf(&buf), "err": reflect.ValueOf(&err),
		},
		funcs: map[string]any{
			"strings.ToUpper": strings.ToUpper, "strings.Repeat": strings.Repeat, "strings.Count": strings.Count,
			"bytes.NewBufferString": bytes.NewBufferString, "errors.New": errors.New,
		},
	}
	in := New()
	b := in.NewBatch(pkg, info, names)
	left := 0
	for _, stmt := range list {
		if _, ok := b.Statement(stmt); !ok {
			left++
		}
	}
	// Only the assignment of an int to an interface variable is not plain.
	if left != 1 {
		t.Errorf("%d statements were not taken, want 1", left)
	}
	run, cerr := b.Compile()
	if cerr != nil {
		t.Fatal(cerr)
	}
	for _, f := range run {
		f()
	}
	if n != 169 || m != 126 || x != -6 || s != "aBCaBCaBC" || ok || buf.String() != "plain sta" || err.Error() != "told" {
		t.Errorf("n=%d m=%d x=%v s=%q ok=%v buf=%q err=%v", n, m, x, s, ok, buf, err)
	}
	if in.Executed() != int64(len(run)) {
		t.Errorf("%d statements counted, %d run", in.Executed(), len(run))
	}
}

func TestWhatIsNotPlainIsLeftAlone(t *testing.T) {
	for _, body := range []string{
		`n = n / m`,
		`n = n << 2`,
		`u = u + 200`,
		`k = k + 1`,
		`n, m = m, n`,
		`v = n`,
		`for range 3 { n++ }`,
		`func() { n++ }()`,
		`s = s[1:]`,
		`n = len(s)`,
		`n = int(x)`,
		`err = nil`,
		`_ = func() {}`,
		`go strings.ToUpper(s)`,
		`x = 1e308 * x`,
	} {
		pkg, info, list := check(t, body)
		b := New().NewBatch(pkg, info, testNames{})
		for _, stmt := range list {
			if src, ok := func() (src string, ok bool) {
				defer func() { _ = recover() }() // no names: whoever asks for one has taken the statement too far
				return b.stmt(stmt)
			}(); ok {
				t.Errorf("%s was taken as %s", body, src)
			}
		}
	}
}

func TestPanicsKeepTheirValue(t *testing.T) {
	pkg, info, list := check(t, `s = strings.Repeat("x", -1)`)
	var s string
	b := New().NewBatch(pkg, info, testNames{
		vars:  map[string]reflect.Value{"s": reflect.ValueOf(&s)},
		funcs: map[string]any{"strings.Repeat": strings.Repeat},
	})
	b.Statement(list[0])
	run, err := b.Compile()
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	func() { defer func() { want = recover() }(); _ = strings.Repeat("x", -1) }()
	func() { defer func() { got = recover() }(); run[0]() }()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("panic %#v, want %#v", got, want)
	}
}

func BenchmarkCompile(b *testing.B) {
	in := New()
	var n int
	for b.Loop() {
		batch := in.NewBatch(nil, nil, nil)
		batch.add("*" + batch.symbol("v", reflect.ValueOf(&n)) + " = int(5)")
		if _, err := batch.Compile(); err != nil {
			b.Fatal(err)
		}
	}
}
