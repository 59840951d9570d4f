package interp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A notebook session of random cells prints what a compiled program prints that
// does the same: definitions and redefinitions, late-bound functions, errors
// that leave a cell half done or not begun, and interrupts.
func TestRandomSessionAgainstCompiledGo(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("comparing needs the go command")
	}
	g := &sessionGenerator{rand: rand.New(rand.NewPCG(2026, 7)), vars: map[string]string{}, funcs: map[string]lateFunc{}}
	var cells []string
	for range 200 {
		cells = append(cells, g.cell())
	}
	want := g.compiled(t)

	s, r := newSession(t)
	var got strings.Builder
	for i, code := range cells {
		ctx, cancel := context.WithCancel(context.Background())
		if strings.HasSuffix(code, endless) {
			ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
		}
		o := s.Run(ctx, Cell{ID: fmt.Sprint(i), Count: i + 1, Code: code})
		cancel()
		got.WriteString(withoutNotes(r.take()))
		if o.Value != nil {
			fmt.Fprintln(&got, "=", o.Value.Data["text/plain"])
		}
		if o.Err != nil {
			fmt.Fprintln(&got, "ended by", o.Err.Name)
		}
		fmt.Fprintln(&got, "-- cell", i)
	}
	compareSessions(t, cells, got.String(), want)
}

func withoutNotes(out string) string {
	var kept []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "note: ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func compareSessions(t *testing.T, cells []string, got, want string) {
	t.Helper()
	for i := range cells {
		mark := fmt.Sprintf("-- cell %d\n", i)
		g, restG, _ := strings.Cut(got, mark)
		w, restW, _ := strings.Cut(want, mark)
		if g != w {
			t.Fatalf("cell %d\n%s\nprinted %q\ncompiled %q", i, cells[i], g, w)
		}
		got, want = restG, restW
	}
}

const endless = "for {\n}"

// lateFunc is a function that shows a variable: whatever it is when called.
type lateFunc struct{ prefix, variable string }

// sessionGenerator writes cells, and beside them the compiled program: a
// variable is one Go variable per type there, and calls are written out.
type sessionGenerator struct {
	rand    *rand.Rand
	vars    map[string]string // name -> type
	funcs   map[string]lateFunc
	structs int // version of type P, 0 before the first
	method  string
	body    strings.Builder
	n       int
}

func (g *sessionGenerator) compiledName(v string) string {
	return v + "_" + strings.NewReplacer("[]", "s_").Replace(g.vars[v])
}

func (g *sessionGenerator) pick(of ...string) string { return of[g.rand.IntN(len(of))] }

// known picks a variable that exists, of the given type if any.
func (g *sessionGenerator) known(typ string) string {
	for range 20 {
		v := g.pick("a", "b", "c", "d")
		if have := g.vars[v]; have != "" && (typ == "" || have == typ) {
			return v
		}
	}
	return ""
}

func (g *sessionGenerator) emit(format string, args ...any) {
	fmt.Fprintf(&g.body, "\t"+format+"\n", args...)
}

func (g *sessionGenerator) cell() string {
	defer func() {
		g.emit("fmt.Println(%q, %d)", "-- cell", g.n)
		g.n++
	}()
	for {
		if code := g.try(g.rand.IntN(11)); code != "" {
			return code
		}
	}
}

func (g *sessionGenerator) try(kind int) string {
	k := g.rand.IntN(50)
	switch kind {
	case 0, 1: // a new variable, or an old name with any type
		v := g.pick("a", "b", "c", "d")
		typ := g.pick("int", "string", "float64", "[]int")
		init := map[string]string{"int": fmt.Sprint(k), "string": fmt.Sprintf("%q", fmt.Sprint("s", k)), "float64": fmt.Sprintf("%d.25", k), "[]int": fmt.Sprintf("[]int{%d, %d}", k, k+1)}[typ]
		g.vars[v] = typ
		g.emit("%s = %s", g.compiledName(v), init)
		return v + " := " + init
	case 2: // an update
		v := g.known("")
		if v == "" {
			return ""
		}
		op := map[string]string{"int": " = %s*3 - %d", "string": " = %s + \"%d\"", "float64": " = %s/2 + %d", "[]int": " = append(%s, %d)"}[g.vars[v]]
		g.emit("%s"+op, g.compiledName(v), g.compiledName(v), k)
		return fmt.Sprintf("%s"+op, v, v, k)
	case 3: // a function, maybe again
		v := g.known("")
		if v == "" {
			return ""
		}
		f := lateFunc{fmt.Sprint("f", k), v}
		name := g.pick("f", "g", "h")
		g.funcs[name] = f
		return fmt.Sprintf("func %s() string { return %q + fmt.Sprint(%s) }", name, f.prefix, v)
	case 4: // a call
		name := g.pick("f", "g", "h")
		f, ok := g.funcs[name]
		if !ok {
			return ""
		}
		g.emit("fmt.Println(%q + fmt.Sprint(%s))", f.prefix, g.compiledName(f.variable))
		return "fmt.Println(" + name + "())"
	case 5: // a loop with closures
		v := g.known("int")
		if v == "" {
			return ""
		}
		loop := "var fs%[3]s []func() int\n\tfor i := 0; i < 6; i++ {\n\t\tif i == 3 {\n\t\t\ti++\n\t\t\tcontinue\n\t\t}\n\t\tfs%[3]s = append(fs%[3]s, func() int { i++; return i + %[1]s%%%[2]d })\n\t}\n\tfor _, fn := range fs%[3]s {\n\t\tdefer func() { fmt.Print(fn(), \" \") }()\n\t}"
		n := fmt.Sprint(g.n)
		g.emit("func() {\n\t"+loop+"\n\t}()", g.compiledName(v), k+2, n)
		return fmt.Sprintf(loop, v, k+2, n)
	case 6: // a panic on the way
		v := g.known("int")
		if v == "" {
			return ""
		}
		g.emit("%s++", g.compiledName(v))
		g.emit("fmt.Println(\"ended by panic\")")
		return v + "++\nvar none map[string]int\nnone[\"x\"] = 1\n" + v + " = 1000"
	case 7: // not a program
		v := g.known("int")
		if v == "" {
			return ""
		}
		g.emit("fmt.Println(\"ended by CompileError\")")
		return v + " = 5\nfunc f() int { return 1 }\n" + v + " := \"text\"\n" + g.pick("undefinedName", "var q int = \"s\"", "break")
	case 8: // interrupted
		v := g.known("int")
		if v == "" || g.rand.IntN(3) > 0 {
			return ""
		}
		g.emit("%s += 7", g.compiledName(v))
		g.emit("fmt.Println(\"ended by Interrupted\")")
		return v + " += 7\n" + endless
	case 9: // a type with a method, or values of it
		if g.structs == 0 || g.rand.IntN(3) == 0 {
			g.structs++
			g.method = fmt.Sprint("P", k)
			extra := strings.Repeat("X int; ", g.structs%2)
			return fmt.Sprintf("type P struct { %sN int }\nfunc (p P) String() string { return fmt.Sprint(%q, p.N) }", extra, g.method)
		}
		g.emit("fmt.Println(%q, \"[\"+%q+\"]\")", fmt.Sprint(g.method, k), fmt.Sprint(g.method, k+1))
		return fmt.Sprintf("p := P{N: %d}\nfmt.Println(p, []any{P{N: %d}})", k, k+1)
	default: // a value
		v := g.known("")
		if v == "" {
			return ""
		}
		g.emit("fmt.Println(\"=\", %s)", g.compiledName(v))
		return v
	}
}

// compiled builds and runs the program beside the cells.
func (g *sessionGenerator) compiled(t *testing.T) string {
	t.Helper()
	var src strings.Builder
	src.WriteString("package main\n\nimport \"fmt\"\n\nvar (\n")
	for _, v := range []string{"a", "b", "c", "d"} {
		fmt.Fprintf(&src, "\t%[1]s_int int\n\t%[1]s_string string\n\t%[1]s_float64 float64\n\t%[1]s_s_int []int\n", v)
	}
	src.WriteString(")\n\nfunc main() {\n" + g.body.String() + "}\n")
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(src.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", file)
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the compiled program failed: %v\n%s", err, out)
	}
	return string(out)
}
