package symbols

import (
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/traefik/yaegi/interp"
)

func TestEveryPackageImports(t *testing.T) {
	for _, path := range Paths() {
		pkg, err := Importer().Import(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !pkg.Complete() || pkg.Path() != path {
			t.Errorf("%s: complete %v, path %q", path, pkg.Complete(), pkg.Path())
		}
		if name, _ := Name(path); name != pkg.Name() {
			t.Errorf("%s: table says package %s, export data %s", path, name, pkg.Name())
		}
	}
	if len(Paths()) < 170 {
		t.Errorf("only %d packages", len(Paths()))
	}
}

// Every exported name is in the table, or is generic and answered by Instance,
// or is a constraint.
func TestTablesAreComplete(t *testing.T) {
	constraints := map[string]bool{"cmp.Ordered": true}
	for _, path := range Paths() {
		pkg, err := Importer().Import(path)
		if err != nil {
			t.Fatal(err)
		}
		have, err := Package(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, name := range pkg.Scope().Names() {
			obj := pkg.Scope().Lookup(name)
			if !obj.Exported() {
				continue
			}
			full := path + "." + name
			_, ok := have[name]
			switch {
			case isGeneric(obj):
				if ok {
					t.Errorf("%s is generic but in the table", full)
				}
			case constraints[full]:
			case !ok:
				t.Errorf("%s is missing", full)
			}
		}
		for name := range have {
			if pkg.Scope().Lookup(name) == nil {
				t.Errorf("%s.%s is in the table only", path, name)
			}
		}
	}
}

func isGeneric(obj types.Object) bool {
	switch t := obj.Type().(type) {
	case *types.Signature:
		return t.TypeParams().Len() > 0
	case *types.Named:
		return t.TypeParams().Len() > 0
	case *types.Alias:
		return t.TypeParams().Len() > 0
	}
	return false
}

// The run-time type of a symbol is the one that the type checker believes.
func TestTypesAgree(t *testing.T) {
	for _, path := range Paths() {
		pkg, _ := Importer().Import(path)
		have, _ := Package(path)
		for _, name := range slices.Sorted(maps.Keys(have)) {
			obj := pkg.Scope().Lookup(name)
			got, want := have[name].Type().String(), types.TypeString(obj.Type(), (*types.Package).Name)
			switch obj := obj.(type) {
			case *types.Func:
				if n := obj.Signature().Params().Len(); have[name].Type().NumIn() != n {
					t.Errorf("%s.%s takes %d arguments, type says %d", path, name, have[name].Type().NumIn(), n)
				}
			case *types.TypeName:
				if _, named := obj.Type().(*types.Named); named && got != "*"+want {
					t.Errorf("%s.%s is %s, want *%s", path, name, got, want)
				}
			case *types.Const:
				if strings.HasPrefix(want, "untyped") {
					if _, ok := have[name].Interface().(constant.Value); !ok {
						t.Errorf("%s.%s is %s, want a constant.Value", path, name, got)
					}
				} else if n, ok := obj.Type().(*types.Named); ok && n.Obj().Exported() && got != want {
					t.Errorf("%s.%s is %s, want %s", path, name, got, want)
				}
			case *types.Var:
				if !have[name].CanAddr() {
					t.Errorf("%s.%s is not addressable", path, name)
				}
			}
		}
	}
}

func TestSymbolsRunUnderYaegi(t *testing.T) {
	i := interp.New(interp.Options{})
	for _, path := range []string{"strings", "math", "time", "os", "errors", "encoding/json", "math/rand/v2", "sync/atomic", "net/netip"} {
		m, err := Package(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := Name(path)
		if err := i.Use(interp.Exports{path + "/" + name: m}); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Eval("import " + `"` + path + `"`); err != nil {
			t.Fatal(err)
		}
	}
	for src, want := range map[string]any{
		`strings.ToUpper("loris")`:                       "LORIS",
		`math.Sqrt(2) * math.Sqrt(2) > 1.99`:             true,
		`time.Duration(1500) * time.Millisecond`:         "1.5s",
		`math.MaxInt64`:                                  int(1<<63 - 1),
		`errors.Unwrap(errors.New("x")) == nil`:          true,
		`netip.MustParseAddr("10.0.0.1").Is4()`:          true,
		`strings.NewReplacer("a", "b").Replace("aXa")`:   "bXb",
		`len(strings.Fields(" a b  c ")) + len(os.Args)`: 3 + len(osArgs()),
	} {
		v, err := i.Eval(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got := v.Interface()
		if s, ok := got.(interface{ String() string }); ok {
			got = s.String()
		}
		if got != want {
			t.Errorf("%s = %v (%T), want %v", src, got, got, want)
		}
	}
}

func osArgs() []string {
	m, _ := Package("os")
	return m["Args"].Interface().([]string)
}

func TestConstantsAreExact(t *testing.T) {
	m, err := Package("math")
	if err != nil {
		t.Fatal(err)
	}
	pi := m["Pi"].Interface().(constant.Value)
	want := constant.MakeFromLiteral("3.14159265358979323846264338327950288419716939937510582097494459", token.FLOAT, 0)
	diff := constant.BinaryOp(pi, token.SUB, want)
	if f, _ := constant.Float64Val(diff); f > 1e-60 || f < -1e-60 {
		t.Errorf("math.Pi is off by %g", f)
	}
	if got := m["MaxUint64"].Interface().(constant.Value).ExactString(); got != "18446744073709551615" {
		t.Errorf("math.MaxUint64 = %s", got)
	}
}

func TestUnexportedTypes(t *testing.T) {
	for _, c := range []struct{ path, name, want string }{
		{"strings", "Builder", "strings.Builder"},
		{"encoding/binary", "littleEndian", "binary.littleEndian"},
		{"io", "discard", "io.discard"},
		{"internal/poll", "DeadlineExceededError", "poll.DeadlineExceededError"},
	} {
		rt, ok := Type(c.path, c.name)
		if !ok || rt.String() != c.want {
			t.Errorf("Type(%q, %q) = %v, %v", c.path, c.name, rt, ok)
		}
	}
	if _, ok := Type("strings", "Nothing"); ok {
		t.Error("found a type that is not there")
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []string
		want    string
	}{
		{"fmt", nil, "fmt"},
		{"rand", nil, "math/rand/v2"},
		{"rand", []string{"IntN"}, "math/rand/v2"},
		{"rand", []string{"Intn", "Float64"}, "math/rand"},
		{"rand", []string{"Prime"}, "crypto/rand"},
		{"rand", []string{"NoSuch"}, "math/rand/v2"},
		{"template", []string{"Must"}, "text/template"},
		{"template", []string{"JS"}, "html/template"},
		{"json", nil, "encoding/json"},
		{"nothing", nil, ""},
	} {
		if got, _ := Resolve(c.name, c.members...); got != c.want {
			t.Errorf("Resolve(%q, %q) = %q, want %q", c.name, c.members, got, c.want)
		}
	}
}

// Which package an unimported name means must not depend on the order of maps.
func TestSharedNamesAreSettled(t *testing.T) {
	for name, candidates := range byName() {
		if len(candidates) < 2 {
			continue
		}
		for _, path := range candidates {
			if !slices.Contains(preferred[name], path) {
				t.Errorf("name %s is shared by %q, but %s has no row in preferred", name, candidates, path)
			}
		}
	}
}

func TestUnknownImports(t *testing.T) {
	for path, want := range map[string]string{
		"plugin":         "cgo",
		"encoding/jsn":   `did you mean "encoding/json"`,
		"json":           `did you mean "encoding/json"`,
		"github.com/a/b": "only the standard library",
	} {
		_, err := Importer().Import(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("import %q: %v, want mention of %q", path, err, want)
		}
	}
}

func TestDoc(t *testing.T) {
	for _, c := range []struct{ path, name, want string }{
		{"fmt", "", "Package fmt implements formatted I/O"},
		{"fmt", "Println", "Println formats using the default formats"},
		{"strings", "Builder.WriteString", "WriteString appends the contents of s"},
		{"net/http", "Client.Timeout", "Timeout specifies a time limit"},
		{"slices", "Sort", "Sort sorts a slice of any ordered type"},
		{"math", "Pi", ""},
		{"builtin", "append", "The append built-in function"},
		{"builtin", "error", "The error built-in interface"},
		{"builtin", "nil", "nil is a predeclared identifier"},
		{"nothing", "X", ""},
	} {
		if got := Doc(c.path, c.name); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" && c.name != "Pi" {
			t.Errorf("Doc(%q, %q) = %.60q, want prefix %q", c.path, c.name, got, c.want)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	for _, path := range []string{"fmt", "net/http"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				i := &importer{known: map[string]*types.Package{"unsafe": types.Unsafe}}
				if _, err := i.Import(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			i := &importer{known: map[string]*types.Package{"unsafe": types.Unsafe}}
			for _, path := range Paths() {
				if _, err := i.Import(path); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkPackage(b *testing.B) {
	for b.Loop() {
		e := &packageEntry{table: packages["strings"].table, from: packages["strings"].from}
		if _, err := e.load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHiddenTypes(b *testing.B) {
	for b.Loop() {
		w := typeWalk{found: map[typeName]reflect.Type{}, seen: map[reflect.Type]bool{}}
		for _, path := range paths {
			for _, s := range packages[path].table.Types {
				w.walk(reflect.TypeOf(s.Value))
			}
		}
	}
}

// Importing pprof and expvar adds their routes, and nothing does before.
func TestImportEffects(t *testing.T) {
	serve := func(path string) int {
		r := httptest.NewRecorder()
		http.DefaultServeMux.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		return r.Code
	}
	for pkg, route := range map[string]string{"expvar": "/debug/vars", "net/http/pprof": "/debug/pprof/cmdline"} {
		old := http.DefaultServeMux
		http.DefaultServeMux = http.NewServeMux()
		if got := serve(route); got != http.StatusNotFound {
			t.Errorf("%s answers %d before the import", route, got)
		}
		if err := importEffect(pkg); err != nil {
			t.Error(err)
		}
		if got := serve(route); got != http.StatusOK {
			t.Errorf("%s answers %d after the import", route, got)
		}
		if err := importEffect(pkg); err == nil {
			t.Errorf("a second registration of %s was not reported", route)
		}
		http.DefaultServeMux = old
	}
}
